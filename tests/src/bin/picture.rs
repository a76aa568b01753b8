//! Draws what happened between claimants and the API server, as SVG: a seed, a scene, or what real processes have told.

#![expect(clippy::print_stderr, reason = "it is a program for people to read")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use lease_tests::{
    picture::Picture,
    sim::{Run, World},
};

/// Draws who believed that it held the Lease, whom the record named, and what was asked and answered meanwhile.
#[derive(Debug, Parser)]
#[command(name = "picture")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The file to write; stdout without it
    #[arg(short, long, global = true)]
    output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A holder crashes
    Crash,
    /// A holder is cut off
    Partition,
    /// What happens in the simulated world of a seed
    Seed(Seed),
    /// What processes told on stdout: lines such as {"t": 1.5, "event": "acquired", "lease": "a"}; a file for each
    ///
    /// It understands the events "acquired", "lost" and "released" and no others, which is what `contender-tokio`,
    /// `contender-blocking` and the contenders of the benchmark write, unless they are told to say more (`LEASE_CHAOS_FENCED`).
    /// Whoever does something to a process may add a line to its file: {"t": 3, "until": 9, "event": "fault", "what": "stopped"};
    /// "what" is any word, and after "killed" or while "stopped" it believes nothing. `tests/pictures/record` records three.
    Events {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The API server's audit log: shows requests, and on the level RequestResponse whom the record named
        ///
        /// A process is known in it by the name of its file, without what follows the last dot: the holder's name, or what it
        /// calls itself in User-Agent, begins with that. What none of them has asked for has a lane of its own.
        #[arg(long, value_name = "FILE")]
        audit_log: Option<PathBuf>,
        /// Of several Leases, the one to draw
        #[arg(long)]
        lease: Option<String>,
    },
}

#[derive(Args, Debug)]
struct Seed {
    /// The seed
    seed: u64,
    /// For how many minutes things go wrong
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=WEEK / 60))]
    minutes: u64,
    /// From which second on; the last minute without it
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=WEEK))]
    from: Option<u64>,
    /// Until which second
    #[arg(long, requires = "from", value_parser = clap::value_parser!(u64).range(..=WEEK))]
    until: Option<u64>,
}

const SECOND: u64 = 1_000_000;
/// As much as anybody would look at, in seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let drawn = draw(&arguments.what).and_then(|svg| match &arguments.output {
        Some(file) => fs::write(file, svg)
            .map_err(|error| format!("cannot write {}: {error}", file.display())),
        // Whoever has read enough of it, and closes the pipe, is told nothing more.
        None => {
            let _closed = std::io::stdout().write_all(svg.as_bytes());
            Ok(())
        }
    });
    match drawn {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("picture: {error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(what: &What) -> Result<String, String> {
    match what {
        What::Crash => scene(World::crash()),
        What::Partition => scene(World::partition()),
        What::Seed(seed) => {
            let run = Run::new(seed.seed, seed.minutes * 60 * SECOND, None);
            let (picture, end) = run.drawn();
            let last_minute = end.saturating_sub(60 * SECOND);
            let from = seed.from.map_or(last_minute, |from| from * SECOND);
            let until = seed.until.map_or(end, |until| until * SECOND);
            if until <= from {
                return Err("it begins after it ends: see --from and --until".to_owned());
            }
            if end <= from {
                return Err(format!("all is over after {} s: see --from", end / SECOND));
            }
            Ok(picture.svg(from, until))
        }
        What::Events {
            files,
            audit_log,
            lease,
        } => {
            let texts: Result<Vec<_>, _> = files
                .iter()
                .map(|file| {
                    let text = read(file)?;
                    let name = file
                        .file_stem()
                        .map(|name| name.to_string_lossy().into_owned());
                    Ok::<_, String>((name.unwrap_or_default(), text))
                })
                .collect();
            let log = audit_log.as_deref().map(read).transpose()?;
            let picture = Picture::of_events(&texts?, lease.as_deref(), log.as_deref())?;
            let end = picture.end();
            Ok(picture.svg(0, end))
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn scene(world: Result<World, lease_tests::sim::Violation>) -> Result<String, String> {
    let world = world.map_err(|violation| violation.to_string())?;
    let (picture, end) = world.picture().ok_or("nothing was drawn")?;
    Ok(picture.svg(8 * SECOND, end))
}
