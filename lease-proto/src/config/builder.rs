//! How a configuration is said, with a default for everything that need not be.

use std::{sync::Arc, time::Duration};

use super::{
    Config, ConfigError, OnRelease, SHORTEST_WITH_FOREIGN_OBSERVERS, Terms, WriteMethod,
    whole_seconds,
};
use crate::wire::{Identity, LeaseName, Namespace};

/// What defaults of long Leases end at: whoever holds one for hours is not to wait for minutes after one failure, or for an answer.
const LONGEST_RETRY_PERIOD: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds a [`Config`].
///
/// ```
/// use std::time::Duration;
///
/// use lease_proto::{Config, ConfigBuilder, OnRelease};
///
/// let builder: ConfigBuilder = Config::builder("default", "db-migration", "me");
/// let config = builder
///     .lease_duration(Duration::from_secs(30))
///     .on_release(OnRelease::Delete)
///     .priority(10)
///     .build()?;
/// assert_eq!(config.renew_interval(), Duration::from_secs(10));
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct ConfigBuilder {
    namespace: String,
    name: String,
    identity: String,
    unique_identity: Option<bool>,
    reclaim_own_identity: bool,
    whole_second_observers: bool,
    lease_duration: Duration,
    renew_deadline: Option<Duration>,
    renew_interval: Option<Duration>,
    retry_period: Option<Duration>,
    request_timeout: Option<Duration>,
    max_clock_skew: Duration,
    acquire_retries: u32,
    acquire_retry_delay: Duration,
    write_method: WriteMethod,
    on_release: OnRelease,
    watch: bool,
    watch_while_held: bool,
    server_time: bool,
    renewable: bool,
    count_renewals: bool,
    priority: Option<i32>,
}

impl ConfigBuilder {
    pub(super) fn new(namespace: String, name: String, identity: String) -> Self {
        Self {
            namespace,
            name,
            identity,
            unique_identity: None,
            reclaim_own_identity: false,
            whole_second_observers: true,
            lease_duration: Duration::from_secs(15),
            renew_deadline: None,
            renew_interval: None,
            retry_period: None,
            request_timeout: None,
            max_clock_skew: Duration::ZERO,
            acquire_retries: 3,
            acquire_retry_delay: Duration::from_millis(100),
            write_method: WriteMethod::Put,
            on_release: OnRelease::Clear,
            watch: true,
            watch_while_held: false,
            server_time: true,
            renewable: true,
            count_renewals: false,
            priority: None,
        }
    }

    /// Sets for how long after a renewal nobody else may take the Lease. Defaults to 15 s.
    ///
    /// The record names it in whole seconds, rounded up.
    pub fn lease_duration(mut self, value: Duration) -> Self {
        self.lease_duration = value;
        self
    }

    /// Sets for how long after a renewal the holder may act as the holder. Defaults to two thirds of the lease duration.
    ///
    /// What is left of the lease duration is the application's time to stop before anyone else may start. It may be as
    /// long as the lease duration where nothing needs that time, such as a command that is killed at the deadline.
    pub fn renew_deadline(mut self, value: Duration) -> Self {
        self.renew_deadline = Some(value);
        self
    }

    /// Sets the time from one renewal to the next. Defaults to one third of the lease duration.
    pub fn renew_interval(mut self, value: Duration) -> Self {
        self.renew_interval = Some(value);
        self
    }

    /// Sets the time between two looks of a waiting claimant that is not told of changes, which is also the longest pause after a
    /// failure; whoever waits pauses half as long again, so as not to ask more often by that.
    /// Defaults to two fifteenths of the lease duration, 2 s of 15 s, and to 10 s at the most.
    ///
    /// It also bounds what a claim asks for its Lease whatever goes wrong and whoever is to blame, streams included: six requests at
    /// once, and from then on one in a quarter of this time; or in a tenth of the [`renew_interval`](Self::renew_interval), or in
    /// half a second, where that is shorter. Each beginning, [`Claim::release`](crate::Claim::release) and
    /// [`Claim::verify`](crate::Claim::verify) allow for what they need, and the last try that is of use to a holder is not put off.
    /// What waiting by [priority](Self::priority) asks besides is bounded in the same way.
    ///
    /// Where the server asks for a pause (`Retry-After`, in seconds or as a date, with 429 or another failure), the next try waits
    /// until it is over, or for a lease duration, if that is shorter. A holder whose grant would end meanwhile makes one try
    /// before that, of a look and a write if need be, in time for their answers. What is refused to a stream puts off no renewal,
    /// and commands are carried out at once.
    pub fn retry_period(mut self, value: Duration) -> Self {
        self.retry_period = Some(value);
        self
    }

