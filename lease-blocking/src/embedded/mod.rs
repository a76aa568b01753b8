//! No cluster: an API server for Leases inside the process, over a directory that the processes of a machine share.

mod directory;
mod error;
mod store;

use std::{path::PathBuf, sync::Arc, time::Duration};

use lease_proto::server::Answer;

pub use self::directory::default_directory;
pub use self::error::EmbeddedError;
use self::store::Store;
use crate::{Client, Clock, Transport, TransportError};

impl Client {
    /// Uses the Leases in `directory` instead of a cluster's.
    ///
    /// The processes of this machine that use the same directory exclude each other through it, each with an API server
    /// of its own that answers one request at a time. A process that dies at any point loses nothing that was answered.
    /// The directory is made if it does not exist, for this user alone, and must be on a local file system. Any
    /// namespace exists; the client's is `default`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the directory: somebody else's, written to by others, in use for something else.
    pub fn embedded(directory: impl Into<PathBuf>) -> Result<Self, EmbeddedError> {
        let store = Store::open(directory.into())?;
        Ok(Self::with_transport(Arc::new(Embedded(store)), "default"))
    }
}

/// Carries requests to the API server over a directory.
#[derive(Debug)]
struct Embedded(Store);

impl Transport for Embedded {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let clock = Clock::new();
        let until = clock.now() + timeout;
        let answer = self
            .0
            .exclusively(until, |server| server.handle(&request, clock.wall()));
        match answer {
            Ok(Answer::Whole(response)) => Ok(response),
            Ok(Answer::Watch(..)) => Err(TransportError::Other(
                "watching is not possible over a directory".into(),
            )),
            Err(EmbeddedError::Busy { directory }) => Err(TransportError::Timeout {
                server: directory.display().to_string(),
                after: timeout,
            }),
            Err(error) => Err(TransportError::Other(error.into())),
        }
    }
}
