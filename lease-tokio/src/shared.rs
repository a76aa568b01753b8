//! What the task that keeps a claim tells the tasks that rely on it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lease_proto::{
    AcquireError, Config, Deadline, Event, Grant, Ledger, Loss, Parting, Released, State, Unhealthy,
};
use tokio::sync::watch;

use crate::{Clock, Lost, TransportError};

/// What is known of a claim, written by one task and read by others.
#[derive(Debug)]
pub(crate) struct Shared {
    clock: Clock,
    /// Beside the lock, so that it is right even while the task that keeps the claim is starved.
    deadline: Deadline,
    /// Until when it is no wonder that the task which keeps the claim does nothing.
    seen: Arc<Deadline>,
    /// Never locked across an await.
    ledger: Mutex<Ledger>,
    /// How many looks at the record were asked for, and the latest of them that was answered.
    asked: AtomicU64,
    looked: AtomicU64,
    changed: watch::Sender<State>,
    /// Less than that is left of a grant only where a renewal is late.
    overdue: Duration,
}

impl Shared {
    /// `seen` is told by the task that keeps the claim each time that it looks at the clock: see [`be_seen`].
    pub(crate) fn new(config: &Config, clock: Clock, seen: Arc<Deadline>) -> Self {
        let after_renewal = config
            .grant_length()
            .saturating_sub(config.renew_interval());
        Self {
            clock,
            overdue: after_renewal / 2,
            deadline: Deadline::new(clock.now()),
            seen,
            ledger: Mutex::default(),
            asked: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            changed: watch::Sender::new(State::Waiting { holder: None }),
        }
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
        let now = self.clock.now();
        self.ledger().health(now, patience)?;
        let then = now.checked_sub(patience).unwrap_or(now);
        if self.is_held() || self.seen.is_after(then) {
            Ok(())
        } else {
            Err(Unhealthy::Stuck)
        }
    }

    /// How the last release ended, or that nobody knows while the task that sees to it is late.
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
        let state = ledger.state();
        drop(ledger);
        self.changed.send_replace(state);
    }

    /// Takes note that nobody keeps the claim from here on.
    pub(crate) fn end(&self) {
        self.deadline.set(None);
        self.ledger().end();
        self.changed.send_replace(State::Ended);
    }

    /// Tells of each change of how the claim stands.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.changed.subscribe()
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
    pub(crate) async fn held(&self, margin: Duration) -> Option<(Grant, u64)> {
        let held = self.wait(None, |ledger| {
            let grant = self.is_held().then(|| ledger.grant()).flatten();
            match grant.filter(|_| !self.is_past(margin, ledger)) {
                Some(grant) => Some(Some((grant, ledger.tenures()))),
                None => ledger.has_ended().then_some(None),
            }
        });
        held.await.flatten()
    }

    /// Waits until less than `margin` is left of a tenure's grant because renewals fail, and says why it ended; `None` if it
    /// lasts at `until`.
    ///
    /// Returns in time even if the task that renews is starved.
    pub(crate) async fn lost(
        &self,
        tenure: u64,
        until: Option<Instant>,
        margin: Duration,
    ) -> Option<Loss> {
        loop {
            let (now, left) = (self.clock.now(), self.remaining());
            if let Some(loss) = self.loss_past(tenure, margin) {
                return Some(loss);
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
                (is_shorter || is_over).then_some(())
            })
            .await;
        }
    }

    /// Why a tenure is over, or as good as over.
    fn loss_past(&self, tenure: u64, margin: Duration) -> Option<Loss> {
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

    /// Takes note that the Lease is to be given up, and tells work that relies on it. Returns what is to be left in the record if it
    /// is to be now.
    pub(crate) fn stop(&self, parting: Parting) -> Option<Parting> {
        let mut ledger = self.ledger();
        let now = ledger.stop(parting);
        let state = ledger.state();
        drop(ledger);
        self.changed.send_replace(state);
        now
    }

    /// Does `work` until it is done, or until it is to be stopped, or until less than `margin` is left of a tenure's grant because renewals fail: then it is
    /// dropped. What work that cannot be dropped comes to after the tenure does not count.
    pub(crate) async fn run<F: Future>(
        &self,
        tenure: u64,
        margin: Duration,
        work: F,
    ) -> Result<F::Output, Lost> {
        let stopped = self.wait(None, |ledger| ledger.is_stopping().then_some(()));
        tokio::select! {
            // The loss first: whoever has lost it must not go on.
            biased;
            loss = self.lost(tenure, None, margin) => Err(Lost::new(loss.unwrap_or(Loss::Expired))),
            _ = stopped => Err(Lost::new(Loss::Released)),
            output = work => match self.loss_past(tenure, Duration::ZERO) {
                Some(loss) => Err(Lost::new(loss)),
                None => Ok(output),
            },
        }
    }

    /// Waits until `found` says something, or until then.
    ///
    /// Without `until` only what the ledger takes note of counts, so that nobody wakes up for nothing. Otherwise looks at the clock
    /// at least once a second, since timers stop while the machine is suspended. May be dropped at any moment: what `found`
    /// takes is returned in the same step.
    pub(crate) async fn wait<T>(
        &self,
        until: Option<Instant>,
        mut found: impl FnMut(&mut Ledger) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = found(&mut self.ledger()) {
                return Some(found);
            }
            let Some(until) = until else {
                // It cannot be closed: who would tell is `self`.
                let _told = changed.changed().await;
                continue;
            };
            let left = until.saturating_duration_since(self.clock.now());
            if left.is_zero() {
                return None;
            }
            let _either = tokio::time::timeout(left.min(TICK), changed.changed()).await;
        }
    }
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);
/// How much longer than that a task may do nothing, where others keep the processors busy.
const BUSY: Duration = Duration::from_secs(5);

/// Takes note that a task has run, and will look at the clock within a second, or within `pause` if that is longer.
pub(crate) fn be_seen(seen: &Deadline, now: Instant, pause: Duration) {
    seen.set(Some(now + pause.max(TICK) + BUSY));
}
