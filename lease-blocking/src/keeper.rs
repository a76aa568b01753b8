//! A claim that is kept going by a thread, and the handle of it.

use std::{sync::Arc, time::Duration};

use lease_proto::{
    Config, Event, Grant, Identity, Loss, Parting, Patience, Plan, Released, State, Unhealthy,
};

use crate::{
    Claim, Client, Clock, LostWork, Tenure, TransportError,
    shared::Shared,
    task::{self, Line},
};

/// Keeps a claim going in the background: renews what is held, and begins again after every loss.
///
/// Dropping it releases the Lease and waits for that, no longer than the renew deadline.
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// use std::time::Duration;
///
/// use lease_blocking::{Client, proto::{Config, Released}};
///
/// let client = Client::in_memory();
/// let keeper = client.keep(Config::builder(client.namespace(), "leader", "me").build()?)?;
/// keeper.wait_held(Duration::from_secs(60)).expect("nobody else wants it");
/// assert!(keeper.health(Duration::from_secs(30)).is_ok()); // for `/healthz`
/// assert_eq!(keeper.release(), Some(Released::Cleared));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping a keeper releases the Lease"]
pub struct Keeper {
    shared: Arc<Shared>,
    line: Line,
    identity: Identity,
    renew_deadline: Duration,
    clock: Clock,
    /// Whether its end was waited for, be it in vain.
    is_finished: bool,
}

impl Client {
    /// Campaigns for the Lease in the background, for ever: see [`Keeper`].
    ///
    /// # Errors
    ///
    /// Fails if the system has no thread to give.
    ///
    /// ```no_run
    /// use lease_blocking::{Client, proto::{Config, Event}};
    ///
    /// let client = Client::try_default()?;
    /// let config = Config::builder(client.namespace(), "leader", "me").build()?;
    /// let keeper = client.keep(config)?;
    /// while let Some(event) = keeper.next_event() {
    ///     match event {
    ///         Event::Acquired(grant) => println!("leading, token {:?}", grant.token),
    ///         Event::Lost(loss) => println!("not leading any more: {loss}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep(&self, config: Config) -> std::io::Result<Keeper> {
        let mut claim = self.claim(config);
        claim.acquire(Patience::Forever);
        task::start(claim, Plan::Forever)
    }
}

impl Claim {
    /// Drives the claim on a thread of its own until it is at rest: for one campaign and one tenure, if it was told to
    /// acquire.
    ///
    /// # Errors
    ///
    /// Fails if the system has no thread to give.
    pub fn keep(self) -> std::io::Result<Keeper> {
        task::start(self, Plan::Once)
    }
}

impl Keeper {
    /// Makes one of what is known of a claim, and of how to speak to whatever keeps it.
    pub(crate) fn new(
        shared: Arc<Shared>,
        line: Line,
        identity: Identity,
        renew_deadline: Duration,
    ) -> Self {
        Self {
            shared,
            line,
            identity,
            renew_deadline,
            clock: Clock::new(),
            is_finished: false,
        }
    }

    /// Waits for the next event; `None` once the keeper has ended and all have been taken.
    ///
    /// If nobody asks for them the latest 1,024 are kept; those dropped first say that what is held is still held.
    pub fn next_event(&self) -> Option<Event> {
        self.shared
            .wait(None, |ledger| match ledger.take_event() {
                Some(event) => Some(Some(event)),
                None => ledger.has_ended().then_some(None),
            })
            .flatten()
    }

    /// Waits for the next event, but not longer than `timeout`; `None` at once if the keeper has ended and all have been
    /// taken.
    pub fn next_event_timeout(&self, timeout: Duration) -> Option<Event> {
        let until = self.clock.now().checked_add(timeout);
        self.shared
            .wait(until, |ledger| match ledger.take_event() {
                Some(event) => Some(Some(event)),
                None => ledger.has_ended().then_some(None),
            })
            .flatten()
    }

