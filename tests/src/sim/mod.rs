//! A cluster in simulated time: claimants, rivals, API servers, a network and clocks that fail, and those who watch.
//!
//! One seed decides everything. Each world draws a subset of all [kinds](kinds::Kind) of faults: together they would hide
//! each other. After the faults comes a quiet tail, in which somebody must hold the Lease within known bounds.

mod answers;
mod audit;
mod cast;
mod claimant;
mod clock;
mod commits;
mod company;
mod counts;
mod crowd;
mod diary;
mod errands;
mod evidence;
mod exchange;
mod heirs;
mod kept;
mod kinds;
mod lies;
mod load;
mod mischief;
mod network;
mod oracle;
pub mod peers;
mod plants;
mod ranks;
mod record;
mod rivals;
mod seeds;
mod servers;
mod streams;
mod suspect;
mod tail;
mod violation;
mod world;

pub use self::{
    counts::Counts,
    crowd::{Crowd, HandOver},
    heirs::Heirs,
    kinds::{Faults, Kind},
    plants::Bug,
    ranks::Ranks,
    seeds::{Outcome, Run, shrink},
    violation::Violation,
    world::World,
};

/// Microseconds of true time since a world began.
pub type Micros = u64;

/// A second.
pub(crate) const SECOND: Micros = 1_000_000;
