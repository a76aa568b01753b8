//! Writes to a directory of Leases without pause, to be killed at it, and to see how fast that goes.

#![expect(clippy::print_stderr, reason = "it is a program")]

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use lease_tests::store::{self, Driver, Manner};

/// Writes to a directory of Leases without pause, and prints the count and the resourceVersion of each write that was
/// answered
#[derive(Debug, Parser)]
#[command(name = "store-writer")]
struct Args {
    /// Over which driver
    #[arg(long)]
    driver: Driver,
    /// Where the Leases are
    #[arg(long)]
    directory: PathBuf,
    /// To which Lease it writes
    #[arg(long, default_value = "lease")]
    lease: String,
    /// What it writes
    #[arg(long, default_value = "claim")]
    manner: Manner,
    /// How many times; for ever unless told
    #[arg(long, default_value_t = u64::MAX)]
    writes: u64,
    /// Goes to another working directory once that with the Leases is open
    #[arg(long)]
    wander: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let written = store::write(
        args.driver,
        &args.directory,
        &args.lease,
        args.manner,
        args.writes,
        || {
            if args.wander {
                std::env::set_current_dir("/")?;
            }
            Ok(())
        },
    );
    let Err(error) = written else {
        return ExitCode::SUCCESS;
    };
    eprintln!("store-writer: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  because: {error}");
        source = error.source();
    }
    ExitCode::FAILURE
}
