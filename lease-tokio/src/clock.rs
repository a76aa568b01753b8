//! The only reader of clocks.

#[cfg(all(test, feature = "memory"))]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Reads the two clocks that the protocol asks for.
///
/// All of a process share one origin, so instants of one clock compare with those of another. The clients of a `Memory` have
/// clocks of their own kind, which follow tokio's: see [`Client::clock`](crate::Client::clock).
///
/// ```
/// use std::time::Duration;
///
/// use lease_tokio::{Clock, proto::Grant};
///
/// /// For how long the holder may go on.
/// fn time_left(grant: &Grant) -> Duration {
///     grant.valid_until.saturating_duration_since(Clock::new().now())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug, Default)]
enum Source {
    #[default]
    System,
    /// The time of the runtime that it is read in, which a test may have paused.
    #[cfg(feature = "memory")]
    Tokio,
    /// That, and so many milliseconds more, as if the machine had been suspended for as long.
    #[cfg(all(test, feature = "memory"))]
    Leaping(&'static AtomicU64),
}

impl Clock {
    /// Makes one; there is nothing to choose.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes one that stands still and leaps with the timers of tokio.
    #[cfg(feature = "memory")]
    pub(crate) fn of_tokio() -> Self {
        Self(Source::Tokio)
    }

    /// Makes one of tokio's that is ahead of the timers by so many milliseconds.
    #[cfg(all(test, feature = "memory"))]
    pub(crate) fn leaping(by: &'static AtomicU64) -> Self {
        Self(Source::Leaping(by))
    }

    /// The time since some moment, which counts the time that the machine was suspended.
    ///
    /// On Linux and Android it is `CLOCK_BOOTTIME`. Elsewhere it is what the standard library has, which may stand still
    /// during suspend. After a suspend it is ahead of `Instant::now()`: wait for `until - clock.now()`, not until an
    /// instant.
    pub fn now(&self) -> Instant {
        match self.0 {
            Source::System => boot::now(),
            #[cfg(feature = "memory")]
            Source::Tokio => tokio::time::Instant::now().into_std(),
            #[cfg(all(test, feature = "memory"))]
            Source::Leaping(by) => {
                let by = Duration::from_millis(by.load(Ordering::SeqCst));
                tokio::time::Instant::now().into_std() + by
            }
        }
    }

    /// The time of day, which somebody may set at any moment.
    pub fn wall(&self) -> SystemTime {
        match self.0 {
            Source::System => SystemTime::now(),
            #[cfg(feature = "memory")]
            Source::Tokio => paced::wall(self.now()),
            #[cfg(all(test, feature = "memory"))]
            Source::Leaping(_) => SystemTime::now(),
        }
    }
}

/// A time of day that goes as tokio's time does.
#[cfg(feature = "memory")]
mod paced {
    use std::sync::OnceLock;
    use std::time::{Instant, SystemTime};

    pub(super) fn wall(now: Instant) -> SystemTime {
        let (instant, wall) = *ORIGIN.get_or_init(|| (Instant::now(), SystemTime::now()));
        let later = wall.checked_add(now.saturating_duration_since(instant));
        let moved = later.and_then(|it| it.checked_sub(instant.saturating_duration_since(now)));
        moved.unwrap_or(wall)
    }

    static ORIGIN: OnceLock<(Instant, SystemTime)> = OnceLock::new();
}

/// What the clock that counts suspend says now, as an instant: as far from the origin's instant as it is from the
/// origin's reading.
#[cfg_attr(
    not(any(test, target_os = "android", target_os = "linux")),
    expect(dead_code, reason = "other systems have no such clock")
)]
fn instant_of(origin: (Instant, Duration), reading: Duration) -> Instant {
    let (instant, at_origin) = origin;
    // The clock never goes back; if a system's does, time stands still rather than the process.
    let since = reading.saturating_sub(at_origin);
    instant.checked_add(since).unwrap_or(instant)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
mod boot {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use rustix::time::{ClockId, clock_gettime};

    pub(super) fn now() -> Instant {
        let origin = ORIGIN.get_or_init(|| (Instant::now(), reading()));
        super::instant_of(*origin, reading())
    }

    fn reading() -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanoseconds)
    }

    static ORIGIN: OnceLock<(Instant, Duration)> = OnceLock::new();
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
mod boot {
    use std::time::Instant;

    pub(super) fn now() -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spent_suspended_counts() {
        let instant = Instant::now();
        let origin = (instant, Duration::from_secs(1_000));
        let after_a_night = Duration::from_secs(1_000 + 8 * 3_600);
        assert_eq!(
            instant_of(origin, after_a_night),
            instant + Duration::from_secs(8 * 3_600)
        );
    }

    #[test]
    fn a_reading_before_the_origin_is_the_origin() {
        let instant = Instant::now();
        assert_eq!(
            instant_of((instant, Duration::from_secs(5)), Duration::from_secs(4)),
            instant
        );
    }

    #[test]
    fn instants_of_two_clocks_compare() {
        let first = Clock::new().now();
        let between = std::thread::spawn(|| Clock::new().now())
            .join()
            .expect("reading a clock does not panic");
        let last = Clock::default().now();
        assert!(first <= between && between <= last);
    }

    #[test]
    fn it_moves_on_by_itself() {
        let before = Clock::new().now();
        std::thread::sleep(Duration::from_millis(20));
        let passed = Clock::new().now().saturating_duration_since(before);
        assert!(passed >= Duration::from_millis(20), "{passed:?}");
    }
}
