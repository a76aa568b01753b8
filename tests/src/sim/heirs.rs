//! What releases leave in the record: that work is done, and to whom the Lease is to go; and where nothing goes wrong, whether it does.

use std::time::Duration;

use lease_proto::{Once, Parting, server::Version, wire::Identity};

use super::{Bug, Faults, Micros, SECOND, Violation, World, cast::Terms, world::Happening};
use crate::random::Random;

/// The longest that a message takes between machines of one data centre.
const NEARBY: Micros = 2_000;

/// For how long the Lease is kept for whoever is named.
const KEPT: Micros = 10 * SECOND;

/// How each of a row of releases that named a successor went.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Heirs {
    /// How long the Lease was free where the one that was named had it next, in microseconds.
    pub went: Vec<Micros>,
    /// And where that one was not there.
    pub fell_open: Vec<Micros>,
}

impl Heirs {
    /// Has `claimants` wait for one Lease, told of changes if they are to `watch`, and has each that gets it leave it to
    /// another one, `turns` times; each fourth time to somebody who does not exist.
    ///
    /// # Errors
    ///
    /// Says who took what was left to another, or which other promise was broken.
    pub fn gather(
        claimants: usize,
        seed: u64,
        watch: bool,
        turns: usize,
        bug: Option<Bug>,
    ) -> Result<Self, Violation> {
        let terms = Terms::usual().watching(watch);
        let faults = Faults::none().within(NEARBY);
        let mut world = World::empty(Random::new(seed), faults, terms, bug, 1, Version::V1_31);
        for _ in 0..claimants {
            world.add_ours();
        }
        world.run(20 * SECOND)?;
        let mut heirs = Self::default();
        for turn in 0..turns {
            let holder = world.holder("L1")?;
            world.run(world.now + 8 * SECOND)?;
            let heir = (turn % 4 != 3).then(|| world.another_than(holder));
            let name = heir.map_or("nobody", |heir| world.identity(heir));
            let parting = left_to(name, KEPT);
            world.release_with(holder, parting)?;
            let free = world.now;
            let mut next = None;
            while next.is_none() && world.step(free + 60 * SECOND)? {
                next = world.holder("L1").ok().filter(|next| *next != holder);
            }
            let Some(next) = next else {
                let what = "and nobody takes what was left to another";
                return Err(Violation::new("L1", holder, what));
            };
            let free = world.now - free;
            // Clocks differ by a thousandth at the most.
            if heir.is_some_and(|heir| heir != next)
                || (heir.is_none() && free < KEPT * 998 / 1_000)
            {
                let what = format!("takes what was left to {heir:?}, {free} µs after that");
                return Err(Violation::new("L9", next, what));
            }
            match heir {
                Some(_) => heirs.went.push(free),
                None => heirs.fell_open.push(free),
            }
            let life = world.nodes[holder].life;
            world.nodes[holder].resting = false;
            world.schedule(world.now + SECOND, Happening::Acquire(holder, life));
        }
        Ok(heirs)
    }
}

/// A release that says that work is done, and keeps the Lease for somebody.
fn left_to(name: &str, kept: Micros) -> Parting {
    let once = Once::new("v1").expect("it is a key");
    let name = Identity::new(name).expect("it is an identity");
    let kept = Duration::from_micros(kept);
    Parting::default().done(once).successor(name, kept)
}

impl World {
    /// What that one's release leaves in the record, if this is a world in which releases do, and for how long others hold
    /// back then at the most.
    pub(super) fn parting(&mut self, index: usize) -> (Parting, Micros) {
        if !self.terms.heirs {
            return (Parting::default(), 0);
        }
        let kept = self.random.between(1, 20) * SECOND;
        let heir = self.another_than(index);
        (left_to(self.identity(heir), kept), kept)
    }

    fn another_than(&mut self, index: usize) -> usize {
        let others: Vec<_> = (0..self.nodes.len())
            .filter(|other| *other != index && self.nodes[*other].ours().is_some())
            .collect();
        let most = u64::try_from(others.len()).unwrap_or(1).saturating_sub(1);
        let drawn = usize::try_from(self.random.between(0, most)).unwrap_or(0);
        others.get(drawn).copied().unwrap_or(index)
    }

    fn identity(&self, index: usize) -> &str {
        let claimant = self.nodes[index].ours();
        claimant.map_or("nobody", |claimant| claimant.identity())
    }
}
