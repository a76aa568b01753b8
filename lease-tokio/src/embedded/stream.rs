//! Streams of changes over a directory: the system tells when the file was replaced.

use std::{io, sync::Arc, time::Duration};

use lease_proto::server::{
    WatchOutput,
    directory::{EmbeddedError, Follower, Following},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Mutex,
    task::spawn_blocking,
};

use super::{changes::Changes, store::Store};
use crate::{BoxFuture, Chunks, Clock, TransportError};

/// Answers a request for a stream. There is none where the system cannot tell of changes: then the record is looked at from
/// time to time.
pub(super) async fn open(
    store: Arc<Store>,
    turn: Arc<Mutex<()>>,
    request: http::Request<Vec<u8>>,
) -> Result<http::Response<Box<dyn Chunks>>, TransportError> {
    // Before the state is read, so that nothing is missed.
    let changes = Changes::of(store.path()).ok_or(TransportError::NoStreams)?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for the sake of types that may close their descriptor: this one owns it"
    )]
    let changes = AsyncFd::with_interest(changes, Interest::READABLE);
    let changes = changes.map_err(|_| TransportError::NoStreams)?;
    let following = at_its_turn(&turn, {
        let store = Arc::clone(&store);
        move || store.follow(&request)
    });
    match following.await? {
        Following::Whole(response) => {
            Ok(response.map(|body| Box::new(Whole(Some(body))) as Box<dyn Chunks>))
        }
        Following::Stream(head, follower) => {
            let lines = Lines {
                store,
                turn,
                changes,
                follower: Arc::new(Mutex::new(*follower)),
                is_behind: false,
                goes_on: true,
            };
            Ok(head.map(|()| Box::new(lines) as Box<dyn Chunks>))
        }
    }
}

/// Does something with files on a thread that may wait for them, when nobody else in this process does.
async fn at_its_turn<T: Send + 'static>(
    turn: &Arc<Mutex<()>>,
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, TransportError> {
    let turn = Arc::clone(turn).lock_owned().await;
    let work = spawn_blocking(move || {
        let outcome = work();
        drop(turn);
        outcome
    });
    match work.await {
        Ok(outcome) => outcome.map_err(|error| TransportError::Other(error.into())),
        // It has panicked, or the runtime shuts down.
        Err(error) => Err(TransportError::Other(error.into())),
    }
}

/// What a stream says, as it says it.
struct Lines {
    store: Arc<Store>,
    turn: Arc<Mutex<()>>,
    changes: AsyncFd<Changes>,
    /// Shared with a thread that reads files.
    follower: Arc<Mutex<Follower>>,
    /// Whether a change was told of, and the state was not read since.
    is_behind: bool,
    /// Whether there may be more to come.
    goes_on: bool,
}

impl Lines {
    /// Waits for the next lines; none once it has ended. May be dropped at any moment.
    async fn wait(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        loop {
            if self.is_behind {
                self.catch_up().await?;
                self.is_behind = false;
            }
            let wall = Clock::new().wall();
            let until = match self.follower.lock().await.poll(wall) {
                WatchOutput::Chunk(chunk) => return Ok(Some(chunk)),
                WatchOutput::End => return Ok(None),
                WatchOutput::Wait { .. } if !self.goes_on => return Ok(None),
                WatchOutput::Wait { until } => until,
            };
            let pause = until.map(|until| until.duration_since(wall).unwrap_or_default());
            let pause = pause.unwrap_or(TICK).min(TICK);
            let readable = self.changes.readable();
            let Ok(ready) = tokio::time::timeout(pause, readable).await else {
                continue;
            };
            let mut ready = ready.map_err(broken)?;
            // Before anything is taken, so that what comes meanwhile is told of again.
            ready.clear_ready();
            let goes_on = self.changes.get_ref().take().map_err(broken)?;
            self.goes_on &= goes_on;
            self.is_behind = true;
        }
    }

    async fn catch_up(&self) -> Result<(), TransportError> {
        let (store, follower) = (Arc::clone(&self.store), Arc::clone(&self.follower));
        at_its_turn(&self.turn, move || {
            store.catch_up(&mut follower.blocking_lock())
        })
        .await
    }
}

impl Chunks for Lines {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>> {
        Box::pin(async { self.wait().await.transpose() })
    }
}

/// A body that is there from the beginning.
struct Whole(Option<Vec<u8>>);

impl Chunks for Whole {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>> {
        let body = self.0.take();
        Box::pin(async { body.map(Ok) })
    }
}

fn broken(error: io::Error) -> TransportError {
    TransportError::Other(error.into())
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(60);
