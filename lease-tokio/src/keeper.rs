//! A claim that is kept going by a task, and the handle of it.

use std::{sync::Arc, time::Duration};

use lease_proto::{
    self as proto, Config, Event, Grant, Identity, Loss, Parting, Patience, Plan, Released, State,
    Unhealthy,
};
use tokio::sync::watch;

use crate::{
    Claim, Client, Clock, Lost, TransportError,
    shared::Shared,
    task::{self, Line},
};

/// Keeps a claim going in the background: renews what is held, and begins again after every loss.
///
/// Dropping it releases the Lease in the background. A runtime that is shut down meanwhile cuts that off, and the Lease
/// expires: await [`release`](Self::release) where that matters, no longer than there is time:
///
/// ```no_run
/// use std::time::Duration;
///
/// use lease_tokio::{Client, proto::Config};
/// use tokio_util::sync::CancellationToken;
///
/// # async fn lead() {}
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::try_default()?;
/// # let config = Config::builder(client.namespace(), "leader", "me").build()?;
/// let shutdown = CancellationToken::new(); // cancelled by whoever is told of SIGTERM
/// let keeper = client.keep(config);
/// loop {
///     // The work is dropped when the Lease is lost, and at a shutdown.
///     let work = keeper.run_while_held(Duration::ZERO, |_grant| lead());
///     match shutdown.run_until_cancelled(work).await {
///         Some(Some(Err(lost))) => println!("stopped leading: {lost}"),
///         Some(Some(Ok(())) | None) | None => break,
///     }
/// }
/// // See `Guard::release` for what comes of it while the API server is away.
/// let _late = tokio::time::timeout(Duration::from_secs(3), keeper.release()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping a keeper releases the Lease"]
pub struct Keeper {
    shared: Arc<Shared>,
    /// Dropping it tells whoever keeps the claim to release and to end.
    line: Line,
    identity: Identity,
    renew_deadline: Duration,
    clock: Clock,
}

impl Client {
    /// Campaigns for the Lease in the background, for ever: see [`Keeper`].
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// ```no_run
    /// use lease_tokio::{Client, proto::{Config, Event}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::try_default()?;
    /// let config = Config::builder(client.namespace(), "leader", "me").build()?;
    /// let keeper = client.keep(config);
    /// while let Some(event) = keeper.next_event().await {
    ///     match event {
    ///         Event::Acquired(grant) => println!("leading, token {:?}", grant.token),
    ///         Event::Lost(loss) => println!("not leading any more: {loss}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep(&self, config: Config) -> Keeper {
        let mut claim = self.claim(config);
        claim.acquire(Patience::Forever);
        task::start(claim, Plan::Forever)
    }
}

impl Claim {
    /// Drives the claim in a task of its own until it is at rest: for one campaign and one tenure, if it was told to
    /// acquire.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    pub fn keep(self) -> Keeper {
        task::start(self, Plan::Once)
    }
}

impl Keeper {
    /// Makes one of what is known of a claim, and of how to speak to whatever keeps it.
    pub(crate) fn new(shared: Arc<Shared>, line: Line, claim: &proto::Claim, clock: Clock) -> Self {
        Self {
            shared,
            line,
            identity: claim.identity().clone(),
            renew_deadline: claim.config().renew_deadline(),
            clock,
        }
    }

