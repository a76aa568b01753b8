//! Chaos on real processes: claimants over both drivers and over client-go, a real kube-apiserver, and everything that
//! goes wrong with processes, networks and servers; the logs are checked for two who held the same Lease at once.
//!
//! An arena is a Lease with two or three claimants, each behind a [`proxy`] of its own. Several arenas go side by
//! side, and in each of them an [episode](Kind) is drawn from the seed: what goes wrong, with whom, and for how long. An episode
//! ends when somebody holds the Lease again. What the claimants say goes to a [`log`](mod@log), with the versions of every
//! record and the writes to a [fenced](mod@fenced) resource, and at the end the [checker](mod@check) reads it.

mod arena;
pub mod check;
mod claimant;
mod cluster;
mod drawing;
mod episode;
pub mod fenced;
mod history;
mod journal;
pub mod log;
mod options;
pub mod proxy;
mod report;
mod run;
pub mod tenure;

pub use episode::Kind;
pub use options::Options;
pub use report::{Happened, Report};
pub use run::run;

#[cfg(test)]
mod tests;
