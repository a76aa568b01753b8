//! What is said when something goes wrong.

use std::{error::Error, fmt};

use lease_blocking::{
    Error as ClientError, TlsProblem, TransportError,
    proto::{self, Failure as Refused, GaveUp, Refusal, plain::ApiError, wire::Lease},
};

use super::{duration, escape, exit_code::Exit};

/// Why a command did not succeed: one line, what to do about it, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    line: String,
    advice: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, line: impl fmt::Display) -> Self {
        Self {
            exit,
            line: escape::line(&line.to_string()),
            advice: None,
        }
    }

    /// A line of an error and all its sources.
    pub(crate) fn chain(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        Self::new(exit, chain(error))
    }

    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// What the API server refused, with what would make it agree.
    pub(crate) fn refused(refused: &Refused) -> Self {
        let exit = match refused {
            Refused::Refused(refusal) if refusal.is_permission_denied() => Exit::NotPermitted,
            Refused::Refused(refusal) if refusal.is_namespace_missing() => Exit::NotFound,
            _ => Exit::Failed,
        };
        let line = match refused {
            Refused::Refused(refusal) => from_server(refusal),
            refused => refused.to_string(),
        };
        Self::new(exit, line).with_advice(refused.advice())
    }

    /// Why something could not be read, or written beside the protocol.
    pub(crate) fn of_client(error: &ClientError) -> Self {
        let ClientError::Api(api) = error else {
            return Self::chain(Exit::Failed, error);
        };
        let exit = match api {
            ApiError::Forbidden(_) | ApiError::Unauthorized(_) => Exit::NotPermitted,
            ApiError::NamespaceMissing(_) | ApiError::NotFound(_) => Exit::NotFound,
            _ => Exit::Failed,
        };
        let failure = match api.refusal() {
            Some(refusal) => Self::new(exit, from_server(refusal)),
            None => Self::chain(exit, error),
        };
        match api.advice() {
            Some(advice) => failure.with_advice(advice),
            None => failure,
        }
    }

    /// Why acquiring has ended; `record` is as it was last seen, and `last_error` what the transport said last.
    pub(crate) fn gave_up(
        why: &GaveUp,
        lease: &str,
        record: Option<&Lease>,
        last_error: Option<&(dyn Error + 'static)>,
    ) -> Self {
        let exit = match why {
            GaveUp::Failed(failure) => return Self::refused(failure),
            GaveUp::NotRenewable => {
                let line = format_args!("lease {lease} is not renewable: {NOT_RENEWABLE}");
                return Self::new(Exit::Failed, line);
            }
            GaveUp::Held(_) | GaveUp::NotHeld { .. } | GaveUp::Outrun => Exit::Held,
            // Nobody is known to have been in the way.
            GaveUp::TimedOut {
                holder: None,
                trouble,
            } if trouble.is_some() || last_error.is_some() => Exit::Failed,
            GaveUp::TimedOut { .. } => Exit::TimedOut,
            _ => Exit::Failed,
        };
        let left = record.and_then(|record| proto::successor(record).zip(proto::held_back(record)));
        let why = match (why, left) {
            (GaveUp::Held(_), Some((to, back))) => {
                let back = duration::show(back);
                format!("it was released and left to {to:?}, and others hold back for {back}")
            }
            (GaveUp::TimedOut { .. }, Some((to, _))) => {
                format!("timed out while it was left to {to:?}")
            }
            _ => why.to_string(),
        };
        let line = match last_error {
            Some(error) => format!("lease {lease} was not acquired: {why}: {}", chain(error)),
            None => format!("lease {lease} was not acquired: {why}"),
        };
        Self::new(exit, line)
    }
}

/// What becomes of a lease that is not renewed.
pub(crate) const NOT_RENEWABLE: &str = "it was acquired with --not-renewable, so it ends with its duration, and whoever wants it again waits for that like all others";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{}", advice.trim_end()),
            None => Ok(()),
        }
    }
}

/// A refusal as kubectl tells it; where it was not the API server's own, what was refused is said as well.
fn from_server(refusal: &Refusal) -> String {
    match (refusal.reason(), refusal.message()) {
        ("", _) | (_, "") => refusal.to_string(),
        (reason, message) => format!("Error from server ({reason}): {message}"),
    }
}

/// An error and its sources, on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        let is_wrapping = matches!(error.downcast_ref(), Some(TransportError::Other(_)));
        // Some libraries repeat what their sources say, and one says only that it failed.
        if !is_wrapping && !line.ends_with(&said) {
            let colon = if line.is_empty() { "" } else { ": " };
            line = format!("{line}{colon}{said}");
        }
        let transport = match error.downcast_ref() {
            Some(ClientError::Transport(error)) => Some(error),
            _ => error.downcast_ref(),
        };
        next = match transport {
            // It was said in words, with what to do, and the library that found it has a name for it only.
            Some(TransportError::Tls { problem, .. }) if *problem != TlsProblem::Other => None,
            _ => error.source(),
        };
    }
    line.replace(['\n', '\r'], " ")
}
