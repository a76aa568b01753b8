//! What a claim says: to its driver what to do, to the application what happened.

use std::{fmt, time::Instant};

use super::{grant::Grant, waiting::Waiting};
use crate::{
    call::{Request, RequestId},
    refusal::{Refusal, Verb},
    unclear::Unclear,
};

/// What the driver must do next.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// use lease_proto::{Claim, Config, Output};
///
/// let now = Instant::now();
/// let mut claim = Claim::new(Config::builder("default", "leader", "me").build()?, 0x5eed, now);
/// match claim.poll_output(now, SystemTime::now()) {
///     Output::Request(request) => println!("to be sent: {}", request.http.uri()),
///     Output::Cancel(id) => println!("not wanted any more: {id}"),
///     Output::Event(event) => println!("{event}"),
///     Output::Wait(until) => println!("nothing for {:?}", until - now),
///     Output::Done => println!("it was told nothing yet"),
/// }
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every output")]
pub enum Output {
    /// Send a request, and report its outcome.
    Request(Request),
    /// Give a request up and close its connection; its outcome no longer matters.
    Cancel(RequestId),
    /// Tell the application.
    Event(Event),
    /// Do nothing before this instant, the outcome of a request, or a command. Always later than `now`.
    Wait(Instant),
    /// Do nothing before a command: the claim is at rest.
    Done,
}

/// What happened.
///
/// While the Lease is held events follow the grammar
/// `(Acquired (Renewed | AtRisk | Recovered | Verified)* Lost)*`; all others come outside, but for what
/// [`Unranked`](Event::Unranked) says of an announcement that stays behind.
///
/// ```
/// use lease_proto::{Event, Loss};
///
/// /// Whether to do what only the holder does, after this event.
/// fn may_lead(led: bool, event: &Event) -> bool {
///     match event {
///         Event::Acquired(_) => true,
///         Event::Lost(_) => false,
///         _ => led, // all others change nothing about that
///     }
/// }
/// assert!(!may_lead(true, &Event::Lost(Loss::Deleted)));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// The Lease is held.
    Acquired(Grant),
    /// It is held for longer.
    Renewed(Grant),
    /// Renewals fail, or the record was shortened; it is still held until the given instant. Said once, until `Recovered`, and
    /// again if the grant then ends earlier than was said.
    AtRisk {
        /// When the grant ends.
        until: Instant,
        /// What went wrong.
        trouble: Trouble,
    },
    /// A renewal has succeeded again.
    Recovered,
    /// The record was read, and it is ours: the answer to [`Claim::verify`](crate::Claim::verify).
    Verified(Grant),
    /// The Lease is not held any more.
    Lost(Loss),

    /// Somebody else holds the Lease, or is to have it first. Said once for each campaign, and `HolderChanged` from then on; and again once
    /// trouble is over.
    Waiting(Waiting),
    /// Another one of the others holds it, or is to have it first.
    HolderChanged(Waiting),
    /// An attempt to acquire came to nothing; for logs and metrics, never for decisions.
    Retrying {
        /// What went wrong.
        trouble: Trouble,
        /// When it is tried again.
        at: Instant,
    },
    /// The record cannot be watched, so it is looked at from time to time. Said once, until it could be for a while.
    Polling(Trouble),
    /// The server refuses what waiting with a [priority](crate::ConfigBuilder::priority) needs, so this claim waits without, as far as it has to.
    /// Said once for each campaign; it is asked for again after minutes. What was granted before is asked for again within seconds
    /// first, three times, in case that the API server has only just been started. Where the verb is delete the claim has waited in its turn, and
    /// its announcement stays behind: that comes after [`Acquired`](Event::Acquired) or [`GaveUp`](Event::GaveUp).
    Unranked(Refusal),
    /// Acquiring cannot succeed as things are. It is tried again from time to time all the same.
    ///
    /// A claim that has waited was let in before, so what refuses it may be an API server that has just been started: then
    /// [`Retrying`](Event::Retrying) comes first, for half a minute at the most. A release of what was held is tried again for five
    /// seconds for the same reason.
    Failed(Failure),
    /// Acquiring has ended without success.
    GaveUp(GaveUp),
    /// The record names our identity, and we did not write it: somebody else uses the same one.
    IdentityCollision,
    /// The server's store went back in time, as after a restore from a backup.
    ///
    /// Versions repeat from here on, so grants carry no fencing token until they have passed the highest one seen.
    StoreRegressed,
    /// A release has ended; [`Lost`](Event::Lost) came before it was begun.
    Released(Released),
}

