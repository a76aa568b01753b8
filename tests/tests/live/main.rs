//! The live suite: claimants as processes of their own, over each driver and the command, against a real kube-apiserver.
//!
//! The server is named by the environment (`.ci/cluster` sets it up and says what each variable holds). Without it every
//! case is reported as ignored, and a line says so.

#![expect(clippy::print_stderr, reason = "what was not run is said loudly")]

mod audit;
mod busy;
mod cases;
mod claimant;
mod cluster;
mod load;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};

use self::{claimant::Kind, cluster::Cluster};

/// A case, and whether it concerns claimants of each kind.
type Case = fn(&Cluster, Kind) -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let cluster = Cluster::from_environment().map(Arc::new);
    if cluster.is_none() && !arguments.list {
        eprintln!(
            "SKIPPED: the live suite did not run, since LEASE_LIVE_SERVER names no API server; \
             .ci/cluster starts one: .ci/cluster cargo test -p lease-tests --all-features --test live"
        );
        if std::env::var_os("LEASE_LIVE_REQUIRED").is_some() {
            eprintln!("LEASE_LIVE_REQUIRED is set, so that is a failure");
            return ExitCode::FAILURE;
        }
    }
    let mut trials = Vec::new();
    for (name, case) in cases::ALL {
        for kind in [Kind::Tokio, Kind::Blocking, Kind::Command] {
            let cluster = cluster.clone();
            let trial = Trial::test(format!("{kind}::{name}"), move || match cluster {
                Some(cluster) => case(&cluster, kind),
                None => Err("there is no API server".into()),
            });
            trials.push(trial.with_ignored_flag(!arguments.list && cluster_is_missing()));
        }
    }
    let alone: [(_, fn(&Cluster) -> _); 2] = [
        (
            "many_candidates_are_no_herd",
            load::many_candidates_are_no_herd,
        ),
        (
            "a_pause_that_the_server_asks_for_is_kept",
            busy::a_pause_that_the_server_asks_for_is_kept,
        ),
    ];
    for (name, case) in alone {
        let cluster = cluster.clone();
        let trial = Trial::test(name, move || match cluster {
            Some(cluster) => case(&cluster),
            None => Err("there is no API server".into()),
        });
        trials.push(trial.with_ignored_flag(!arguments.list && cluster_is_missing()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn cluster_is_missing() -> bool {
    std::env::var_os("LEASE_LIVE_SERVER").is_none()
}

pub(crate) fn check(holds: bool, otherwise: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
