//! How long to hold back when many may be waiting for the same moment, without knowing how many they are.

use std::time::Duration;

use super::retry::Random;

/// The pause that a claimant draws from at first.
const FIRST: Duration = Duration::from_millis(10);
/// The longest, so that a crowd that has gone is not waited for much longer.
const LONGEST: Duration = Duration::from_millis(320);
/// How much later than a round trip takes the fastest may come without there having been too few or too many.
const EARLY: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_millis(15);

/// How many others seem to wait, as the time over which their writes should be spread.
///
/// Of many that draw from the same time the fastest comes the sooner the more they are, and all whose pause ends before
/// they hear of it write in vain. So the time is doubled if somebody else was faster at once, and halved if nobody was, or
/// nobody for long.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Crowd {
    window: Duration,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { window: FIRST }
    }
}

impl Crowd {
    /// Draws a pause.
    pub(crate) fn pause(&self, random: &mut Random) -> Duration {
        random.between(Duration::ZERO, self.window)
    }

    /// Takes note that nobody else was faster.
    pub(crate) fn won(&mut self) {
        self.window /= 2;
    }

    /// Takes note that somebody else had it `after` it was free, where a round trip takes about that long.
    ///
    /// Whoever has written `in_vain` has heard of the other only by that, however late that was.
    pub(crate) fn lost(&mut self, after: Duration, round_trip: Duration, in_vain: bool) {
        if in_vain || after <= round_trip + EARLY {
            self.window = (self.window.max(FIRST / 2) * 2).min(LONGEST);
        } else if after > round_trip + LATE {
            self.window /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(2);

    #[test]
    fn whoever_is_alone_hardly_pauses_and_whoever_is_outrun_at_once_makes_room() {
        let mut crowd = Crowd::default();
        for _ in 0..10 {
            crowd.lost(Duration::from_millis(3), ROUND_TRIP, false);
        }
        assert_eq!(crowd.window, LONGEST);
        for _ in 0..12 {
            crowd.won();
        }
        assert!(crowd.window < Duration::from_millis(1));
        crowd.lost(Duration::from_millis(3), ROUND_TRIP, false);
        assert_eq!(crowd.window, FIRST);
    }

    #[test]
    fn a_crowd_that_has_gone_is_not_waited_for() {
        let mut crowd = Crowd { window: LONGEST };
        crowd.lost(Duration::from_millis(100), ROUND_TRIP, false);
        assert_eq!(crowd.window, LONGEST / 2);
        crowd.lost(Duration::from_millis(10), ROUND_TRIP, false);
        assert_eq!(crowd.window, LONGEST / 2);
    }

    #[test]
    fn who_has_written_in_vain_makes_room_however_late_it_hears_of_that() {
        let mut crowd = Crowd::default();
        crowd.lost(Duration::from_millis(100), ROUND_TRIP, true);
        assert_eq!(crowd.window, FIRST * 2);
    }

    #[test]
    fn pauses_are_spread_over_the_whole_time() {
        let crowd = Crowd { window: LONGEST };
        let mut random = Random::new(7);
        let pauses: Vec<_> = (0..100).map(|_| crowd.pause(&mut random)).collect();
        assert!(pauses.iter().any(|pause| *pause < LONGEST / 10));
        assert!(pauses.iter().any(|pause| *pause > LONGEST * 9 / 10));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
    }
}
