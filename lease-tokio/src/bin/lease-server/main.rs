//! The command `lease-server`: an API server for Leases on a port of this machine, for kubectl and whoever else asks.

mod args;
mod body;
mod describe;
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
            let printed = error.print();
            // To standard output goes only what was asked for. Nobody may be left to read the rest.
            return if error.use_stderr() {
                USAGE.into()
            } else {
                end(describe::written(printed).map_err(Refusal::from))
            };
        }
    };
    if let Some(command) = args.command {
        return end(describe::describe(command).map_err(Refusal::from));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    end(match runtime {
        Ok(runtime) => runtime.block_on(listen::run(args)),
        Err(error) => Err(format!("the runtime cannot be started: {error}").into()),
    })
}

/// Says what went wrong, if anything did.
fn end(outcome: Result<(), Refusal>) -> ExitCode {
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
