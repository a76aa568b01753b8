//! Model checking: every order in which a few claimants, their messages and their misfortunes can come.
//!
//! What is checked is the shipped [`Claim`](lease_proto::Claim) against the shipped API server, not a model of either. A
//! state holds them, the messages under way, the time, and how much may still go wrong; [`stateright`] explores.
//!
//! Time passes in ticks, and only when nothing is under way but what is held up: what takes no time may come in any order.
//! There is no last tick. Two states are the same if they differ by nothing that anything depends on (see the module `key`), which
//! makes time relative: a holder that renews for ever goes round in a circle of a few states. So with so many misfortunes
//! there are only so many states, and a run that ends by itself has seen all there are.

mod action;
mod clock;
mod describe;
mod explore;
mod facts;
mod judge;
mod key;
mod misfortunes;
mod node;
mod plant;
mod record;
mod state;
mod strangers;
mod streams;
mod system;

pub use self::{
    action::{Action, Misfortune},
    explore::{Bounds, Found, explore},
    facts::Facts,
    plant::Plant,
    state::State,
    system::System,
};
