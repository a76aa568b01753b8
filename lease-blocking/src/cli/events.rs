//! What `--verbose` says of what happens to a lease: a line for each event.

use std::time::{Duration, Instant};

use lease_blocking::proto::{Event, Grant, Precedence};

/// Says what has happened, and for how long things stay as they are.
pub(crate) fn of_event(event: &Event, now: Instant) -> String {
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
        Event::Waiting(waiting) | Event::HolderChanged(waiting) => {
            let left = left(&waiting.until);
            match waiting.precedence {
                Precedence::Holds => {
                    format!("{event}, and is free in {left} unless that renews it")
                }
                _ => format!("{event}; others hold back for {left}"),
            }
        }
        Event::Retrying { at, .. } => format!("{event}; again in {}", left(at)),
        _ => event.to_string(),
    }
}

/// A duration with tenths of seconds, since people watch these go by.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f32())
}
