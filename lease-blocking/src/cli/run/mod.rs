//! `lease run`: a program that runs while the lease is held, and no longer.

mod deadline;
mod guard;
mod lines;
mod message;
mod once;
mod process;
mod program;
mod running;
mod stop;
mod sweep;
mod terminal;
mod verdict;

use std::{
    env,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use lease_blocking::{
    Clock, Keeper,
    proto::{Config, Patience},
};

pub(crate) use self::guard::play_part;
use self::{
    once::Task,
    running::{Happening, Running},
};
use super::{
    args::{OnLost, Run},
    connect,
    duration::exact,
    exit_code::Exit,
    failure::Failure,
    held, signals,
};

pub(crate) fn run(args: Run) -> Result<Exit, Failure> {
    let name = args
        .program
        .first()
        .map(|name| name.as_os_str())
        .unwrap_or_default();
    if args.wait && args.timeout == Some(Duration::ZERO) {
        return Err(held::waits_for_no_time());
    }
    let path = program::find(name)?;
    guard::find_proc()?;
    let grace = grace(&args)?;
    let as_run = |mut failure: Failure| {
        // Its own codes are those of timeout(1): 1 to 5 are the program's.
        if failure.exit != Exit::Usage {
            failure.exit = Exit::RunFailed;
        }
        failure
    };
    let client = connect::client(&args.cluster).map_err(as_run)?;
    let patience = patience(&args);
    let once = args.once.clone();
    let once = once.map(|once| Task::new(once, client.clone(), args.name.clone()));
    if let Some(task) = &once
        && task.is_done(patience)?
    {
        return Ok(Exit::Done);
    }
    let holder = args
        .holder
        .as_ref()
        .map_or_else(default_holder, ToString::to_string);
    let config = Config::builder(client.namespace(), args.name.as_str(), holder)
        .lease_duration(args.ttl)
        // The program is killed in time, so it needs no time of its own after the grant.
        .renew_deadline(args.ttl)
        .request_timeout(request_timeout(args.ttl))
        .whole_second_observers(args.cluster.embedded.is_none())
        .renewable(!args.renewals.not_renewable)
        .count_renewals(args.renewals.count_renewals)
        .priority(args.priority)
        .build()
        .map_err(|error| held::unusable(&error, &args.cluster))?;
    let (sender, happenings) = mpsc::channel();
    let failed = |error: std::io::Error| Failure::chain(Exit::RunFailed, &error);
    // Before the lease is held: a signal that comes now must not leave anything behind.
    let heard = sender.clone();
    signals::listen(&signals::PASSED_ON, move |signal| {
        heard.send(Happening::Signal(signal)).is_ok()
    })
    .map_err(failed)?;
    let mut claim = client.claim(config);
    claim.acquire(patience);
    let keeper = claim.keep().map_err(failed)?;
    let running = Running::new(args, client, path, grace, keeper, happenings, sender);
    running.map_err(failed)?.run(once.as_ref())
}

fn patience(args: &Run) -> Patience {
    match args.timeout {
        _ if args.no_wait => Patience::Once,
        Some(Duration::ZERO) => Patience::Once,
        Some(timeout) => {
            let until = Clock::new().now().checked_add(timeout);
            until.map_or(Patience::Forever, Patience::Until)
        }
        None => Patience::Forever,
    }
}

/// Passes on what happens to the lease.
fn pump(keeper: &Arc<Keeper>, sender: mpsc::Sender<Happening>) -> std::io::Result<()> {
    let keeper = Arc::clone(keeper);
    let pump = move || {
        while let Some(event) = keeper.next_event() {
            let _over = sender.send(Happening::Lease(event));
        }
        let _over = sender.send(Happening::Over);
    };
    let thread = thread::Builder::new().name("lease-events".to_owned());
    thread.spawn(pump).map(|_| ())
}

/// How long before the lease runs out the program is told to stop.
///
/// A renewal is due when two thirds of the lease are left, so a program that is renewed for is never told.
fn grace(args: &Run) -> Result<Duration, Failure> {
    if args.on_lost == OnLost::Warn && args.grace.is_some() {
        let line = "--grace makes no sense with --on-lost warn: the program is never told to stop";
        return Err(Failure::new(Exit::Usage, line));
    }
    let grace = args
        .grace
        .unwrap_or_else(|| (args.ttl / 3).min(Duration::from_secs(10)));
    if grace <= args.ttl / 2 {
        Ok(grace)
    } else {
        let line = format!(
            "--grace {} is too long: it must be at most half of --ttl {}",
            exact(grace),
            exact(args.ttl)
        );
        Err(Failure::new(Exit::Usage, line))
    }
}

/// How long a request may take, so that one that gets no answer leaves time for another before the program is told to stop.
fn request_timeout(ttl: Duration) -> Duration {
    let least = Duration::from_secs(1).min(ttl / 2);
    (ttl / 4).max(least)
}

fn default_holder() -> String {
    let pod = env::var("POD_NAME").ok().filter(|pod| !pod.is_empty());
    pod.unwrap_or_else(|| {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    })
}
