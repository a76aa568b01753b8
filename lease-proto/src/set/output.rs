//! What a set of claims says, and how its claims and their requests are named.

use std::{fmt, time::Instant};

use crate::{
    call::{Request, RequestId},
    claim::Event,
};

/// What the driver of a set must do next.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// use lease_proto::{ClaimSet, SetLimits, SetOutput};
///
/// let now = Instant::now();
/// let mut set = ClaimSet::new(SetLimits::default(), 0x5eed, now);
/// match set.poll_output(now, SystemTime::now()) {
///     SetOutput::Request(tag, request) => println!("{tag}: {}", request.http.uri()),
///     SetOutput::Cancel(tag) => println!("not wanted any more: {tag}"),
///     SetOutput::Event(id, event) => println!("{id}: {event}"),
///     SetOutput::Wait(until) => println!("nothing for {:?}", until - now),
///     SetOutput::Done => println!("no claim wants anything"),
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every output")]
pub enum SetOutput {
    /// Send a request at once, and report its outcome under this name.
    Request(Tag, Request),
    /// Give a request up; its outcome no longer matters. On a connection that others use only its stream is closed.
    Cancel(Tag),
    /// Tell the application.
    Event(ClaimId, Event),
    /// Do nothing before this instant, the outcome of a request, or a command. Always later than `now`.
    Wait(Instant),
    /// Do nothing before a command: all claims are at rest.
    Done,
}

/// Names a claim within its set.
///
/// The name of a claim that was removed is never given to another one: it names none from then on.
///
/// ```
/// use std::time::Instant;
///
/// use lease_proto::{ClaimId, ClaimSet, Config, SetLimits};
///
/// let now = Instant::now();
/// let mut set = ClaimSet::new(SetLimits::default(), 0x5eed, now);
/// let id: ClaimId = set.add(Config::builder("default", "shard-1", "me").build()?, now);
/// assert!(set.remove(id));
/// assert!(set.get(id).is_none());
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClaimId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Names a request within its set.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use lease_proto::{Request, Tag};
///
/// /// What a driver keeps of the requests that are under way.
/// #[derive(Default)]
/// struct UnderWay(BTreeMap<Tag, Request>);
///
/// impl UnderWay {
///     fn cancel(&mut self, tag: Tag) {
///         self.0.remove(&tag);
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag {
    pub(super) owner: Owner,
    pub(super) request: RequestId,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Owner {
    Claim(ClaimId),
    /// A stream that claims of one namespace share.
    Namespace(u32),
}

impl Tag {
    /// Returns the claim that the request belongs to; `None` where it is made for several.
    pub fn claim(self) -> Option<ClaimId> {
        match self.owner {
            Owner::Claim(id) => Some(id),
            Owner::Namespace(_) => None,
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            Owner::Claim(id) => write!(f, "{id}{}", self.request),
            Owner::Namespace(index) => write!(f, "namespace {index}{}", self.request),
        }
    }
}
