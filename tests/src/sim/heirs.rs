//! What releases leave in the record: that work is done, and to whom the Lease is to go; and where nothing goes wrong, whether it does.

use std::time::Duration;

use lease_proto::{Once, Parting, wire::Identity};

use super::{Bug, Micros, Ranks, SECOND, Violation, World, cast::Terms};

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
        Self::of(
            &mut Ranks::waiting(claimants, terms, seed, bug)?,
            turns,
            false,
        )
    }

    /// The same where all wait by priority, of which there are three: what is left to one goes there before those that are more
    /// important, and to the most important one where nobody comes.
    ///
    /// # Errors
    ///
    /// Says who took what was left to another, or went before its turn, or which other promise was broken.
    pub fn gather_ranked(
        claimants: usize,
        seed: u64,
        watch: bool,
        turns: usize,
        bug: Option<Bug>,
    ) -> Result<Self, Violation> {
        let terms = Terms::usual().watching(watch).ranking(3);
        Self::of(
            &mut Ranks::waiting(claimants, terms, seed, bug)?,
            turns,
            true,
        )
    }

    fn of(world: &mut World, turns: usize, ranked: bool) -> Result<Self, Violation> {
        let mut heirs = Self::default();
        for turn in 0..turns {
            let holder = world.holder("L1")?;
            world.run(world.now + 8 * SECOND)?;
            let heir = (turn % 4 != 3).then(|| world.another_than(holder));
            let name = heir.map_or("nobody", |heir| world.identity(heir));
            let parting = left_to(name, KEPT);
            let first = world.announced().into_iter().next();
            let first = first.filter(|_| ranked && heir.is_none());
            world.release_with(holder, parting)?;
            let free = world.now;
            let next = world.next_after(holder)?;
            let free = world.now - free;
            // Clocks differ by a thousandth at the most.
            if heir.is_some_and(|heir| heir != next)
                || (heir.is_none() && free < KEPT * 998 / 1_000)
            {
                let what = format!("takes what was left to {heir:?}, {free} µs after that");
                return Err(Violation::new("L9", next, what));
            }
            if heir.is_some() && free >= KEPT {
                let what = "waits with all others for what was left to it";
                return Err(Violation::new("L9", next, what));
            }
            if let Some(first) = first.filter(|it| it.identity != world.identity(next)) {
                let what = format!("takes what was left to nobody before {first:?}");
                return Err(Violation::new("L8", next, what));
            }
            match heir {
                Some(_) => heirs.went.push(free),
                None => heirs.fell_open.push(free),
            }
            world.wait_again(holder);
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