/// One line for people. It leaves out when, which is of no use on another clock.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquired(_) => f.write_str("the lease is held"),
            Self::Renewed(_) => f.write_str("the lease was renewed"),
            Self::AtRisk { trouble, .. } => write!(f, "the lease is at risk: {trouble}"),
            Self::Recovered => f.write_str("the lease is not at risk any more"),
            Self::Verified(_) => f.write_str("the lease was found to be held"),
            Self::Lost(loss) => write!(f, "the lease is not held any more: {loss}"),
            Self::Waiting(waiting) | Self::HolderChanged(waiting) => {
                write!(f, "the lease {waiting}")
            }
            Self::Retrying { trouble, .. } => write!(f, "the lease was not acquired: {trouble}"),
            Self::Polling(trouble) => {
                write!(f, "the lease cannot be watched, and is polled: {trouble}")
            }
            Self::Unranked(refusal) if refusal.verb() == Verb::Delete => {
                write!(f, "the announcement stays behind: {refusal}")
            }
            Self::Unranked(refusal) => {
                write!(f, "priorities cannot be gone by: {refusal}")
            }
            Self::Failed(failure) => write!(f, "the lease cannot be acquired: {failure}"),
            Self::GaveUp(why) => write!(f, "the lease is not acquired: {why}"),
            Self::IdentityCollision => {
                f.write_str("somebody else uses the same identity; identities must be unique")
            }
            Self::StoreRegressed => f.write_str(
                "the API server's store went back in time, so there are no fencing tokens for now",
            ),
            Self::Released(released) => write!(f, "the release has ended: {released}"),
        }
    }
}

/// Why a Lease is not held any more.
///
/// ```
/// use lease_proto::Loss;
///
/// let loss = Loss::TakenOver { by: "replica-2".to_owned() };
/// assert!(loss.to_string().contains("replica-2"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Loss {
    /// Somebody cleared the record, and it is not written back: the Lease is not renewed, or somebody else has held it since.
    Cleared,
    /// Renewals fail, and less is left of the grant than was to be kept for stopping. No event says so, only drivers that
    /// stop some work: the Lease may still be held, and may be renewed yet.
    AtRisk,
    /// The object was deleted.
    Deleted,
    /// No renewal succeeded in time.
    Expired,
    /// The record was rewritten by somebody else with our identity.
    IdentityCollision,
    /// It was given up.
    Released,
    /// The server's store went back in time, as after a restore from a backup.
    StoreRegressed,
    /// Somebody else holds it.
    TakenOver {
        /// Who.
        by: String,
    },
    /// The controller that runs this Lease wants somebody else to hold it.
    Yielded {
        /// Who.
        to: String,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cleared => f.write_str("somebody cleared the record"),
            Self::AtRisk => f.write_str("renewals fail, and little is left of the grant"),
            Self::Deleted => f.write_str("the lease object was deleted"),
            Self::Expired => f.write_str("no renewal succeeded in time"),
            Self::IdentityCollision => {
                f.write_str("another process with the same identity took it")
            }
            Self::Released => f.write_str("it was released"),
            Self::StoreRegressed => f.write_str("the API server's store went back in time"),
            Self::TakenOver { by } => write!(f, "{by:?} took it over"),
            Self::Yielded { to } => write!(f, "it was yielded to {to:?}"),
        }
    }
}

/// What went wrong with a request.
///
/// ```
/// use lease_proto::{Event, Trouble};
///
/// fn is_overload(event: &Event) -> bool {
///     matches!(event, Event::AtRisk { trouble: Trouble::Busy, .. })
/// }
/// assert!(!is_overload(&Event::Recovered));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Trouble {
    /// The server is overloaded (429).
    Busy,
    /// No answer came in time; the driver knows more.
    NoAnswer,
    /// The server refused.
    Refused(Refusal),
    /// Somebody changed the record so that observers wait for a shorter time than what was written has them wait. A webhook
    /// may have done so, or a person.
    Shortened {
        /// The `leaseDurationSeconds` that the record names now.
        seconds: i64,
    },
    /// The answer does not tell whether the request was carried out.
    Unclear(Unclear),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the API server is overloaded (429)"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Shortened { seconds } => write!(
                f,
                "somebody set leaseDurationSeconds of the record to {seconds}, less than this claimant wrote"
            ),
            Self::Unclear(unclear) => unclear.fmt(f),
        }
    }
}

