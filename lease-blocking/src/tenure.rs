//! Work that is done for as long as a Lease is held: what it is told, and what becomes of its result.

use std::{
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use lease_proto::{FencingToken, Grant, Loss};

use crate::{Clock, Lost, shared::Shared};

/// The time for which work may go on, as [`Guard::run_while_held`](crate::Guard::run_while_held) and
/// [`Keeper::run_while_held`](crate::Keeper::run_while_held) hand it to the work: of one tenure, and less a margin.
///
/// Clones are cheap, and go to other threads of the same work. What one of them was told counts for all.
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// use std::time::Duration;
///
/// use lease_blocking::{Client, Tenure, proto::Config};
///
/// fn work(tenure: &Tenure) -> u32 {
///     (0..100).take_while(|_part| tenure.check().is_ok()).count() as u32
/// }
///
/// let client = Client::in_memory();
/// let guard = client.acquire(Config::builder(client.namespace(), "nightly", "me").build()?)?;
/// let parts = guard.run_while_held(Duration::from_secs(1), work)?;
/// assert_eq!(parts, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tenure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    number: u64,
    margin: Duration,
    grant: Grant,
    /// Why the work was told to stop.
    told: OnceLock<Loss>,
}

impl Tenure {
    pub(crate) fn new(shared: Arc<Shared>, number: u64, margin: Duration, grant: Grant) -> Self {
        Self(Arc::new(Inner {
            shared,
            number,
            margin,
            grant,
            told: OnceLock::new(),
        }))
    }

    /// Returns an error as soon as the work has to stop: the Lease was lost, or less than the margin is left of the grant
    /// because renewals fail ([`Loss::AtRisk`]), or its keeper was told to stop ([`Loss::Released`]). Costs some tens of nanoseconds.
    ///
    /// Once it has returned an error it returns that for ever, even if renewals succeed again: work that was told to stop is
    /// over.
    ///
    /// # Errors
    ///
    /// Says why the work has to stop.
    pub fn check(&self) -> Result<(), Lost> {
        if let Some(told) = self.0.told.get() {
            return Err(Lost::new(told.clone()));
        }
        let Inner {
            shared,
            number,
            margin,
            ..
        } = &*self.0;
        let stopped = || shared.is_stopping().then_some(Loss::Released);
        match shared.loss_past(*number, *margin).or_else(stopped) {
            Some(loss) => Err(Lost::new(self.tell(loss))),
            None => Ok(()),
        }
    }

    /// Waits until the work has to stop, and says why; `None` if it may still go on after `timeout`. It is what work sleeps
    /// with.
    ///
    /// Returns in time even if the thread that renews is stuck.
    pub fn wait_lost(&self, timeout: Duration) -> Option<Loss> {
        if let Some(told) = self.0.told.get() {
            return Some(told.clone());
        }
        let until = Clock::new().now().checked_add(timeout);
        let loss = self
            .0
            .shared
            .lost(self.0.number, until, self.0.margin, true)?;
        Some(self.tell(loss))
    }

    /// Returns the grant as it was when the work began; of later renewals [`valid_until`](Self::valid_until) tells.
    pub fn grant(&self) -> &Grant {
        &self.0.grant
    }

    /// Returns the fencing token of this tenure.
    pub fn token(&self) -> Option<FencingToken> {
        self.0.grant.token
    }

    /// Returns when the grant ends, on the clock of [`Clock::now`], the margin not taken off; the past if the work has to
    /// stop.
    pub fn valid_until(&self) -> Instant {
        Clock::new().now() + self.remaining()
    }

    /// Returns how much is left of the grant, the margin not taken off; zero if the work has to stop.
    pub fn remaining(&self) -> Duration {
        match self.check() {
            Ok(()) => self.0.shared.remaining(),
            Err(_) => Duration::ZERO,
        }
    }

    /// Does `work`, unless the Lease is lost already.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, LostWork<T>> {
        if let Err(lost) = self.check() {
            return Err(LostWork::never_begun(lost));
        }
        let output = work(self);
        let told = self.0.told.get().cloned();
        let loss = told.or_else(|| self.0.shared.loss_past(self.0.number, Duration::ZERO));
        match loss {
            Some(loss) => Err(LostWork {
                lost: Lost::new(loss),
                output: Some(output),
            }),
            None => Ok(output),
        }
    }

    /// Remembers what the work is told first.
    fn tell(&self, loss: Loss) -> Loss {
        self.0.told.get_or_init(|| loss).clone()
    }
}

/// Work did not come to its end while the Lease was held.
///
/// ```
/// use lease_blocking::LostWork;
///
/// fn tell(outcome: Result<u32, LostWork<u32>>) {
///     match outcome {
///         Ok(parts) => println!("all {parts} parts are done"),
///         Err(lost) => {
///             println!("stopped: {}", lost.loss());
///             println!("{:?} parts were done", lost.into_output());
///         }
///     }
/// }
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct LostWork<T> {
    lost: Lost,
    output: Option<T>,
}

impl<T> LostWork<T> {
    pub(crate) fn never_begun(lost: Lost) -> Self {
        Self { lost, output: None }
    }

    /// Returns why.
    pub fn loss(&self) -> &Loss {
        self.lost.loss()
    }

    /// Returns what came of the work all the same, too late to count; `None` if it was never begun.
    pub fn into_output(self) -> Option<T> {
        self.output
    }
}

impl<T> From<LostWork<T>> for Lost {
    fn from(work: LostWork<T>) -> Self {
        work.lost
    }
}

impl<T> fmt::Debug for LostWork<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LostWork")
            .field("lost", &self.lost)
            .field("was_begun", &self.output.is_some())
            .finish()
    }
}

impl<T> fmt::Display for LostWork<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.output {
            Some(_) => write!(
                f,
                "{}; what came of the work does not count",
                self.lost.loss()
            ),
            None => write!(f, "{}; the work was not begun", self.lost.loss()),
        }
    }
}

/// Its message has the loss in it, so there is no source.
impl<T> Error for LostWork<T> {}
