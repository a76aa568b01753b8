//! What the thread that keeps a claim tells the threads that rely on it.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lease_proto::{
    AcquireError, Config, Deadline, Event, Grant, Ledger, Loss, Parting, Released, Unhealthy,
};

use crate::{Clock, TransportError};

/// What is known of a claim, written by one thread and read by others.
#[derive(Debug)]
pub(crate) struct Shared {
    clock: Clock,
    /// Beside the lock, so that it is right even while the thread that keeps the claim is stuck.
    deadline: Deadline,
    ledger: Mutex<Ledger>,
    /// How many looks at the record were asked for, and the latest of them that was answered.
    asked: AtomicU64,
    looked: AtomicU64,
    changed: Condvar,
    /// Less than that is left of a grant only where a renewal is late.
    overdue: Duration,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        let clock = Clock::new();
        let after_renewal = config
            .grant_length()
            .saturating_sub(config.renew_interval());
        Self {
            clock,
            overdue: after_renewal / 2,
            deadline: Deadline::new(clock.now()),
            ledger: Mutex::default(),
            asked: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            changed: Condvar::new(),
        }
    }

    /// Has it live by another clock.
    #[cfg(all(test, feature = "memory"))]
    pub(crate) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Whether the Lease is held now: true to the grant even if nobody keeps the claim.
    pub(crate) fn is_held(&self) -> bool {
        self.deadline.is_after(self.clock.now())
    }

    /// How much is left of the grant.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.remaining(self.clock.now())
    }

    /// The grant, if it has not ended.
    pub(crate) fn grant(&self) -> Option<Grant> {
        self.is_held().then(|| self.ledger().grant()).flatten()
    }

    /// Whether it has been held, be it for a moment.
    pub(crate) fn has_acquired(&self) -> bool {
        self.ledger().acquired().is_some()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the Lease is held, or can still be acquired.
    pub(crate) fn health(&self, patience: Duration) -> Result<(), Unhealthy> {
        self.ledger().health(self.clock.now(), patience)
    }

    /// How the last release ended, or that nobody knows while the thread that sees to it is late.
    pub(crate) fn released(&self) -> Option<Released> {
        let ledger = self.ledger();
        let late = (!ledger.has_ended()).then_some(Released::Unconfirmed);
        ledger.released().or(late)
    }

    /// Numbers a look at the record.
    pub(crate) fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the record was read, and found to be ours, after that look was asked for.
    pub(crate) fn has_looked(&self, look: u64) -> bool {
        self.looked.load(Ordering::Acquire) >= look
    }

    /// Takes note of an event, before anybody is told.
    ///
    /// `looked` is the latest look that a `Verified` answers.
    pub(crate) fn note(
        &self,
        event: &Event,
        last_error: Option<&Arc<TransportError>>,
        looked: u64,
    ) {
        let mut ledger = self.ledger();
        ledger.note(event, last_error, self.clock.now());
        if let Event::GaveUp(why) = event {
            ledger.fail(AcquireError::new(why.clone(), last_error.cloned()));
        }
        if let Event::Failed(failure) = event {
            ledger.fail(AcquireError::Failed(failure.clone()));
        }
        if let Event::Verified(_) = event {
            self.looked.store(looked, Ordering::Release);
        }
        self.deadline
            .set(ledger.grant().map(|grant| grant.valid_until));
        drop(ledger);
        self.changed.notify_all();
    }

    /// Takes note that nobody keeps the claim from here on.
    pub(crate) fn end(&self) {
        self.deadline.set(None);
        self.ledger().end();
        self.changed.notify_all();
    }

    /// Whether renewals fail, so that less than `margin` is left of the grant.
    ///
    /// Between two renewals less is left than after one, so as long as none is known to fail a wide margin is cut to what is
    /// left when one is late.
    fn is_past(&self, margin: Duration, ledger: &Ledger) -> bool {
        let margin = if ledger.is_at_risk() {
            margin
        } else {
            margin.min(self.overdue)
        };
        self.remaining() <= margin
    }

    /// Waits until the Lease is held, and not past the margin; returns the grant and the number of the tenure, `None` once
    /// nobody keeps the claim.
    pub(crate) fn held(&self, margin: Duration) -> Option<(Grant, u64)> {
        let held = self.wait(None, |ledger| {
            let grant = self.is_held().then(|| ledger.grant()).flatten();
            match grant.filter(|_| !self.is_past(margin, ledger)) {
                Some(grant) => Some(Some((grant, ledger.tenures()))),
                None => ledger.has_ended().then_some(None),
            }
        });
        held.flatten()
    }

    /// Waits until less than `margin` is left of a tenure's grant because renewals fail, and says why it ended; `None` if it
    /// lasts at `until`. With `heeds_stop` a tenure is over as soon as the Lease is to be given up.
    ///
    /// Returns in time even if the thread that renews is stuck.
    pub(crate) fn lost(
        &self,
        tenure: u64,
        until: Option<Instant>,
        margin: Duration,
        heeds_stop: bool,
    ) -> Option<Loss> {
        loop {
            let (now, left) = (self.clock.now(), self.remaining());
            if let Some(loss) = self.loss_past(tenure, margin) {
                return Some(loss);
            }
            if heeds_stop && self.is_stopping() {
                return Some(Loss::Released);
            }
            if until.is_some_and(|until| until <= now) {
                return None;
            }
            let grant_end = now + left;
            let end = grant_end - margin.min(self.overdue).min(left);
            let end = until.map_or(end, |until| until.min(end));
            self.wait(Some(end), |ledger| {
                // It may be found out to end earlier.
                let is_shorter = ledger.grant().is_none_or(|it| it.valid_until < grant_end);
                let is_over = ledger.loss_of(tenure).is_some() || self.is_past(margin, ledger);
                let is_stopping = heeds_stop && ledger.is_stopping();
                (is_shorter || is_over || is_stopping).then_some(())
            });
        }
    }

    /// Takes note that the Lease is to be given up, and tells work that relies on it. Returns what is to be left in the record if it
    /// is to be now.
    pub(crate) fn stop(&self, parting: Parting) -> Option<Parting> {
        let now = self.ledger().stop(parting);
        self.changed.notify_all();
        now
    }

    /// Whether the Lease is to be given up, be it later.
    pub(crate) fn is_stopping(&self) -> bool {
        self.ledger().is_stopping()
    }

    /// Why a tenure is over, or as good as over.
    pub(crate) fn loss_past(&self, tenure: u64, margin: Duration) -> Option<Loss> {
        let ledger = self.ledger();
        if let Some(loss) = ledger.loss_of(tenure) {
            return Some(loss);
        }
        let has_ended = self.remaining().is_zero();
        let why = if has_ended {
            Loss::Expired
        } else {
            Loss::AtRisk
        };
        (has_ended || self.is_past(margin, &ledger)).then_some(why)
    }

    /// Waits until `found` says something, or until then.
    ///
    /// Without `until` only what the ledger takes note of counts, so that nobody wakes up for nothing. Otherwise looks at the clock
    /// at least once a second, since timers stop while the machine is suspended.
    pub(crate) fn wait<T>(
        &self,
        until: Option<Instant>,
        mut found: impl FnMut(&mut Ledger) -> Option<T>,
    ) -> Option<T> {
        let mut ledger = self.ledger();
        loop {
            if let Some(found) = found(&mut ledger) {
                return Some(found);
            }
            let Some(until) = until else {
                let told = self.changed.wait(ledger);
                ledger = told.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(self.clock.now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(ledger, left.min(TICK));
            ledger = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);
