//! Plays what was reported of other libraries, with claims of this one and with a model of client-go, and prints a table.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for people to read"
)]

use std::process::ExitCode;

use clap::Parser;
use lease_tests::sim::peers::{Overlap, SCENARIOS, Side};

/// Shows for how long two act as the holder of one Lease, of this library and of client-go.
#[derive(Debug, Parser)]
#[command(name = "peers")]
struct Args {
    /// How many times each scenario is played, with another seed each time; with few a scenario may not show itself
    #[arg(long, default_value_t = 200)]
    seeds: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut is_shown = true;
    println!(
        "Two holders at once, the longest of {} runs each (and in how many of them):\n",
        args.seeds
    );
    println!(
        "{:<48} {:>20} {:>20}",
        "what happens to the holder", "lease-proto", "client-go (model)"
    );
    for scenario in SCENARIOS {
        let ours = match scenario.play(Side::Ours, args.seeds) {
            Ok(ours) => ours,
            Err(violation) => {
                eprintln!("peers: {}: {violation}", scenario.name);
                return ExitCode::FAILURE;
            }
        };
        let theirs = scenario
            .play(Side::ClientGo, args.seeds)
            .unwrap_or_default();
        println!(
            "{:<48} {:>20} {:>20}",
            scenario.name,
            cell(ours),
            cell(theirs)
        );
        println!("  {}", scenario.source);
        is_shown &= ours.longest == 0 && ours.runs == args.seeds && theirs.longest > 0;
    }
    if is_shown {
        println!(
            "\npeers: {} scenarios: no overlap of ours, and client-go's in each",
            SCENARIOS.len()
        );
        ExitCode::SUCCESS
    } else {
        eprintln!("\npeers: a scenario has not shown what it is there to show");
        ExitCode::FAILURE
    }
}

fn cell(overlap: Overlap) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
    let seconds = overlap.longest as f64 / 1e6;
    if overlap.overlapping == 0 {
        "none".to_owned()
    } else {
        format!("{seconds:.2} s ({})", overlap.overlapping)
    }
}