    /// Sets the longest that one request may take. Defaults to half the renew deadline, and to 30 s at the most.
    ///
    /// While the Lease is held a request gets at most half of what is left of the grant, so that a hanging one leaves
    /// time for another; all of it, and be it more than this, where that would cut off an answer that takes as long as those of
    /// late did, or where nothing is answered of what a [`ClaimSet`](crate::ClaimSet) has sent.
    pub fn request_timeout(mut self, value: Duration) -> Self {
        self.request_timeout = Some(value);
        self
    }

    /// Sets how far the wall clocks of claimants that judge by them may disagree. Defaults to zero.
    ///
    /// Claimants of this library and of client-go do not; kubert, kube-leader-election, kube-lease-manager and fabric8
    /// do. Where they contend for the same Lease, a grant of ours ends this much earlier.
    pub fn max_clock_skew(mut self, value: Duration) -> Self {
        self.max_clock_skew = value;
        self
    }

    /// Sets whether a random suffix is put behind the identity. Defaults to true, or to false with
    /// [`reclaim_own_identity`](Self::reclaim_own_identity).
    ///
    /// Without it two processes that were given the same identity are told apart only by what they wrote.
    pub fn unique_identity(mut self, value: bool) -> Self {
        self.unique_identity = Some(value);
        self
    }

    /// Sets whether a record that names this identity is this claimant's own, whoever wrote it. Defaults to false.
    ///
    /// For commands that acquire, renew and release in separate processes. Whoever sets it promises that no two
    /// processes use the identity at once: they would both hold the Lease.
    pub fn reclaim_own_identity(mut self, value: bool) -> Self {
        self.reclaim_own_identity = value;
        self
    }

    /// Sets whether claimants built on client-go may contend for the Lease. Defaults to true.
    ///
    /// They see times cut to whole seconds, so that two renewals within one second are one to them. A grant then counts
    /// from the first write of its second, no two renewals are made in the same one, and a lease duration under 3 s is
    /// refused, since it could not be kept. Set it to false for shorter ones, where only this library contends.
    pub fn whole_second_observers(mut self, value: bool) -> Self {
        self.whole_second_observers = value;
        self
    }

    /// Sets how often a lost race or a failure is tried again when acquiring once. Defaults to 3.
    ///
    /// Whoever acquires until an instant or for ever tries until then.
    pub fn acquire_retries(mut self, value: u32) -> Self {
        self.acquire_retries = value;
        self
    }

    /// Sets the pause after a lost race. Defaults to 100 ms.
    pub fn acquire_retry_delay(mut self, value: Duration) -> Self {
        self.acquire_retry_delay = value;
        self
    }

    /// Sets with which kind of request the record is rewritten. Defaults to [`WriteMethod::Put`].
    pub fn write_method(mut self, value: WriteMethod) -> Self {
        self.write_method = value;
        self
    }

    /// Sets what becomes of the record on release. Defaults to [`OnRelease::Clear`].
    pub fn on_release(mut self, value: OnRelease) -> Self {
        self.on_release = value;
        self
    }

    /// Sets whether a waiting claimant has the API server tell it of changes. Defaults to true.
    ///
    /// It needs the verb `watch`, and costs one open request. Where it is refused, and without it, the record is looked at
    /// once in each [`retry_period`](Self::retry_period).
    pub fn watch(mut self, value: bool) -> Self {
        self.watch = value;
        self
    }

    /// Sets whether a holder has the API server tell it of changes too. Defaults to false.
    ///
    /// It then learns at once that the record was deleted or overwritten, instead of at its next renewal. One in which only the
    /// holder was cleared is written back at once, as at the next renewal. Does nothing without [`watch`](Self::watch).
    pub fn watch_while_held(mut self, value: bool) -> Self {
        self.watch_while_held = value;
        self
    }

    /// Sets whether a record that another claimant of this library wrote may be judged by its age. Defaults to true.
    ///
    /// What it says is compared with both the machine's wall clock and the API server's, as far as its answers' `Date`
    /// tells, so that no single wrong clock makes a live Lease look free. A Lease whose holder died is then free as soon as
    /// its duration and a margin of at least 4 s have passed since its last renewal, also for a claimant that has only just
    /// begun; without it, every claimant watches the record for its whole duration first. With false the records of this
    /// claimant are not judged so by others either.
    pub fn server_time(mut self, value: bool) -> Self {
        self.server_time = value;
        self
    }

