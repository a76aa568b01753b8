//! The command `lease`.

mod args;
mod connect;
mod duration;
mod exit_code;
mod failure;
mod held;
mod output;
mod program;
mod run;
mod status;

use std::io;

use clap::{Parser, error::ErrorKind};

use self::{
    args::{Cli, Command},
    exit_code::Exit,
    failure::Failure,
};

/// Does what the command line says.
pub(crate) fn run() -> Exit {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(result) = program::become_program(&words) {
        return end(result);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Acquire(args) => held::acquire(&args),
        Command::Renew(args) => held::renew(&args),
        Command::Release(args) => held::release(&args),
        Command::Status(args) => status::status(&args),
    };
    end(result)
}

/// Says what went wrong, if anything did.
fn end(result: Result<Exit, Failure>) -> Exit {
    result.unwrap_or_else(|failure| {
        say(format_args!("{failure}"));
        failure.exit
    })
}

/// Prints the help that was asked for, or what was wrong with the command line.
fn explain(error: &clap::Error) -> Exit {
    let is_asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    match error.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ if is_asked_for => Exit::Done,
        _ => Exit::Usage,
    }
}

/// Says something to whoever looks, and leaves standard output to what was asked for.
#[expect(clippy::print_stderr, reason = "this is the one place that does")]
fn say(what: std::fmt::Arguments<'_>) {
    eprintln!("lease: {what}");
}
