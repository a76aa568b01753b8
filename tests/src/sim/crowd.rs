//! A thousand candidates for one Lease: what they ask of the server while nothing happens, and when the holder goes.

use lease_proto::server::Version;

use super::{Faults, Micros, SECOND, Violation, World, cast::Terms};
use crate::random::Random;

/// What a crowd asks of the server.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Crowd {
    /// Reads in a minute, of all together.
    pub reads: u64,
    /// Writes in that minute.
    pub writes: u64,
    /// Writes from the release of the Lease until ten seconds later, one renewal included.
    pub at_release: u64,
    /// Writes from the holder's death until ten seconds after the Lease has expired.
    pub at_expiry: u64,
}

impl Crowd {
    /// Has `candidates` wait for one Lease with the default timings.
    ///
    /// # Errors
    ///
    /// Says which promise was broken.
    pub fn gather(candidates: usize, seed: u64) -> Result<Self, Violation> {
        let random = Random::new(seed);
        let terms = Terms::usual();
        let mut world = World::empty(random, Faults::none(), terms, None, 1, Version::V1_31);
        for _ in 0..candidates {
            world.add_ours();
        }
        world.run(60 * SECOND)?;
        let (reads, writes) = world.asked_within(60 * SECOND)?;
        let holder = world.holder("L1")?;
        world.release(holder)?;
        let (_, at_release) = world.asked_within(10 * SECOND)?;
        let holder = world.holder("L2")?;
        world.nodes[holder].dead = true;
        let (_, at_expiry) = world.asked_within(26 * SECOND)?;
        world.holder("L1")?;
        Ok(Self {
            reads,
            writes,
            at_release,
            at_expiry,
        })
    }
}

impl World {
    /// Lets time pass, and says how many reads and writes there were.
    fn asked_within(&mut self, length: Micros) -> Result<(u64, u64), Violation> {
        for node in &mut self.nodes {
            node.load.count_anew();
        }
        self.run(self.now + length)?;
        let all = self.nodes.iter().map(|node| &node.load);
        Ok(all.fold((0, 0), |(reads, writes), load| {
            (reads + load.reads, writes + load.writes)
        }))
    }

    /// Has a claimant release for good.
    pub(super) fn release(&mut self, index: usize) -> Result<(), Violation> {
        let node = &mut self.nodes[index];
        let now = node.now(self.now);
        node.resting = true;
        node.watched.told_to_release = true;
        if let Some(claimant) = node.ours_mut() {
            claimant.release(now);
        }
        self.wake(index)
    }
}
