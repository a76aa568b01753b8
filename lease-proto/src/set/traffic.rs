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
/// After what time a request that is not answered says something of the server; a quarter of it is no load.
const TELLING: Duration = Duration::from_millis(500);
/// How many there may be of those that are allowed, whatever the load.
const FEWEST: usize = 8;
/// How many times as many must be answered, as there may be, for there to be one more, where answers take long.
const ROUNDS: usize = 4;
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
///
/// A server that answers one after another has each wait for all that were sent before it, also for those that were given up:
/// who sends more than it can answer in time has it do work for nobody, and loses everything. So where a request is given up
/// while others are answered, and those slowly, half as many are sent from then on, and more again little by little. While nothing
/// is answered at all, a quarter of the room is left empty, and each is given the time that the others have waited already: to
/// ask twice would help nobody.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    most: usize,
    /// How many there may be now.
    limit: usize,
    /// How many were answered since there may be so many.
    answered: usize,
    /// When something was answered last.
    answered_at: Option<Instant>,
    /// The first that was sent since there may be fewer.
    lowered: Ticket,
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
            limit: most,
            answered: 0,
            answered_at: None,
            lowered: Ticket(NonZeroU64::MIN),
            prompt: BTreeMap::new(),
            slow: BTreeMap::new(),
            next: NonZeroU64::MIN,
            patience: FIRST,
            usual: Duration::ZERO,
            in_a_row: 0,
        }
    }

    /// Returns whether there is room for a claim whose last request was slow, or was not.
    pub(super) fn has_room(&self, is_slow: bool, now: Instant) -> bool {
        let limit = match self.stuck_since(now) {
            Some(_) => (self.limit - self.limit / 4).max(self.fewest()),
            None => self.limit,
        };
        let is_full = self.count() >= limit;
        !is_full && (!is_slow || self.slow.len() < self.most_slow())
    }

    /// Returns since when nothing is answered any more, of all that are under way, if that is unusual.
    fn stuck_since(&self, now: Instant) -> Option<Instant> {
        let oldest = [&self.prompt, &self.slow].map(|flights| flights.values().next());
        let sent = oldest
            .into_iter()
            .flatten()
            .map(|flight| flight.sent)
            .min()?;
        let is_stuck = self.answered_at.is_some_and(|at| at <= sent);
        (is_stuck && sent + (self.usual * 4).max(TELLING) <= now).then_some(sent)
    }

    fn count(&self) -> usize {
        self.prompt.len() + self.slow.len()
    }

    fn fewest(&self) -> usize {
        FEWEST.min(self.most)
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
        self.usual = if took > self.usual {
            self.usual / 2 + took / 2
        } else {
            self.usual - self.usual / 8 + took / 8
        };
        self.answered_at = Some(now);
        self.answered += 1;
        if took <= TELLING / 4 || self.answered >= self.limit * ROUNDS {
            self.answered = 0;
            self.limit = (self.limit + 1).min(self.most);
        }
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

    /// Returns how long an answer takes of late, at least.
    pub(super) fn usual(&self, now: Instant) -> Duration {
        let stuck = self.stuck_since(now).map(|since| now - since);
        self.usual.max(stuck.unwrap_or_default())
    }

    /// Takes note that a request is over, however.
    pub(super) fn end(&mut self, ticket: Ticket) {
        self.remove(ticket);
    }

    /// Takes note that a request was given up, which its server may still carry out.
    pub(super) fn give_up(&mut self, ticket: Ticket, now: Instant) {
        let count = self.count();
        let Some(flight) = self.remove(ticket) else {
            return;
        };
        let waited = now.saturating_duration_since(flight.sent);
        // Otherwise it is this one that hangs, or nothing is known.
        let is_load = self.usual >= waited / 4 && self.answered_at > Some(flight.sent);
        // Those that were sent before it was lowered do not show yet whether that was enough.
        if is_load && waited >= TELLING && ticket >= self.lowered {
            self.limit = (self.limit.min(count) / 2).max(self.fewest());
            self.answered = 0;
            self.lowered = Ticket(self.next);
        }
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
    pub(super) fn excess(&self, now: Instant) -> Option<(u32, Ticket)> {
        if self.has_room(false, now) || self.slow.len() <= self.most_slow() {
            return None;
        }
        let suspect = self.slow.iter().find(|(_, flight)| flight.is_suspect);
        let (ticket, flight) = suspect.or_else(|| self.slow.first_key_value())?;
        Some((flight.slot, *ticket))
    }

    fn most_slow(&self) -> usize {
        self.limit / 2
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
        assert!(!traffic.has_room(true, now) && traffic.has_room(false, now));
        traffic.begin(3, false, now);
        let last = traffic.begin(4, false, now);
        assert!(!traffic.has_room(false, now));
        traffic.end(last);
        assert!(traffic.has_room(false, now) && !traffic.has_room(true, now));
        assert!(traffic.answer(first, now) && traffic.has_room(true, now));
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
        assert_eq!(traffic.excess(later + MOST * 2), None);
        let other = traffic.begin(3, false, later);
        assert_eq!(traffic.overdue(later + MOST), Some(3));
        // There is room still.
        assert_eq!(traffic.excess(later + MOST * 2), None);
        let another = traffic.begin(4, false, later + MOST);
        assert_eq!(traffic.excess(later + MOST * 2), Some((2, hanging)));
        traffic.end(hanging);
        assert_eq!(traffic.excess(later + MOST * 2), None);
        // Without such a one it is the oldest.
        assert_eq!(traffic.overdue(later + MOST * 2), Some(4));
        let last = traffic.begin(5, false, later + MOST * 2);
        assert_eq!(traffic.excess(later + MOST * 2), Some((1, late)));
        traffic.end(late);
        for ticket in [other, another, last] {
            assert!(traffic.answer(ticket, later + MOST * 2));
        }
    }
}
