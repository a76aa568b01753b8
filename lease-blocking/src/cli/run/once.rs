//! Work that is done once: whether it was, and how it is told that it is now.

use lease_blocking::{
    Client,
    proto::{LeaseName, Once, Parting, Patience, Released},
};

use super::super::{exit_code::Exit, failure::Failure, say, status};

/// What `--once` asks for.
pub(super) struct Task {
    once: Once,
    client: Client,
    name: LeaseName,
}

impl Task {
    pub(super) fn new(once: Once, client: Client, name: LeaseName) -> Self {
        Self { once, client, name }
    }

    /// Looks whether it was done, and says by whom.
    pub(super) fn is_done(&self, patience: Patience) -> Result<bool, Failure> {
        let read =
            status::read_patiently(&self.client, &self.name, patience).map_err(|mut failure| {
                failure.exit = Exit::RunFailed;
                failure
            });
        let Some(done) = read?.and_then(|lease| self.once.done(&lease)) else {
            return Ok(false);
        };
        say(format_args!(
            "{:?} was done by {:?} at {}: nothing is run",
            done.key, done.by, done.at
        ));
        Ok(true)
    }

    /// What the release leaves in the record.
    pub(super) fn parting(&self) -> Parting {
        Parting::default().done(self.once.clone())
    }

    /// Returns an error unless that stands in the record now.
    pub(super) fn recorded(&self, released: Option<Released>) -> Result<(), Failure> {
        if released == Some(Released::Cleared) {
            return Ok(());
        }
        let why = released.map_or_else(|| "the lease was lost".to_owned(), |it| it.to_string());
        Err(Failure::new(
            Exit::RunFailed,
            format_args!(
                "the program has succeeded, and it could not be recorded that {:?} is done, so it may be done again: {why}",
                self.once.key()
            ),
        ))
    }
}
