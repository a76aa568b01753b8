//! One list of scenarios, played over every way to an API server: each transport, each wire, and the stores within a process;
//! with the API server of lease-proto in this process, and with a real one.
//!
//! The real one is named by the environment (`.ci/cluster` sets it up). Without it its part is reported as ignored, and a line
//! says so.

#![expect(clippy::print_stderr, reason = "what was not run is said loudly")]
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../clients/certificates.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod certificates;
mod claimant;
#[path = "../live/cluster.rs"]
#[expect(dead_code, reason = "the live suite uses the rest")]
mod cluster;
// The examples themselves, so that what is shown is what is tested.
#[path = "../../../lease-proto/examples/event_loop/driving.rs"]
mod driving;
mod event_loop;
#[path = "../../../lease-proto/examples/event_loop/exchange.rs"]
mod exchange;
mod faults;
mod front;
#[path = "../../../lease-tokio/examples/kube_client/transport.rs"]
mod kube_transport;
mod list;
#[path = "../../../lease-tokio/examples/reqwest_client/transport.rs"]
mod reqwest_transport;
#[path = "../clients/server.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod server;
mod transports;
mod worlds;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

use self::{
    cluster::Cluster,
    faults::{FAULTS, ODDITIES},
    list::{ALL, Case},
    transports::Transport,
    worlds::World,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Scenarios mostly wait, so many are played at once, each on a Lease of its own.
    arguments.test_threads = arguments.test_threads.or(Some(32));
    let cluster = Cluster::from_environment();
    if cluster.is_none() && !arguments.list {
        eprintln!(
            "SKIPPED: the scenarios were not played with a real API server, since LEASE_LIVE_SERVER names none; \
             .ci/cluster starts one: .ci/cluster cargo test -p lease-tests --all-features --test scenarios"
        );
        if std::env::var_os("LEASE_LIVE_REQUIRED").is_some() {
            eprintln!("LEASE_LIVE_REQUIRED is set, so that is a failure");
            return ExitCode::FAILURE;
        }
    }
    let mut worlds = worlds::in_process();
    worlds.extend(worlds::stores());
    if let Some(cluster) = &cluster {
        worlds.extend(worlds::live(cluster));
    }
    let mut trials = Vec::new();
    for world in worlds.into_iter().map(Arc::new) {
        trials.extend(ALL.iter().filter_map(|scenario| {
            let case = Case::new(&world, scenario)?;
            Some(Trial::test(case.name(), move || {
                case.play();
                Ok(())
            }))
        }));
    }
    trials.extend(faults());
    if cluster.is_none() {
        let nothing = Trial::test("live", || Ok(()));
        trials.push(nothing.with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Each fault for each transport.
fn faults() -> Vec<Trial> {
    let mut trials = Vec::new();
    for transport in Transport::ALL {
        let mut trial = |name: &str, play: Box<dyn FnOnce() + Send>| {
            let play = move || {
                play();
                Ok(())
            };
            trials.push(Trial::test(format!("faults::{transport}::{name}"), play));
        };
        for fault in FAULTS {
            trial(
                fault.name,
                Box::new(move || faults::is_survived(transport, fault)),
            );
        }
        for (name, odd) in ODDITIES {
            trial(
                name,
                Box::new(move || faults::costs_nothing(transport, *odd)),
            );
        }
        if transport.reads_token_files() {
            let play = faults::a_token_file_that_vanishes_and_returns_costs_nothing;
            trial(
                "a_token_file_that_vanishes_and_returns_costs_nothing",
                Box::new(move || play(transport)),
            );
        }
        for (name, play, needs_tls) in faults::CONNECTIONS {
            if transport.has_tls() || !needs_tls {
                trial(name, Box::new(move || play(transport)));
            }
        }
    }
    trials
}
