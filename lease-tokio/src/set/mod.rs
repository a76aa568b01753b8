//! Many Leases in one process: one task, one connection, one queue of timers, and a handle for each.

mod driver;
mod member;
mod state;

use std::{fmt, sync::Arc, time::Duration};

use lease_proto::{AcquireError, Config, Patience, Plan, SetLimits};

use self::state::Inner;
pub(crate) use self::state::Seat;
use crate::{Client, Guard, Keeper};

/// Keeps any number of claims going in one task: the shards, tenants or volumes that a process owns.
///
/// Each has a handle of its own, the same [`Keeper`] or [`Guard`] that [`Client::keep`] and [`Client::acquire`] return, with
/// the same promises. What they share: one task; a bound on the requests under way, where those go first whose grant ends
/// first; renewals that are spread over the interval instead of coming in bursts; and one stream of changes for those of
/// one namespace that wait. Claims whose requests hang do not keep others from renewing:
/// [`SetLimits::requests`] says how many that may be.
///
/// Dropping it ends nothing: what was handed out is kept for as long as its handle lives.
///
/// ```no_run
/// use lease_tokio::{Client, proto::{Config, SetLimits}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::try_default()?;
/// let set = client.claim_set(SetLimits::default());
/// let mut shards = Vec::new();
/// for shard in 0..1_000 {
///     let config = Config::builder(client.namespace(), format!("shard-{shard}"), "me").build()?;
///     shards.push(set.keep(config));
/// }
/// let held = shards.iter().filter(|keeper| keeper.is_held()).count();
/// println!("{held} of {} are ours by now", set.len());
/// # Ok(())
/// # }
/// ```
pub struct ClaimSet {
    inner: Arc<Inner>,
}

impl Client {
    /// Makes a set without claims, whose task begins at once.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    pub fn claim_set(&self, limits: SetLimits) -> ClaimSet {
        let inner = Arc::new(Inner::new(self, limits));
        driver::start(Arc::clone(&inner));
        ClaimSet { inner }
    }
}

impl ClaimSet {
    /// Campaigns for a Lease in the background, for ever, as [`Client::keep`] does.
    ///
    /// In a runtime that was shut down the keeper has [ended](Keeper::has_ended).
    pub fn keep(&self, config: Config) -> Keeper {
        self.inner.add(config, Patience::Forever, Plan::Forever)
    }

    /// Waits until a Lease is held, for as long as it takes, as [`Client::acquire`] does.
    ///
    /// # Errors
    ///
    /// Fails if it cannot succeed as things are: [`AcquireError::Failed`] says what is missing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the attempt; what may have been written by then is undone in the background.
    pub async fn acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.hold(config, Patience::Forever).await
    }

    /// Acquires a Lease if it is free now, as [`Client::try_acquire`] does.
    ///
    /// # Errors
    ///
    /// Fails with [`AcquireError::Held`] if somebody else holds it, and as [`acquire`](Self::acquire) does.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    pub async fn try_acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.hold(config, Patience::Once).await
    }

    /// Waits until a Lease is held, but not longer than `timeout`, as [`Client::acquire_timeout`] does.
    ///
    /// # Errors
    ///
    /// Fails with [`AcquireError::TimedOut`] if somebody else held it all the time, and as [`acquire`](Self::acquire) does.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    pub async fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Guard, AcquireError> {
        let until = self.inner.clock().now().checked_add(timeout);
        let patience = until.map_or(Patience::Forever, Patience::Until);
        self.hold(config, patience).await
    }

    /// Returns how many claims there are: those whose handles live, and those that are still being released.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    async fn hold(&self, config: Config, patience: Patience) -> Result<Guard, AcquireError> {
        Guard::of(self.inner.add(config, patience, Plan::OnceOrFail)).await
    }
}

impl Drop for ClaimSet {
    fn drop(&mut self) {
        self.inner.close();
    }
}

impl fmt::Debug for ClaimSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
