//! What is said when something goes wrong.

use std::{error::Error, fmt};

use lease_blocking::proto::{Failure as Refused, GaveUp};

use super::exit_code::Exit;

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
            line: line.to_string(),
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
        Self::new(exit, refused).with_advice(refused.advice())
    }

    /// Why acquiring has ended; `last_error` is what the transport said last.
    pub(crate) fn gave_up(
        why: &GaveUp,
        lease: &str,
        last_error: Option<&(dyn Error + 'static)>,
    ) -> Self {
        let exit = match why {
            GaveUp::Failed(failure) => return Self::refused(failure),
            GaveUp::Held(_) | GaveUp::NotHeld { .. } | GaveUp::Outrun => Exit::Held,
            GaveUp::TimedOut { .. } => Exit::TimedOut,
            _ => Exit::Failed,
        };
        let line = match last_error {
            Some(error) => format!("lease {lease} was not acquired: {why}: {}", chain(error)),
            None => format!("lease {lease} was not acquired: {why}"),
        };
        Self::new(exit, line)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{}", advice.trim_end()),
            None => Ok(()),
        }
    }
}

/// An error and its sources, on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let said = error.to_string();
        // Some libraries repeat what their sources say.
        if !line.ends_with(&said) {
            line.push_str(": ");
            line.push_str(&said);
        }
        next = error.source();
    }
    line.replace(['\n', '\r'], " ")
}
