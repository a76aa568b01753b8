//! What one claimant wants, checked once where it is said.

use std::{fmt, time::Duration};

use crate::wire::{Identity, LeaseName, NameError, Namespace};

/// How far the rate of any two machines' clocks is assumed to differ from true time: 1000 ppm, twice what Linux slews by.
pub(crate) const CLOCK_DRIFT_PPM: u32 = 1_000;

/// The shortest lease that observers built on client-go can be kept from taking, and so the shortest by default.
pub(crate) const SHORTEST_WITH_FOREIGN_OBSERVERS: Duration = Duration::from_secs(3);

/// The name under which every write is made, so that its fields keep one owner whichever process writes.
pub(crate) const FIELD_MANAGER: &str = "lease-proto";

/// What one claimant wants: which Lease, under which name, with which timings.
///
/// Made by [`Config::builder`], and valid from there on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Config {
    pub(crate) namespace: Namespace,
    pub(crate) name: LeaseName,
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
        ConfigBuilder {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
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
        }
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

    /// Returns the time between two looks of a waiting claimant, and the longest pause after a failure.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// Returns the longest that one request may take.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
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
        let drift = self.lease_duration * (2 * CLOCK_DRIFT_PPM) / 1_000_000;
        let length = self.lease_duration.saturating_sub(drift);
        length
            .saturating_sub(self.max_clock_skew)
            .min(self.renew_deadline)
    }
}

/// With which kind of request a record is rewritten.
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

/// Builds a [`Config`].
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
}

impl ConfigBuilder {
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

    /// Sets the time between two looks of a waiting claimant, which is also the longest pause after a failure.
    /// Defaults to two fifteenths of the lease duration: 2 s of 15 s.
    pub fn retry_period(mut self, value: Duration) -> Self {
        self.retry_period = Some(value);
        self
    }

    /// Sets the longest that one request may take. Defaults to half the renew deadline.
    ///
    /// While the Lease is held a request gets at most half of what is left of the grant, so that a hanging one leaves
    /// time for another.
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
        let config = Config {
            namespace: Namespace::new(self.namespace)?,
            name: LeaseName::new(self.name)?,
            identity: Identity::new(self.identity)?,
            unique_identity,
            reclaim_own_identity,
            whole_second_observers: self.whole_second_observers,
            lease_duration,
            renew_deadline,
            renew_interval: self.renew_interval.unwrap_or(lease_duration / 3),
            retry_period: self.retry_period.unwrap_or(lease_duration * 2 / 15),
            request_timeout: self.request_timeout.unwrap_or(renew_deadline / 2),
            max_clock_skew: self.max_clock_skew,
            acquire_retries: self.acquire_retries,
            acquire_retry_delay: self.acquire_retry_delay,
            write_method: self.write_method,
            on_release: self.on_release,
        };
        config.check_timings()?;
        Ok(config)
    }
}

impl Config {
    fn check_timings(&self) -> Result<(), ConfigError> {
        let grant_length = self.grant_length();
        let tick = Duration::from_millis(1);
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
        if self.request_timeout < tick || self.request_timeout >= self.renew_deadline {
            return Err(ConfigError::RequestTimeoutOutOfRange {
                request_timeout: self.request_timeout,
                renew_deadline: self.renew_deadline,
            });
        }
        Ok(())
    }
}

