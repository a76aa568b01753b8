//! One claim of a set, and where it stands in the set's queues.

use std::{num::NonZeroU64, time::Instant};

use super::{queue::Turn, ticket::Ticket};
use crate::claim::Claim;

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) claim: Claim,
    /// When it is to be polled at the latest, if nothing happens.
    pub(super) wake: Option<Instant>,
    /// Whether it is to be polled now.
    pub(super) is_touched: bool,
    /// Its request under way.
    pub(super) flight: Option<Ticket>,
    /// Whether it has a stream under way.
    pub(super) has_stream: bool,
    /// Whether it wants to be told of changes, by whatever stream.
    pub(super) wants_news: bool,
    /// Its place among those that want a stream.
    pub(super) stream_turn: Option<NonZeroU64>,
    /// Its place among those that would send.
    pub(super) turn: Option<Turn>,
    /// Whether its request under way is slow, or the last one was not answered.
    pub(super) is_slow: bool,
}

impl Member {
    pub(super) fn new(claim: Claim) -> Self {
        Self {
            claim,
            wake: None,
            is_touched: false,
            flight: None,
            has_stream: false,
            wants_news: false,
            stream_turn: None,
            turn: None,
            is_slow: false,
        }
    }
}
