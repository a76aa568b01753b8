//! When a grant ends, as any thread may ask.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// When a grant ends, for any number of threads to look at without a lock.
///
/// A look costs one load. It says no past the deadline even if whoever keeps the claim is stuck.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use lease_proto::Deadline;
///
/// let now = Instant::now();
/// let deadline = Deadline::new(now);
/// deadline.set(Some(now + Duration::from_secs(10)));
/// assert!(deadline.is_after(now));
/// assert!(!deadline.is_after(now + Duration::from_secs(10)));
/// ```
#[derive(Debug)]
pub struct Deadline {
    /// Earlier than any instant that is set, so that zero stands for none.
    origin: Instant,
    /// In nanoseconds since the origin; 0 while there is none.
    until: AtomicU64,
}

impl Deadline {
    /// Makes one that has passed. `now` must not be later than any instant that is set.
    pub fn new(now: Instant) -> Self {
        let second = Duration::from_secs(1);
        Self {
            origin: now.checked_sub(second).unwrap_or(now),
            until: AtomicU64::new(0),
        }
    }

    /// Sets it to an instant, or with `None` to the past.
    pub fn set(&self, until: Option<Instant>) {
        let nanos = until.map_or(0, |until| self.nanos(until));
        self.until.store(nanos, Ordering::Release);
    }

    /// Returns whether it lies after `now`.
    pub fn is_after(&self, now: Instant) -> bool {
        self.nanos(now) < self.until.load(Ordering::Acquire)
    }

    /// Returns how long it is from `now` until then; zero if it has passed.
    pub fn remaining(&self, now: Instant) -> Duration {
        let until = self.until.load(Ordering::Acquire);
        Duration::from_nanos(until.saturating_sub(self.nanos(now)))
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant"
    )]
    fn a_deadline_says_no_from_its_instant_on() {
        let now = Instant::now();
        let deadline = Deadline::new(now);
        assert!(!deadline.is_after(now));
        let second = Duration::from_secs(1);
        deadline.set(Some(now + second));
        assert!(deadline.is_after(now));
        assert_eq!(deadline.remaining(now), second);
        assert!(!deadline.is_after(now + second));
        assert_eq!(deadline.remaining(now + 2 * second), Duration::ZERO);
        deadline.set(None);
        assert!(!deadline.is_after(now));
    }
}