    /// Returns whether the Lease is held now.
    ///
    /// It is a look at a clock: true to the grant even while the thread that renews is stuck. Costs some tens of nanoseconds.
    pub fn is_held(&self) -> bool {
        self.shared.is_held()
    }

    /// Returns the grant, if the Lease is held now.
    pub fn grant(&self) -> Option<Grant> {
        self.shared.grant()
    }

    /// Returns how much is left of the grant; zero if the Lease is not held.
    pub fn remaining(&self) -> Duration {
        self.shared.remaining()
    }

    /// Returns how the claim stands, as of its last event; whether a Lease that was held is held now, [`is_held`](Self::is_held)
    /// tells.
    pub fn state(&self) -> State {
        self.shared.ledger().state()
    }

    /// Waits until the Lease is held, but not longer than `timeout`; `None` at once if the keeper has ended. Takes no event.
    pub fn wait_held(&self, timeout: Duration) -> Option<Grant> {
        let until = self.clock.now().checked_add(timeout);
        let held = self.shared.wait(until, |ledger| {
            let grant = self.shared.is_held().then(|| ledger.grant()).flatten();
            match grant {
                Some(grant) => Some(Some(grant)),
                None => ledger.has_ended().then_some(None),
            }
        });
        held.flatten()
    }

    /// Waits until the Lease is not held any more, and says why; `None` if it is still held after `timeout`, without a break.
    /// Takes no event.
    ///
    /// Returns at the end of the grant even if the thread that renews is stuck, and at once if the Lease is not held.
    pub fn wait_lost(&self, timeout: Duration) -> Option<Loss> {
        let until = self.clock.now().checked_add(timeout);
        let tenure = self.shared.ledger().tenures();
        self.shared.lost(tenure, until, Duration::ZERO, false)
    }

