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
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use lease_proto::server::{Answer, directory::EmbeddedError};

pub use self::directory::default_directory;
use self::store::Store;
use crate::{Client, Clock, Transport, TransportError};

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
    /// # Errors
    ///
    /// Says what is wrong with the directory, and what to do about it.
    ///
    /// ```no_run
    /// use lease_blocking::{Client, default_directory, proto::Config};
    ///
    /// let client = Client::embedded(default_directory())?;
    /// let config = Config::builder(client.namespace(), "nightly", "backup").build()?;
    /// let guard = client.acquire(config)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn embedded(directory: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        let directory = directory.as_ref().to_owned();
        let store = Arc::new(Store::open(&directory, Clock::new().now() + PATIENCE)?);
        let (jobs, queue) = mpsc::channel();
        let worker = Arc::clone(&store);
        thread::Builder::new()
            .name("lease-store".to_owned())
            .spawn(move || work(&worker, &queue))
            .map_err(|error| EmbeddedError::io("start a thread for", &directory, error))?;
        let embedded = Embedded {
            directory,
            jobs,
            #[cfg(any(target_os = "android", target_os = "linux"))]
            store,
        };
        Ok(Self::with_transport(Arc::new(embedded), "default"))
    }
}

/// Carries requests to the API server over a directory.
///
/// Files are read and written on a thread of their own, since nothing bounds how long a disk takes.
#[derive(Debug)]
struct Embedded {
    directory: PathBuf,
    jobs: Sender<Job>,
    /// For streams, which have threads of their own.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    store: Arc<Store>,
}

/// A request, until when it may be begun, and where its answer is waited for.
struct Job {
    request: http::Request<Vec<u8>>,
    until: Instant,
    answer: SyncSender<Result<Answer, EmbeddedError>>,
}

impl Transport for Embedded {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let job = Job {
            request,
            until: until(timeout),
            answer,
        };
        let outcome = match self.jobs.send(job) {
            Ok(()) => answered.recv_timeout(timeout),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        match outcome {
            Ok(Ok(Answer::Whole(response))) => Ok(response),
            Ok(Ok(Answer::Watch(..))) => Err(TransportError::Other(
                "watching is not possible over a directory".into(),
            )),
            Ok(Err(error)) => Err(TransportError::Other(error.into())),
            Err(RecvTimeoutError::Timeout) => Err(TransportError::Timeout {
                server: self.directory.display().to_string(),
                after: timeout,
            }),
            Err(RecvTimeoutError::Disconnected) => Err(TransportError::Other(
                io::Error::other("the API server over the directory has panicked").into(),
            )),
        }
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> Result<http::Response<crate::Chunks>, TransportError> {
        stream::open(Arc::clone(&self.store), &request)
    }
}

/// Carries requests out, one after another, until nobody can send any.
fn work(store: &Store, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        // A panic costs the answer to this request, and to no other.
        let outcome = catch_unwind(AssertUnwindSafe(|| store.serve(&job.request, job.until)));
        if let Ok(outcome) = outcome {
            let _gone = job.answer.send(outcome);
        }
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
