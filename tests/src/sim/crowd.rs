//! A thousand candidates for one Lease: what they ask of the server while nothing happens, and when the holder goes.

use lease_proto::{Parting, server::Version};

use super::{Faults, Micros, SECOND, Violation, World, cast::Terms, record::Author};
use crate::random::Random;

/// What a crowd asks of the server.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Crowd {
    /// Reads in a minute, of all together.
    pub reads: u64,
    /// Writes in that minute.
    pub writes: u64,
    /// One release after another.
    pub at_release: Vec<HandOver>,
    /// One holder's death after another.
    pub at_expiry: Vec<HandOver>,
}

/// What it takes until another one has the Lease.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HandOver {
    /// Writes of those who waited.
    pub writes: u64,
    /// Of these, by the one that made most.
    pub most: u64,
    /// Reads of those who waited.
    pub reads: u64,
    /// The time from when the Lease was free, in microseconds.
    pub micros: Micros,
}

impl Crowd {
    /// Has `candidates` to and from whom a message takes `longest` at the most wait for one Lease with the default timings,
    /// told of changes if they are to `watch`, and takes it from its holder a few times.
    ///
    /// # Errors
    ///
    /// Says which promise was broken.
    pub fn gather(
        candidates: usize,
        seed: u64,
        longest: Micros,
        watch: bool,
    ) -> Result<Self, Violation> {
        let random = Random::new(seed);
        let terms = Terms::usual().watching(watch);
        let faults = Faults::none().within(longest);
        let mut world = World::empty(random, faults, terms, None, 1, Version::V1_31);
        for _ in 0..candidates {
            world.add_ours();
        }
        world.run(60 * SECOND)?;
        let (reads, writes) = world.asked_within(60 * SECOND)?;
        let mut crowd = Self {
            reads,
            writes,
            ..Self::default()
        };
        for _ in 0..6 {
            let holder = world.holder("L1")?;
            world.release(holder)?;
            crowd
                .at_release
                .push(world.hand_over_from(holder, 10 * SECOND)?);
        }
        for _ in 0..3 {
            let holder = world.holder("L2")?;
            world.nodes[holder].dead = true;
            crowd
                .at_expiry
                .push(world.hand_over_from(holder, 26 * SECOND)?);
        }
        world.holder("L1")?;
        Ok(crowd)
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

    /// Lets so much time pass after `old` has gone, and says what the others made of it.
    fn hand_over_from(&mut self, old: usize, length: Micros) -> Result<HandOver, Violation> {
        for node in &mut self.nodes {
            node.load.count_anew();
        }
        let until = self.now + length;
        let mut free_at = None;
        let mut taken_at = None;
        while taken_at.is_none() && self.step(until)? {
            let record = self.record.as_ref();
            let mine = Author::Node(old, self.nodes[old].life);
            let is_left =
                record.is_none_or(|record| record.signed_by == mine || record.holder.is_none());
            if is_left {
                let renewed = record.filter(|record| record.holder.is_some());
                let expires = renewed.map(|_| self.renewed_at + 15 * SECOND);
                free_at = expires.or(free_at).or(Some(self.now));
            } else {
                taken_at = Some(self.now);
            }
        }
        let (taken, free) = (taken_at.unwrap_or(until), free_at.unwrap_or(self.now));
        let micros = taken.saturating_sub(free);
        // Whoever was too late is heard of soon, and nothing else happens before the first renewal.
        self.run(taken + SECOND)?;
        let others = (0..self.nodes.len()).filter(|index| *index != old);
        let mut found = HandOver {
            micros,
            ..HandOver::default()
        };
        for index in others {
            let load = &self.nodes[index].load;
            found.writes += load.writes;
            found.most = found.most.max(load.writes);
            found.reads += load.reads;
        }
        self.run(until.max(self.now))?;
        Ok(found)
    }

    /// Has a claimant release for good.
    pub(super) fn release(&mut self, index: usize) -> Result<(), Violation> {
        self.release_with(index, Parting::default())
    }

    /// Has a claimant release for good, and leave something in the record.
    pub(super) fn release_with(&mut self, index: usize, parting: Parting) -> Result<(), Violation> {
        let node = &mut self.nodes[index];
        let now = node.now(self.now);
        node.resting = true;
        node.watched.told_to_release = true;
        if let Some(claimant) = node.ours_mut() {
            claimant.release_with(parting, now);
        }
        self.wake(index)
    }
}
