//! `lease acquire`, `renew` and `release`: a lease that is held from one command to the next.

use std::{
    error::Error,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use lease_blocking::{
    Claim, Client, Clock, Error as ClientError,
    proto::{
        self, Config, ConfigError, Event, GaveUp, Grant, OnRelease, Patience, Released, Trouble,
        access::TransportError, plain::ApiError, plain::Preconditions, wire::Lease,
    },
};

use super::{
    args::{Acquire, Cluster, Release, Renew, Renewals, Target},
    connect, duration, events,
    exit_code::Exit,
    failure::{Failure, NOT_RENEWABLE},
    force, output, say, signals, status, unranked,
};

/// Says that `--wait` and `--timeout 0` contradict each other.
pub(crate) fn waits_for_no_time() -> Failure {
    let line = "--wait waits, and --timeout 0 does not: leave one of them out";
    Failure::new(Exit::Usage, line)
}

pub(crate) fn acquire(args: &Acquire) -> Result<Exit, Failure> {
    if args.wait && args.timeout == Some(Duration::ZERO) {
        return Err(waits_for_no_time());
    }
    let client = connect::client(&args.target.cluster)?;
    let patience = match args.timeout {
        Some(Duration::ZERO) => Patience::Once,
        Some(timeout) => {
            let until = Clock::new().now().checked_add(timeout);
            until.map_or(Patience::Forever, Patience::Until)
        }
        None if args.wait => Patience::Forever,
        None => Patience::Once,
    };
    let held = match args.ttl {
        Some(_) => None,
        None => status::read_patiently(&client, &args.target.name, patience)?,
    };
    let wanted = Some((args.renewals, args.priority));
    let mut claim = claim(&client, &args.target, args.ttl, wanted, held)?;
    let interrupted = stop_on_signals(&claim)?;
    claim.acquire(patience);
    let grant = drive(&mut claim, &client, &args.target);
    if let (Err(_), Some(signal)) = (&grant, interrupted.get()) {
        let line = format_args!("interrupted while waiting for lease {}", args.target.name);
        return Err(Failure::new(Exit::Signal(*signal), line));
    }
    if let Some(announcement) = claim.announcement() {
        // Others do not hold back for it for long if it stays.
        let left = client.delete(announcement.as_str(), &Preconditions::none());
        if let Err(ClientError::Api(ApiError::Forbidden(refusal))) = left {
            unranked::tell(&refusal.of_announcement());
        }
    }
    let grant = grant?;
    match claim.observed() {
        Some(lease) => output::acquired(lease, grant.token, args.target.output),
        None => Ok(Exit::Done),
    }
}

pub(crate) fn renew(args: &Renew) -> Result<Exit, Failure> {
    let client = connect::client(&args.target.cluster)?;
    let held = status::read(&client, &args.target.name)?;
    let mut claim = claim(&client, &args.target, args.ttl, None, held)?;
    claim.resume();
    drive(&mut claim, &client, &args.target)?;
    match claim.observed() {
        Some(lease) => output::changed(lease, args.target.output),
        None => Ok(Exit::Done),
    }
}

pub(crate) fn release(args: &Release) -> Result<Exit, Failure> {
    let Some(holder) = args.holder.as_ref().filter(|_| !args.force) else {
        return force::release(args);
    };
    let target = &Target {
        name: args.name.clone(),
        holder: holder.clone(),
        output: args.output,
        cluster: args.cluster.clone(),
    };
    let client = connect::client(&target.cluster)?;
    let held = status::read(&client, &target.name)?;
    let mut claim = claim(&client, target, None, None, held)?;
    match args.to.clone() {
        Some(to) => claim.hand_over(to, args.reserve),
        None => claim.release(),
    }
    let mut refused = None;
    let mut teller = Teller::new(target);
    while let Some(event) = claim.next_event() {
        teller.tell(&event, &claim);
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
                let holder = claim.observed().and_then(|lease| lease.spec.holder());
                return match (holder, claim.observed()) {
                    (None, Some(lease)) if args.to.is_some() => Err(not_left(target, lease)),
                    // As it should be, whoever did it: a script's last command may come twice.
                    (None, Some(lease)) => output::changed(lease, target.output),
                    _ => Err(not_held(target, holder)),
                };
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

/// Has a signal that would end the process end the waiting, so that others do not wait for whoever has gone; a second one ends
/// the process at once. Returns where the first is noted.
fn stop_on_signals(claim: &Claim) -> Result<Arc<OnceLock<u8>>, Failure> {
    let (first, stopper) = (Arc::new(OnceLock::new()), claim.stopper());
    let noted = Arc::clone(&first);
    let stop = move |signal: i32| {
        let number = u8::try_from(signal).unwrap_or_default();
        if noted.set(number).is_err() {
            let _unlikely = signal_hook::low_level::emulate_default_handler(signal);
        }
        stopper.stop();
        true
    };
    signals::listen(&signals::ENDING, stop)
        .map_err(|error| Failure::chain(Exit::Failed, &error))?;
    Ok(first)
}

/// Makes a claim for a holder that is the same in every command; without `renewals` it is renewed as it was acquired, and without
/// `ttl` it lasts as long as what is `held` names.
fn claim(
    client: &Client,
    target: &Target,
    ttl: Option<Duration>,
    wanted: Option<(Renewals, Option<i32>)>,
    held: Option<Lease>,
) -> Result<Claim, Failure> {
    let renewals = wanted.map(|(renewals, _)| renewals);
    let named = || held.as_ref().and_then(named_duration);
    let ttl = ttl.or_else(named).unwrap_or(DEFAULT_TTL);
    let was_counted = || held.as_ref().and_then(proto::renewals).is_some();
    let counts = renewals.map_or_else(was_counted, |it| it.count_renewals);
    let config = Config::builder(
        client.namespace(),
        target.name.as_str(),
        target.holder.as_str(),
    )
    .reclaim_own_identity(true)
    .on_release(OnRelease::Clear)
    .whole_second_observers(target.cluster.embedded.is_none())
    .lease_duration(ttl)
    .renew_deadline(ttl)
    .renewable(!renewals.is_some_and(|it| it.not_renewable))
    .count_renewals(counts)
    .priority(wanted.and_then(|(_, priority)| priority));
    match config.build() {
        Ok(config) => Ok(client.claim(config)),
        Err(error) => Err(unusable(&error, &target.cluster)),
    }
}

/// The duration that the record names for its holder; what a release leaves behind is nobody's.
fn named_duration(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.lease_duration_seconds;
    let seconds = seconds.filter(|named| lease.spec.holder().is_some() || *named > LEFT_BEHIND)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// A configuration that cannot work, in the words of the command line.
pub(crate) fn unusable(error: &ConfigError, cluster: &Cluster) -> Failure {
    let least = match cluster.embedded {
        Some(_) => "1s",
        None => "3s, since claimants built on client-go see renewals in whole seconds,",
    };
    let line = match error {
        ConfigError::LeaseDurationTooShort { lease_duration }
        | ConfigError::LeaseDurationOutOfRange { lease_duration } => format!(
            "--ttl {} is out of range: it must be at least {least} and at most {}s (68y)",
            duration::exact(*lease_duration),
            i32::MAX
        ),
        error => error.to_string(),
    };
    Failure::new(Exit::Usage, line)
}

/// Waits until the lease is held, or will not be.
fn drive(claim: &mut Claim, client: &Client, target: &Target) -> Result<Grant, Failure> {
    let mut failed = None;
    let mut teller = Teller::new(target);
    while let Some(event) = claim.next_event() {
        teller.tell(&event, claim);
        match event {
            Event::Acquired(grant) => return Ok(grant),
            Event::Failed(failure) => {
                failed = Some(Failure::refused(&failure));
                claim.release();
            }
            Event::Unranked(refusal) => unranked::tell(&refusal),
            Event::GaveUp(GaveUp::Stopped) => {}
            Event::GaveUp(GaveUp::NotHeld { holder }) => {
                failed = Some(match claim.observed() {
                    Some(_) => not_held(target, holder.as_deref()),
                    None => status::no_such_lease(client, &target.name),
                });
            }
            Event::GaveUp(why @ (GaveUp::Held(_) | GaveUp::TimedOut { .. }))
                if claim.observed().is_some_and(|it| is_its_own(it, target)) =>
            {
                let exit = match why {
                    GaveUp::Held(_) => Exit::Held,
                    _ => Exit::TimedOut,
                };
                let (name, holder) = (&target.name, target.holder.as_str());
                let line = format_args!("{holder:?} holds lease {name} already: {NOT_RENEWABLE}");
                failed = Some(Failure::new(exit, line));
            }
            Event::GaveUp(why) => {
                let is_unanswered = why.is_unanswered();
                let is_slow = claim.last_error().is_some_and(|error| {
                    is_unanswered && matches!(**error, TransportError::Timeout { .. })
                });
                let last_error = last_error(claim).filter(|_| is_unanswered);
                let record = claim.observed();
                let failure = Failure::gave_up(&why, target.name.as_str(), record, last_error);
                failed = Some(if is_slow {
                    failure.with_advice(
                        "a request gets a share of --ttl: a longer one bears with a slower server",
                    )
                } else {
                    failure
                });
            }
            _ => {}
        }
    }
    let why = format!("lease {} was not acquired", target.name);
    Err(failed.unwrap_or_else(|| unanswered(&why, claim)))
}

/// Whether it is not acquired since its own holder has it, for whom it is not renewed either.
fn is_its_own(lease: &Lease, target: &Target) -> bool {
    lease.spec.holder() == Some(target.holder.as_str()) && !proto::is_renewable(lease)
}

/// What nobody holds is left to nobody else than before, unless by whoever has left it.
fn not_left(target: &Target, lease: &Lease) -> Failure {
    let Target { name, holder, .. } = target;
    let how = match (proto::successor(lease), proto::left_by(lease)) {
        (Some(to), Some(by)) => format!(
            "lease {name} is left to {to:?} by {by:?}, not by {:?}",
            holder.as_str()
        ),
        (Some(to), None) => format!("lease {name} is left to {to:?} already"),
        (None, _) => format!("nobody holds lease {name}"),
    };
    Failure::new(
        Exit::Held,
        format_args!("{how}: nothing was changed; --force changes to whom it is left"),
    )
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

/// Says what happens, to those who asked for it, and to all others what has stood in the way for a while.
struct Teller<'a> {
    target: &'a Target,
    patient_until: Instant,
    said: Option<String>,
}

impl<'a> Teller<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            patient_until: Clock::new().now() + PATIENCE,
            said: None,
        }
    }

    fn tell(&mut self, event: &Event, claim: &Claim) {
        let (now, name) = (Clock::new().now(), &self.target.name);
        if self.target.cluster.verbose {
            say(format_args!("{name}: {}", events::of_event(event, now)));
            return;
        }
        let Event::Retrying { trouble, .. } = event else {
            return;
        };
        let line = match last_error(claim).filter(|_| *trouble == Trouble::NoAnswer) {
            Some(error) => super::failure::chain(error),
            None => trouble.to_string(),
        };
        if self.patient_until <= now && self.said.as_ref() != Some(&line) {
            say(format_args!("{name}: {line}; trying again"));
            self.said = Some(line);
        }
    }
}

/// For how long nothing is said of what stands in the way.
const PATIENCE: Duration = Duration::from_secs(1);

/// The duration, in seconds, that a record names after a release, whatever it named before.
const LEFT_BEHIND: i64 = 1;

const DEFAULT_TTL: Duration = Duration::from_secs(15);
