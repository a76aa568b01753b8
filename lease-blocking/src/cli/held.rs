//! `lease acquire`, `renew` and `release`: a lease that is held from one command to the next.

use std::{error::Error, time::Duration};

use lease_blocking::{
    Claim, Client, Clock,
    proto::{Config, ConfigError, Event, GaveUp, Grant, OnRelease, Patience, Released},
};

use super::{
    args::{Acquire, Release, Renew, Target},
    connect,
    exit_code::Exit,
    failure::Failure,
    output, say, status,
};

pub(crate) fn acquire(args: &Acquire) -> Result<Exit, Failure> {
    let client = connect::client(&args.target.cluster)?;
    let mut claim = claim(&client, &args.target, args.ttl)?;
    claim.acquire(match args.timeout {
        Some(Duration::ZERO) => Patience::Once,
        Some(timeout) => {
            let until = Clock::new().now().checked_add(timeout);
            until.map_or(Patience::Forever, Patience::Until)
        }
        None if args.wait => Patience::Forever,
        None => Patience::Once,
    });
    let grant = drive(&mut claim, &client, &args.target)?;
    match claim.observed() {
        Some(lease) => output::acquired(lease, grant.token, args.target.output),
        None => Ok(Exit::Done),
    }
}

pub(crate) fn renew(args: &Renew) -> Result<Exit, Failure> {
    let client = connect::client(&args.target.cluster)?;
    let mut claim = claim(&client, &args.target, args.ttl)?;
    claim.resume();
    drive(&mut claim, &client, &args.target)?;
    match claim.observed() {
        Some(lease) => output::changed(lease, args.target.output),
        None => Ok(Exit::Done),
    }
}

pub(crate) fn release(args: &Release) -> Result<Exit, Failure> {
    let target = &args.target;
    let client = connect::client(&target.cluster)?;
    let mut claim = claim(&client, target, None)?;
    claim.release();
    let mut refused = None;
    while let Some(event) = claim.next_event() {
        tell(&event, target);
        match event {
            Event::Failed(failure) => refused = Some(Failure::refused(&failure)),
            Event::Released(Released::Cleared) => {
                return match claim.observed() {
                    Some(lease) => output::changed(lease, target.output),
                    None => Ok(Exit::Done),
                };
            }
            Event::Released(Released::Deleted) => {
                return Err(status::no_such_lease(&client, &target.name));
            }
            Event::Released(Released::NotOurs) => {
                return Err(not_held(
                    target,
                    claim.observed().and_then(|lease| lease.spec.holder()),
                ));
            }
            Event::Released(_) => break,
            _ => {}
        }
    }
    Err(refused.unwrap_or_else(|| {
        let why = format!("it is not known whether lease {} was released", target.name);
        unanswered(&why, &claim)
    }))
}

/// Makes a claim for a holder that is the same in every command.
fn claim(client: &Client, target: &Target, ttl: Option<Duration>) -> Result<Claim, Failure> {
    let ttl = match ttl {
        Some(ttl) => ttl,
        None => named_duration(client, target)?.unwrap_or(DEFAULT_TTL),
    };
    let config = Config::builder(
        client.namespace(),
        target.name.as_str(),
        target.holder.as_str(),
    )
    .reclaim_own_identity(true)
    .on_release(OnRelease::Clear)
    .whole_second_observers(target.cluster.embedded.is_none())
    .lease_duration(ttl)
    .renew_deadline(ttl);
    match config.build() {
        Ok(config) => Ok(client.claim(config)),
        Err(error) => Err(unusable(&error)),
    }
}

/// The duration that the record names for its holder; what a release leaves behind is nobody's.
fn named_duration(client: &Client, target: &Target) -> Result<Option<Duration>, Failure> {
    let lease = status::read(client, &target.name)?;
    Ok(lease
        .filter(|lease| lease.spec.holder().is_some())
        .and_then(|lease| u64::try_from(lease.spec.lease_duration_seconds?).ok())
        .map(Duration::from_secs))
}

/// A configuration that cannot work, in the words of the command line.
pub(crate) fn unusable(error: &ConfigError) -> Failure {
    let line = match error {
        ConfigError::LeaseDurationTooShort { lease_duration } => format!(
            "--ttl {lease_duration:?} is too short: it must be at least 3s, since claimants built on client-go see \
             renewals in whole seconds"
        ),
        ConfigError::LeaseDurationOutOfRange { lease_duration } => format!(
            "--ttl {lease_duration:?} is out of range: it must be at least 1s and at most {}s",
            i32::MAX
        ),
        error => error.to_string(),
    };
    Failure::new(Exit::Usage, line)
}

/// Waits until the lease is held, or will not be.
fn drive(claim: &mut Claim, client: &Client, target: &Target) -> Result<Grant, Failure> {
    let mut failed = None;
    while let Some(event) = claim.next_event() {
        tell(&event, target);
        match event {
            Event::Acquired(grant) => return Ok(grant),
            Event::Failed(failure) => {
                failed = Some(Failure::refused(&failure));
                claim.release();
            }
            Event::GaveUp(GaveUp::Stopped) => {}
            Event::GaveUp(GaveUp::NotHeld { holder }) => {
                failed = Some(match claim.observed() {
                    Some(_) => not_held(target, holder.as_deref()),
                    None => status::no_such_lease(client, &target.name),
                });
            }
            Event::GaveUp(why) => {
                let is_unanswered =
                    matches!(&why, GaveUp::Trouble(_) | GaveUp::TimedOut { holder: None });
                let last_error = last_error(claim).filter(|_| is_unanswered);
                failed = Some(Failure::gave_up(&why, target.name.as_str(), last_error));
            }
            _ => {}
        }
    }
    let why = format!("lease {} was not acquired", target.name);
    Err(failed.unwrap_or_else(|| unanswered(&why, claim)))
}

fn not_held(target: &Target, holder: Option<&str>) -> Failure {
    let Target {
        name, holder: ours, ..
    } = target;
    match holder {
        Some(holder) => Failure::new(
            Exit::Held,
            format_args!(
                "lease {name} is held by {holder:?}, not by {:?}",
                ours.as_str()
            ),
        ),
        None => Failure::new(Exit::Held, format_args!("nobody holds lease {name}")),
    }
}

fn unanswered(what: &str, claim: &Claim) -> Failure {
    match last_error(claim) {
        Some(error) => Failure::new(
            Exit::Failed,
            format_args!("{what}: {}", super::failure::chain(error)),
        ),
        None => Failure::new(Exit::Failed, what),
    }
}

fn last_error(claim: &Claim) -> Option<&(dyn Error + 'static)> {
    claim
        .last_error()
        .map(|error| &**error as &(dyn Error + 'static))
}

fn tell(event: &Event, target: &Target) {
    if target.cluster.verbose {
        say(format_args!("{event:?}"));
    }
}

const DEFAULT_TTL: Duration = Duration::from_secs(15);
