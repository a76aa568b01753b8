//! What one claimant wants, checked once where it is said.

mod builder;
mod error;

use std::{collections::VecDeque, ops::Deref, sync::Arc, time::Duration};

pub use self::builder::ConfigBuilder;
pub use self::error::ConfigError;
use crate::wire::{Identity, LeaseName, Namespace};

/// How far the rate of any two machines' clocks is assumed to differ from true time: 1000 ppm, twice what Linux slews by.
pub(crate) const CLOCK_DRIFT_PPM: u32 = 1_000;

/// The shortest lease that observers built on client-go can be kept from taking, and so the shortest by default.
pub(crate) const SHORTEST_WITH_FOREIGN_OBSERVERS: Duration = Duration::from_secs(3);

/// The shortest grant that can be renewed where no two renewals are made in the same second.
pub(crate) const SHORTEST_GRANT: Duration = Duration::from_millis(1_500);

/// The longest for which a waiter is believed to be alive after it has said so, whatever it says.
pub(crate) const LONGEST_CANDIDACY: Duration = Duration::from_secs(15);

/// The name under which writes are made whose `renewTime` is the later of both clocks, so that others may judge it by both.
pub(crate) const FIELD_MANAGER: &str = "lease-proto";

/// The name under which all other writes are made, which nobody may judge by clocks.
pub(crate) const UNTIMED_FIELD_MANAGER: &str = "lease-proto-untimed";

/// What one claimant wants: which Lease, under which name, with which timings.
///
/// Made by [`Config::builder`], and valid from there on.
///
/// ```
/// use std::time::Duration;
///
/// use lease_proto::Config;
///
/// let config = Config::builder("default", "leader", "me").build()?;
/// assert_eq!(config.lease_duration(), Duration::from_secs(15));
/// assert_eq!(config.renew_deadline(), Duration::from_secs(10));
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Config {
    pub(crate) name: LeaseName,
    /// All the rest, which many claims may have in common.
    pub(crate) terms: Arc<Terms>,
}

/// What one claimant wants of a Lease, but for its name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    unnameable_types,
    reason = "the target of a `Deref` must be public; it shows nothing"
)]
pub struct Terms {
    pub(crate) namespace: Namespace,
    pub(crate) identity: Identity,
    pub(crate) unique_identity: bool,
    pub(crate) reclaim_own_identity: bool,
    pub(crate) whole_second_observers: bool,
    pub(crate) lease_duration: Duration,
    pub(crate) renew_deadline: Duration,
    pub(crate) renew_interval: Duration,
    pub(crate) retry_period: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_clock_skew: Duration,
    pub(crate) acquire_retries: u32,
    pub(crate) acquire_retry_delay: Duration,
    pub(crate) write_method: WriteMethod,
    pub(crate) on_release: OnRelease,
    pub(crate) watch: bool,
    pub(crate) watch_while_held: bool,
    pub(crate) server_time: bool,
    pub(crate) renewable: bool,
    pub(crate) count_renewals: bool,
    pub(crate) priority: Option<i32>,
}

#[doc(hidden)]
impl Deref for Config {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl Config {
    /// Begins a configuration for the Lease `name` in `namespace`, claimed by `identity`.
    ///
    /// Nothing is checked before [`ConfigBuilder::build`].
    pub fn builder(
        namespace: impl Into<String>,
        name: impl Into<String>,
        identity: impl Into<String>,
    ) -> ConfigBuilder {
        ConfigBuilder::new(namespace.into(), name.into(), identity.into())
    }

    /// Returns the namespace of the Lease.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns the name of the Lease.
    pub fn name(&self) -> &LeaseName {
        &self.name
    }

    /// Returns the identity as configured; [`Claim::identity`](crate::Claim::identity) is what stands in the record.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns for how long after a renewal nobody else may take the Lease.
    pub fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// Returns for how long after a renewal the holder may act as the holder, but for the margins.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// Returns the time from one renewal to the next.
    pub fn renew_interval(&self) -> Duration {
        self.renew_interval
    }

    /// Returns the time between two looks of a waiting claimant that is not told of changes, and the longest pause after a failure.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// Returns the longest that one request may take.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Returns the priority with which it waits, if it waits with one.
    pub fn priority(&self) -> Option<i32> {
        self.priority
    }

