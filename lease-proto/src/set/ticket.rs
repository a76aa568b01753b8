//! Names of requests under way.

use std::num::NonZeroU64;

/// Names a request under way, in the order of sending.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Ticket(NonZeroU64);

impl Ticket {
    pub(super) const FIRST: Self = Self(NonZeroU64::MIN);

    /// Returns whether it is one of so many from the first on.
    pub(super) fn is_one_of(self, count: u32, first: Self) -> bool {
        let later = self.0.get().checked_sub(first.0.get());
        later.is_some_and(|later| later < count.into())
    }

    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
