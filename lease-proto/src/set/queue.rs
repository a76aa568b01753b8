//! Those that would send and may not yet: who goes first.

use std::{collections::BTreeSet, time::Instant};

use crate::claim::Urgency;

/// How many holders go before one that waits does, where there are both.
const HOLDERS_IN_A_ROW: u32 = 7;

/// Claims that would send.
///
/// Holders go by when their grants end, the earliest first; those that acquire or release by how long they have
/// waited for it, and one of them goes after so many holders, so that no load of renewals keeps them waiting for ever. Slow ones
/// are kept apart, since they may have to wait while others need not.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    prompt: Lines,
    slow: Lines,
    holders_in_a_row: u32,
}

#[derive(Clone, Debug, Default)]
struct Lines {
    holders: BTreeSet<(Instant, u32)>,
    others: BTreeSet<(Instant, u32)>,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Turn {
    /// When a holder's grant ends, or since when anybody else has waited.
    at: Instant,
    is_holder: bool,
    is_slow: bool,
}

impl Queue {
    /// Gives a claim a place, or leaves it the one it has if that is still right.
    pub(super) fn line_up(
        &mut self,
        slot: u32,
        had: Option<Turn>,
        urgency: Urgency,
        is_slow: bool,
        now: Instant,
    ) -> Turn {
        let (at, is_holder) = match (urgency, had) {
            (Urgency::Holds(until), _) => (until, true),
            (Urgency::Waits, Some(turn)) if !turn.is_holder => (turn.at, false),
            (Urgency::Waits, _) => (now, false),
        };
        let turn = Turn {
            at,
            is_holder,
            is_slow,
        };
        if had != Some(turn) {
            self.leave(slot, had);
            self.line(turn).insert((at, slot));
        }
        turn
    }

    pub(super) fn leave(&mut self, slot: u32, had: Option<Turn>) {
        if let Some(turn) = had {
            self.line(turn).remove(&(turn.at, slot));
        }
    }

    /// Returns whose turn it is, among those for which there is room. It keeps its place.
    ///
    /// A holder whose grant ends before `answered`, when an answer can be expected, goes after those that can still be helped:
    /// where there is more to do than room, all of them would else be helped too late, one after the other.
    pub(super) fn first(
        &self,
        (for_prompt, for_slow): (bool, bool),
        answered: Instant,
    ) -> Option<u32> {
        let open = [(&self.prompt, for_prompt), (&self.slow, for_slow)];
        let open = || {
            open.into_iter()
                .filter_map(|(lines, is_open)| is_open.then_some(lines))
        };
        let in_time = |lines: &Lines| lines.holders.range((answered, 0)..).next().copied();
        let holder = open().filter_map(in_time).min();
        let holder = holder.or_else(|| {
            open()
                .filter_map(|lines| lines.holders.first())
                .copied()
                .min()
        });
        let other = open().filter_map(|lines| lines.others.first()).min();
        let (holder, other) = (holder.map(|(_, slot)| slot), other.map(|(_, slot)| *slot));
        if self.holders_in_a_row < HOLDERS_IN_A_ROW {
            holder.or(other)
        } else {
            other.or(holder)
        }
    }

    /// Returns whether anybody waits whose last request was answered in time.
    pub(super) fn has_prompt(&self) -> bool {
        !self.prompt.holders.is_empty() || !self.prompt.others.is_empty()
    }

    /// Takes note that a claim has sent something.
    pub(super) fn count(&mut self, urgency: Urgency) {
        self.holders_in_a_row = match urgency {
            Urgency::Holds(_) => self.holders_in_a_row.saturating_add(1),
            Urgency::Waits => 0,
        };
    }

    fn line(&mut self, turn: Turn) -> &mut BTreeSet<(Instant, u32)> {
        let lines = if turn.is_slow {
            &mut self.slow
        } else {
            &mut self.prompt
        };
        if turn.is_holder {
            &mut lines.holders
        } else {
            &mut lines.others
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_holder_whose_grant_ends_first_goes_first_whoever_came_first() {
        let (mut queue, now) = (Queue::default(), now());
        let holds = |seconds| Urgency::Holds(now + SECOND * seconds);
        let turn = queue.line_up(1, None, holds(5), false, now);
        queue.line_up(2, None, holds(3), false, now + SECOND);
        queue.line_up(3, None, Urgency::Waits, false, now);
        assert_eq!(queue.first((true, true), now), Some(2));
        // It was renewed meanwhile.
        queue.line_up(1, Some(turn), holds(2), false, now);
        assert_eq!(queue.first((true, true), now), Some(1));
    }

    #[test]
    fn whoever_cannot_be_helped_any_more_goes_after_those_who_can() {
        let (mut queue, now) = (Queue::default(), now());
        let holds = |seconds| Urgency::Holds(now + SECOND * seconds);
        queue.line_up(1, None, holds(1), false, now);
        let turn = queue.line_up(2, None, holds(3), true, now);
        let answered = now + SECOND * 2;
        assert_eq!(queue.first((true, true), answered), Some(2));
        assert_eq!(queue.first((true, false), answered), Some(1));
        queue.leave(2, Some(turn));
        assert_eq!(queue.first((true, true), answered), Some(1));
    }

    #[test]
    fn whoever_waits_goes_after_so_many_holders_and_no_later() {
        let (mut queue, now) = (Queue::default(), now());
        queue.line_up(1, None, Urgency::Holds(now + SECOND), false, now);
        queue.line_up(2, None, Urgency::Waits, false, now);
        for _ in 0..HOLDERS_IN_A_ROW {
            assert_eq!(queue.first((true, true), now), Some(1));
            queue.count(Urgency::Holds(now + SECOND));
        }
        assert_eq!(queue.first((true, true), now), Some(2));
        queue.count(Urgency::Waits);
        assert_eq!(queue.first((true, true), now), Some(1));
    }

    #[test]
    fn whoever_waits_keeps_its_place_however_often_it_lines_up() {
        let (mut queue, now) = (Queue::default(), now());
        let turn = queue.line_up(1, None, Urgency::Waits, false, now);
        queue.line_up(2, None, Urgency::Waits, false, now + SECOND);
        let again = queue.line_up(1, Some(turn), Urgency::Waits, false, now + SECOND * 2);
        assert_eq!((again, queue.first((true, true), now)), (turn, Some(1)));
        queue.leave(1, Some(again));
        assert_eq!(queue.first((true, true), now), Some(2));
    }

    #[test]
    fn slow_ones_wait_while_there_is_room_for_others_only() {
        let (mut queue, now) = (Queue::default(), now());
        let turn = queue.line_up(1, None, Urgency::Holds(now), true, now);
        assert_eq!(queue.first((true, false), now), None);
        queue.line_up(2, None, Urgency::Waits, false, now);
        assert_eq!(queue.first((true, false), now), Some(2));
        assert_eq!(queue.first((false, true), now), Some(1));
        queue.line_up(1, Some(turn), Urgency::Holds(now), false, now);
        assert_eq!(
            (
                queue.first((false, true), now),
                queue.first((true, false), now)
            ),
            (None, Some(1))
        );
    }
}
