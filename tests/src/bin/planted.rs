//! Looks for every planted bug, and prints which seed and which promise finds it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for people to read"
)]

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use lease_tests::sim::{Bug, Heirs, Ranks, Run, Violation};

/// Plants one bug after another in a claimant, and simulates clusters until a promise is broken.
#[derive(Debug, Parser)]
#[command(name = "planted")]
struct Args {
    /// How many seconds to look for each bug at most
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The number of the only bug to look for
    #[arg(long)]
    bug: Option<u8>,
}

/// For how long things go wrong in each world: half an hour.
const LENGTH: u64 = 1_800_000_000;

struct Found {
    seed: u64,
    rule: &'static str,
    took: Duration,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let bugs: Vec<Bug> = Bug::ALL
        .iter()
        .copied()
        .filter(|bug| args.bug.is_none_or(|number| number == bug.number()))
        .collect();
    if bugs.is_empty() {
        let last = Bug::ALL.iter().map(|bug| bug.number()).max().unwrap_or(0);
        eprintln!("planted: there is no such bug; they are numbered from 1 to {last}");
        return ExitCode::from(64);
    }
    let limit = Duration::from_secs(args.seconds);
    let next = AtomicUsize::new(0);
    let all: Mutex<Vec<Option<Found>>> = Mutex::new(bugs.iter().map(|_| None).collect());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, bug)) = take(&next, &bugs) {
                    let found = look_for(bug, limit);
                    all.lock().expect("nobody panics with it")[index] = found;
                }
            });
        }
    });
    let all = all.into_inner().expect("nobody panics with it");
    println!(
        "{:>3}  {:<78} {:>6}  {:<4} {:>8}",
        "bug", "what a claimant does wrong", "seed", "rule", "found in"
    );
    for (bug, found) in bugs.iter().zip(&all) {
        let (number, text) = (bug.number(), bug.description());
        match found {
            Some(Found { seed, rule, took }) => {
                let seconds = took.as_secs_f64();
                println!("{number:>3}  {text:<78} {seed:>6}  {rule:<4} {seconds:>6.1} s");
            }
            None => println!(
                "{number:>3}  {text:<78} {:>6}  {:<4} {:>8}",
                "-", "-", "NOT"
            ),
        }
    }
    let missed = all.iter().filter(|found| found.is_none()).count();
    if missed == 0 && !bugs.is_empty() {
        println!("planted: {} bugs, all found", bugs.len());
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "planted: {missed} of {} bugs were not found in {} s each",
            bugs.len(),
            args.seconds
        );
        ExitCode::FAILURE
    }
}

fn take(next: &AtomicUsize, bugs: &[Bug]) -> Option<(usize, Bug)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    bugs.get(index).map(|bug| (index, *bug))
}

fn look_for(bug: Bug, limit: Duration) -> Option<Found> {
    let began = Instant::now();
    (0..)
        .take_while(|_| began.elapsed() < limit)
        .find_map(|seed| {
            let violation = broken(bug, seed, true)?;
            // What is found without the bug as well says nothing of it.
            if broken(bug, seed, false).is_some() {
                return None;
            }
            Some(Found {
                seed,
                rule: violation.rule(),
                took: began.elapsed(),
            })
        })
}

/// The promise that is broken in the world of `seed` that is meant to show `bug`, with it planted or without.
fn broken(bug: Bug, seed: u64, planted: bool) -> Option<Violation> {
    let bug_in_it = planted.then_some(bug);
    // Turns are kept, and what was left to somebody waits for that one, where nothing else goes wrong.
    if bug == Bug::OutOfTurn {
        return Ranks::gather(7, 3, seed, true, 20, bug_in_it).err();
    }
    if bug == Bug::IgnoresAge {
        return Ranks::outlast(seed, false, bug_in_it).err();
    }
    if bug == Bug::ForgoesBequest {
        return Heirs::gather_ranked(5, seed, false, 20, bug_in_it).err();
    }
    if bug == Bug::TakesBequest {
        return Heirs::gather(5, seed, false, 20, bug_in_it).err();
    }
    if !Run::new(seed, LENGTH, Some(bug)).can_show() {
        return None;
    }
    Run::new(seed, LENGTH, bug_in_it).run().violation
}