    /// Waits for the next event; `None` once the keeper has ended and all have been taken.
    ///
    /// If nobody asks for them the latest 1,024 are kept; those dropped first say that what is held is still held.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next_event(&self) -> Option<Event> {
        let next = self.shared.wait(None, |ledger| match ledger.take_event() {
            Some(event) => Some(Some(event)),
            None => ledger.has_ended().then_some(None),
        });
        next.await.flatten()
    }

    /// Returns whether the Lease is held now.
    ///
    /// It is a look at a clock: true to the grant even while the task that renews is starved. Costs some tens of
    /// nanoseconds.
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

    /// Returns a receiver of that, for as many tasks as like to be told of each change. Renewals are changes. It is the task that
    /// tells: where a runtime is blocked, a grant that is over still stands there.
    ///
    /// A receiver does not keep the Lease. Once the keeper has ended the state is [`State::Ended`].
    pub fn watch(&self) -> watch::Receiver<State> {
        self.shared.watch()
    }

    /// Waits until the Lease is held; `None` once the keeper has ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost, and no event is taken.
    pub async fn held(&self) -> Option<Grant> {
        self.shared
            .held(Duration::ZERO)
            .await
            .map(|(grant, _)| grant)
    }

    /// Waits until the Lease is not held any more; at once if it is not held. Says why, where that is known.
    ///
    /// Returns at the end of the grant even if the task that renews is starved.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost, and no event is taken.
    pub async fn lost(&self) -> Loss {
        let tenure = self.shared.ledger().tenures();
        let loss = self.shared.lost(tenure, None, Duration::ZERO).await;
        loss.unwrap_or(Loss::Expired)
    }

    /// Waits until the Lease is held, and does `work` for as long as it is: `None` once the keeper has ended, or was told to
    /// [stop](Self::stop).
    ///
    /// See [`Guard::run_while_held`](crate::Guard::run_while_held) for the margin, and for what cannot be stopped. The Lease is
    /// kept afterwards, so that the work can be done again: not before renewals succeed, if it was dropped because they did not.
    /// Whoever gives up instead [stops](Self::stop) the keeper.
    ///
    /// # Errors
    ///
    /// The Lease was lost, or less than `margin` was left of the grant because renewals failed ([`Loss::AtRisk`]), or the keeper
    /// was told to stop ([`Loss::Released`]), and the work was dropped.
    ///
    /// # Cancel safety
    ///
    /// The work is dropped.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use lease_tokio::{Client, proto::Config};
    ///
    /// # async fn lead() {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::try_default()?;
    /// let keeper = client.keep(Config::builder(client.namespace(), "leader", "me").build()?);
    /// let margin = Duration::from_secs(1);
    /// while let Some(outcome) = keeper.run_while_held(margin, |_grant| lead()).await {
    ///     match outcome {
    ///         Ok(()) => break,
    ///         Err(lost) => println!("stopped leading: {lost}"),
    ///     }
    /// }
    /// keeper.release().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run_while_held<F: Future>(
        &self,
        margin: Duration,
        work: impl FnOnce(Grant) -> F,
    ) -> Option<Result<F::Output, Lost>> {
        let (grant, tenure) = self.shared.held(margin).await?;
        if !self.shared.ledger().begin_work() {
            return None;
        }
        // Dropped after the work, however that ends.
        let _working = Working(self);
        Some(self.shared.run(tenure, margin, work(grant)).await)
    }

    /// Returns an error if the Lease is not held, and cannot be acquired either: for a health check.
    ///
    /// What goes wrong for less than `patience` is not counted. Who waits for a Lease that somebody else holds is healthy.
    ///
    /// # Errors
    ///
    /// The task has ended, the server refuses, requests have been failing for longer than `patience`, or the task has not run
    /// for seconds longer than that, as on a runtime that something blocks.
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

    /// Returns whether the task has ended, be it by a panic. Nothing is held from then on.
    pub fn has_ended(&self) -> bool {
        self.shared.ledger().has_ended()
    }

    /// Tells the keeper to give the Lease up for good; its events tell how that goes, and end.
    ///
    /// Work of [`run_while_held`](Self::run_while_held) is dropped first, and until it is the Lease is kept: nobody else holds it
    /// while the work goes on.
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
    /// Returns how it ended: `None` if there was nothing to release. See [`Guard::release`](crate::Guard::release).
    ///
    /// # Cancel safety
    ///
    /// The release goes on in the background, for as long as the runtime lasts.
    pub async fn release(self) -> Option<Released> {
        self.release_with(Parting::default()).await
    }

    /// The same, and leaves something in the record if the Lease is held: [`Released::Cleared`] says that it was left.
    ///
    /// # Cancel safety
    ///
    /// The release goes on in the background, for as long as the runtime lasts.
    ///
    /// ```no_run
    /// use lease_tokio::{Client, proto::{Config, Once, Parting}};
    ///
    /// # async fn migrate() {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::try_default()?;
    /// let config = Config::builder(client.namespace(), "db-migration", "me").build()?;
    /// let once = Once::new("schema-42")?;
    /// let keeper = client.keep(config);
    /// keeper.held().await;
    /// let lease = client.get("db-migration").await?.unwrap_or_default();
    /// if once.done(&lease).is_none() {
    ///     migrate().await;
    /// }
    /// keeper.release_with(Parting::default().done(once)).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn release_with(self, parting: Parting) -> Option<Released> {
        self.stop_with(parting);
        // The claim itself ends a release that gets no answer after the renew deadline.
        let until = self.clock.now() + self.renew_deadline + GRACE;
        self.shared
            .wait(Some(until), |ledger| ledger.has_ended().then_some(()))
            .await;
        self.shared.released()
    }

    /// Gives the Lease up for good, and leaves it to `successor`: others hold back for `patience`, and when that one does not come
    /// by then it is anybody's. Waits as [`release`](Self::release) does, and [`Released::Cleared`] says that it was left.
    ///
    /// [`Parting::successor`] says who may be named, and how long others hold back at the most.
    ///
    /// # Cancel safety
    ///
    /// The release goes on in the background, for as long as the runtime lasts.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use lease_tokio::{Client, proto::{Config, Identity}};
    ///
    /// # async fn next_version_has_started() {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::try_default()?;
    /// let keeper = client.keep(Config::builder(client.namespace(), "leader", "green").build()?);
    /// next_version_has_started().await;
    /// keeper.hand_over(Identity::new("blue")?, Duration::from_secs(60)).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released> {
        self.release_with(Parting::default().successor(successor, patience))
            .await
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn verify(&self, look: u64) {
        self.line.verify(look);
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

/// What a task may be late by on a loaded machine.
const GRACE: Duration = Duration::from_secs(5);
