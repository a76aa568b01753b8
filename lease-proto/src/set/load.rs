//! Load: how many requests a server can have at once without being slowed down by them.

use std::time::{Duration, Instant};

use super::ticket::Ticket;

/// No answer that takes less is a sign of load.
const TELLING: Duration = Duration::from_millis(500);
/// How many times as long an answer takes under load, at least, as with few others under way, and how many these are.
const SLOWED: u32 = 4;
const FEW: usize = 2;
/// How many answers tell something.
const SIGNS: u32 = 8;
/// How many requests there may be whatever the load.
const FEWEST: usize = 8;
/// How many times as many must be answered, as there may be, for there to be one more, where answers take long.
const ROUNDS: usize = 4;
/// How long it is not asked again whether answers take long because of load, at first and at the most.
const SETTLED: Duration = Duration::from_secs(60);
const MOST_SETTLED: Duration = Duration::from_secs(16 * 60);

/// How many requests there may be under way.
///
/// A server that answers one after another has each wait for all that were sent before it: the more are under way, the longer
/// each takes, and no more are answered for that. Whoever sends more than can be answered in time loses everything. A server
/// that takes long for each by itself answers the more the more are under way, and fewer would lose what could be kept. Both
/// look the same, but for those that were sent with few others under way: these tell how long an answer takes alone. Where
/// eight in a row take four times as long, half as many are sent from then on. If the first eight of these take about as long it was
/// no load, and as many as before are sent again; otherwise more again little by little.
///
/// What an answer takes alone is not known any more where many are always under way, or where the server did not answer at all
/// for a while. So it is forgotten little by little while Leases are lost; then a quarter fewer are sent to see whether they are
/// answered faster. If not that is not tried again for a minute, for two the next time, and so on.
///
/// Where nothing is answered for as long as a request is waited for, half as many are sent from then on, too: a server that
/// has more to do than it can would else be asked so much again that it never comes to what somebody waits for.
#[derive(Clone, Debug)]
pub(super) struct Load {
    most: usize,
    limit: usize,
    /// How many were answered since there may be so many.
    answered: usize,
    /// How long an answer takes with few others under way, and whether that is a guess.
    alone: Option<Duration>,
    is_guess: bool,
    /// Answers in a row that took long.
    signs: Answers,
    /// The first that was sent since there may be fewer.
    since: Ticket,
    /// What the signs were for which fewer are sent, and what becomes of the first of these.
    trial: Option<(Answers, Answers)>,
    /// Until when it is known that there is no load, and for how long that was so last.
    settled: Option<(Instant, Duration)>,
}

/// Answers, all together.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    count: u32,
    /// How many others were under way, and how many at the most.
    among: usize,
    most: usize,
    took: Duration,
}

impl Load {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            limit: most,
            answered: 0,
            alone: None,
            is_guess: false,
            signs: Answers::default(),
            since: Ticket::FIRST,
            trial: None,
            settled: None,
        }
    }

    /// Returns how many there may be now.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn fewest(&self) -> usize {
        FEWEST.min(self.most)
    }

    /// Takes note of how long an answer took to a request that was sent among so many others; `next` is the next to be sent.
    pub(super) fn weigh(
        &mut self,
        ticket: Ticket,
        among: usize,
        took: Duration,
        next: Ticket,
        now: Instant,
    ) {
        if among <= FEW {
            self.is_guess = false;
            let known = self.alone.filter(|known| *known < took);
            self.alone = Some(known.map_or(took, |known| known / 2 + took / 2));
        }
        let Some(alone) = self.alone else {
            return;
        };
        self.answered += 1;
        if took <= (TELLING / SLOWED).max(alone * 2) || self.answered >= self.limit * ROUNDS {
            self.answered = 0;
            self.limit = (self.limit + 1).min(self.most);
        }
        if self.trial.is_some() {
            self.try_out(ticket, among, took, next, now);
        } else if took <= TELLING.max(alone * SLOWED) {
            self.signs = Answers::default();
        } else if self.since <= ticket {
            self.signs.add(among, took);
            if self.signs.count < SIGNS {
                return;
            }
            let signs = std::mem::take(&mut self.signs);
            if self.fewest() < self.limit {
                let limit = if self.is_guess {
                    let limit = self.limit.min(signs.most);
                    limit - limit / 4
                } else {
                    self.limit.min(signs.among / SIGNS as usize) / 2
                };
                self.lower(limit, next);
                self.trial = Some((signs, Answers::default()));
            }
        }
    }

    /// Takes note of what became of a request, answered or given up, if it is one of the first that were sent since there may be
    /// fewer. Those that come first are the fastest, so it must be these, and all of them.
    pub(super) fn try_out(
        &mut self,
        ticket: Ticket,
        among: usize,
        took: Duration,
        next: Ticket,
        now: Instant,
    ) {
        let Some((before, after)) = &mut self.trial else {
            return;
        };
        if !ticket.is_one_of(SIGNS, self.since) {
            return;
        }
        after.add(among, took);
        if after.count < SIGNS {
            return;
        }
        let (before, after) = (*before, *after);
        self.trial = None;
        self.signs = Answers::default();
        if after.among > before.among - before.among / 4 {
            // There were as many under way as before, so it tells nothing.
            return;
        }
        if !after.shrank_with_fewer(&before) {
            (self.alone, self.limit) = (Some(after.took / SIGNS), self.most);
            let last = self.settled.map(|(_, last)| last);
            let last = last.map_or(SETTLED, |last| (last * 2).min(MOST_SETTLED));
            self.settled = Some((now + last, last));
            return;
        }
        self.settled = None;
        let alone = self.alone.unwrap_or_default();
        if after.took / SIGNS > TELLING.max(alone * SLOWED) {
            self.lower(after.among / SIGNS as usize / 2, next);
        }
    }

    fn lower(&mut self, limit: usize, next: Ticket) {
        self.limit = self.limit.min(limit).max(self.fewest());
        self.since = next;
        self.answered = 0;
    }

    /// Takes note that nothing was answered since a request was sent, as one of so many, for as long as it is waited for.
    pub(super) fn time_out(&mut self, ticket: Ticket, count: usize, next: Ticket) {
        if self.since <= ticket {
            self.lower(count / 2, next);
            self.trial = None;
        }
    }

    /// Takes note that a grant has ended before it was renewed.
    pub(super) fn lose(&mut self, now: Instant) {
        if self.settled.is_none_or(|(until, _)| until <= now) {
            self.is_guess = true;
            self.alone = self.alone.map(|alone| {
                let forgotten = alone - alone / 8;
                forgotten.max(alone.min(TELLING / SLOWED))
            });
        }
    }
}