/// A setting that cannot work.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConfigError {
    /// The record could not name the duration.
    LeaseDurationOutOfRange {
        /// What was configured.
        lease_duration: Duration,
    },
    /// Claimants built on client-go could take the Lease from its holder.
    LeaseDurationTooShort {
        /// What was configured.
        lease_duration: Duration,
    },
    /// A name that the API server would refuse.
    Name(NameError),
    /// The holder would go on after the Lease has expired.
    RenewDeadlineTooLong {
        /// What was configured.
        renew_deadline: Duration,
        /// What it must not exceed.
        lease_duration: Duration,
    },
    /// The grant would end before it is renewed.
    RenewIntervalOutOfRange {
        /// What was configured.
        renew_interval: Duration,
        /// What it must be shorter than: the renew deadline or the lease duration, less the margins for clocks.
        grant_length: Duration,
    },
    /// One request could outlast a grant.
    RequestTimeoutOutOfRange {
        /// What was configured.
        request_timeout: Duration,
        /// What it must be shorter than.
        renew_deadline: Duration,
    },
    /// The pause after a failure could outlast a grant.
    RetryPeriodOutOfRange {
        /// What was configured.
        retry_period: Duration,
        /// What it must be shorter than.
        renew_deadline: Duration,
    },
    /// An identity that differs in every process can never be met again.
    UniqueIdentityReclaimed,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseDurationOutOfRange { lease_duration } => write!(
                f,
                "the lease duration {lease_duration:?} is out of range: it must be at least 1s and at most {}s",
                i32::MAX
            ),
            Self::LeaseDurationTooShort { lease_duration } => write!(
                f,
                "the lease duration {lease_duration:?} is too short: it must be at least {SHORTEST_WITH_FOREIGN_OBSERVERS:?}, \
                 since claimants built on client-go see renewals in whole seconds; where none contend, say so with \
                 whole_second_observers(false)"
            ),
            Self::Name(error) => error.fmt(f),
            Self::RenewDeadlineTooLong { renew_deadline, lease_duration } => write!(
                f,
                "the renew deadline {renew_deadline:?} is too long: it must be at most the lease duration, {lease_duration:?}"
            ),
            Self::RenewIntervalOutOfRange { renew_interval, grant_length } => write!(
                f,
                "the renew interval {renew_interval:?} is out of range: it must be at least 1ms and shorter than a grant, \
                 {grant_length:?}"
            ),
            Self::RequestTimeoutOutOfRange { request_timeout, renew_deadline } => write!(
                f,
                "the request timeout {request_timeout:?} is out of range: it must be at least 1ms and shorter than the \
                 renew deadline, {renew_deadline:?}"
            ),
            Self::RetryPeriodOutOfRange { retry_period, renew_deadline } => write!(
                f,
                "the retry period {retry_period:?} is out of range: it must be at least 1ms and shorter than the renew \
                 deadline, {renew_deadline:?}"
            ),
            Self::UniqueIdentityReclaimed => f.write_str(
                "an identity made unique for each process cannot be reclaimed by another: set unique_identity(false) or \
                 leave reclaim_own_identity out",
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<NameError> for ConfigError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    i64::try_from(duration.as_secs().saturating_add(up)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ConfigBuilder {
        Config::builder("default", "leader", "me")
    }

    fn with_duration(millis: u64) -> ConfigBuilder {
        builder().lease_duration(Duration::from_millis(millis))
    }

    #[test]
    fn the_defaults_are_those_of_client_go() {
        let config = builder().build().unwrap();
        assert_eq!(config.lease_duration(), Duration::from_secs(15));
        assert_eq!(config.renew_deadline(), Duration::from_secs(10));
        assert_eq!(config.retry_period(), Duration::from_secs(2));
        assert_eq!(config.renew_interval(), Duration::from_secs(5));
        assert_eq!(config.grant_length(), Duration::from_secs(10));
    }

    #[test]
    fn the_published_duration_is_never_shorter_than_the_real_one() {
        assert_eq!(
            with_duration(15_001).build().unwrap().published_seconds(),
            16
        );
        assert_eq!(
            with_duration(15_000).build().unwrap().published_seconds(),
            15
        );
        let longest = Duration::from_secs(i32::MAX.unsigned_abs().into());
        let config = builder().lease_duration(longest).build().unwrap();
        assert_eq!(config.published_seconds(), i64::from(i32::MAX));
    }

    #[test]
    fn a_grant_ends_before_the_record_may_be_taken() {
        let whole = builder()
            .renew_deadline(Duration::from_secs(15))
            .build()
            .unwrap();
        assert_eq!(whole.grant_length(), Duration::from_millis(14_970));
        let skewed = builder()
            .renew_deadline(Duration::from_secs(15))
            .max_clock_skew(Duration::from_secs(1))
            .build()
            .unwrap();
        assert_eq!(skewed.grant_length(), Duration::from_millis(13_970));
    }

    #[test]
    fn durations_that_cannot_be_kept_are_refused() {
        let range = |lease_duration| ConfigError::LeaseDurationOutOfRange { lease_duration };
        for duration in [0, 500, 999] {
            let error = with_duration(duration).build().unwrap_err();
            assert_eq!(error, range(Duration::from_millis(duration)));
        }
        let too_long = Duration::from_secs(1 << 31);
        assert_eq!(
            builder().lease_duration(too_long).build(),
            Err(range(too_long))
        );
        let too_long = Duration::new((1 << 31) - 1, 1);
        assert_eq!(
            builder().lease_duration(too_long).build(),
            Err(range(too_long))
        );
        assert!(builder().lease_duration(Duration::MAX).build().is_err());
        for duration in [1_000, 2_999] {
            assert!(matches!(
                with_duration(duration).build(),
                Err(ConfigError::LeaseDurationTooShort { .. })
            ));
            assert!(
                with_duration(duration)
                    .whole_second_observers(false)
                    .build()
                    .is_ok()
            );
        }
    }

    #[test]
    fn timings_that_contradict_each_other_are_refused() {
        let seconds = Duration::from_secs;
        for bad in [
            builder().renew_deadline(seconds(16)),
            builder().renew_deadline(seconds(0)),
            builder().renew_interval(seconds(10)),
            builder().renew_interval(seconds(0)),
            builder().retry_period(seconds(10)),
            builder().retry_period(seconds(0)),
            builder().request_timeout(seconds(10)),
            builder().request_timeout(seconds(0)),
            builder().max_clock_skew(seconds(10)),
            builder().unique_identity(true).reclaim_own_identity(true),
            Config::builder("Default", "leader", "me"),
            Config::builder("default", "", "me"),
            Config::builder("default", "leader", "m\ne"),
        ] {
            let error = bad
                .clone()
                .build()
                .expect_err(&format!("{bad:?}"))
                .to_string();
            assert!(error.len() > 30 && !error.ends_with('.'), "{error}");
        }
    }
}
