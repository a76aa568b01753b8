//! A Lease that is held: renewed in the background, released when dropped.

use std::time::{Duration, Instant};

use lease_proto::{
    Config, Event, FencingToken, GaveUp, Grant, Identity, Loss, Parting, Patience, Plan, Released,
};

use crate::{AcquireError, Claim, Client, Keeper, Lost, VerifyError, task};

/// A Lease that is held, for as long as [`is_held`](Self::is_held) says so.
///
/// A task renews it. Dropping it releases it in the background. A runtime that is shut down meanwhile cuts that off, and
/// the Lease expires: await [`release`](Self::release) where that matters.
///
/// ```no_run
/// use std::time::Duration;
///
/// use lease_tokio::{Client, proto::Config};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::try_default()?;
/// let config = Config::builder(client.namespace(), "nightly-report", "me").build()?;
/// let guard = client.acquire_timeout(config, Duration::from_secs(300)).await?;
/// for part in 0..100 {
///     guard.check()?; // some tens of nanoseconds
///     println!("part {part}, token {:?}", guard.token());
/// }
/// guard.release().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping a guard releases the Lease"]
pub struct Guard {
    keeper: Keeper,
    acquired: Grant,
}

impl Client {
    /// Waits until the Lease is held, for as long as it takes.
    ///
    /// # Errors
    ///
    /// Fails if it cannot succeed as things are: [`AcquireError::Failed`] says what is missing.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the attempt; what may have been written by then is undone in the background.
    pub async fn acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.claim(config).hold(Patience::Forever).await
    }

    /// Acquires the Lease if it is free now.
    ///
    /// # Errors
    ///
    /// Fails with [`AcquireError::Held`] if somebody else holds it, and as [`acquire`](Self::acquire) does.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    pub async fn try_acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.claim(config).hold(Patience::Once).await
    }

    /// Waits until the Lease is held, but not longer than `timeout`.
    ///
    /// Where a write of this claim was not answered by then, it may have been carried out: what is to be given back by that is
    /// given back first, which takes as long as a request may take, at the most.
    ///
    /// # Errors
    ///
    /// Fails with [`AcquireError::TimedOut`] if somebody else held it all the time, and as [`acquire`](Self::acquire) does.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    pub async fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Guard, AcquireError> {
        let until = self.clock().now().checked_add(timeout);
        let patience = until.map_or(Patience::Forever, Patience::Until);
        self.claim(config).hold(patience).await
    }
}

impl Claim {
    /// Acquires the Lease, and renews it, in a task of its own.
    ///
    /// # Errors
    ///
    /// Says why the Lease is not held. A write whose outcome was not known has been undone, as far as that could be.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the attempt; what may have been written by then is undone in the background.
    pub async fn hold(mut self, patience: Patience) -> Result<Guard, AcquireError> {
        self.acquire(patience);
        Guard::of(task::start(self, Plan::OnceOrFail)).await
    }
}

impl Guard {
    /// Waits until a keeper's claim is held, or says why it is not.
    pub(crate) async fn of(keeper: Keeper) -> Result<Self, AcquireError> {
        let outcome = keeper
            .shared()
            .wait(None, |ledger| match ledger.acquired() {
                Some(grant) => Some(Ok(grant)),
                None => ledger.has_ended().then(|| Err(ledger.take_error())),
            });
        match outcome.await {
            Some(Ok(acquired)) => Ok(Self { keeper, acquired }),
            Some(Err(Some(error))) => Err(error),
            Some(Err(None)) | None => Err(AcquireError::GaveUp(GaveUp::Stopped)),
        }
    }

    /// Returns whether the Lease is held now.
    ///
    /// It is a look at a clock: true to the grant even while the task that renews is starved.
    pub fn is_held(&self) -> bool {
        self.keeper.is_held()
    }

    /// Returns an error as soon as the Lease is not held any more; cheap enough for a hot loop.
    ///
    /// # Errors
    ///
    /// Says why it is not held.
    pub fn check(&self) -> Result<(), Lost> {
        if self.is_held() {
            Ok(())
        } else {
            Err(Lost::new(self.loss()))
        }
    }

    /// Returns when the grant ends, on the clock of [`Client::clock`]; the past if it has ended.
    pub fn valid_until(&self) -> Instant {
        self.keeper.clock().now() + self.remaining()
    }

    /// Returns how much is left of the grant; zero if it has ended.
    pub fn remaining(&self) -> Duration {
        self.keeper.remaining()
    }

    /// Returns the fencing token of this tenure.
    pub fn token(&self) -> Option<FencingToken> {
        self.acquired.token
    }

    /// Returns how often the holder had changed when the Lease was acquired.
    pub fn transitions(&self) -> u32 {
        self.acquired.transitions
    }

    /// Returns the identity that stands in the record.
    pub fn identity(&self) -> &Identity {
        self.keeper.identity()
    }

