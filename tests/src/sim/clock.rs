//! The clocks of one machine, each wrong in its own way.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use super::Micros;

/// 2026-11-20, in microseconds since the Unix epoch.
pub(crate) const EPOCH: Micros = 1_795_132_800_000_000;
/// The same for all worlds of a process, so that two runs of a seed print the same instants.
static START: OnceLock<Instant> = OnceLock::new();

/// What a machine knows of the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// How far the rate is off, in parts per million.
    pub(crate) drift: i64,
    /// How far the wall clock is off, in microseconds.
    pub(crate) wall_error: i64,
    /// What the wall clock shows for good, if it stands still.
    pub(crate) wall_stands_at: Option<Micros>,
    /// For how long all clocks of the machine stood still unnoticed, as when a snapshot of it is resumed.
    pub(crate) frozen: Micros,
    /// For how long the machine slept; clocks that count the sleep go on.
    pub(crate) slept: Micros,
    /// Whether the machine stands still or sleeps, until what was counted above is over.
    pub(crate) rests: Option<Rest>,
}

/// Why a machine rests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// It stands still unnoticed.
    Frozen,
    /// It sleeps.
    Asleep,
}

impl Clock {
    /// The clock that counts sleep, as a claimant reads it.
    pub(crate) fn boot(&self, now: Micros) -> Instant {
        let counted = i128::from(now.saturating_sub(self.frozen));
        let drifted = counted * (1_000_000 + i128::from(self.drift)) / 1_000_000;
        let start = *START.get_or_init(|| Instant::now() + Duration::from_secs(1_000_000));
        start + Duration::from_micros(u64::try_from(drifted).unwrap_or(0))
    }

    /// The clock that does not count sleep, which nobody should use.
    pub(crate) fn monotonic(&self, now: Micros) -> Instant {
        self.boot(now.saturating_sub(self.slept))
    }

    /// Stands still, or sleeps, for `length`.
    pub(crate) fn rest(&mut self, how: Rest, length: Micros) {
        self.rests = Some(how);
        match how {
            Rest::Frozen => self.frozen += length,
            Rest::Asleep => self.slept += length,
        }
    }

    /// Goes on earlier than that by `early`, if it still rests.
    pub(crate) fn wake_early(&mut self, early: Micros) {
        match self.rests.take() {
            Some(Rest::Frozen) => self.frozen -= early,
            Some(Rest::Asleep) => self.slept -= early,
            None => {}
        }
    }

    /// The wall clock.
    pub(crate) fn wall(&self, now: Micros) -> SystemTime {
        let now = self.wall_stands_at.unwrap_or(now);
        let micros = (EPOCH + now).saturating_add_signed(self.wall_error);
        SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
    }

    /// How much true time passes until this clock certainly shows `wait` more.
    pub(crate) fn true_time(&self, wait: Duration) -> Micros {
        let micros = i128::try_from(wait.as_micros()).unwrap_or(i128::MAX / 2_000_000);
        let rate = 1_000_000 + i128::from(self.drift);
        let longer = micros.saturating_mul(1_000_000) / rate + 2;
        // Longer than any world lasts.
        u64::try_from(longer).unwrap_or(u64::MAX / 4).min(1 << 50)
    }
}
