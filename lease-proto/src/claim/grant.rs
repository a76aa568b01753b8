//! The right to act as the holder.

use std::{fmt, num::NonZeroU128, time::Instant};

/// The right to act as the holder, for a limited time.
///
/// ```
/// use std::time::Instant;
///
/// use lease_proto::Grant;
///
/// /// Writes only while there is time, and says in which tenure.
/// fn write(grant: &Grant, now: Instant) -> Result<u128, &'static str> {
///     let token = grant.token.ok_or("this server gives no fencing tokens")?;
///     if now >= grant.valid_until {
///         return Err("the grant is over");
///     }
///     Ok(token.get())
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Grant {
    /// When the right ends, on the clock that the driver reads.
    pub valid_until: Instant,
    /// What a resource can compare to refuse an earlier holder; `None` where the server's versions are not numbers, or
    /// went back in time.
    pub token: Option<FencingToken>,
    /// How often the holder has changed, as the record says.
    pub transitions: u32,
}

/// A number that is higher for every later tenure of the same Lease, also across deletions.
///
/// It is the version that the acquiring write was given. A resource that refuses lower tokens than it has seen is safe
/// even from a holder that was stopped in the middle of a step, and does not know that its grant has ended.
///
/// ```
/// use lease_proto::FencingToken;
///
/// /// On the side of the resource: refuses whoever held the Lease earlier than the last one that was seen.
/// fn admit(highest: &mut u128, token: FencingToken) -> bool {
///     *highest = token.get().max(*highest);
///     token.get() == *highest
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FencingToken(NonZeroU128);

impl FencingToken {
    pub(crate) fn new(version: u128) -> Option<Self> {
        NonZeroU128::new(version).map(Self)
    }

    /// Returns the number.
    pub fn get(self) -> u128 {
        self.0.get()
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
