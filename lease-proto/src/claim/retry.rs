//! How long to pause before the next attempt.

use std::time::Duration;

/// A small generator (SplitMix64): spreads pauses, and needs to be repeatable, not unpredictable.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a duration from `least` to `most`.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least);
        let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX - 1);
        least + Duration::from_micros(self.next() % (span + 1))
    }

    /// Draws a duration within a fifth of `mean`.
    pub(crate) fn around(&mut self, mean: Duration) -> Duration {
        self.between(mean * 4 / 5, mean * 6 / 5)
    }
}

/// How many races in a row may be lost before there is a pause: with more of them, a storm of writes by others and a change
/// of holders in the same ten seconds would have a claimant ask more than twice a second.
const RACES_WITHOUT_PAUSE: u32 = 1;

/// How many tenures in a row may be ended by others before their first renewal until there is a pause: whoever deletes a
/// Lease by hand has it taken again at once, and whoever goes on is not fought.
const BRIEF_TENURES_WITHOUT_PAUSE: u32 = 1;

/// Pauses that double with each failure in a row.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Backoff {
    doubled: u32,
    races: u32,
    /// Tenures in a row that others ended before they were renewed.
    brief: u32,
}

impl Backoff {
    /// Draws the next pause: from an eighth of `longest` doubling up to it, the upper half of each at random.
    pub(crate) fn pause(&mut self, longest: Duration, random: &mut Random) -> Duration {
        let most = (longest / 8 * (1 << self.doubled)).min(longest);
        self.doubled = (self.doubled + 1).min(3);
        random.between(most / 2, most)
    }

    /// Draws the pause after a write that met another version of the record: none at first, for whoever wrote it will
    /// hardly write again at once; whoever loses again and again makes room.
    pub(crate) fn pause_after_race(&mut self, longest: Duration, random: &mut Random) -> Duration {
        self.races = self.races.saturating_add(1);
        if self.races > RACES_WITHOUT_PAUSE {
            self.pause(longest, random)
        } else {
            Duration::ZERO
        }
    }

    /// Takes note of something that went well and is no success yet.
    pub(crate) fn relax(&mut self) {
        self.doubled = self.doubled.saturating_sub(1);
        self.races = self.races.min(RACES_WITHOUT_PAUSE + 1).saturating_sub(1);
    }

    /// Draws the pause after a tenure that somebody else ended before it was renewed, from half of `longest` doubling up to
    /// four times as long: each costs a look, a write and a stream.
    pub(crate) fn pause_after_brief_tenure(
        &mut self,
        longest: Duration,
        random: &mut Random,
    ) -> Duration {
        let doubled = self.brief.checked_sub(BRIEF_TENURES_WITHOUT_PAUSE);
        self.brief = (self.brief + 1).min(BRIEF_TENURES_WITHOUT_PAUSE + 3);
        doubled.map_or(Duration::ZERO, |doubled| {
            let most = longest / 2 * (1 << doubled);
            random.between(most / 2, most)
        })
    }

    /// Takes note of a success. Whether it is one that lasts, the first renewal shows.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            doubled: self.doubled.saturating_sub(1),
            brief: self.brief,
            ..Self::default()
        };
    }

    /// Takes note of a tenure that was renewed. What went wrong before that may do so again soon.
    pub(crate) fn reset_all(&mut self) {
        self.brief = 0;
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_shrink_again_with_each_success() {
        let second = Duration::from_secs(1);
        let mut random = Random::new(7);
        let mut backoff = Backoff::default();
        for most in [second / 8, second / 4, second / 2, second, second, second] {
            let pause = backoff.pause(second, &mut random);
            assert!((most / 2..=most).contains(&pause), "{pause:?} of {most:?}");
        }
        backoff.reset();
        let pause = backoff.pause(second, &mut random);
        assert!((second / 4..=second / 2).contains(&pause), "{pause:?}");
        for _ in 0..3 {
            backoff.reset_all();
        }
        assert!(backoff.pause(second, &mut random) <= second / 8);
    }

    #[test]
    fn whoever_ends_one_tenure_after_another_is_not_fought() {
        let second = Duration::from_secs(1);
        let mut random = Random::new(7);
        let mut backoff = Backoff::default();
        for most in [
            Duration::ZERO,
            second / 2,
            second,
            second * 2,
            second * 4,
            second * 4,
        ] {
            let pause = backoff.pause_after_brief_tenure(second, &mut random);
            assert!((most / 2..=most).contains(&pause), "{pause:?} of {most:?}");
            // It is acquired again, which proves nothing.
            backoff.reset();
        }
        backoff.reset_all();
        let pause = backoff.pause_after_brief_tenure(second, &mut random);
        assert_eq!(pause, Duration::ZERO);
    }

    #[test]
    fn the_same_seed_draws_the_same_pauses() {
        let draw = |seed| Random::new(seed).around(Duration::from_secs(1));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
