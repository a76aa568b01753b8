//! When which claim is to be polled.

use std::{collections::BTreeSet, time::Instant};

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
