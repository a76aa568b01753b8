//! Time in ticks: when each one is, and to which one an instant belongs.

use std::time::{Duration, Instant, SystemTime};

/// The length of a tick.
///
/// It is a whole second and the drift that observers allow for in one. So they wait whole ticks, and no rounding lies
/// between the end of a holder's belief and the first moment at which somebody else may take over.
pub(super) const TICK: Duration = Duration::from_millis(1_001);
/// 2026-11-20, in seconds since the epoch.
pub(super) const EPOCH: u64 = 1_795_132_800;

/// The clocks of everybody: they agree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    nanos: i128,
}

impl Clock {
    pub(super) fn new() -> Self {
        let start = Instant::now() + Duration::from_secs(1_000);
        let text = format!("{start:?}");
        let mut numbers = text
            .split(|it: char| !it.is_ascii_digit())
            .filter_map(|it| it.parse::<i128>().ok());
        let (seconds, nanos) = (numbers.next(), numbers.next());
        Self {
            start,
            nanos: seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0),
        }
    }

    pub(super) fn now(&self, tick: u32) -> Instant {
        self.start + TICK * tick
    }

    /// The wall clock, which everybody shares, the server too.
    ///
    /// It goes by whole seconds, as slow as clocks may be, so that what `Date` tells is the same at each tick.
    pub(super) fn wall(tick: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH + u64::from(tick))
    }

    /// In microseconds since [`EPOCH`].
    pub(super) fn micros(tick: u32) -> i64 {
        i64::from(tick) * 1_000_000
    }

    /// The first tick that is not before an instant.
    pub(super) fn tick_of(&self, instant: Instant) -> u32 {
        let since = instant.saturating_duration_since(self.start);
        u32::try_from(since.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u32::MAX)
    }

    /// The same for an instant as it is printed, which may be before the start.
    pub(super) fn tick_of_printed(&self, seconds: u64, nanos: u64) -> i64 {
        let since = i128::from(seconds) * 1_000_000_000 + i128::from(nanos) - self.nanos;
        let tick = i128::try_from(TICK.as_nanos()).unwrap_or(1);
        i64::try_from(-((-since).div_euclid(tick))).unwrap_or(i64::MAX)
    }
}
