//! What whole processes cost and how fast they are, beside those of other libraries, on one API server:
//!
//!     .ci/cluster cargo bench -p lease-tests --bench processes
//!
//! Each library's program is told what to claim, and says when it holds it (see `lease_tests::contender`); those of others stand
//! in `tests/bench/contender`. Prints a table for each question, and writes the distributions as SVG where `--svg` says.

#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::print_stdout, reason = "it is a program for people to read")]

#[path = "../../tests/clients/certificates.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod certificates;
mod cluster;
#[path = "../../tests/scenarios/front.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod front;
mod many;
mod numbers;
mod plot;
mod process;
mod requests;
mod storm;
mod times;
/// Where the server runs.
mod claimant {
    use std::sync::OnceLock;

    use tokio::runtime::{Builder, Runtime};

    pub(crate) fn runtime() -> &'static Runtime {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        RUNTIME.get_or_init(|| {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).enable_all().build().unwrap()
        })
    }
}

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use self::{cluster::Cluster, process::Library};

/// Measures claimants as processes, on the API server that LEASE_LIVE_* name.
#[derive(Debug, Parser)]
#[command(name = "processes")]
struct Args {
    /// Answer this question alone; may be repeated
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Measure this library alone; may be repeated
    #[arg(long, value_enum)]
    library: Vec<Library>,
    /// How often each kind of hand-over is measured
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// The directory to write the distributions to, as SVG; as seen from `tests`
    #[arg(long)]
    svg: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// A question.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// How long nobody holds it: after a release, a crash, an hour, at first
    Times,
    /// What a held Lease and a waiter ask of the API server
    Requests,
    /// What 200 Leases in one process cost
    Many,
    /// What 1,000 Leases cost on this API server, and 10,000 on one in this process
    Thousands,
    /// What comes when the API server is restarted under 1,000 holders and waiters
    Storm,
}

fn main() {
    let args = Args::parse();
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let all = Library::value_variants();
    let libraries: Vec<Library> = all
        .iter()
        .copied()
        .filter(|it| args.library.is_empty() || args.library.contains(it))
        .collect();
    process::build(&libraries);
    if wanted(Part::Times) {
        times::run(
            &Cluster::from_environment(),
            &libraries,
            args.rounds,
            args.svg.as_deref(),
        );
    }
    if wanted(Part::Requests) {
        requests::run(&Cluster::from_environment(), &libraries);
    }
    if wanted(Part::Many) {
        many::two_hundred(&Cluster::from_environment(), &libraries);
    }
    if wanted(Part::Thousands) {
        many::thousands(&Cluster::from_environment());
    }
    if wanted(Part::Storm) {
        storm::run(&Cluster::from_environment());
    }
}
