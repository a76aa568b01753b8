//! Settings that cannot work, and what would.

use std::{fmt, time::Duration};

use super::{SHORTEST_GRANT, SHORTEST_WITH_FOREIGN_OBSERVERS};
use crate::wire::NameError;

/// A setting that cannot work.
///
/// ```
/// use std::time::Duration;
///
/// use lease_proto::{Config, ConfigError};
///
/// let builder = Config::builder("default", "leader", "me").lease_duration(Duration::from_secs(1));
/// let error = builder.build().unwrap_err();
/// assert!(matches!(error, ConfigError::LeaseDurationTooShort { .. }));
/// println!("{error}"); // says what would work
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConfigError {
    /// The pause after a lost race would be longer than any tenure need be.
    AcquireRetryDelayTooLong {
        /// What was configured.
        acquire_retry_delay: Duration,
        /// What it must not exceed.
        lease_duration: Duration,
    },
    /// The grant would end before it can be renewed in another second.
    GrantTooShort {
        /// The renew deadline or the lease duration, less the margins for clocks.
        grant_length: Duration,
    },
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
            Self::AcquireRetryDelayTooLong { acquire_retry_delay, lease_duration } => write!(
                f,
                "the delay {} after a lost race is too long: it must be at most the lease duration, \
                 {}",
                People(*acquire_retry_delay),
                People(*lease_duration)
            ),
            Self::GrantTooShort { grant_length } => write!(
                f,
                "a grant of {} is too short: it must last at least {}, since claimants built on \
                 client-go see renewals in whole seconds; lengthen the renew deadline, or say that none contend with \
                 whole_second_observers(false)",
                People(*grant_length),
                People(SHORTEST_GRANT)
            ),
            Self::LeaseDurationOutOfRange { lease_duration } => write!(
                f,
                "the lease duration {} is out of range: it must be at least 1s and at most {}s",
                People(*lease_duration),
                i32::MAX
            ),
            Self::LeaseDurationTooShort { lease_duration } => write!(
                f,
                "the lease duration {} is too short: it must be at least {}, \
                 since claimants built on client-go see renewals in whole seconds; where none contend, say so with \
                 whole_second_observers(false)",
                People(*lease_duration),
                People(SHORTEST_WITH_FOREIGN_OBSERVERS)
            ),
            Self::Name(error) => error.fmt(f),
            Self::RenewDeadlineTooLong { renew_deadline, lease_duration } => write!(
                f,
                "the renew deadline {} is too long: it must be at most the lease duration, {}",
                People(*renew_deadline),
                People(*lease_duration)
            ),
            Self::RenewIntervalOutOfRange { renew_interval, grant_length } => write!(
                f,
                "the renew interval {} is out of range: it must be at least 1ms and shorter than a grant, \
                 {}",
                People(*renew_interval),
                People(*grant_length)
            ),
            Self::RequestTimeoutOutOfRange { request_timeout, renew_deadline } => write!(
                f,
                "the request timeout {} is out of range: it must be at least 1ms and shorter than the \
                 renew deadline, {}",
                People(*request_timeout),
                People(*renew_deadline)
            ),
            Self::RetryPeriodOutOfRange { retry_period, renew_deadline } => write!(
                f,
                "the retry period {} is out of range: it must be at least 1ms and shorter than the renew \
                 deadline, {}",
                People(*retry_period),
                People(*renew_deadline)
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

/// A duration as people write it: `15s`, `1m30s`, `500ms`.
struct People(Duration);

impl fmt::Display for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 || self.0.subsec_nanos() > 0 {
            return write!(f, "{:?}", self.0);
        }
        let parts = [
            (seconds / 3_600, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ];
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{count}{unit}")?;
        }
        Ok(())
    }
}
