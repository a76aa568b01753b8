//! What `lease run` says of the lease and the program, in lines for people.

use std::{
    process::ExitStatus,
    time::{Duration, Instant},
};

use lease_blocking::{
    TransportError,
    proto::{Event, Grant, Trouble, Waiting},
};

use super::{
    super::{duration::exact, failure::chain},
    program,
};

/// Says what has happened, and for how long things stay as they are.
pub(super) fn of_event(event: &Event, now: Instant) -> String {
    let left = |until: &Instant| seconds(until.saturating_duration_since(now));
    match event {
        Event::Acquired(Grant {
            valid_until,
            token: Some(token),
            ..
        }) => format!("{event} for {}, with token {token}", left(valid_until)),
        Event::Acquired(grant) | Event::Renewed(grant) => {
            format!("{event} for {}", left(&grant.valid_until))
        }
        Event::AtRisk { until, .. } => format!("{event}; {} are left", left(until)),
        Event::Waiting(Waiting { until, .. }) | Event::HolderChanged(Waiting { until, .. }) => {
            format!(
                "{event}, and is free in {} unless that renews it",
                left(until)
            )
        }
        Event::Retrying { at, .. } => format!("{event}; again in {}", left(at)),
        _ => event.to_string(),
    }
}

/// Says what is in the way; the same again as long as it is the same.
pub(super) fn of_trouble(
    trouble: &Trouble,
    last_error: Option<&TransportError>,
    ttl: Duration,
) -> String {
    match (trouble, last_error) {
        (Trouble::NoAnswer, Some(error)) => of_slowness(error, ttl).unwrap_or_else(|| chain(error)),
        _ => trouble.to_string(),
    }
}

/// Says what to do about a server that answers later than requests can wait.
pub(super) fn of_slowness(error: &TransportError, ttl: Duration) -> Option<String> {
    let TransportError::Timeout { server, .. } = error else {
        return None;
    };
    Some(format!(
        "no answer from {server} in the time that --ttl {} leaves for one; if it is only slow, a longer one leaves more",
        exact(ttl)
    ))
}

/// Says how the program has ended.
pub(super) fn of_end(status: ExitStatus) -> String {
    match (program::exit_of(status), status.code()) {
        (_, Some(code)) => format!("the program has ended with code {code}"),
        (exit, None) => format!(
            "the program was ended by signal {}",
            exit.code().wrapping_sub(128)
        ),
    }
}

/// A duration with tenths of seconds, since people watch these go by.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f32())
}
