//! Why `lease run` has not got the lease, and the code that it ends with.

use lease_blocking::{
    TransportError,
    proto::{Failure as Refused, GaveUp, Trouble, wire::Lease},
};

use super::{
    super::{args::Run, exit_code::Exit, failure::Failure},
    lines,
};

/// Acquiring has ended without success; `record` is as it was seen afterwards, and what was `said` before is not said again.
pub(super) fn not_acquired(
    gave_up: &GaveUp,
    record: Option<&Lease>,
    last_error: Option<&TransportError>,
    said: Option<&str>,
    args: &Run,
) -> Failure {
    let (name, ttl) = (args.name.as_str(), args.ttl);
    let error = last_error.filter(|_| gave_up.is_unanswered());
    let is_said =
        error.is_some() && said == Some(lines::of_trouble(&Trouble::NoAnswer, error, ttl).as_str());
    let mut failure = match error.filter(|_| !is_said) {
        Some(error) => {
            let failure = Failure::gave_up(gave_up, name, record, Some(error));
            match lines::of_slowness(error, ttl) {
                Some(line) => failure.with_advice(line),
                None => failure,
            }
        }
        None => Failure::gave_up(gave_up, name, record, None),
    };
    failure.exit = match gave_up {
        // Nobody is known to have been in the way.
        GaveUp::TimedOut {
            holder: None,
            trouble,
        } if trouble.is_some() || error.is_some() => Exit::RunFailed,
        GaveUp::Held(_) | GaveUp::Outrun | GaveUp::TimedOut { .. } => args
            .conflict_exit_code
            .map_or(Exit::NotAcquired, Exit::Program),
        _ => Exit::RunFailed,
    };
    failure
}

/// What the API server refused.
pub(super) fn refused(refused: &Refused) -> Failure {
    let mut failure = Failure::refused(refused);
    failure.exit = Exit::RunFailed;
    failure
}