    /// Sets whether the Lease is renewed while it is held. Defaults to true.
    ///
    /// Without that a tenure ends with its first grant, which the [renew deadline](Self::renew_deadline) bounds, and the record
    /// says so: nobody who resumes it renews it either. For work whose time is known, and which must not go on for longer.
    pub fn renewable(mut self, value: bool) -> Self {
        self.renewable = value;
        self
    }

    /// Sets whether the record says how often the Lease was renewed in this tenure. Defaults to false.
    pub fn count_renewals(mut self, value: bool) -> Self {
        self.count_renewals = value;
        self
    }

    /// Sets with which priority it waits: whoever has a higher one goes first, and of those with the same whoever came first.
    /// Defaults to none.
    ///
    /// Nobody's tenure is cut short for that. A waiter with a priority announces itself in a Lease of its own beside the
    /// contested one (see [`Candidate`](crate::Candidate)), and looks at those of others before it takes what has become free. It
    /// holds back for whoever goes before it, for one [candidate duration](Config::candidate_duration) for each of the first eight, and
    /// then goes itself, however many more there are.
    /// That is another request before each take-over, and while it waits two for each half of that duration.
    /// Waiters without a priority, and other clients, neither announce themselves nor hold back.
    ///
    /// Nobody starves while more important ones keep coming: whoever has waited out its [patience](crate::Candidate::patience), which is
    /// 240 lease durations, and three hours at the most, goes before all that come later.
    ///
    /// Needs the verbs create, get, update, list and delete on Leases of any name in the namespace. Without them it says
    /// [`Unranked`](crate::Event::Unranked), and goes on as if it had no priority. Where only delete is missing it says
    /// that once it does not wait any more: announcements stay behind, one for each process, until somebody who may deletes them;
    /// and a process that takes its own up again has waited since it was made.
    pub fn priority(mut self, value: impl Into<Option<i32>>) -> Self {
        self.priority = value.into();
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// Says which setting cannot work, with its value and what would.
    pub fn build(self) -> Result<Config, ConfigError> {
        let lease_duration = self.lease_duration;
        let reclaim_own_identity = self.reclaim_own_identity;
        let unique_identity = self.unique_identity.unwrap_or(!reclaim_own_identity);
        if lease_duration < Duration::from_secs(1)
            || whole_seconds(lease_duration) > i64::from(i32::MAX)
        {
            return Err(ConfigError::LeaseDurationOutOfRange { lease_duration });
        }
        if self.whole_second_observers && lease_duration < SHORTEST_WITH_FOREIGN_OBSERVERS {
            return Err(ConfigError::LeaseDurationTooShort { lease_duration });
        }
        if unique_identity && reclaim_own_identity {
            return Err(ConfigError::UniqueIdentityReclaimed);
        }
        let renew_deadline = self.renew_deadline.unwrap_or(lease_duration * 2 / 3);
        if renew_deadline > lease_duration {
            return Err(ConfigError::RenewDeadlineTooLong {
                renew_deadline,
                lease_duration,
            });
        }
        let terms = Terms {
            namespace: Namespace::new(self.namespace)?,
            identity: Identity::new(self.identity)?,
            unique_identity,
            reclaim_own_identity,
            whole_second_observers: self.whole_second_observers,
            lease_duration,
            renew_deadline,
            renew_interval: self.renew_interval.unwrap_or(lease_duration / 3),
            retry_period: self
                .retry_period
                .unwrap_or_else(|| (lease_duration * 2 / 15).min(LONGEST_RETRY_PERIOD)),
            request_timeout: self
                .request_timeout
                .unwrap_or_else(|| (renew_deadline / 2).min(LONGEST_TIMEOUT)),
            max_clock_skew: self.max_clock_skew,
            acquire_retries: self.acquire_retries,
            acquire_retry_delay: self.acquire_retry_delay,
            write_method: self.write_method,
            on_release: self.on_release,
            watch: self.watch,
            watch_while_held: self.watch_while_held,
            server_time: self.server_time,
            renewable: self.renewable,
            count_renewals: self.count_renewals,
            priority: self.priority,
        };
        let config = Config {
            name: LeaseName::new(self.name)?,
            terms: Arc::new(terms),
        };
        config.check_timings()?;
        Ok(config)
    }
}
