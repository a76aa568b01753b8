//! Shell scripts as people write them around `lease`, against `lease-server` and against a real kube-apiserver.
//!
//! The kube-apiserver is named by the environment (`.ci/cluster` sets it up and says what each variable holds). Without it
//! every case on it is reported as ignored, and a line says so.

#![expect(clippy::print_stderr, reason = "what was not run is said loudly")]

mod cases;
mod journal;
mod place;
mod script;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use self::place::{Place, World};

type Case = fn(&Place) -> Result<(), Failed>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They mostly wait.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let has_cluster = std::env::var_os("LEASE_LIVE_SERVER").is_some();
    if !has_cluster && !arguments.list {
        eprintln!(
            "SKIPPED: no script ran on a kube-apiserver, since LEASE_LIVE_SERVER names none; .ci/cluster starts one: \
             .ci/cluster cargo test -p lease-tests --all-features --test scripts"
        );
        if std::env::var_os("LEASE_LIVE_REQUIRED").is_some() {
            eprintln!("LEASE_LIVE_REQUIRED is set, so that is a failure");
            return ExitCode::FAILURE;
        }
    }
    let mut trials = vec![Trial::test(
        "what_must_not_be_is_noticed_in_a_journal",
        journal::check_the_checker,
    )];
    for (name, case) in cases::ALL {
        for world in [World::Server, World::Live] {
            let trial = Trial::test(format!("{world}::{name}"), move || run(world, name, case));
            let is_missing = world == World::Live && !has_cluster;
            trials.push(trial.with_ignored_flag(is_missing && !arguments.list));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(world: World, name: &str, case: Case) -> Result<(), Failed> {
    let place = Place::new(world, name)?;
    case(&place).map_err(|failed| {
        let why = failed.message().unwrap_or_default();
        format!("{why}\nthe journal:\n{}", place.journal()).into()
    })
}
