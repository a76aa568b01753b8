//! The harness that the tests of all crates share: a world in simulated time, and an oracle that watches it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tests pick out the variants that they are about"
)]

pub mod audit;
pub mod boot;
pub mod chaos;
pub mod contender;
pub mod echoes;
pub mod fuzzing;
pub mod model;
pub mod picture;
pub mod processes;
pub mod random;
pub mod sim;
pub mod sources;
pub mod store;

/// The examples of the READMEs, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../lease-proto/README.md")]
#[doc = include_str!("../../lease-tokio/README.md")]
#[doc = include_str!("../../lease-blocking/README.md")]
pub struct Readme;
