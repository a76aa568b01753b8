//! Requests under way: how many there may be, and which of them hang.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{load::Load, ticket::Ticket};

/// How long a request may take at first before it counts as slow: opening a connection takes its time.
const FIRST: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(50);
/// How many in a row are slow where the server is: of those that hang among others there are fewer, mostly.
const MANY: u32 = 16;
/// How long at the most where nothing was answered that took longer.
const MOST: Duration = Duration::from_secs(5);
/// How long it is until another is given up where none was answered that was sent later.
const PROBE: Duration = Duration::from_millis(125);
/// How many that were given up are reckoned with.
const MOST_GHOSTS: usize = 1_024;

/// Requests under way.
///
/// A webhook, a namespace or a proxy may have some claims' requests hang while others' are answered at once. A request that
/// takes longer than most counts as slow, and if it is never answered so does the next one of the same claim; slow ones may take
/// up half of what is allowed and no more. Where more of them turn out to be slow one is given up for each claim that waits.
///
/// One hangs if another was answered meanwhile that was sent later, and then it is given up when it has taken too long. If none was
/// it may be that a server answers one after another and has stopped for a while: to ask again would cost a place in its
/// line, and have it do everything twice. So then only one is given up at a time, to see whether another try is answered: the
/// last one, which has least to lose.
///
/// Those that were given up without that are reckoned with as if they were under way until one is answered that was sent later:
/// such a server still has them to do, and answers nothing else before.
///
/// How long is too long follows what is usual: it shrinks with each request that is answered in a quarter of it, and grows, by
/// twice as much, with each whose answer was slow. So at most a third are ever slow for long: where the server itself is slow,
/// that is usual, and nobody is held up for it. It grows with those that are not answered only where many of them come in a row:
/// otherwise each of many that hang would have the time that only a slow server takes.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    load: Load,
    prompt: BTreeMap<Ticket, Flight>,
    slow: BTreeMap<Ticket, Flight>,
    /// Those that were given up while none was answered that was sent later: a server may have them to do still.
    ghosts: BTreeSet<Ticket>,
    /// When it is to be decided whether one has taken too long.
    decisions: BTreeSet<(Instant, Ticket)>,
    next: Ticket,
    patience: Duration,
    /// How long an answer takes of late.
    usual: Duration,
    /// When one was answered last.
    answered: Option<Instant>,
    /// When the latest was sent that was answered.
    newest: Option<Instant>,
    /// When one was given up last while nothing later was answered.
    probed: Option<Instant>,
    /// How many have turned out to be slow since one was answered that was not.
    in_a_row: u32,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    slot: u32,
    sent: Instant,
    /// How many others were under way.
    among: usize,
    /// Whether the request before it was not answered.
    is_suspect: bool,
    /// When it is decided next whether it has taken too long, and when it does for sure.
    decision: Option<(Instant, Instant)>,
}

impl Traffic {
    pub(super) fn new(most: usize) -> Self {
        Self {
            load: Load::new(most),
            prompt: BTreeMap::new(),
            slow: BTreeMap::new(),
            ghosts: BTreeSet::new(),
            decisions: BTreeSet::new(),
            next: Ticket::FIRST,
            patience: FIRST,
            usual: Duration::ZERO,
            answered: None,
            newest: None,
            probed: None,
            in_a_row: 0,
        }
    }

    /// Returns whether there is room for a claim whose last request was slow, or was not.
    pub(super) fn has_room(&self, is_slow: bool) -> bool {
        let is_full = self.count() >= self.load.limit();
        !is_full && (!is_slow || self.slow.len() < self.most_slow())
    }

    fn count(&self) -> usize {
        self.prompt.len() + self.slow.len()
    }

    /// Takes note that a claim sends a request. From one instant on, before another at which it ends by itself, it is to be given
    /// up where another try is of more use.
    pub(super) fn begin(
        &mut self,
        slot: u32,
        is_slow: bool,
        decision: Option<(Instant, Instant)>,
        now: Instant,
    ) -> Ticket {
        let ticket = self.next;
        self.next = ticket.next();
        self.decisions.extend(decision.map(|(at, _)| (at, ticket)));
        let flight = Flight {
            slot,
            sent: now,
            among: self.count() + self.ghosts.len(),
            is_suspect: is_slow,
            decision,
        };
        let flights = if is_slow {
            &mut self.slow
        } else {
            &mut self.prompt
        };
        flights.insert(ticket, flight);
        ticket
    }

