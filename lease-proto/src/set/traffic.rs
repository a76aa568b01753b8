//! Requests under way: how many there may be, and which of them hang.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// How long a request may take at first before it counts as slow: opening a connection takes its time.
const FIRST: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(50);
/// How many in a row are slow where the server is: of those that hang among others there are fewer, mostly.
const MANY: u32 = 16;
/// How long at the most where nothing was answered that took longer.
const MOST: Duration = Duration::from_secs(5);

/// Requests under way.
///
/// A webhook, a namespace or a proxy may have some claims' requests hang while others' are answered at once. A request that
/// takes longer than most counts as slow, and if it is never answered so does the next one of the same claim; slow ones may take
/// up half of what is allowed and no more. Where more of them turn out to be slow the oldest is given up: of those whose claims
/// were known to be slow, if there are any, since others are mostly answered yet.
///
/// How long is too long follows what is usual: it shrinks with each request that is answered in a quarter of it, and grows, by
/// twice as much, with each whose answer was slow. So at most a third are ever slow for long: where the server itself is slow,
/// that is usual, and nobody is held up for it. It grows with those that are not answered only where many of them come in a row:
/// otherwise each of many that hang would have the time that only a slow server takes.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    most: usize,
    prompt: BTreeMap<Ticket, Flight>,
    slow: BTreeMap<Ticket, Flight>,
    next: NonZeroU64,
    patience: Duration,
    /// How long an answer takes of late.
    usual: Duration,
    /// How many have turned out to be slow since one was answered that was not.
    in_a_row: u32,
}

/// Names a request under way, in the order of sending.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Ticket(NonZeroU64);

#[derive(Clone, Copy, Debug)]
struct Flight {
    slot: u32,
    sent: Instant,
    /// Whether the request before it was not answered.
    is_suspect: bool,
}

impl Traffic {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            prompt: BTreeMap::new(),
            slow: BTreeMap::new(),
            next: NonZeroU64::MIN,
            patience: FIRST,
            usual: Duration::ZERO,
            in_a_row: 0,
        }
    }

    /// Returns whether there is room for a claim whose last request was slow, or was not.
    pub(super) fn has_room(&self, is_slow: bool) -> bool {
        let is_full = self.prompt.len() + self.slow.len() >= self.most;
        !is_full && (!is_slow || self.slow.len() < self.most_slow())
    }

    /// Takes note that a claim sends a request.
    pub(super) fn begin(&mut self, slot: u32, is_slow: bool, now: Instant) -> Ticket {
        let ticket = Ticket(self.next);
        self.next = self.next.saturating_add(1);
        let flights = if is_slow {
            &mut self.slow
        } else {
            &mut self.prompt
        };
        let flight = Flight {
            slot,
            sent: now,
            is_suspect: is_slow,
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
        self.usual = self.usual - self.usual / 8 + took / 8;
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

    /// Takes note that a request is over, however.
    pub(super) fn end(&mut self, ticket: Ticket) {
        self.remove(ticket);
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Flight> {
        let prompt = self.prompt.remove(&ticket);
        prompt.or_else(|| self.slow.remove(&ticket))
    }

    /// Returns when `overdue` is to be asked for.
    pub(super) fn next(&self) -> Option<Instant> {
        let (_, oldest) = self.prompt.first_key_value()?;
        Some(oldest.sent + self.patience)
    }

    /// Returns whose request has turned out to be slow by `now`, once for each.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<u32> {
        if self.next()? > now {
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

    /// Returns whose request is to be given up for one that waits, since there is no room left and too many are slow.
    pub(super) fn excess(&self) -> Option<(u32, Ticket)> {
        if self.has_room(false) || self.slow.len() <= self.most_slow() {
            return None;
        }
        let suspect = self.slow.iter().find(|(_, flight)| flight.is_suspect);
        let (ticket, flight) = suspect.or_else(|| self.slow.first_key_value())?;
        Some((flight.slot, *ticket))
    }

    fn most_slow(&self) -> usize {
        self.most / 2
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
        let first = traffic.begin(1, true, now);
        traffic.begin(2, true, now);
        assert!(!traffic.has_room(true) && traffic.has_room(false));
        traffic.begin(3, false, now);
        let last = traffic.begin(4, false, now);
        assert!(!traffic.has_room(false));
        traffic.end(last);
        assert!(traffic.has_room(false) && !traffic.has_room(true));
        assert!(traffic.answer(first, now) && traffic.has_room(true));
        // It was over already.
        assert!(!traffic.answer(first, now));
    }

    #[test]
    fn of_too_many_slow_ones_those_are_given_up_first_that_were_not_answered_before() {
        let (mut traffic, now) = (Traffic::new(4), now());
        let late = traffic.begin(1, false, now);
        let later = now + FIRST;
        assert_eq!(traffic.overdue(later), Some(1));
        let hanging = traffic.begin(2, true, later);
        assert_eq!(traffic.excess(), None);
        let other = traffic.begin(3, false, later);
        assert_eq!(traffic.overdue(later + MOST), Some(3));
        // There is room still.
        assert_eq!(traffic.excess(), None);
        let another = traffic.begin(4, false, later + MOST);
        assert_eq!(traffic.excess(), Some((2, hanging)));
        traffic.end(hanging);
        assert_eq!(traffic.excess(), None);
        // Without such a one it is the oldest.
        assert_eq!(traffic.overdue(later + MOST * 2), Some(4));
        let last = traffic.begin(5, false, later + MOST * 2);
        assert_eq!(traffic.excess(), Some((1, late)));
        traffic.end(late);
        for ticket in [other, another, last] {
            assert!(traffic.answer(ticket, later + MOST * 2));
        }
    }
}
