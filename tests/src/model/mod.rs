//! Model checking: every order in which a few claimants, their messages and their misfortunes can come, up to a bound.
//!
//! What is checked is the shipped [`Claim`](lease_proto::Claim) against the shipped API server, not a model of either. A
//! state holds them, the messages under way, the time, and how much may still go wrong; [`stateright`] explores.
//!
//! Two states are the same if they differ by nothing that anything depends on: all instants and times of day are taken
//! relative to now, versions relative to the latest, uids and requests by their order (see [`key`]). The pauses that a claim
//! draws at random are the one exception: states that differ in what will be drawn are taken for the same, so of those that
//! meet only one goes on.

mod key;
mod node;
mod plant;
mod state;
mod system;

pub use self::{
    plant::Plant,
    state::{Action, State},
    system::{Budget, Happened, System},
};