impl Answers {
    fn add(&mut self, among: usize, took: Duration) {
        self.count += 1;
        self.among += among;
        self.most = self.most.max(among);
        self.took += took;
    }

    /// Returns whether answers got faster, as they do under load where fewer are under way: by half of that, at least.
    fn shrank_with_fewer(&self, before: &Self) -> bool {
        let many = |among: usize| u32::try_from(among).unwrap_or(u32::MAX / 4);
        let (now, then) = (many(self.among), many(before.among));
        self.took * (then * 2) < before.took * (then + now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// A server, and whoever always has as much under way as it may.
    struct Full {
        load: Load,
        next: Ticket,
        now: Instant,
    }

    impl Full {
        #[expect(
            clippy::disallowed_methods,
            reason = "there is no other way to make an instant"
        )]
        fn new(most: usize) -> Self {
            Self {
                load: Load::new(most),
                next: Ticket::FIRST,
                now: Instant::now(),
            }
        }

        /// Has so many answered that take so long, by how many others are under way.
        fn answer(&mut self, count: usize, took: impl Fn(usize) -> Duration) -> usize {
            for _ in 0..count {
                self.answer_one(self.load.limit() - 1, &took);
            }
            self.load.limit()
        }

        fn answer_one(&mut self, among: usize, took: impl Fn(usize) -> Duration) {
            let ticket = self.next;
            self.next = ticket.next();
            self.now += MILLI * 30;
            let next = self.next;
            let took = took(among);
            self.load.weigh(ticket, among, took, next, self.now);
        }
    }

    fn one_after_another(among: usize) -> Duration {
        MILLI * 90 * (u32::try_from(among).unwrap() + 1)
    }

    fn each_by_itself(_: usize) -> Duration {
        MILLI * 2_000
    }

    #[test]
    fn a_server_that_answers_one_after_another_is_sent_little_at_once() {
        let mut full = Full::new(64);
        full.answer_one(0, one_after_another);
        assert_eq!(full.answer(7, one_after_another), 64);
        assert_eq!(full.answer(1, one_after_another), 31);
        assert_eq!(full.answer(8, one_after_another), 15);
        assert_eq!(full.answer(8, one_after_another), 8);
        assert!(full.answer(1_000, one_after_another) <= 10);
        // It is fast again.
        assert_eq!(full.answer(64, |_| MILLI), 64);
    }

    #[test]
    fn a_server_that_takes_long_for_each_by_itself_is_sent_as_much_as_before() {
        let mut full = Full::new(64);
        full.answer_one(0, |_| MILLI);
        assert_eq!(full.answer(8, each_by_itself), 31);
        assert_eq!(full.answer(8, each_by_itself), 64);
        assert_eq!(full.answer(1_000, each_by_itself), 64);
    }

    #[test]
    fn some_that_take_long_are_no_load() {
        let mut full = Full::new(64);
        full.answer_one(0, |_| MILLI);
        for _ in 0..100 {
            full.answer(7, each_by_itself);
            assert_eq!(full.answer(1, |_| MILLI), 64);
        }
    }

    #[test]
    fn what_was_sent_before_there_were_fewer_tells_nothing() {
        let mut full = Full::new(64);
        full.answer_one(0, one_after_another);
        full.answer(8, one_after_another);
        let early = Ticket::FIRST;
        for _ in 0..100 {
            let took = one_after_another(63);
            full.load.weigh(early, 63, took, full.next, full.now);
        }
        assert_eq!(full.load.limit(), 31);
    }

    #[test]
    fn where_leases_are_lost_it_is_tried_whether_fewer_are_answered_faster() {
        for (took, limits) in [
            (one_after_another as fn(usize) -> Duration, [48, 23, 17]),
            (each_by_itself, [48, 64, 64]),
        ] {
            let mut full = Full::new(64);
            // It was stopped for so long.
            for _ in 0..8 {
                full.answer_one(0, |_| MILLI * 4_000);
            }
            assert_eq!(full.answer(100, took), 64);
            for _ in 0..32 {
                full.load.lose(full.now);
            }
            assert_eq!(limits.map(|_| full.answer(8, took)), limits);
        }
    }

    #[test]
    fn it_is_not_tried_again_and_again() {
        let mut full = Full::new(64);
        full.answer_one(0, |_| MILLI);
        full.answer(16, each_by_itself);
        let mut tried = Vec::new();
        let start = full.now;
        while full.now < start + SETTLED * 20 {
            full.load.lose(full.now);
            let before = full.load.limit();
            if full.answer(1, each_by_itself) < before {
                tried.push((full.now - start).as_secs() / 60);
            }
        }
        assert_eq!(tried, [1, 3, 7, 15]);
    }
}