    /// Returns for how long a waiter with a priority is believed to be alive after it has said so, and for how long others hold
    /// back for it: a third of the lease duration or twice the retry period, whichever is longer, in whole seconds, and 15 s
    /// at the most: whoever waits for a Lease of hours is not to be waited for that long.
    pub fn candidate_duration(&self) -> Duration {
        let duration = (self.lease_duration / 3).max(self.retry_period * 2);
        Duration::from_secs(whole_seconds(duration).unsigned_abs()).min(LONGEST_CANDIDACY)
    }

    /// Returns the seconds that are published in the record: the lease duration, rounded up.
    pub fn published_seconds(&self) -> i64 {
        whole_seconds(self.lease_duration)
    }

    /// Returns how long a grant lasts, counted from the moment at which the write that earned it was handed out.
    ///
    /// It is the lease duration, shortened by what two clocks may drift apart meanwhile (ours may be slow, an
    /// observer's fast) and by the configured skew, and never longer than the renew deadline.
    pub fn grant_length(&self) -> Duration {
        self.grant_length_of(self.lease_duration)
    }

    /// Has the terms in common with a configuration before it, if they are the same as one of the last few.
    pub(crate) fn share(&mut self, known: &mut VecDeque<Arc<Terms>>) {
        const KEPT: usize = 8;
        if let Some(same) = known.iter().find(|known| **known == self.terms) {
            self.terms = Arc::clone(same);
            return;
        }
        known.truncate(KEPT - 1);
        known.push_front(Arc::clone(&self.terms));
    }

    /// Returns the same for a write that has observers wait for `lease_duration`.
    pub(crate) fn grant_length_of(&self, lease_duration: Duration) -> Duration {
        let drift = lease_duration * (2 * CLOCK_DRIFT_PPM) / 1_000_000;
        let length = lease_duration.saturating_sub(drift);
        length
            .saturating_sub(self.max_clock_skew)
            .min(self.renew_deadline)
    }
}

/// With which kind of request a record is rewritten.
///
/// ```
/// use lease_proto::{Config, WriteMethod};
///
/// // For a Role that grants patch and not update.
/// let config = Config::builder("default", "leader", "me").write_method(WriteMethod::Patch).build()?;
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum WriteMethod {
    /// `PUT` of the whole object: needs the verbs get, create and update, which Roles for leader election grant.
    #[default]
    Put,
    /// `PATCH` of the fields that change: needs get, create and patch.
    Patch,
}

/// What becomes of the record when the Lease is released.
///
/// ```
/// use lease_proto::{Config, OnRelease};
///
/// // One Lease for each job, which is not to be left behind.
/// let config = Config::builder("jobs", "job-4711", "me").on_release(OnRelease::Delete).build()?;
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum OnRelease {
    /// The holder is cleared, so that the next claimant need not wait.
    #[default]
    Clear,
    /// The holder is cleared and then the object is deleted, provided that nobody took it in between.
    ///
    /// Needs the verb delete; without it the record stays, cleared.
    Delete,
    /// Nothing is written: the next claimant waits until the Lease has expired.
    Expire,
}

impl Config {
    fn check_timings(&self) -> Result<(), ConfigError> {
        let grant_length = self.grant_length();
        let tick = Duration::from_millis(1);
        if self.whole_second_observers && grant_length < SHORTEST_GRANT {
            return Err(ConfigError::GrantTooShort { grant_length });
        }
        if self.renew_interval < tick || self.renew_interval >= grant_length {
            return Err(ConfigError::RenewIntervalOutOfRange {
                renew_interval: self.renew_interval,
                grant_length,
            });
        }
        if self.retry_period < tick || self.retry_period >= self.renew_deadline {
            return Err(ConfigError::RetryPeriodOutOfRange {
                retry_period: self.retry_period,
                renew_deadline: self.renew_deadline,
            });
        }
        if self.acquire_retry_delay > self.lease_duration {
            return Err(ConfigError::AcquireRetryDelayTooLong {
                acquire_retry_delay: self.acquire_retry_delay,
                lease_duration: self.lease_duration,
            });
        }
        if self.request_timeout < tick || self.request_timeout >= self.renew_deadline {
            return Err(ConfigError::RequestTimeoutOutOfRange {
                request_timeout: self.request_timeout,
                renew_deadline: self.renew_deadline,
            });
        }
        Ok(())
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    i64::try_from(duration.as_secs().saturating_add(up)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
