//! Being told by a stream that a set of claims shares, instead of one of the claim's own.
//!
//! Nothing is missed, for these reasons. A shared stream tells every change of every record after the version that it was
//! opened from, in order. It is opened from a version that is not later than what any claim knows that joins with its opening.
//! Whoever joins later and does not know a version as late as what was told by then looks at its record once it has joined:
//! what it then reads is at least as new as all that was told before, and what comes later it is told. A claim that leaves
//! with the end of the stream knows how far that had told; one that had not yet looked does not.

use std::time::Instant;

use super::{
    Claim, Trouble,
    state::{CampaignStep, Phase},
};
use crate::change::Change;

impl Claim {
    /// Returns whether it would be told of changes, or is.
    pub(crate) fn wants_news(&self) -> bool {
        self.watching.is_shared() || self.should_watch()
    }

    /// Returns whether it is told by a shared stream.
    pub(crate) fn is_told(&self) -> bool {
        self.watching.is_shared()
    }

    /// Returns until when the server is spared, which has asked for that.
    pub(crate) fn pause(&self) -> Option<Instant> {
        self.quiet_until
    }

    /// Returns the version from which on it must be told of changes.
    pub(crate) fn knows(&self) -> Option<u128> {
        self.watching.from(self.observed.highest())
    }

    /// Joins a shared stream, which has told of all changes up to a version, or of none yet.
    ///
    /// Does nothing while a request is under way: its answer may be older than what was told.
    pub(crate) fn join(&mut self, told: Option<u128>, now: Instant) {
        self.advance(now);
        if self.in_flight.is_some() || self.watching.is_shared() || !self.should_watch() {
            return;
        }
        let is_behind = told.is_some() && self.knows() < told;
        self.cancelled.extend(self.watching.share(is_behind));
        match &mut self.phase {
            Phase::Campaign(campaign) if is_behind => {
                (campaign.step, campaign.at) = (CampaignStep::Read, self.now);
            }
            // A holder reads nothing: its next renewal is a compare-and-swap.
            Phase::Campaign(_) | Phase::Held(_) | Phase::Idle | Phase::Release(_) => {
                self.reconsider();
            }
        }
    }

    /// Takes what a shared stream tells of this record.
    pub(crate) fn hear_shared(&mut self, change: Change, now: Instant) {
        self.advance(now);
        if self.watching.is_shared() {
            self.hear(change);
        }
    }

    /// Takes note that the shared stream has ended, and how far it had told, if that is known.
    pub(crate) fn leave(&mut self, told: Option<u128>, now: Instant) {
        self.advance(now);
        if self.watching.unshare(told) {
            self.reconsider();
        }
    }

    /// Returns whether somebody was faster and the shared stream did not say who, once.
    pub(crate) fn takes_doubt(&mut self) -> bool {
        self.watching.take_doubt()
    }

    /// Takes note that the stream cannot be relied on. A shared one is for the set to close.
    pub(super) fn doubt_stream(&mut self) {
        if !self.watching.doubt() {
            self.drop_stream(Trouble::NoAnswer);
        }
    }
}
