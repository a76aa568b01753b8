//! Chaos on real processes: see [`lease_tests::chaos`].
//!
//! `.ci/cluster cargo run --release -p lease-tests --bin chaos` is a short run; `--episodes 200` is one that counts. Prints a
//! table of figures last, and exits with 1 if a promise was broken.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::process::ExitCode;

use clap::Parser;

use lease_tests::{
    chaos::{self, Options},
    contender::say,
};

fn main() -> ExitCode {
    let report = chaos::run(&Options::parse());
    match report {
        Ok(report) => {
            print!("{report}");
            if report.is_good() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::from(2)
        }
    }
}
