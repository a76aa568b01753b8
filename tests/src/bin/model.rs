//! Explores every order in which a few claimants, their messages and their misfortunes can come, up to a bound.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people to read")]

use std::{
    process::ExitCode,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use clap::Parser;
use lease_tests::model::{Budget, Plant, System};
use stateright::{Checker, Model};

/// Checks the shipped claim against the shipped API server, state by state.
#[derive(Debug, Parser)]
#[command(name = "model")]
struct Args {
    /// How many claimants there are
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    claimants: u8,
    /// How many unique states to explore at most
    #[arg(long, default_value_t = 300_000)]
    states: usize,
    /// For how many minutes to explore at most
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many threads there are; all cores by default
    #[arg(long)]
    threads: Option<usize>,
    /// Follow each path to its end before the next, which takes far less memory
    #[arg(long)]
    depth_first: bool,
    /// How long a path may be
    #[arg(long)]
    depth: Option<usize>,
    /// A bug to plant
    #[arg(long)]
    plant: Option<Plant>,
    /// How many seconds a path lasts
    #[arg(long, default_value_t = 14)]
    horizon: u32,
    /// How often each path may have a claimant paused, killed, told to release, a message lost, delayed by a second, the
    /// record meddled with
    #[arg(long, num_args = 6, default_values_t = [1, 1, 1, 1, 2, 1], value_names = ["PAUSES", "CRASHES", "RELEASES", "LOSSES", "DELAYS", "MEDDLING"])]
    budget: Vec<u8>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let budget = Budget {
        pauses: args.budget[0],
        crashes: args.budget[1],
        releases: args.budget[2],
        losses: args.budget[3],
        delays: args.budget[4],
        meddling: args.budget[5],
    };
    let threads = args.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, usize::from)
    });
    let began = Instant::now();
    let mut builder = System::new(usize::from(args.claimants), budget, args.horizon, args.plant)
        .checker()
        .threads(threads)
        .target_state_count(args.states * 3)
        .timeout(Duration::from_secs_f64(args.minutes * 60.0));
    if let Some(depth) = args.depth {
        builder = builder.target_max_depth(depth);
    }
    if args.depth_first {
        report(builder.spawn_dfs().join(), &args, began)
    } else {
        report(builder.spawn_bfs().join(), &args, began)
    }
}

fn report(checker: impl Checker<System>, args: &Args, began: Instant) -> ExitCode {
    let seconds = began.elapsed().as_secs_f64();
    let states = checker.unique_state_count();
    let happened = &checker.model().happened;
    let mut is_small = false;
    for (text, count) in [
        ("tenures begun", &happened.acquired),
        ("renewals", &happened.renewed),
        ("take-overs at expiry", &happened.taken_over),
        ("tenures lost", &happened.lost),
        ("releases", &happened.released),
        ("writes that came late", &happened.late),
        ("  of those carried out", &happened.late_applied),
        ("conflicts", &happened.conflicts),
    ] {
        let count = count.load(Ordering::Relaxed);
        println!("{count:>12}  {text}");
        is_small |= count == 0;
    }
    let is_done = checker.is_done() && states < args.states;
    println!(
        "model: {states} unique states ({} in all) to depth {}, {} claimants, {seconds:.0} s{}",
        checker.state_count(),
        checker.max_depth(),
        args.claimants,
        if is_done { ", and there are no others" } else { "" },
    );
    if let Some(path) = checker.discoveries().into_values().next() {
        let broken = path.last_state().broken().unwrap_or("a promise is broken");
        for action in path.into_actions() {
            println!("  {action:?}");
        }
        println!("model: {broken}");
        return ExitCode::FAILURE;
    }
    if is_small {
        eprintln!("model: something has not happened at all: this proves nothing");
        return ExitCode::FAILURE;
    }
    println!("model: 0 violations");
    ExitCode::SUCCESS
}
