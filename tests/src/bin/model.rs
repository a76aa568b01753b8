//! Explores every order in which a few claimants, their messages and their misfortunes can come, up to a bound.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for people to read"
)]

use std::{
    process::ExitCode,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use clap::Parser;
use lease_tests::model::{Budget, Plant, System};
use stateright::{Checker, Model};

/// Checks the shipped claim against the shipped API server, state by state.
///
/// Each round has some misfortunes happen, and is explored to its end. Without arguments there is a round for each of them
/// alone.
#[derive(Debug, Parser)]
#[command(name = "model")]
struct Args {
    /// How many claimants there are
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    claimants: u8,
    /// How many misfortunes there are on each path: one round for each choice of so many
    #[arg(long, default_value_t = 1)]
    misfortunes: usize,
    /// How many seconds a path lasts
    #[arg(long, default_value_t = 12)]
    seconds: u32,
    /// For how many minutes to explore each round at most
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many unique states to explore at least; fewer are a failure
    #[arg(long, default_value_t = 0)]
    states: usize,
    /// How many threads there are; all cores by default
    #[arg(long)]
    threads: Option<usize>,
    /// A bug to plant
    #[arg(long)]
    plant: Option<Plant>,
}

/// What the rounds add up to.
#[derive(Debug, Default)]
struct Total {
    unique: usize,
    depth: usize,
    rounds: usize,
    unfinished: usize,
    happened: [u64; 8],
}

fn main() -> ExitCode {
    let args = Args::parse();
    let began = Instant::now();
    let mut total = Total::default();
    for budget in Budget::choices(args.misfortunes) {
        if let Some(code) = round(&args, budget, &mut total) {
            return code;
        }
    }
    let names = [
        "tenures begun",
        "renewals",
        "take-overs at expiry",
        "tenures lost",
        "releases",
        "writes that came late",
        "  of those carried out",
        "conflicts",
    ];
    for (text, count) in names.iter().zip(total.happened) {
        println!("{count:>12}  {text}");
    }
    println!(
        "model: {} unique states to depth {}, {} claimants, {} rounds ({} not to the end), {:.0} s, 0 violations",
        total.unique,
        total.depth,
        args.claimants,
        total.rounds,
        total.unfinished,
        began.elapsed().as_secs_f64()
    );
    if total.unique < args.states || total.happened.contains(&0) {
        eprintln!(
            "model: there are too few states, or something has not happened at all: this proves nothing"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Explores one round; says how to exit if a promise was broken.
fn round(args: &Args, budget: Budget, total: &mut Total) -> Option<ExitCode> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let limit = Duration::from_secs_f64(args.minutes * 60.0);
    let began = Instant::now();
    let checker = System::new(
        usize::from(args.claimants),
        budget,
        args.seconds,
        args.plant,
    )
    .checker()
    .threads(args.threads.unwrap_or_else(cores))
    .timeout(limit)
    .spawn_bfs()
    .join();
    let (unique, depth) = (checker.unique_state_count(), checker.max_depth());
    let took = began.elapsed();
    println!(
        "{unique:>12} states to depth {depth:>2} in {:>4.0} s: {budget}",
        took.as_secs_f64()
    );
    total.unique += unique;
    total.depth = total.depth.max(depth);
    total.rounds += 1;
    total.unfinished += usize::from(took >= limit);
    let happened = &checker.model().happened;
    let counts = [
        &happened.acquired,
        &happened.renewed,
        &happened.taken_over,
        &happened.lost,
        &happened.released,
        &happened.late,
        &happened.late_applied,
        &happened.conflicts,
    ];
    for (sum, count) in total.happened.iter_mut().zip(counts) {
        *sum += count.load(Ordering::Relaxed);
    }
    let path = checker.discoveries().into_values().next()?;
    let broken = path.last_state().broken().unwrap_or("a promise is broken");
    for action in path.into_actions() {
        println!("  {action:?}");
    }
    println!("model: {broken}, after {} unique states", total.unique);
    Some(ExitCode::FAILURE)
}
