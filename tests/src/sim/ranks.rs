//! Claimants that wait by priority where nothing goes wrong: who goes first, how long that takes, and for how long anybody waits.

use http::Request;
use lease_proto::{Candidate, server::Version, wire::LeaseList};

use super::{
    Bug, Faults, Micros, SECOND, Violation, World, cast::Terms, servers::LEASES, world::Happening,
};
use crate::random::Random;

/// The longest that a message takes between machines of one data centre.
const NEARBY: Micros = 2_000;
/// For how long each keeps the Lease.
const TENURE: Micros = 8 * SECOND;
/// How long it takes at the most until somebody has what is free: a look each two seconds and a fifth, and what is asked then.
const GAP: Micros = 2_500_000;

/// One turn after another.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Ranks {
    /// How long the Lease was free each time, in microseconds.
    pub free: Vec<Micros>,
    /// Who had it, by number and priority.
    pub turns: Vec<(usize, i32)>,
    /// The longest that anybody has waited.
    pub longest: Micros,
}

impl Ranks {
    /// Has `candidates` wait for one Lease with so many `priorities`, told of changes if they are to `watch`, and has each
    /// that gets it release it and wait again, `turns` times.
    ///
    /// # Errors
    ///
    /// Says who went before its turn, or which other promise was broken.
    pub fn gather(
        candidates: usize,
        priorities: i32,
        seed: u64,
        watch: bool,
        turns: usize,
        bug: Option<Bug>,
    ) -> Result<Self, Violation> {
        let terms = Terms::usual().watching(watch).ranking(priorities);
        Self::of(&mut Self::waiting(candidates, terms, seed, bug)?, turns)
    }

    /// Has seven of three priorities wait in the same way for a Lease of three seconds, until even the least important ones have had
    /// their turns.
    ///
    /// # Errors
    ///
    /// Says who went before its turn, who starves, or which other promise was broken.
    pub fn outlast(seed: u64, watch: bool, bug: Option<Bug>) -> Result<Self, Violation> {
        let terms = Terms::usual().watching(watch).ranking(3).lasting(3);
        Self::of(&mut Self::waiting(7, terms, seed, bug)?, 200)
    }

    /// A world in which all have announced themselves, and looked at the others.
    pub(super) fn waiting(
        candidates: usize,
        terms: Terms,
        seed: u64,
        bug: Option<Bug>,
    ) -> Result<World, Violation> {
        let faults = Faults::none().within(NEARBY);
        let mut world = World::empty(Random::new(seed), faults, terms, bug, 1, Version::V1_31);
        for _ in 0..candidates {
            world.add_ours();
        }
        world.run(20 * SECOND)?;
        Ok(world)
    }

    fn of(world: &mut World, turns: usize) -> Result<Self, Violation> {
        let mut ranks = Self::default();
        let mut came = vec![0; world.nodes.len()];
        for _ in 0..turns {
            let holder = world.holder("L1")?;
            world.run(world.now + TENURE)?;
            let due = world.announced();
            world.release(holder)?;
            let free = world.now;
            let next = world.next_after(holder)?;
            ranks.free.push(world.now - free);
            let identity = world.nodes[next].ours().map(|it| it.identity().to_owned());
            let taker = due
                .iter()
                .find(|it| Some(&it.identity) == identity.as_ref());
            let first = due.first();
            if first != taker || first.is_none() {
                let what = format!("takes the Lease as {taker:?} before {first:?}");
                return Err(Violation::new("L8", next, what));
            }
            ranks
                .turns
                .push((next, first.map_or(0, |first| first.priority)));
            came[holder] = world.now + SECOND;
            for (index, came) in came.iter().enumerate() {
                let waited = world.now.saturating_sub(*came);
                ranks.longest = ranks.longest.max(waited);
                if waited > world.longest_wait(index) {
                    let what = format!("has waited for {waited} µs, and others have gone first");
                    return Err(Violation::new("L10", index, what));
                }
            }
            came[next] = Micros::MAX;
            world.wait_again(holder);
        }
        Ok(ranks)
    }
}

impl World {
    /// Goes on until somebody else has what that one has released.
    pub(super) fn next_after(&mut self, holder: usize) -> Result<usize, Violation> {
        let free = self.now;
        while self.step(free + 60 * SECOND)? {
            if let Ok(next) = self.holder("L1")
                && next != holder
            {
                return Ok(next);
            }
        }
        let what = "and nobody takes what is free";
        Err(Violation::new("L1", holder, what))
    }

    /// Has one that has released acquire again, in a second.
    pub(super) fn wait_again(&mut self, index: usize) {
        let life = self.nodes[index].life;
        self.nodes[index].resting = false;
        self.schedule(self.now + SECOND, Happening::Acquire(index, life));
    }

    /// How long that one waits at the most: until it is not to be passed over any more and somebody has come after that, and then for
    /// one turn of each of those that have waited for longer.
    fn longest_wait(&self, index: usize) -> Micros {
        let duration = self.nodes[index]
            .ours()
            .map_or(0, |it| it.config().candidate_duration().as_secs());
        let turns = u64::try_from(self.nodes.len() + 1).unwrap_or(u64::MAX);
        PATIENCE * duration * SECOND + turns * (TENURE + GAP + SECOND)
    }

    /// Those that have announced themselves, as the store has them, in the order in which they are to go.
    pub(super) fn announced(&mut self) -> Vec<Candidate> {
        let list = Request::get(LEASES).body(Vec::new()).unwrap_or_default();
        let (answer, _) = self.servers.handle(0, &list, self.now);
        let list: LeaseList = serde_json::from_slice(answer.body()).unwrap_or_default();
        let all = list.items.iter().filter_map(Candidate::read);
        let (mut patient, mut all): (Vec<_>, Vec<_>) = {
            let all: Vec<_> = all.collect();
            let latest = all.iter().map(|it| it.since.as_micros()).max();
            all.into_iter().partition(|it| {
                let patience = i64::try_from(PATIENCE * it.duration.as_secs() * SECOND);
                let waited = latest.unwrap_or(0) - it.since.as_micros();
                waited >= patience.unwrap_or(i64::MAX)
            })
        };
        let by_since =
            |a: &Candidate, b: &Candidate| (a.since, &a.identity).cmp(&(b.since, &b.identity));
        patient.sort_by(by_since);
        all.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| by_since(a, b)));
        patient.append(&mut all);
        patient
    }
}

/// After how many durations of its announcement nobody that comes later goes before a waiter.
const PATIENCE: u64 = 720;
