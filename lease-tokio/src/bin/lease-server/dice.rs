//! Chance that comes again with the same seed.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// The generator `splitmix64`: enough to choose faults by.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that nobody knows before.
    pub(crate) fn any_seed() -> u64 {
        // The hasher of the standard library is keyed from the system's randomness, for each instance anew.
        RandomState::new().hash_one(0)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether what happens so many times in a million happens now.
    pub(crate) fn is(&mut self, in_a_million: u32) -> bool {
        self.next() % 1_000_000 < u64::from(in_a_million)
    }

    /// Some duration of these, both included.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let micros = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least + Duration::from_micros(self.next() % (micros + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chances_and_about_as_many_as_asked_for() {
        let rolls = |seed| {
            let mut dice = Dice::new(seed);
            (0..10_000).map(|_| dice.is(50_000)).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
        let hits = rolls(7).into_iter().filter(|hit| *hit).count();
        assert!((400..600).contains(&hits), "{hits}");
        let mut dice = Dice::new(7);
        let most = Duration::from_millis(20);
        let delays: Vec<_> = (0..1_000).map(|_| dice.between(most / 2, most)).collect();
        assert!(delays.iter().all(|it| (most / 2..=most).contains(it)));
        assert!(delays.iter().any(|it| *it < most * 6 / 10));
        assert!(delays.iter().any(|it| *it > most * 9 / 10));
    }
}
