//! The command `lease-server`: an API server for Leases on a port of this machine, for kubectl and whoever else asks.

mod args;
mod body;
mod dice;
mod faults;
mod kubeconfig;
mod listen;
mod serve;
mod tls;
mod tokens;

use std::process::ExitCode;

use clap::Parser;

use self::{args::Args, listen::Refusal};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nobody may be left to read it.
            let _gone = error.print();
            // To standard output goes only what was asked for.
            return if error.use_stderr() {
                USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(listen::run(args)),
        Err(error) => Err(format!("the runtime cannot be started: {error}").into()),
    };
    let (message, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Refusal::Failed(message)) => (message, ExitCode::FAILURE),
        Err(Refusal::Senseless(message)) => (message, USAGE.into()),
    };
    listen::say(format_args!("{message}"));
    code
}

/// The exit code for a command line that makes no sense: that of `lease`, and of sysexits(3).
const USAGE: u8 = 64;
