//! What the parser says of itself: help, completions for shells, and a page for man.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::args::{Args, Command};

/// Prints what was asked for.
pub(crate) fn describe(command: Command) -> Result<(), String> {
    let mut parser = Args::command();
    let mut text = Vec::new();
    match command {
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut parser, "lease-server", &mut text);
        }
        Command::Man => clap_mangen::Man::new(parser)
            .render(&mut text)
            .map_err(|error| format!("there is no page: {error}"))?,
    }
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(&text).and_then(|()| stdout.flush()))
}

/// Says how writing to standard output went; that nobody reads any more is no failure.
pub(crate) fn written(outcome: io::Result<()>) -> Result<(), String> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
