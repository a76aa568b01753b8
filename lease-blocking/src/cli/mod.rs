//! The command `lease`.

mod args;
mod candidates;
mod changes;
mod connect;
mod describe;
mod duration;
mod escape;
mod events;
mod exit_code;
mod failure;
mod force;
mod held;
mod help;
mod list;
mod output;
mod portrait;
mod run;
mod signals;
mod status;
mod unranked;
mod view;
mod waits;
mod watch;

use std::io::{self, Write};

use clap::{Parser, error::ErrorKind};

use self::{
    args::{Cli, Command},
    exit_code::Exit,
    failure::Failure,
    watch::Scope,
};

/// Does what the command line says.
pub(crate) fn run() -> Exit {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(result) = run::play_part(&words) {
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
        Command::List(args) => list::list(&args),
        Command::Completion { shell } => describe::completion(shell),
        Command::Man { command } => describe::man(command.as_deref()),
        Command::Watch(args) => {
            let scope = match &args.name {
                Some(name) => Scope::One(name),
                None => Scope::All(args.candidates),
            };
            watch::watch(scope, args.all_namespaces, args.output, &args.cluster)
        }
    };
    let exit = end(result);
    if exit == Exit::Signal(INTERRUPT) && std::process::id() != FIRST {
        // A shell that was interrupted as well ends its script only if this has died of it. It sees the same code.
        let _failed = signal_hook::low_level::emulate_default_handler(INTERRUPT.into());
    }
    exit
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
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => end(output::written(Err(error))),
        _ if is_asked_for => Exit::Done,
        _ => Exit::Usage,
    }
}

/// Says something to whoever looks, and leaves standard output to what was asked for.
fn say(what: std::fmt::Arguments<'_>) {
    // Nobody may be left to read it, and that must not end what goes on.
    let what = escape::lines(&what.to_string());
    // In one piece, or what others say at the same time stands in the middle of it.
    let _gone = io::stderr().write_all(format!("lease: {what}\n").as_bytes());
}

/// SIGINT.
const INTERRUPT: u8 = 2;
/// The first process of a container, which cannot die of a signal of its own.
const FIRST: u32 = 1;
