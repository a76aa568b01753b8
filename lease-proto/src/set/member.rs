//! One claim of a set, and where it stands in the set's queues.

use std::time::Instant;

use super::{queue::Turn, traffic::Ticket};
use crate::{call::RequestId, claim::Claim};

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) claim: Claim,
    /// When it is to be polled at the latest, if nothing happens.
    pub(super) wake: Option<Instant>,
    /// Whether it is to be polled now.
    pub(super) is_touched: bool,
    /// Its request under way.
    pub(super) flight: Option<(RequestId, Ticket)>,
    /// Its stream under way.
    pub(super) stream: Option<RequestId>,
    /// Its place among those that want a stream.
    pub(super) stream_turn: Option<u64>,
    /// Its place among those that would send.
    pub(super) turn: Option<Turn>,
    /// Whether its last request was slow, or was not answered.
    pub(super) is_slow: bool,
}

impl Member {
    pub(super) fn new(claim: Claim) -> Self {
        Self {
            claim,
            wake: None,
            is_touched: false,
            flight: None,
            stream: None,
            stream_turn: None,
            turn: None,
            is_slow: false,
        }
    }
}