    /// Takes note that a request was answered. Returns whether it was under way.
    pub(super) fn answer(&mut self, ticket: Ticket, now: Instant) -> bool {
        let Some(flight) = self.remove(ticket) else {
            return false;
        };
        let took = now.saturating_duration_since(flight.sent);
        self.newest = self.newest.max(Some(flight.sent));
        self.answered = Some(now);
        self.ghosts = self.ghosts.split_off(&ticket);
        self.usual = if took > self.usual {
            self.usual / 2 + took / 2
        } else {
            self.usual - self.usual / 8 + took / 8
        };
        self.load.weigh(ticket, flight.among, took, self.next, now);
        if took <= self.patience {
            self.in_a_row = 0;
        }
        if took <= self.patience / 4 {
            self.patience = (self.patience - self.patience / 16).max(LEAST);
        } else if took > self.patience {
            self.grow(8, took + took / 2);
        }
        true
    }

    /// Returns how long an answer takes of late.
    pub(super) fn usual(&self) -> Duration {
        self.usual
    }

    /// Takes note that a grant has ended before it was renewed.
    pub(super) fn lose(&mut self, now: Instant) {
        self.load.lose(now);
    }

    /// Takes note that a request was waited for until its deadline.
    pub(super) fn time_out(&mut self, ticket: Ticket, now: Instant) {
        let (count, flights) = (self.count(), [&self.prompt, &self.slow]);
        let flight = flights.into_iter().find_map(|flights| flights.get(&ticket));
        let sent = flight.map(|flight| flight.sent);
        self.end(ticket, now);
        let unusual = self.usual + self.usual / 2;
        if let Some(answered) = self.answered
            && Some(answered) <= sent
            && answered + unusual <= now
        {
            self.load.time_out(ticket, count, self.next);
        }
    }

    /// Takes note that a request is over, however.
    pub(super) fn end(&mut self, ticket: Ticket, now: Instant) {
        if let Some(flight) = self.remove(ticket) {
            let waited = now.saturating_duration_since(flight.sent);
            if self.newest < Some(flight.sent) && self.ghosts.len() < MOST_GHOSTS {
                self.ghosts.insert(ticket);
            }
            self.load
                .try_out(ticket, flight.among, waited, self.next, now);
        }
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Flight> {
        let prompt = self.prompt.remove(&ticket);
        let flight = prompt.or_else(|| self.slow.remove(&ticket))?;
        if let Some((at, _)) = flight.decision {
            self.decisions.remove(&(at, ticket));
        }
        Some(flight)
    }

    /// Returns when `overdue`, `too_late` or `excess` is to be asked for.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let decision = self.decisions.first().map(|(at, _)| *at);
        let probe = self.probes_at();
        let probe = probe.filter(|at| now < *at && self.has_excess());
        let all = [self.next_overdue(), decision, probe];
        all.into_iter().flatten().min()
    }

    fn next_overdue(&self) -> Option<Instant> {
        let (_, oldest) = self.prompt.first_key_value()?;
        Some(oldest.sent + self.patience)
    }

