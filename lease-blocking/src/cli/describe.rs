//! What the parser says of itself: completions for shells, and pages for man.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{args::Cli, exit_code::Exit, failure::Failure, output};

/// Prints what a shell reads to complete our command lines.
pub(crate) fn completion(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lease", &mut script);
    print(&script)
}

/// Prints the page of one command, or of all of them one after another, for `man -l -`.
pub(crate) fn man(name: Option<&str>) -> Result<Exit, Failure> {
    let mut all = Cli::command();
    // Names as `lease-run` and usages as `lease run` are known to subcommands only then.
    all.build();
    let command = match name {
        None => &all,
        Some(name) => all.find_subcommand(name).ok_or_else(|| {
            let names: Vec<_> = all.get_subcommands().map(clap::Command::get_name).collect();
            Failure::new(
                Exit::Usage,
                format_args!(
                    "there is no command {name:?}: it is one of {}",
                    names.join(", ")
                ),
            )
        })?,
    };
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    rendered.map_err(|error| Failure::chain(Exit::Failed, &error))?;
    print(with_usage(&String::from_utf8_lossy(&page), command.clone()).as_bytes())
}

/// Has the synopsis be what the parser itself says: that of the page leaves out `--` and the names of values.
fn with_usage(page: &str, mut command: clap::Command) -> String {
    let parts = page.split_once(SYNOPSIS);
    let Some((head, (_, rest))) =
        parts.and_then(|(head, rest)| Some((head, rest.split_once('\n')?)))
    else {
        return page.to_owned();
    };
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    format!("{head}{SYNOPSIS}{usage}\n{rest}")
}

fn print(text: &[u8]) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    output::written(stdout.write_all(text).and_then(|()| stdout.flush()))
}

const SYNOPSIS: &str = ".SH SYNOPSIS\n";
