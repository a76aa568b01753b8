//! Many Leases in one process: one thread that drives them, a few that carry their requests, and a handle for each.

mod driver;
mod member;
pub(crate) mod pool;
mod state;

use std::{fmt, io, sync::Arc, time::Duration};

use lease_proto::{AcquireError, Config, Patience, Plan, SetLimits};

use self::state::Inner;
pub(crate) use self::state::Seat;
use crate::{Client, Clock, Guard, Keeper};

/// Keeps any number of claims going: the shards, tenants or volumes that a process owns.
///
/// Each has a handle of its own, the same [`Keeper`] or [`Guard`] that [`Client::keep`] and [`Client::acquire`] return, with
/// the same promises. What they share: one thread, `lease-set`; a bound on the requests under way, where those go first whose
/// grant ends first; renewals that are spread over the interval instead of coming in bursts; and one stream of changes for
/// those of one namespace that wait. Claims whose requests hang do not keep others from renewing:
/// [`SetLimits::requests`] says how many that may be.
///
/// Dropping it ends nothing: what was handed out is kept for as long as its handle lives. Dropping a handle waits for its
/// release, as ever: to give many Leases up, [stop](Keeper::stop) all their keepers before the first is dropped.
///
/// # Threads
///
/// A request has a thread, `lease-request`, until it is answered; then that carries others, and ends once there were none for
/// ten seconds. So there are as many as there were requests at once, which is seldom what is allowed: of a thousand Leases,
/// each renewed every five seconds by an answer that takes 10 ms, there are two at once on average, and seldom ten. A stream
/// has a thread, `lease-watch`, while it is open. Over the built-in transport each of these threads has a connection.
///
/// By default, with [`SetLimits::default`], that is at most 64 threads for requests, and 32 for streams, of which only those
/// have one that wait. Where that is too much, 16 and 4 will do for some thousand Leases of one namespace, of whose four streams
/// one is kept for being shared: `SetLimits::default().requests(16).streams(4)`.
///
/// A transport that was given, and does not keep to its timeouts, keeps its threads beyond that: three for the requests of one
/// claim and 64 in all, and as many for streams. Where there are so many, further requests fail at once, without being sent.
///
/// ```no_run
/// use lease_blocking::{Client, proto::{Config, SetLimits}};
///
/// let client = Client::try_default()?;
/// let set = client.claim_set(SetLimits::default().requests(16).streams(4))?;
/// let mut shards = Vec::new();
/// for shard in 0..1_000 {
///     let config = Config::builder(client.namespace(), format!("shard-{shard}"), "me").build()?;
///     shards.push(set.keep(config));
/// }
/// let held = shards.iter().filter(|keeper| keeper.is_held()).count();
/// println!("{held} of {} are ours by now", set.len());
///
/// // All at once, rather than one after the other.
/// shards.iter().for_each(lease_blocking::Keeper::stop);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClaimSet {
    inner: Arc<Inner>,
}

impl Client {
    /// Makes a set without claims, and the thread that will drive them.
    ///
    /// # Errors
    ///
    /// Fails if the system has no thread to give.
    pub fn claim_set(&self, limits: SetLimits) -> io::Result<ClaimSet> {
        let (inner, inbox) = Inner::new(self, limits);
        let inner = Arc::new(inner);
        let thread = driver::start(Arc::clone(&inner), inbox)?;
        inner.is_driven_by(thread);
        Ok(ClaimSet { inner })
    }
}

impl ClaimSet {
    /// Campaigns for a Lease in the background, for ever, as [`Client::keep`] does.
    pub fn keep(&self, config: Config) -> Keeper {
        self.inner.add(config, Patience::Forever, Plan::Forever)
    }

    /// Waits until a Lease is held, for as long as it takes, as [`Client::acquire`] does.
    ///
    /// # Errors
    ///
    /// Fails if it cannot succeed as things are: [`AcquireError::Failed`] says what is missing.
    pub fn acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.hold(config, Patience::Forever)
    }

    /// Acquires a Lease if it is free now, as [`Client::try_acquire`] does.
    ///
    /// # Errors
    ///
    /// Fails with [`AcquireError::Held`] if somebody else holds it, and as [`acquire`](Self::acquire) does.
    pub fn try_acquire(&self, config: Config) -> Result<Guard, AcquireError> {
        self.hold(config, Patience::Once)
    }

    /// Waits until a Lease is held, but not longer than `timeout`, as [`Client::acquire_timeout`] does.
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
        self.hold(config, patience)
    }

    /// Returns how many claims there are: those whose handles live, and those that are still being released.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hold(&self, config: Config, patience: Patience) -> Result<Guard, AcquireError> {
        Guard::of(self.inner.add(config, patience, Plan::OnceOrFail))
    }
}

impl Drop for ClaimSet {
    fn drop(&mut self) {
        self.inner.close();
        self.inner.join();
    }
}

impl fmt::Debug for ClaimSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
