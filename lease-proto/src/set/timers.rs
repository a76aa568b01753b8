//! When which claim is to be polled.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// How many renewals are begun together where many Leases are held: enough to pay once for waking up, writing to the
/// connection and reading from it, and far from a burst.
const TOGETHER: u32 = 16;

/// Puts renewals off that are due one after another until several are, by a twentieth of their interval at the most.
///
/// `claims` is how many there are, which renew every `interval`; `since` is the same instant for all of them.
pub(super) fn together(at: Instant, since: Instant, interval: Duration, claims: usize) -> Instant {
    let claims = u32::try_from(claims).unwrap_or(u32::MAX).max(1);
    let beat = (interval / 20).min((interval / claims).saturating_mul(TOGETHER));
    let into_beat = match beat.as_nanos() {
        0 => return at,
        beat => at.saturating_duration_since(since).as_nanos() % beat,
    };
    match u64::try_from(into_beat) {
        Ok(nanos) if nanos > 0 => at + (beat - Duration::from_nanos(nanos)),
        Ok(_) | Err(_) => at,
    }
}

/// One instant for each claim that waits for one; those that come first, first.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, u32)>);

impl Timers {
    /// Moves a claim from the instant it had, if any, to another, if any.
    pub(super) fn reset(&mut self, slot: u32, had: Option<Instant>, at: Option<Instant>) {
        if had == at {
            return;
        }
        if let Some(had) = had {
            self.0.remove(&(had, slot));
        }
        if let Some(at) = at {
            self.0.insert((at, slot));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out the first claim that is due by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<u32> {
        let (at, slot) = *self.0.first()?;
        (at <= now).then(|| self.0.pop_first())?;
        Some(slot)
    }
}
