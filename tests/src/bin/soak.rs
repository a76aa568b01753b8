//! Simulates clusters until enough seeds were run, enough time was simulated, or time is up.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for people to read"
)]

use std::{
    io::Write,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use lease_tests::sim::{Counts, Kind, Run, shrink};

/// Worlds are made of small allocations; this takes a third off the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates clusters in which everything goes wrong, and stops at the first promise that is broken.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Args {
    /// How many seeds to run; if time is up before, that is a failure
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// How many years of cluster time to simulate, over all seeds: with --seeds it says how long each lasts
    #[arg(long, value_parser = positive)]
    years: Option<f64>,
    /// How many minutes to run at most; half a minute if nothing is asked for
    #[arg(long, value_parser = positive)]
    minutes: Option<f64>,
    /// The first seed; LEASE_SEED=N replays seed N alone and prints what happens in it, with the same --seeds and --years
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..u64::MAX / 2))]
    from: u64,
}

/// Takes a number above zero, and no more of anything than a century.
fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if number > 0.0 && number <= 52_600_000.0 {
        Ok(number)
    } else {
        Err("it must be above zero, and no more than anybody waits for".to_owned())
    }
}

/// For how long things go wrong in a world where nothing else is asked for: half an hour.
const LENGTH: u64 = 1_800_000_000;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Ok(seed) = std::env::var("LEASE_SEED") {
        let Ok(seed) = seed.parse() else {
            eprintln!("soak: LEASE_SEED must be a number, not {seed:?}");
            return ExitCode::from(64);
        };
        return replay(&Run::new(seed, length(&args), None), &args);
    }
    soak(&args)
}

/// For how long things go wrong in each world.
fn length(args: &Args) -> u64 {
    match (args.years, args.seeds) {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a length within a microsecond or so is good enough"
        )]
        (Some(years), Some(seeds)) => (years * 365.25 * 86_400e6 / seeds as f64) as u64 + 1,
        _ => LENGTH,
    }
}

fn soak(args: &Args) -> ExitCode {
    let began = Instant::now();
    let default = args.seeds.is_none() && args.years.is_none() && args.minutes.is_none();
    let minutes = args.minutes.or_else(|| default.then_some(0.5));
    let deadline = minutes.map(|minutes| began + Duration::from_secs_f64(minutes * 60.0));
    let next = AtomicU64::new(args.from);
    let last = args.seeds.map(|seeds| args.from + seeds);
    let stop = AtomicBool::new(false);
    let total = Mutex::new((Counts::default(), 0_u64, began));
    let failed = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                    if is_late || last.is_some_and(|last| seed >= last) {
                        return;
                    }
                    let run = Run::new(seed, length(args), None);
                    let outcome = run.run();
                    if outcome.violation.is_some() {
                        stop.store(true, Ordering::Relaxed);
                        let mut failed = failed.lock().expect("nobody panics with it");
                        failed.get_or_insert(run);
                        return;
                    }
                    let mut total = total.lock().expect("nobody panics with it");
                    total.0 += outcome.counts;
                    total.1 += 1;
                    // Whoever runs it for an hour wants to know how far it is.
                    if total.2.elapsed() >= Duration::from_secs(60) {
                        total.2 = Instant::now();
                        eprintln!(
                            "soak: {} seeds, {:.3} cluster-years",
                            total.1,
                            total.0.years()
                        );
                    }
                    let enough = args.seeds.is_none()
                        && args.years.is_some_and(|years| total.0.years() >= years);
                    if enough {
                        return;
                    }
                }
            });
        }
    });
    if let Some(run) = failed.into_inner().expect("nobody panics with it") {
        return fail(&run, args);
    }
    let (counts, seeds, _) = total.into_inner().expect("nobody panics with it");
    print!("{counts}");
    println!(
        "soak: {seeds} seeds from {}, {:.3} cluster-years in {:.0} s, 0 violations",
        args.from,
        counts.years(),
        began.elapsed().as_secs_f64()
    );
    if args.seeds.is_some_and(|wanted| seeds < wanted) {
        eprintln!(
            "soak: time was up before all seeds were run: this shows less than was asked for"
        );
        return ExitCode::FAILURE;
    }
    if counts.storms_lost * 50 > counts.storms + 50 {
        eprintln!("soak: more than one storm in fifty had the holder lose the Lease");
        return ExitCode::FAILURE;
    }
    match too_little(&counts, seeds) {
        Some(what) => {
            eprintln!("soak: {what}: this shows nothing");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Prints a trace. Whoever has read enough of it, and closes the pipe, is told nothing more.
fn show(trace: &str) {
    if std::io::stdout().write_all(trace.as_bytes()).is_err() {
        std::process::exit(1);
    }
}

/// Says what has happened too rarely for the run to mean anything.
fn too_little(counts: &Counts, seeds: u64) -> Option<String> {
    let hours = (counts.micros / 3_600_000_000).max(1);
    [
        ("tenures", counts.acquired, hours * 10),
        ("renewals", counts.renewed, hours * 50),
        ("take-overs", counts.taken_over, hours),
        ("losses by expiry", counts.expired, hours),
        ("losses by a look", counts.dispossessed, hours / 4),
        ("conflicts", counts.conflicts, hours * 10),
        (
            "unknown outcomes, carried out",
            counts.ambiguous_applied,
            hours * 2,
        ),
        (
            "unknown outcomes, not carried out",
            counts.ambiguous_not_applied,
            hours * 2,
        ),
        ("faults", counts.faults, hours * 20),
        ("quiet tails", counts.tails, seeds),
    ]
    .into_iter()
    .find(|(_, seen, least)| seen < least)
    .map(|(what, seen, least)| format!("{seen} {what}, and at least {least} are wanted"))
}

/// Shows why a seed fails, with as few faults as it fails with.
fn fail(run: &Run, args: &Args) -> ExitCode {
    let least = shrink(run);
    let outcome = least.traced();
    show(&outcome.trace);
    let kinds: Vec<Kind> = outcome.faults.kinds().collect();
    if let Some(violation) = &outcome.violation {
        println!(
            "soak: LEASE_SEED={} with {kinds:?} alone: {violation}",
            run.seed
        );
    }
    match least.keep_picture() {
        Ok(file) => println!("soak: its last minute is drawn in {}", file.display()),
        Err(error) => println!("soak: it cannot be drawn: {error}"),
    }
    let mut again = format!("LEASE_SEED={} soak", run.seed);
    if let (Some(seeds), Some(years)) = (args.seeds, args.years) {
        // How long the world lasts is part of it.
        again.push_str(&format!(" --seeds {seeds} --years {years}"));
    }
    println!("soak: again with all its faults: {again}");
    ExitCode::FAILURE
}

/// Prints what happens in one world.
fn replay(run: &Run, args: &Args) -> ExitCode {
    let outcome = run.traced();
    show(&outcome.trace);
    match outcome.violation {
        None => {
            print!("{}", outcome.counts);
            println!("soak: LEASE_SEED={}: 0 violations", run.seed);
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("soak: LEASE_SEED={}: {violation}", run.seed);
            fail(run, args)
        }
    }
}
