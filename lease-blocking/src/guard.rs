//! A Lease that is held: renewed in the background, released when dropped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lease_proto::{
    Config, Event, FencingToken, GaveUp, Grant, Identity, Loss, Parting, Patience, Plan, Released,
};

use crate::{
    AcquireError, Claim, Client, Clock, Keeper, Lost, LostWork, Tenure, VerifyError, task,
};

/// A Lease that is held, for as long as [`is_held`](Self::is_held) says so.
///
/// A thread renews it. Dropping it releases it and waits for that, no longer than the renew deadline; so does a panic.
///
/// ```no_run
/// use std::time::Duration;
///
/// use lease_blocking::{Client, proto::Config};
///
/// let client = Client::try_default()?;
/// let config = Config::builder(client.namespace(), "nightly-report", "me").build()?;
/// let guard = client.acquire_timeout(config, Duration::from_secs(300))?;
/// for part in 0..100 {
///     guard.check()?; // some tens of nanoseconds
///     println!("part {part}, token {:?}", guard.token());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
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
    pub fn acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.claim(config).hold(Patience::Forever)
    }

    /// Acquires the Lease if it is free now.
    ///
    /// # Errors
    ///
    /// Fails with [`AcquireError::Held`] if somebody else holds it, and as [`acquire`](Self::acquire) does.
    pub fn try_acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.claim(config).hold(Patience::Once)
    }

    /// Waits until the Lease is held, but not longer than `timeout`.
    ///
    /// Where a write of this claim was not answered by then, it may have been carried out: what is to be given back by that is
    /// given back first, which takes as long as a request may take, at the most.
    ///
    /// # Errors
    ///
    /// Fails with [`AcquireError::TimedOut`] if somebody else held it all the time, and as [`acquire`](Self::acquire) does.
    pub fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Guard, AcquireError> {
        let until = Clock::new().now().checked_add(timeout);
        let patience = until.map_or(Patience::Forever, Patience::Until);
        self.claim(config).hold(patience)
    }
}

impl Claim {
    /// Acquires the Lease, and renews it, on a thread of its own.
    ///
    /// # Errors
    ///
    /// Says why the Lease is not held. A write whose outcome was not known has been undone, as far as that could be.
    pub fn hold(mut self, patience: Patience) -> Result<Guard, AcquireError> {
        self.acquire(patience);
        Guard::of(task::start(self, Plan::OnceOrFail).map_err(Arc::new)?)
    }
}

impl Guard {
    /// Waits until a keeper's claim is held, or says why it is not.
    pub(crate) fn of(keeper: Keeper) -> Result<Self, AcquireError> {
        let outcome = keeper
            .shared()
            .wait(None, |ledger| match ledger.acquired() {
                Some(grant) => Some(Ok(grant)),
                None => ledger.has_ended().then(|| Err(ledger.take_error())),
            });
        match outcome {
            Some(Ok(acquired)) => Ok(Self { keeper, acquired }),
            Some(Err(Some(error))) => Err(error),
            Some(Err(None)) | None => Err(AcquireError::GaveUp(GaveUp::Stopped)),
        }
    }

    /// Returns whether the Lease is held now.
    ///
    /// It is a look at a clock: true to the grant even while the thread that renews is stuck.
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