/// Why acquiring cannot succeed as things are.
///
/// ```
/// use lease_proto::Failure;
///
/// let failure = Failure::Controlled { strategy: "OldestEmulationVersion".to_owned() };
/// eprintln!("{failure}\n{}", failure.advice());
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Failure {
    /// A controller in the API server chooses the holder of this Lease, so it is not contested.
    Controlled {
        /// How it chooses.
        strategy: String,
    },
    /// The server refused, and would again.
    Refused(Refusal),
}

impl Failure {
    /// Returns what to do about it, in one or several lines.
    pub fn advice(&self) -> String {
        match self {
            Self::Controlled { .. } => {
                "claim a Lease of another name, or take part in the coordinated election with a LeaseCandidate"
                    .to_owned()
            }
            Self::Refused(refusal) => refusal.advice(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controlled { strategy } => {
                write!(
                    f,
                    "a controller chooses the holder of this lease (spec.strategy is {strategy:?})"
                )
            }
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// Why acquiring has ended without success.
///
/// ```
/// use lease_proto::GaveUp;
///
/// /// Whether another try, later, may go better.
/// fn may_try_again(why: &GaveUp) -> bool {
///     matches!(why, GaveUp::Held(_) | GaveUp::Outrun | GaveUp::TimedOut { .. } | GaveUp::Trouble(_))
/// }
/// assert!(may_try_again(&GaveUp::Outrun));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum GaveUp {
    /// It cannot succeed as things are.
    Failed(Failure),
    /// Somebody else holds the Lease, or is to have it first, and waiting was not asked for.
    Held(Waiting),
    /// The identity does not hold the Lease, so there is nothing to resume.
    NotHeld {
        /// Who does hold it.
        holder: Option<String>,
    },
    /// The record says that it is not to be renewed.
    NotRenewable,
    /// Others were faster each time.
    Outrun,
    /// It was told to stop.
    Stopped,
    /// The time given was over.
    TimedOut {
        /// Who holds it, as far as is known.
        holder: Option<String>,
        /// What was wrong when it was last tried, if nobody is known to hold it.
        trouble: Option<Box<Trouble>>,
    },
    /// Requests failed each time.
    Trouble(Trouble),
}

impl GaveUp {
    /// Returns whether it may have come to nothing since no answer came, so that the reason for that is worth telling.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Trouble(trouble) => *trouble == Trouble::NoAnswer,
            Self::TimedOut {
                holder: None,
                trouble,
            } => trouble.as_deref().is_none_or(|it| *it == Trouble::NoAnswer),
            Self::Failed(_)
            | Self::Held(_)
            | Self::NotHeld { .. }
            | Self::NotRenewable
            | Self::Outrun
            | Self::Stopped
            | Self::TimedOut { .. } => false,
        }
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Held(waiting) => write!(f, "it {waiting}"),
            Self::NotHeld {
                holder: Some(holder),
            } => write!(f, "it is held by {holder:?}"),
            Self::NotHeld { holder: None } => f.write_str("nobody holds it"),
            Self::NotRenewable => f.write_str(
                "it was acquired not to be renewed: it ends with its duration, and whoever wants it again waits for that like all others",
            ),
            Self::Outrun => f.write_str("others were faster each time"),
            Self::Stopped => f.write_str("told to stop"),
            Self::TimedOut {
                holder: Some(holder),
                ..
            } => {
                write!(f, "timed out while {holder:?} held it")
            }
            Self::TimedOut {
                holder: None,
                trouble: Some(trouble),
            } => write!(f, "timed out: {trouble}"),
            Self::TimedOut { .. } => f.write_str("timed out"),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

/// How a release has ended.
///
/// ```
/// use lease_proto::Released;
///
/// /// Whether the next claimant need not wait.
/// fn is_free(released: Released) -> bool {
///     matches!(released, Released::Cleared | Released::ClearedAlone | Released::Deleted)
/// }
/// assert!(!is_free(Released::Unconfirmed));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Released {
    /// The record names no holder.
    Cleared,
    /// The record is deleted.
    Deleted,
    /// The record names no holder, and what was to be left in it is not there: somebody, or a webhook, has removed it.
    ClearedAlone,
    /// Nothing was written, as configured: others wait until the Lease has expired.
    LeftToExpire,
    /// The record was not ours any more, and was left alone.
    NotOurs,
    /// It could not be learnt; at the latest the Lease expires.
    Unconfirmed,
}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cleared => "the record names no holder",
            Self::ClearedAlone => {
                "the record names no holder, and does not say what was to be left in it"
            }
            Self::Deleted => "the record is deleted",
            Self::LeftToExpire => "the record is left to expire",
            Self::NotOurs => "the record was not ours any more",
            Self::Unconfirmed => "it could not be learnt whether the record was cleared",
        })
    }
}
