//! The clock that the processes of one machine share, and that counts the time it is suspended.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Microseconds since the machine was started.
pub type Micros = u64;

/// Reads the clock.
pub fn now() -> Micros {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1_000_000 + nanoseconds / 1_000
}

/// Converts a duration; for ever where it is longer than the clock can tell.
pub fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
