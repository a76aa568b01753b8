//! Claimants that are kept in sets: alone, or with another claim that comes in their way.

use std::time::Instant;

use lease_proto::Config;

use super::{
    Kind, SECOND, World,
    kept::{Aside, Kept},
    plants::Bug,
    world::Happening,
};

impl World {
    /// Makes a claim, in a set if this world has them.
    pub(super) fn keep(
        &self,
        index: usize,
        config: Config,
        seed: u64,
        now: Instant,
        bug: Option<Bug>,
    ) -> Kept {
        // Other bugs are planted around a claim alone.
        let set_bug = bug.filter(|bug| bug.is_of_sets());
        let sharers = self.terms.sharers.filter(|_| bug.is_none());
        match sharers.or_else(|| set_bug.map(|_| 1)) {
            Some(sharers) => {
                let company = self.terms.company || set_bug.is_some();
                let another = company.then(|| self.terms.another(index));
                Kept::in_set(config, another, seed, now, sharers, set_bug)
            }
            None => Kept::alone(config, seed, now),
        }
    }

    /// Another claim of a claimant's set asks something of its own, and is answered at once or never.
    pub(super) fn ask_aside(&mut self, index: usize, aside: &Aside, now: Instant) {
        let hangs = self.faults.kinds().next().is_some() && self.random.chance(20);
        if hangs || !self.servers.is_up(0, self.now) {
            return;
        }
        let before = self.servers.version();
        let (answer, _) = self.servers.handle(0, &aside.request, self.now);
        if self.servers.version() != before {
            self.pump();
        }
        if let Some(claimant) = self.nodes[index].ours_mut() {
            claimant.answer_aside(aside, &answer, now);
        }
    }

    /// A claimant wants nothing, and is told to acquire before long.
    pub(super) fn rest(&mut self, index: usize) {
        let life = self.nodes[index].life;
        let pause = if self.faults.has(Kind::Impatience) {
            self.random.between(SECOND / 5, 5 * SECOND)
        } else {
            1
        };
        let node = &mut self.nodes[index];
        // Once, however often it is woken until then.
        if !node.resting && node.acquires_at <= self.now {
            node.acquires_at = self.now + pause;
            self.schedule(self.now + pause, Happening::Acquire(index, life));
        }
    }
}
