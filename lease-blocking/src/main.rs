//! The command `lease`: Kubernetes Leases for shell scripts.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's enums may grow; the command names the variants that it does something about"
)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run().into()
}