    /// Returns whose request has turned out to be slow by `now`, once for each.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<u32> {
        if self.next_overdue()? > now {
            return None;
        }
        let (ticket, flight) = self.prompt.pop_first()?;
        self.slow.insert(ticket, flight);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row > MANY {
            self.grow(4, MOST);
        }
        Some(flight.slot)
    }

    fn grow(&mut self, part: u32, most: Duration) {
        let grown = self.patience + self.patience / part;
        self.patience = grown.min(most).max(self.patience);
    }

    /// Returns whose request is to be given up since it has taken too long, if there is one.
    pub(super) fn too_late(&mut self, now: Instant) -> Option<(u32, Ticket)> {
        while let Some(&(at, ticket)) = self.decisions.first()
            && at <= now
        {
            self.decisions.pop_first();
            let slow = self.slow.get_mut(&ticket);
            let flight = slow.or_else(|| self.prompt.get_mut(&ticket))?;
            let ends = flight.decision.map_or(now, |(_, ends)| ends);
            // The less is left the sooner it must be known.
            let again = now + (ends.saturating_duration_since(now) / 4).max(PROBE);
            flight.decision = Some((again, ends));
            self.decisions.insert((again, ticket));
            let flight = *flight;
            if self.is_overtaken(&flight, now) {
                return Some((flight.slot, ticket));
            }
            if let Some(probe) = self.probe(now) {
                return Some(probe);
            }
        }
        None
    }

    /// Returns whether another was answered that was sent later, by more than what may be chance.
    fn is_overtaken(&self, flight: &Flight, now: Instant) -> bool {
        let waited = now.saturating_duration_since(flight.sent);
        self.newest > Some(flight.sent + waited / 8)
    }

    /// Returns when another try is of use where no later one was answered: not while any are answered one after another.
    fn probes_at(&self) -> Option<Instant> {
        let probed = self.probed.map(|at| at + PROBE);
        let answered = self.answered.map(|at| at + PROBE.max(self.usual / 2));
        probed.max(answered)
    }

    /// Returns whose request is given up to see whether another try is answered.
    fn probe(&mut self, now: Instant) -> Option<(u32, Ticket)> {
        if self.probes_at().is_some_and(|at| now < at) {
            return None;
        }
        let (ticket, flight) = self.slow.last_key_value()?;
        self.probed = Some(now);
        Some((flight.slot, *ticket))
    }

    /// Returns whose request is to be given up for one that waits, since there is no room left and too many are slow.
    pub(super) fn excess(&mut self, now: Instant) -> Option<(u32, Ticket)> {
        if !self.has_excess() {
            return None;
        }
        let suspect = self.slow.iter().find(|(_, flight)| flight.is_suspect);
        let (ticket, flight) = suspect.or_else(|| self.slow.first_key_value())?;
        if flight.is_suspect || self.is_overtaken(flight, now) {
            return Some((flight.slot, *ticket));
        }
        self.probe(now)
    }

    fn has_excess(&self) -> bool {
        !self.has_room(false) && self.slow.len() > self.most_slow()
    }

    fn most_slow(&self) -> usize {
        self.load.limit() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn slow_ones_have_half_of_the_room_and_what_is_over_makes_room() {
        let (mut traffic, now) = (Traffic::new(4), now());
        let first = traffic.begin(1, true, None, now);
        traffic.begin(2, true, None, now);
        assert!(!traffic.has_room(true) && traffic.has_room(false));
        traffic.begin(3, false, None, now);
        let last = traffic.begin(4, false, None, now);
        assert!(!traffic.has_room(false));
        traffic.end(last, now);
        assert!(traffic.has_room(false) && !traffic.has_room(true));
        assert!(traffic.answer(first, now) && traffic.has_room(true));
        // It was over already.
        assert!(!traffic.answer(first, now));
    }

    #[test]
    fn of_too_many_slow_ones_those_are_given_up_first_that_were_not_answered_before() {
        let (mut traffic, now) = (Traffic::new(4), now());
        let late = traffic.begin(1, false, None, now);
        let later = now + FIRST;
        assert_eq!(traffic.overdue(later), Some(1));
        let hanging = traffic.begin(2, true, None, later);
        assert_eq!(traffic.excess(later + MOST * 2), None);
        let other = traffic.begin(3, false, None, later);
        assert_eq!(traffic.overdue(later + MOST), Some(3));
        // There is room still.
        assert_eq!(traffic.excess(later + MOST * 2), None);
        let another = traffic.begin(4, false, None, later + MOST);
        assert_eq!(traffic.excess(later + MOST * 2), Some((2, hanging)));
        traffic.end(hanging, later + MOST * 2);
        assert_eq!(traffic.excess(later + MOST * 2), None);
        // Without such a one it is the last, and not one after the other.
        let later = later + MOST * 2;
        assert_eq!(traffic.overdue(later), Some(4));
        let last = traffic.begin(5, false, None, later);
        assert_eq!(traffic.excess(later), Some((4, another)));
        assert_eq!(traffic.excess(later), None);
        assert_eq!(traffic.excess(later + PROBE), Some((4, another)));
        // Where others are answered that were sent later it is the oldest.
        assert!(traffic.answer(last, later));
        traffic.begin(6, false, None, later);
        assert_eq!(traffic.excess(later), Some((1, late)));
        traffic.end(late, later);
        for ticket in [other, another] {
            assert!(traffic.answer(ticket, later));
        }
    }

    #[test]
    fn what_takes_too_long_is_given_up_where_another_was_answered_that_was_sent_later() {
        let (mut traffic, now) = (Traffic::new(8), now());
        let ends = now + FIRST * 8;
        let first = traffic.begin(1, false, Some((now + FIRST * 4, ends)), now);
        let second = traffic.begin(2, false, Some((now + FIRST * 5, ends)), now + FIRST);
        let third = traffic.begin(3, false, None, now + FIRST * 2);
        for slot in 1..=3 {
            assert_eq!(traffic.overdue(now + FIRST * 3), Some(slot));
        }
        assert_eq!(traffic.next(now), Some(now + FIRST * 4));
        assert_eq!(traffic.too_late(now + FIRST * 3), None);
        // Nothing is known yet, so it is the last that is given up to see.
        assert_eq!(traffic.too_late(now + FIRST * 4), Some((3, third)));
        traffic.end(third, now + FIRST * 4);
        assert_eq!(traffic.too_late(now + FIRST * 4), None);
        // It is asked again after a quarter of what is left.
        assert_eq!(traffic.next(now), Some(now + FIRST * 5));
        // One that was sent before the second tells nothing of it.
        let fourth = traffic.begin(4, false, None, now + FIRST * 4);
        assert!(traffic.answer(first, now + FIRST * 4));
        assert_eq!(traffic.too_late(now + FIRST * 5), Some((2, second)));
        assert!(traffic.answer(fourth, now + FIRST * 5));
        assert_eq!(traffic.too_late(now + FIRST * 8), Some((2, second)));
        traffic.end(second, now + FIRST * 8);
        assert_eq!(traffic.next(now), None);
    }
}
