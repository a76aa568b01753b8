//! Explores every order in which a few claimants, their messages and their misfortunes can come.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for people to read"
)]

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use lease_tests::model::{Bounds, Found, Plant, System, explore};

/// States are made of small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Checks the shipped claim against the shipped API server, state by state, and stops at the first promise that is broken.
#[derive(Debug, Parser)]
#[command(name = "model")]
struct Args {
    /// How many claimants there are
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    claimants: u8,
    /// How many misfortunes there are on each path, of any kind; by default one, or as many as it takes to see what is planted
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9))]
    misfortunes: Option<u8>,
    /// After how many unique states to stop; some hundreds more may be seen
    #[arg(long)]
    states: Option<usize>,
    /// With how few unique states it is a failure to stop, unless there are no more
    #[arg(long)]
    at_least: Option<usize>,
    /// For how many minutes to explore at most
    #[arg(long, value_parser = positive)]
    minutes: Option<f64>,
    /// How many threads there are; all cores by default
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    threads: Option<u8>,
    /// Have claimants watch, so that they are told of changes
    #[arg(long)]
    watch: bool,
    /// A bug to plant
    #[arg(long)]
    plant: Option<Plant>,
}

/// Takes a number above zero, and no more than a year.
fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if number > 0.0 && number <= 526_000.0 {
        Ok(number)
    } else {
        Err("it must be above zero, and no more than anybody waits for".to_owned())
    }
}

/// The code for a run that has shown too little, as against 1 for a promise that was broken.
const TOO_LITTLE: u8 = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    let misfortunes = args
        .misfortunes
        .unwrap_or_else(|| args.plant.map_or(1, Plant::least_misfortunes));
    let mut system = System::new(usize::from(args.claimants), misfortunes, args.plant);
    system.watches = args.watch;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let bounds = Bounds {
        states: args.states.unwrap_or(usize::MAX),
        time: args
            .minutes
            .map_or(Duration::MAX, |it| Duration::from_secs_f64(it * 60.0)),
        threads: args.threads.map_or_else(cores, usize::from),
    };
    let found = explore(system, bounds);
    if let Some((broken, steps)) = &found.broken {
        for step in steps {
            println!("{step}");
        }
        println!("model: {broken}, after {} unique states", found.unique);
        return ExitCode::FAILURE;
    }
    report(&args, misfortunes, &found);
    if !found.is_all && args.at_least.is_some_and(|states| found.unique < states) {
        eprintln!("model: too few states in the time: this shows less than was asked for");
        return ExitCode::from(TOO_LITTLE);
    }
    let mut facts = found.facts.iter();
    let is_of_streams = |what: &str| what.contains("stream");
    if let Some((what, _)) =
        facts.find(|(what, count)| *count == 0 && (args.watch || !is_of_streams(what)))
    {
        eprintln!("model: {what}: none, so this shows nothing");
        return ExitCode::from(TOO_LITTLE);
    }
    ExitCode::SUCCESS
}

fn report(args: &Args, misfortunes: u8, found: &Found) {
    for (what, count) in &found.facts {
        println!("{count:>12}  {what}");
    }
    let is_all = if found.is_all {
        "all there are"
    } else {
        "there are more"
    };
    println!(
        "model: {} unique states ({is_all}) to depth {}, {} transitions, {} claimants, {} misfortunes, {:.1} s, 0 violations",
        found.unique,
        found.depth,
        found.transitions,
        args.claimants,
        misfortunes,
        found.took.as_secs_f64()
    );
}