    /// Waits until the Lease is held, and does `work` for as long as it is: `None` once the keeper has ended, or was told to
    /// [stop](Self::stop).
    ///
    /// See [`Guard::run_while_held`](crate::Guard::run_while_held) for the margin, and for how the work is told to stop. The
    /// Lease is kept afterwards, so that the work can be done again: not before renewals succeed, if it was told to stop because
    /// they did not. Whoever gives up instead [stops](Self::stop) the keeper, from another thread if need be: this waits for as
    /// long as it takes.
    ///
    /// # Errors
    ///
    /// The Lease was lost before the work was done, or the work was told to stop. What it came to is handed back.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use lease_blocking::{Client, proto::Config};
    ///
    /// let client = Client::try_default()?;
    /// let keeper = client.keep(Config::builder(client.namespace(), "leader", "me").build()?)?;
    /// let margin = Duration::from_secs(1);
    /// let lead = |tenure: &lease_blocking::Tenure| {
    ///     // Once a minute, until it has to stop.
    ///     while tenure.wait_lost(Duration::from_secs(60)).is_none() {
    ///         println!("leading, token {:?}", tenure.token());
    ///     }
    /// };
    /// while let Some(Err(lost)) = keeper.run_while_held(margin, lead) {
    ///     println!("stopped leading: {}", lost.loss());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_while_held<T>(
        &self,
        margin: Duration,
        work: impl FnOnce(&Tenure) -> T,
    ) -> Option<Result<T, LostWork<T>>> {
        let (grant, number) = self.shared.held(margin)?;
        if !self.shared.ledger().begin_work() {
            return None;
        }
        // Dropped after the work, even if that panics.
        let _working = Working(self);
        Some(self.tenure(number, margin, grant).run(work))
    }

    /// Returns an error if the Lease is not held, and cannot be acquired either: for a health check.
    ///
    /// What goes wrong for less than `patience` is not counted. Who waits for a Lease that somebody else holds is healthy.
    ///
    /// # Errors
    ///
    /// The thread has ended, the server refuses, requests have been failing for longer than `patience`, or the grant has been over
    /// for longer than that and nobody has said so.
    pub fn health(&self, patience: Duration) -> Result<(), Unhealthy> {
        self.shared.health(patience)
    }

    /// Returns why the last request that got no answer got none, as of the last event.
    pub fn last_error(&self) -> Option<Arc<TransportError>> {
        self.shared.ledger().last_error().cloned()
    }

    /// Returns the identity that stands in the record while the Lease is held.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns whether the thread has ended, be it by a panic. Nothing is held from then on.
    pub fn has_ended(&self) -> bool {
        self.shared.ledger().has_ended()
    }

    /// Tells the keeper to give the Lease up for good; its events tell how that goes, and end.
    ///
    /// Work of [`run_while_held`](Self::run_while_held) is told to stop first, and until it has the Lease is kept: nobody else
    /// holds it while the work goes on.
    pub fn stop(&self) {
        self.stop_with(Parting::default());
    }

    /// The same, and leaves something in the record if the Lease is held: whether it was left, [`Released::Cleared`] tells.
    ///
    /// Does nothing where the keeper was told to stop before.
    pub fn stop_with(&self, parting: Parting) {
        if let Some(parting) = self.shared.stop(parting) {
            self.line.stop(parting);
        }
    }

    /// Gives the Lease up for good, and waits until that is over, no longer than the renew deadline.
    ///
    /// Returns how it ended: `None` if there was nothing to release.
    pub fn release(self) -> Option<Released> {
        self.release_with(Parting::default())
    }

    /// The same, and leaves something in the record if the Lease is held: [`Released::Cleared`] says that it was left.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use lease_blocking::{Client, proto::{Config, Once, Parting}};
    ///
    /// # fn migrate() {}
    /// let client = Client::try_default()?;
    /// let config = Config::builder(client.namespace(), "db-migration", "me").build()?;
    /// let once = Once::new("schema-42")?;
    /// let keeper = client.keep(config)?;
    /// keeper.wait_held(Duration::from_secs(60));
    /// let lease = client.get("db-migration")?.unwrap_or_default();
    /// if once.done(&lease).is_none() {
    ///     migrate();
    /// }
    /// keeper.release_with(Parting::default().done(once));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release_with(mut self, parting: Parting) -> Option<Released> {
        self.stop_with(parting);
        self.finish(self.longest_release());
        self.shared.released()
    }

    /// Gives the Lease up for good, and leaves it to `successor`: others hold back for `patience`, and when that one does not come
    /// by then it is anybody's. Waits as [`release`](Self::release) does, and [`Released::Cleared`] says that it was left.
    ///
    /// [`Parting::successor`] says who may be named, and how long others hold back at the most.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use lease_blocking::{Client, proto::{Config, Identity}};
    ///
    /// # fn next_version_has_started() {}
    /// let client = Client::try_default()?;
    /// let keeper = client.keep(Config::builder(client.namespace(), "leader", "green").build()?)?;
    /// next_version_has_started();
    /// keeper.hand_over(Identity::new("blue")?, Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released> {
        self.release_with(Parting::default().successor(successor, patience))
    }

    /// What the work of a tenure is told of it.
    pub(crate) fn tenure(&self, number: u64, margin: Duration, grant: Grant) -> Tenure {
        Tenure::new(Arc::clone(&self.shared), number, margin, grant)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn verify(&self, look: u64) {
        self.line.verify(look);
    }

    /// Gives the Lease up for good, and waits for that, but not longer than `patience`; then it goes on in the background.
    pub(crate) fn finish(&mut self, patience: Duration) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        self.stop();
        let until = self.clock.now() + patience;
        let ended = self
            .shared
            .wait(Some(until), |ledger| ledger.has_ended().then_some(()));
        if ended.is_some() {
            self.line.join();
        }
    }

    /// The claim itself ends a release that gets no answer after the renew deadline.
    fn longest_release(&self) -> Duration {
        self.renew_deadline + GRACE
    }
}

/// Work that relies on the Lease.
struct Working<'a>(&'a Keeper);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let releases = self.0.shared.ledger().end_work();
        if let Some(parting) = releases {
            self.0.line.stop(parting);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish(self.longest_release());
    }
}

/// What a thread may be late by on a loaded machine.
const GRACE: Duration = Duration::from_secs(5);
