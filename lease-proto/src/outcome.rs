//! How it ends for an application: why a Lease was not acquired, or is not held any more. Both drivers say it alike.

use std::{error::Error, fmt, io, sync::Arc, time::Instant};

use crate::{
    access::TransportError,
    claim::{Failure, GaveUp, Grant, Loss, Trouble, Waiting},
};

/// How a claim stands that is kept in the background, as of its last event.
///
/// ```
/// use lease_proto::State;
///
/// fn line(state: &State) -> String {
///     match state {
///         State::Held(grant) => format!("held, token {:?}", grant.token),
///         State::Waiting { holder } => format!("waiting for {holder:?}"),
///         State::Failing(failure) => failure.advice(),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// The Lease is held until the grant ends. A grant that is over has not been renewed: ask whether it is held.
    Held(Grant),
    /// It is being acquired.
    Waiting {
        /// Who holds it, or is to have it first, as far as is known.
        holder: Option<String>,
    },
    /// It cannot be acquired as things are; that is tried again all the same.
    Failing(Failure),
    /// Nobody keeps the claim any more.
    Ended,
}

/// Why a Lease is neither held nor likely to be.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use lease_proto::{Ledger, Unhealthy};
///
/// let mut ledger = Ledger::default();
/// ledger.end();
/// let health = ledger.health(Instant::now(), Duration::from_secs(30));
/// assert_eq!(health, Err(Unhealthy::Ended));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unhealthy {
    /// Nobody keeps the claim any more.
    Ended,
    /// It cannot be acquired as things are.
    Failing(Failure),
    /// Requests have been failing for longer than was to be borne.
    Trouble {
        /// Since when.
        since: Instant,
        /// How the first of them did.
        trouble: Trouble,
    },
    /// Whoever keeps the claim has not run for longer than was to be borne.
    Stuck,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("nobody keeps the lease any more"),
            Self::Failing(failure) => failure.fmt(f),
            Self::Trouble { trouble, .. } => write!(f, "requests keep failing: {trouble}"),
            Self::Stuck => f.write_str("what keeps the lease does not run"),
        }
    }
}

impl Error for Unhealthy {}

/// Why a Lease was not acquired.
///
/// ```
/// use lease_proto::{AcquireError, GaveUp};
///
/// let error = AcquireError::new(GaveUp::TimedOut { holder: Some("backup".to_owned()), trouble: None }, None);
/// assert!(error.to_string().contains("backup"));
/// if let Some(advice) = error.advice() {
///     eprintln!("{advice}");
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum AcquireError {
    /// It cannot succeed as things are.
    Failed(Failure),
    /// For a reason that has no variant of its own.
    GaveUp(GaveUp),
    /// Somebody else holds it.
    Held(Waiting),
    /// The system has no thread to renew it with.
    Thread(Arc<io::Error>),
    /// The time given was over.
    TimedOut {
        /// Who holds it, as far as is known.
        holder: Option<String>,
        /// What was wrong when it was last tried, if nobody is known to hold it.
        trouble: Option<Box<Trouble>>,
        /// Why the last request that got no answer got none.
        source: Option<Arc<TransportError>>,
    },
    /// Requests failed each time.
    Trouble {
        /// What went wrong the last time.
        trouble: Trouble,
        /// Why the last request that got no answer got none.
        source: Option<Arc<TransportError>>,
    },
}

impl AcquireError {
    /// Makes an error from the reason that a claim gave, and from what became of the last request that got no answer.
    pub fn new(why: GaveUp, source: Option<Arc<TransportError>>) -> Self {
        match why {
            GaveUp::Failed(failure) => Self::Failed(failure),
            GaveUp::Held(waiting) => Self::Held(waiting),
            GaveUp::TimedOut { holder, trouble } => {
                // Who was seen to hold it is the reason, whatever else went wrong.
                let source = source.filter(|_| holder.is_none());
                Self::TimedOut {
                    holder,
                    trouble,
                    source,
                }
            }
            GaveUp::Trouble(trouble) => {
                let source = source.filter(|_| trouble == Trouble::NoAnswer);
                Self::Trouble { trouble, source }
            }
            why @ (GaveUp::NotHeld { .. }
            | GaveUp::NotRenewable
            | GaveUp::Outrun
            | GaveUp::Stopped) => Self::GaveUp(why),
        }
    }

    /// Returns what to do about it, in one or several lines; `None` where there is nothing but to wait.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Failed(failure) => Some(failure.advice()),
            Self::GaveUp(_)
            | Self::Held(_)
            | Self::Thread(_)
            | Self::TimedOut { .. }
            | Self::Trouble { .. } => None,
        }
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::GaveUp(why) => why.fmt(f),
            Self::Held(waiting) => GaveUp::Held(waiting.clone()).fmt(f),
            Self::Thread(_) => f.write_str("the system has no thread to renew the lease with"),
            Self::TimedOut {
                holder, trouble, ..
            } => GaveUp::TimedOut {
                holder: holder.clone(),
                trouble: trouble.clone(),
            }
            .fmt(f),
            Self::Trouble { trouble, .. } => trouble.fmt(f),
        }
    }
}

impl Error for AcquireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread(error) => Some(&**error),
            Self::TimedOut { source, .. } | Self::Trouble { source, .. } => source
                .as_deref()
                .map(|source| source as &(dyn Error + 'static)),
            Self::Failed(_) | Self::GaveUp(_) | Self::Held(_) => None,
        }
    }
}

impl From<Arc<io::Error>> for AcquireError {
    fn from(error: Arc<io::Error>) -> Self {
        Self::Thread(error)
    }
}

/// The Lease is not held any more.
///
/// ```
/// use lease_proto::{Loss, Lost};
///
/// fn check(is_held: bool) -> Result<(), Lost> {
///     if is_held { Ok(()) } else { Err(Lost::new(Loss::Expired)) }
/// }
/// assert_eq!(check(false).unwrap_err().loss(), &Loss::Expired);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost(Loss);

impl Lost {
    /// Takes the reason.
    pub fn new(loss: Loss) -> Self {
        Self(loss)
    }

    /// Returns why.
    pub fn loss(&self) -> &Loss {
        &self.0
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lease is lost: {}", self.0)
    }
}

impl Error for Lost {}

/// It is not known that the Lease is still held.
///
/// ```
/// use lease_proto::VerifyError;
///
/// /// Whether to go on after a look at the record: without an answer the grant still stands.
/// fn may_go_on(verified: Result<(), VerifyError>) -> bool {
///     matches!(verified, Ok(()) | Err(VerifyError::NoAnswer))
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VerifyError {
    /// It is not held any more.
    Lost(Lost),
    /// The record could not be read in time; the grant says nothing of that.
    NoAnswer,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(lost) => lost.fmt(f),
            Self::NoAnswer => f.write_str(
                "the record of the lease could not be read in time; check that the API server answers, and that the verb \
                 \"get\" is granted",
            ),
        }
    }
}

impl Error for VerifyError {}
