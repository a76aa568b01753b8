//! `lease status`: who holds a lease.

use std::{thread, time::Duration};

use lease_blocking::{
    Client, Clock,
    proto::{Identity, LeaseName, Patience, wire::Lease},
};

use super::{
    args::{Status, View},
    candidates, connect,
    exit_code::Exit,
    failure::Failure,
    output::{self, Phase},
    say, view, watch,
};

pub(crate) fn status(args: &Status) -> Result<Exit, Failure> {
    look(args).map_err(|mut failure| {
        // Its 1 says that nobody holds the lease, and scripts go by that.
        if failure.exit == Exit::Failed {
            failure.exit = Exit::Unknown;
        }
        failure
    })
}

fn look(args: &Status) -> Result<Exit, Failure> {
    if args.watch {
        let lines = args.output.lines()?;
        return watch::watch(watch::Scope::One(&args.name), false, lines, &args.cluster);
    }
    let client = connect::reader(&args.cluster)?;
    let Some(lease) = read(&client, &args.name)? else {
        return Err(no_such_lease(&client, &args.name));
    };
    if !args.quiet {
        let asks = args.output != View::Name;
        let candidates = asks.then(|| candidates::ask(&client, &lease)).flatten();
        view::one(&lease, &candidates, args.output)?;
    }
    let is_held = output::phase(&lease) == Phase::Held;
    let is_asked_for = |holder: &Identity| lease.spec.holder() == Some(holder.as_str());
    Ok(match &args.holder {
        Some(holder) if is_held && !is_asked_for(holder) => Exit::Held,
        _ if is_held => Exit::Done,
        _ => Exit::NotHeld,
    })
}

/// Reads a lease, or says what is in the way.
pub(crate) fn read(client: &Client, name: &LeaseName) -> Result<Option<Lease>, Failure> {
    client
        .get(name.as_str())
        .map_err(|error| Failure::of_client(&error))
}

/// Reads a lease, and tries again where there is no answer, for as long as it is to be waited for.
pub(crate) fn read_patiently(
    client: &Client,
    name: &LeaseName,
    patience: Patience,
) -> Result<Option<Lease>, Failure> {
    let mut said = None;
    loop {
        let failure = match read(client, name) {
            Err(failure) if failure.exit == Exit::Failed => failure,
            result => return result,
        };
        let pause = match patience {
            Patience::Forever => AGAIN,
            Patience::Until(until) => {
                let left = until.saturating_duration_since(Clock::new().now());
                AGAIN.min(left)
            }
            _ => Duration::ZERO,
        };
        let line = failure.to_string();
        if pause.is_zero() {
            let is_said = said.is_some_and(|said| said == line);
            let brief = format_args!("lease {name} could not be read in the time given");
            return Err(if is_said {
                Failure::new(Exit::Failed, brief)
            } else {
                failure
            });
        }
        if said.as_ref() != Some(&line) {
            say(format_args!("{line}: trying again"));
            said = Some(line);
        }
        thread::sleep(pause);
    }
}

pub(crate) fn no_such_lease(client: &Client, name: &LeaseName) -> Failure {
    let namespace = client.namespace();
    Failure::new(
        Exit::NotFound,
        format_args!("there is no lease {name} in namespace {namespace}"),
    )
}

/// How long is waited between two attempts to read.
const AGAIN: Duration = Duration::from_secs(1);
