//! What `lease run` says of what is in the way, and of how the program has ended, in lines for people.

use std::{process::ExitStatus, time::Duration};

use lease_blocking::{TransportError, proto::Trouble};

use super::{
    super::{args::Run, duration::exact, failure::chain},
    program,
};

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

/// Says what becomes of a lease that could not be given back, as far as is known.
pub(super) fn of_unconfirmed(args: &Run) -> String {
    let (name, ttl) = (&args.name, exact(args.ttl));
    format!("it is not known whether lease {name} was released; if not it ends within {ttl}")
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
