//! What the thread that keeps a claim tells the threads that rely on it.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lease_proto::{Event, Grant, Loss, Released};

use crate::Clock;

/// How many events are kept for somebody who does not ask for them.
const EVENTS: usize = 1_024;

/// What is known of a claim, written by one thread and read by others.
#[derive(Debug)]
pub(crate) struct Shared {
    clock: Clock,
    /// When the grant ends, in nanoseconds since the origin; 0 while there is none.
    ///
    /// Beside the lock so that a look costs no more than two loads and a clock reading, and so that it is right even
    /// while the thread that keeps the claim is stuck.
    valid_until: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) grant: Option<Grant>,
    pub(crate) loss: Option<Loss>,
    pub(crate) released: Option<Released>,
    /// Rises with each answer to `verify`.
    pub(crate) verified: u64,
    pub(crate) events: VecDeque<Event>,
    /// Whether the thread that keeps the claim has ended.
    pub(crate) ended: bool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            clock: Clock::new(),
            valid_until: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Whether the Lease is held now: true to the grant even if nobody keeps the claim.
    pub(crate) fn is_held(&self) -> bool {
        nanos(self.clock.now()) < self.valid_until.load(Ordering::Acquire)
    }

    /// How much is left of the grant.
    pub(crate) fn remaining(&self) -> Duration {
        let until = self.valid_until.load(Ordering::Acquire);
        Duration::from_nanos(until.saturating_sub(nanos(self.clock.now())))
    }

    /// The grant, if it has not ended.
    pub(crate) fn grant(&self) -> Option<Grant> {
        self.is_held().then(|| self.state().grant).flatten()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an event, before anybody is told.
    pub(crate) fn note(&self, event: &Event) {
        let mut state = self.state();
        match event {
            Event::Acquired(grant) => {
                state.loss = None;
                self.hold(&mut state, *grant);
            }
            Event::Renewed(grant) => self.hold(&mut state, *grant),
            Event::Verified(grant) => {
                state.verified += 1;
                self.hold(&mut state, *grant);
            }
            Event::Lost(loss) => {
                self.valid_until.store(0, Ordering::Release);
                state.grant = None;
                state.loss = Some(loss.clone());
            }
            Event::Released(released) => state.released = Some(*released),
            Event::AtRisk { .. }
            | Event::Recovered
            | Event::Waiting(_)
            | Event::Retrying { .. }
            | _ => {}
        }
        if state.events.len() >= EVENTS {
            // What is dropped first is what matters least: that a Lease which is held is still held.
            let routine =
                |event: &Event| matches!(event, Event::Renewed(_) | Event::Retrying { .. });
            let victim = state.events.iter().position(routine).unwrap_or_default();
            state.events.remove(victim);
        }
        state.events.push_back(event.clone());
        self.changed.notify_all();
    }

    /// Takes note that nobody keeps the claim from here on.
    pub(crate) fn end(&self) {
        self.valid_until.store(0, Ordering::Release);
        let mut state = self.state();
        state.grant = None;
        state.ended = true;
        self.changed.notify_all();
    }

    /// Waits until `found` says something, or until then.
    ///
    /// Looks at the clock at least once a second, since timers stop while the machine is suspended.
    pub(crate) fn wait<T>(
        &self,
        until: Option<Instant>,
        mut found: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.state();
        loop {
            if let Some(found) = found(&mut state) {
                return Some(found);
            }
            let left = until.map(|until| until.saturating_duration_since(self.clock.now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            let timeout = left.unwrap_or(TICK).min(TICK);
            let waited = self.changed.wait_timeout(state, timeout);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn hold(&self, state: &mut State, grant: Grant) {
        state.grant = Some(grant);
        self.valid_until
            .store(nanos(grant.valid_until), Ordering::Release);
    }
}

/// An instant as a number that an atomic can hold.
fn nanos(instant: Instant) -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    // Earlier than any instant in use, so that 0 is before all of them.
    let origin = *ORIGIN.get_or_init(|| {
        let now = Clock::new().now();
        now.checked_sub(Duration::from_secs(60)).unwrap_or(now)
    });
    let since = instant.saturating_duration_since(origin).as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX)
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);