    /// Returns when the grant ends, on the clock of [`Clock::now`]; the past if it has ended.
    pub fn valid_until(&self) -> Instant {
        Clock::new().now() + self.remaining()
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

    /// Waits until the Lease is lost, and says why; `None` if it is still held after `timeout`.
    ///
    /// Returns at the end of the grant even if the thread that renews is stuck.
    pub fn wait_lost(&self, timeout: Duration) -> Option<Loss> {
        let until = Clock::new().now().checked_add(timeout);
        self.keeper
            .shared()
            .lost(TENURE, until, Duration::ZERO, false)
    }

    /// Does `work` for as long as the Lease is held, then releases the Lease, and returns what came of the work.
    ///
    /// No thread can be stopped from outside, so the work is given a [`Tenure`] to [check](Tenure::check) wherever it can stop,
    /// and to [wait](Tenure::wait_lost) with instead of sleeping. That tells it to stop when the Lease is lost, or when less than
    /// `margin` is left of the grant because renewals fail: so it has that long to clean up. As long as no renewal is known to
    /// fail, a margin counts for no more than half of what is left when one is due, so a wide one costs nothing while all is
    /// well. Choose what the longest stretch between two checks takes; and zero is a good margin for most: after the grant a
    /// third of the lease duration passes, by default, before somebody else may begin.
    ///
    /// Work is not begun if the Lease is lost by then, or less than `margin` is left of it.
    ///
    /// The release is waited for a second at most, so that a program may end after this; then it goes on in the background. If
    /// the work panics, so does this, and the guard is dropped.
    ///
    /// # Errors
    ///
    /// Says why the Lease was lost before the work was done, and [hands back](LostWork::into_output) what it came to: after a
    /// loss that does not count. Nor does it if the work was told to stop, though the Lease may have been held to its end
    /// ([`Loss::AtRisk`]): nobody but the work knows what it has left out.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use lease_blocking::{Client, proto::Config};
    ///
    /// let client = Client::try_default()?;
    /// let config = Config::builder(client.namespace(), "migration", "me").build()?;
    /// let rows = client.acquire(config)?.run_while_held(Duration::ZERO, |tenure| {
    ///     (0..100).take_while(|_row| tenure.check().is_ok()).count()
    /// })?;
    /// println!("all {rows} rows");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_while_held<T>(
        mut self,
        margin: Duration,
        work: impl FnOnce(&Tenure) -> T,
    ) -> Result<T, LostWork<T>> {
        let outcome = match self.keeper.grant() {
            Some(grant) => self.keeper.tenure(TENURE, margin, grant).run(work),
            None => Err(LostWork::never_begun(Lost::new(self.loss()))),
        };
        self.keeper.finish(RELEASE);
        outcome
    }

    /// Waits for the next event of the tenure, but not longer than `timeout`.
    pub fn next_event_timeout(&self, timeout: Duration) -> Option<Event> {
        self.keeper.next_event_timeout(timeout)
    }

    /// Reads the record, and returns once it is known to name this claimant still.
    ///
    /// What was read for an earlier call, or for another reason, does not count.
    ///
    /// # Errors
    ///
    /// Says why the Lease is not held any more, or that no answer came before the grant ended that it had when this was
    /// called, whether or not that has been renewed.
    pub fn verify(&self) -> Result<(), VerifyError> {
        let shared = self.keeper.shared();
        let until = Clock::new().now() + self.remaining();
        let look = shared.ask();
        self.keeper.verify(look);
        let answer = shared.wait(Some(until), |ledger| {
            let is_over = ledger.has_ended() || ledger.loss().is_some();
            (is_over || shared.has_looked(look)).then_some(())
        });
        let answered = answer.is_some();
        self.check().map_err(VerifyError::Lost)?;
        if answered {
            Ok(())
        } else {
            Err(VerifyError::NoAnswer)
        }
    }

    /// Gives the Lease up, and waits until that is over, no longer than the renew deadline.
    ///
    /// Returns how it ended: `None` if it was lost before.
    pub fn release(self) -> Option<Released> {
        self.keeper.release()
    }

    /// The same, and leaves something in the record: see [`Keeper::release_with`].
    pub fn release_with(self, parting: Parting) -> Option<Released> {
        self.keeper.release_with(parting)
    }

    /// The same, and leaves the Lease to `successor` for a while: see [`Keeper::hand_over`].
    pub fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released> {
        self.keeper.hand_over(successor, patience)
    }

    fn loss(&self) -> Loss {
        let ledger = self.keeper.shared().ledger();
        ledger.loss_of(TENURE).unwrap_or(Loss::Expired)
    }
}

/// A guard is of its keeper's first tenure and of no other.
const TENURE: u64 = 1;
/// How long a release is waited for before what came of the work is handed out.
const RELEASE: Duration = Duration::from_secs(1);
