//! No cluster: an API server for Leases inside the process, over a directory that the processes of a machine share.

#[cfg(any(target_os = "android", target_os = "linux"))]
mod changes;
mod directory;
mod lock;
mod store;
#[cfg(any(target_os = "android", target_os = "linux"))]
mod stream;

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lease_proto::server::{Answer, directory::EmbeddedError};
use tokio::{sync::Mutex, task::spawn_blocking};

pub use self::directory::default_directory;
use self::store::Store;
use crate::{BoxFuture, Client, Clock, Transport, TransportError};

impl Client {
    /// Uses the Leases in `directory` instead of a cluster's.
    ///
    /// The processes of this machine that use the same directory exclude each other through it, each with an API server
    /// of its own that answers one request at a time. A process that dies at any point loses nothing that was answered,
    /// and keeps nobody out. The directory is made if it does not exist, for this user alone, and must be on a local file
    /// system. Any namespace exists; the client's is `default`.
    ///
    /// Waits up to 10 s for others who are at it.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any moment; the directory may have been made then.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the directory, and what to do about it.
    ///
    /// ```no_run
    /// use lease_tokio::{Client, default_directory, proto::Config};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::embedded(default_directory()).await?;
    /// let config = Config::builder(client.namespace(), "nightly", "backup").build()?;
    /// let guard = client.acquire(config).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn embedded(directory: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        let directory = directory.as_ref().to_owned();
        let until = Clock::new().now() + PATIENCE;
        let path = directory.clone();
        let store = spawn_blocking(move || Store::open(&path, until))
            .await
            .map_err(|error| EmbeddedError::io("open", directory, io::Error::other(error)))??;
        let embedded = Embedded {
            store: Arc::new(store),
            turn: Arc::default(),
        };
        Ok(Self::with_transport(Arc::new(embedded), "default"))
    }
}

/// Carries requests to the API server over a directory.
#[derive(Debug)]
struct Embedded {
    store: Arc<Store>,
    /// So that one thread at most reads and writes, however many requests there are and however long the disk takes.
    turn: Arc<Mutex<()>>,
}

impl Transport for Embedded {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        let until = until(timeout);
        Box::pin(async move {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let store = Arc::clone(&self.store);
            // Whoever drops the future from here on does not stop it: it is carried out as a whole, and then it is the
            // next one's turn.
            let outcome = spawn_blocking(move || {
                let outcome = store.serve(&request, until);
                drop(turn);
                outcome
            });
            match outcome.await {
                Ok(Ok(Answer::Whole(response))) => Ok(response),
                Ok(Ok(Answer::Watch(..))) => Err(TransportError::Other(
                    "watching is not possible over a directory".into(),
                )),
                Ok(Err(error)) => Err(TransportError::Other(error.into())),
                // It has panicked, or the runtime shuts down.
                Err(error) => Err(TransportError::Other(error.into())),
            }
        })
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Box<dyn crate::Chunks>>, TransportError>> {
        let (store, turn) = (Arc::clone(&self.store), Arc::clone(&self.turn));
        Box::pin(stream::open(store, turn, request))
    }
}

/// Until when a request may be begun: what is left of its time is for reading and writing.
fn until(timeout: Duration) -> Instant {
    let now = Clock::new().now();
    let until = now.checked_add(timeout - timeout / 10);
    until.unwrap_or_else(|| now + A_YEAR)
}

/// As good as for ever.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// How long opening waits for others.
const PATIENCE: Duration = Duration::from_secs(10);
