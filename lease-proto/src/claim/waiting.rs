//! Whom a claimant waits for, and what that one has before it.

use std::{fmt, time::Instant};

/// Whom a claimant waits for.
///
/// ```
/// use std::time::Instant;
///
/// use lease_proto::Waiting;
///
/// fn tell(waiting: &Waiting, now: Instant) {
///     println!("the lease {waiting}, for {:?} more", waiting.until.saturating_duration_since(now));
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Waiting {
    /// The holder, or for whom the last one has left it, or who goes first of those that wait by priority; `None` where the record was deleted before its holder's time was over.
    pub holder: Option<String>,
    /// What that one has before this claimant.
    pub precedence: Precedence,
    /// When the Lease can be taken if its holder does not renew it, or if whoever is to take it first does not.
    pub until: Instant,
}

/// What follows "the lease", for people.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.holder, self.precedence) {
            (None, _) => f.write_str("was deleted before its holder's time was over"),
            (Some(holder), Precedence::Holds) => write!(f, "is held by {holder:?}"),
            (Some(to), Precedence::IsLeftTo) => write!(f, "is free, and left to {to:?}"),
            (Some(first), Precedence::GoesFirst) => {
                write!(f, "is free, and {first:?} goes first of those that wait")
            }
        }
    }
}

/// What somebody who is waited for has before whoever waits.
///
/// ```
/// use lease_proto::{Event, Precedence};
///
/// /// Whether work goes on elsewhere, as far as a claimant that waits is told.
/// fn works_elsewhere(event: &Event) -> bool {
///     matches!(event, Event::Waiting(it) | Event::HolderChanged(it) if it.precedence == Precedence::Holds)
/// }
///
/// assert!(!works_elsewhere(&Event::Recovered));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Precedence {
    /// It holds the Lease, or held it when its record was deleted.
    Holds,
    /// Nobody holds the Lease, and the last holder has left it to this one for a while.
    IsLeftTo,
    /// Nobody holds the Lease, and this one goes before those that wait by [priority](crate::ConfigBuilder::priority).
    GoesFirst,
}
