//! A state of the whole: claimants, server, messages under way, and how much may still go wrong.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use http::{Request, Response};
use lease_proto::{RequestId, server::ApiServer};

use super::{node::Node, system::Budget};

/// What can happen next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// A second passes, and whoever is not paused does what is due.
    Tick,
    /// A request reaches the server, and its answer the claimant.
    Exchange(usize),
    /// A request reaches the server, and its answer is under way.
    Arrive(usize),
    /// An answer reaches its claimant.
    Answer(usize),
    /// A message is lost.
    Lose(usize),
    /// A claimant stops where it is.
    Pause(usize),
    /// It goes on.
    Continue(usize),
    /// A claimant dies, and another one begins in its place.
    Crash(usize),
    /// A claimant is told to release.
    Release(usize),
    /// A third party annotates the record.
    Annotate,
    /// A third party clears the holder.
    Clear,
    /// A third party deletes the record.
    Delete,
    /// A third party makes the record anew, for a holder that nobody knows.
    Recreate,
}

/// A message under way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) node: usize,
    pub(super) life: u8,
    pub(super) id: RequestId,
    pub(super) request: Request<Vec<u8>>,
    /// The answer, once there is one.
    pub(super) response: Option<Response<Vec<u8>>>,
    pub(super) sent: u32,
}

/// A state.
#[derive(Clone)]
pub struct State {
    pub(super) tick: u32,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) server: Arc<ApiServer>,
    pub(super) messages: Vec<Arc<Message>>,
    pub(super) left: Budget,
    pub(super) highest: Option<u128>,
    /// The promise that was broken on the way here.
    pub(super) broken: Option<&'static str>,
    pub(super) key: u64,
}

impl State {
    /// The promise that was broken on the way here.
    pub fn broken(&self) -> Option<&'static str> {
        self.broken
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State at {} s, {:016x}", self.tick, self.key)
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
