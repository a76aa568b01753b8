//! What holds of data, whatever it says: round trips, bounds of configurations, kubeconfigs put together.

mod config;
mod kubeconfig;
mod wire;

use proptest::{prelude::ProptestConfig, test_runner::RngSeed};

/// The same cases every time, so that a change is to blame for what is found; `LEASE_SEED=n` tries others.
fn cases(cases: u32) -> ProptestConfig {
    let seed = std::env::var("LEASE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed.unwrap_or(0)),
        ..ProptestConfig::default()
    }
}
