//! Claimants that wait by priority where nothing goes wrong: who goes first, and how long that takes.

use http::Request;
use lease_proto::{Candidate, server::Version, wire::LeaseList};

use super::{
    Bug, Faults, Micros, SECOND, Violation, World, cast::Terms, servers::LEASES, world::Happening,
};
use crate::random::Random;

/// The longest that a message takes between machines of one data centre.
const NEARBY: Micros = 2_000;

/// One turn after another.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Ranks {
    /// How long the Lease was free each time, in microseconds.
    pub free: Vec<Micros>,
    /// Who had it, by number and priority.
    pub turns: Vec<(usize, i32)>,
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
        let faults = Faults::none().within(NEARBY);
        let mut world = World::empty(Random::new(seed), faults, terms, bug, 1, Version::V1_31);
        for _ in 0..candidates {
            world.add_ours();
        }
        // All have announced themselves, and looked at the others.
        world.run(20 * SECOND)?;
        let mut ranks = Self::default();
        for _ in 0..turns {
            let holder = world.holder("L1")?;
            world.run(world.now + 8 * SECOND)?;
            let due = world.announced();
            world.release(holder)?;
            let free = world.now;
            let mut next = None;
            while next.is_none() && world.step(free + 60 * SECOND)? {
                next = world.holder("L1").ok().filter(|next| *next != holder);
            }
            let Some(next) = next else {
                return Err(Violation::new(
                    "L1",
                    holder,
                    "and nobody takes what is free",
                ));
            };
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
            let life = world.nodes[holder].life;
            world.nodes[holder].resting = false;
            world.schedule(world.now + SECOND, Happening::Acquire(holder, life));
        }
        Ok(ranks)
    }
}

impl World {
    /// Those that have announced themselves, as the store has them, in the order in which they are to go.
    fn announced(&mut self) -> Vec<Candidate> {
        let list = Request::get(LEASES).body(Vec::new()).unwrap_or_default();
        let (answer, _) = self.servers.handle(0, &list, self.now);
        let list: LeaseList = serde_json::from_slice(answer.body()).unwrap_or_default();
        let mut all: Vec<_> = list.items.iter().filter_map(Candidate::read).collect();
        all.sort_by(|a, b| {
            let by_since = || (a.since, &a.identity).cmp(&(b.since, &b.identity));
            b.priority.cmp(&a.priority).then_with(by_since)
        });
        all
    }
}
