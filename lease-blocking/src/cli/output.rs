//! What is printed of a lease.
//!
//! The JSON object is for programs: members are added to it and never renamed. All that is unknown is null.
//!
//! `name`, `namespace`; `phase` is `Available`, `Held` or `Expired`; `holder`; `acquireTime` and `renewTime` as they
//! stand in the record; `leaseDurationSeconds`; `expires` is `renewTime` and the duration after it; `transitions`;
//! `renewals` if they are counted; `renewable`; `successor`, whom it was left to, who may take it at once; `candidates`, who waits
//! by priority, the first before all others, each with `identity`, `priority` and `since`; `candidateFor`, the lease that
//! somebody waits for who announces that in this one; `done` is what
//! `run --once` has recorded, with `key`, `by` and `at`; `resourceVersion`; `waiterSeconds` and `newcomerSeconds` say for
//! how long those who wait already, and those who begin now, have to wait if nobody renews it, and others than the
//! successor where there is one; and for `acquire` the fencing token as the string `token`. `list` has such objects in
//! `items`. The same stands in `lease status --help`.

use std::{
    fmt,
    io::{self, Write},
    time::{Duration, SystemTime},
};

use lease_blocking::proto::{
    self, Done, FencingToken,
    wire::{Lease, MicroTime},
};
use serde_json::{Value, json};

use super::{
    args::Output,
    candidates::{self, Candidates},
    exit_code::Exit,
    failure::Failure,
    waits::Waits,
};

/// Prints the fencing token, or all that is known.
pub(crate) fn acquired(
    lease: &Lease,
    token: Option<FencingToken>,
    output: Output,
) -> Result<Exit, Failure> {
    let text = match (output, token) {
        (Output::Text, Some(token)) => format!("{token}\n"),
        (Output::Text, None) => String::new(),
        (Output::Json, token) => {
            let mut object = object(lease);
            object["token"] = token.map_or(Value::Null, |token| token.to_string().into());
            format!("{object}\n")
        }
    };
    // Whoever asked does not learn of it, and may have to give it back.
    print(&text).map_err(|failure| {
        let name = &lease.metadata.name;
        Failure::new(
            failure.exit,
            format_args!("lease {name} is acquired, but {failure}"),
        )
    })
}

/// Prints all that is known where that was asked for.
pub(crate) fn changed(lease: &Lease, output: Output) -> Result<Exit, Failure> {
    match output {
        Output::Text => Ok(Exit::Done),
        Output::Json => print(&format!("{}\n", object(lease))),
    }
}

/// Prints; that nobody reads any more is no failure.
fn print(text: &str) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    written(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Says how writing to standard output went.
pub(crate) fn written(outcome: io::Result<()>) -> Result<Exit, Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Failed,
            format_args!("cannot write to standard output: {error}"),
        )),
        _ => Ok(Exit::Done),
    }
}

/// All that is known, for programs.
pub(crate) fn object(lease: &Lease) -> Value {
    object_with(lease, &None)
}

/// The same, with those who wait for it by priority.
pub(crate) fn object_with(lease: &Lease, candidates: &Candidates) -> Value {
    let (meta, spec) = (&lease.metadata, &lease.spec);
    let waits = Waits::of(lease, MicroTime::from(SystemTime::now()));
    json!({
        "name": meta.name,
        "namespace": meta.namespace,
        "phase": phase(lease).to_string(),
        "holder": spec.holder(),
        "acquireTime": spec.acquire_time,
        "renewTime": spec.renew_time,
        "leaseDurationSeconds": spec.lease_duration_seconds,
        "expires": expires(lease).map(|expires| expires.to_string()),
        "transitions": spec.lease_transitions,
        "renewals": proto::renewals(lease),
        "renewable": proto::is_renewable(lease),
        "successor": proto::successor(lease),
        "candidates": candidates::object(candidates),
        "candidateFor": proto::candidate_for(lease),
        "done": Done::read(lease),
        "resourceVersion": meta.resource_version,
        "waiterSeconds": waits.waiter.map(|wait| wait.as_secs()),
        "newcomerSeconds": waits.newcomer.map(|wait| wait.as_secs()),
    })
}

/// Whether somebody holds a lease, by this machine's clock: to be shown, and no reason to take it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Available,
    Held,
    Expired,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "Available",
            Self::Held => "Held",
            Self::Expired => "Expired",
        })
    }
}

pub(crate) fn phase(lease: &Lease) -> Phase {
    let now = MicroTime::from(SystemTime::now());
    match (lease.spec.holder(), expires(lease)) {
        (None, _) => Phase::Available,
        (Some(_), Some(expires)) if expires <= now => Phase::Expired,
        (Some(_), _) => Phase::Held,
    }
}

/// When its holder's time is over, as the record says.
pub(crate) fn expires(lease: &Lease) -> Option<MicroTime> {
    let spec = &lease.spec;
    let renewed = spec.renew_time.as_ref()?.time()?;
    let seconds = u64::try_from(spec.lease_duration_seconds?).ok()?;
    spec.holder()
        .map(|_| renewed.saturating_add(Duration::from_secs(seconds)))
}

/// Whether a time is later than now by more than holders write ahead: whoever renews twice within a second says that the second
/// time was a second later, so that everybody sees it move.
pub(crate) fn is_ahead(time: MicroTime, now: MicroTime) -> bool {
    now.saturating_add(WRITTEN_AHEAD) < time
}

const WRITTEN_AHEAD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holders_write_a_second_ahead_is_not_called_the_future() {
        let time = |text: &str| -> MicroTime { text.parse().expect("a time") };
        let now = time("2026-01-01T00:00:00.500000Z");
        assert!(!is_ahead(time("2026-01-01T00:00:00.400000Z"), now));
        assert!(!is_ahead(time("2026-01-01T00:00:01.500000Z"), now));
        assert!(is_ahead(time("2026-01-01T00:00:03.000000Z"), now));
    }
}