    /// Waits until the Lease is lost, and says why.
    ///
    /// Returns at the end of the grant even if the task that renews is starved.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn lost(&self) -> Loss {
        self.keeper.lost().await
    }

    /// Waits until the Lease is lost, and says why; `None` if it is still held after `timeout`.
    ///
    /// Returns at the end of the grant even if the task that renews is starved.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn wait_lost(&self, timeout: Duration) -> Option<Loss> {
        let until = self.keeper.clock().now().checked_add(timeout);
        self.keeper
            .shared()
            .lost(TENURE, until, Duration::ZERO)
            .await
    }

    /// Does `work` for as long as the Lease is held, then releases the Lease, and returns what came of the work.
    ///
    /// The work is dropped, wherever it awaits something, when the Lease is lost, or when less than `margin` is left of the
    /// grant because renewals fail: so it has that long to clean up in its destructors. As long as no renewal is known to
    /// fail, a margin counts for no more than half of what is left when one is due, so a wide one costs nothing while all is
    /// well. Zero is a good margin for most: after the grant a third of the lease duration passes, by default, before somebody
    /// else may begin.
    ///
    /// Work that does not await cannot be stopped, and neither can tasks that it has spawned: such work looks at its
    /// [clock](Client::clock) and at [`Grant::valid_until`], which tells nothing of later renewals, or belongs to a
    /// [`Keeper`], which can be asked.
    ///
    /// A release after work that was done is awaited for a second at most, so that a program may end after this; then, and
    /// where the Lease was lost, it goes on in the background.
    ///
    /// # Errors
    ///
    /// Says why the Lease was lost before the work was done; [`Loss::AtRisk`] where less than `margin` was left. What work
    /// that could not be stopped came to is dropped.
    ///
    /// # Cancel safety
    ///
    /// The work is dropped, and the release goes on in the background. If it was being released already, what came of the work
    /// is dropped too.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use lease_tokio::{Client, proto::Config};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::try_default()?;
    /// let config = Config::builder(client.namespace(), "migration", "me").build()?;
    /// let guard = client.acquire(config).await?;
    /// let rows = guard
    ///     .run_while_held(Duration::ZERO, |grant| async move {
    ///         println!("token {:?}", grant.token);
    ///         42
    ///     })
    ///     .await?;
    /// println!("{rows} rows");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run_while_held<F: Future>(
        self,
        margin: Duration,
        work: impl FnOnce(Grant) -> F,
    ) -> Result<F::Output, Lost> {
        let Some(grant) = self.keeper.grant() else {
            return Err(Lost::new(self.loss()));
        };
        let outcome = self.keeper.shared().run(TENURE, margin, work(grant)).await;
        if outcome.is_ok() {
            let _late = tokio::time::timeout(RELEASE, self.release()).await;
        }
        outcome
    }

    /// Waits for the next event of the tenure; `None` once it is over and all have been taken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next_event(&self) -> Option<Event> {
        self.keeper.next_event().await
    }

    /// Reads the record, and returns once it is known to name this claimant still.
    ///
    /// What was read for an earlier call, or for another reason, does not count.
    ///
    /// # Errors
    ///
    /// Says why the Lease is not held any more, or that no answer came before the grant ended that it had when this was
    /// called, whether or not that has been renewed.
    ///
    /// # Cancel safety
    ///
    /// The look goes on in the background.
    pub async fn verify(&self) -> Result<(), VerifyError> {
        let shared = self.keeper.shared();
        let until = self.keeper.clock().now() + self.remaining();
        let look = shared.ask();
        self.keeper.verify(look);
        let answer = shared.wait(Some(until), |ledger| {
            let is_over = ledger.has_ended() || ledger.loss().is_some();
            (is_over || shared.has_looked(look)).then_some(())
        });
        let answered = answer.await.is_some();
        self.check().map_err(VerifyError::Lost)?;
        if answered {
            Ok(())
        } else {
            Err(VerifyError::NoAnswer)
        }
    }

    /// Gives the Lease up, and waits until that is over, no longer than the renew deadline.
    ///
    /// Returns how it ended: `None` if it was lost before. From the first moment on nothing is held. While the API server is away
    /// it is tried again until the renew deadline, and then it ends as [`Released::Unconfirmed`]: others take the Lease when it
    /// has expired.
    ///
    /// # Cancel safety
    ///
    /// The release goes on in the background, for as long as the runtime lasts. So a deadline of one's own may bound it:
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
    /// let guard = client.acquire(config).await?;
    /// tokio::select! {
    ///     loss = guard.lost() => println!("not leading any more: {loss}"),
    ///     () = shutdown.cancelled() => {}
    ///     () = lead() => {}
    /// }
    /// // By here the work has stopped, and the Lease may go: at once, unless the API server is away.
    /// match tokio::time::timeout(Duration::from_secs(3), guard.release()).await {
    ///     Ok(Some(released)) => println!("{released}"),
    ///     Ok(None) => println!("it was lost before"),
    ///     Err(_) => println!("the API server is away, so the Lease is left to expire"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn release(self) -> Option<Released> {
        self.keeper.release().await
    }

    /// The same, and leaves something in the record: see [`Keeper::release_with`].
    ///
    /// # Cancel safety
    ///
    /// The release goes on in the background, for as long as the runtime lasts.
    pub async fn release_with(self, parting: Parting) -> Option<Released> {
        self.keeper.release_with(parting).await
    }

    /// The same, and leaves the Lease to `successor` for a while: see [`Keeper::hand_over`].
    ///
    /// # Cancel safety
    ///
    /// The release goes on in the background, for as long as the runtime lasts.
    pub async fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released> {
        self.keeper.hand_over(successor, patience).await
    }

    fn loss(&self) -> Loss {
        self.keeper
            .shared()
            .ledger()
            .loss_of(TENURE)
            .unwrap_or(Loss::Expired)
    }
}

/// A guard is of its keeper's first tenure and of no other.
const TENURE: u64 = 1;
/// How long a release is awaited before what came of the work is handed out.
const RELEASE: Duration = Duration::from_secs(1);
