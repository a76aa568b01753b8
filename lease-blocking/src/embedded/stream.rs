//! Streams of changes over a directory: the system tells when the file was replaced.

use std::{
    collections::VecDeque,
    io::{self, Cursor, Read},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use lease_proto::server::{
    WatchOutput,
    directory::{Follower, Following},
};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

use super::{changes::Changes, store::Store};
use crate::{Chunks, Clock, TransportError};

/// Answers a request for a stream. There is none where the system cannot tell of changes: then the record is looked at from
/// time to time.
pub(super) fn open(
    store: Arc<Store>,
    request: &http::Request<Vec<u8>>,
) -> Result<http::Response<Chunks>, TransportError> {
    // Before the state is read, so that nothing is missed.
    let changes = Changes::of(store.path()).ok_or(TransportError::NoStreams)?;
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let closed = Arc::new(eventfd(0, flags).map_err(|_| TransportError::NoStreams)?);
    let following = store.follow(request);
    match following.map_err(|error| TransportError::Other(error.into()))? {
        Following::Whole(response) => {
            Ok(response.map(|body| Chunks::new(Cursor::new(body), || {})))
        }
        Following::Stream(head, follower) => {
            let lines = Lines {
                store,
                changes,
                closed: Arc::clone(&closed),
                follower,
                unread: VecDeque::new(),
            };
            let close = move || {
                let _counted = rustix::io::write(&closed, &1_u64.to_ne_bytes());
            };
            Ok(head.map(|()| Chunks::new(lines, close)))
        }
    }
}

/// What a stream says, as it says it.
struct Lines {
    store: Arc<Store>,
    changes: Changes,
    /// Can be read from once the stream is closed.
    closed: Arc<OwnedFd>,
    follower: Box<Follower>,
    unread: VecDeque<u8>,
}

impl Lines {
    /// Waits for the next lines; none once it has ended.
    fn wait(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let wall = Clock::new().wall();
            let until = match self.follower.poll(wall) {
                WatchOutput::Chunk(chunk) => return Ok(Some(chunk)),
                WatchOutput::End => return Ok(None),
                WatchOutput::Wait { until } => until,
            };
            let pause = until.map(|until| until.duration_since(wall).unwrap_or_default());
            let pause = pause.unwrap_or(TICK).min(TICK);
            let pause = Timespec::try_from(pause).map_err(io::Error::other)?;
            let mut waited = [
                PollFd::new(&self.changes, PollFlags::IN),
                PollFd::new(&self.closed, PollFlags::IN),
            ];
            match poll(&mut waited, Some(&pause)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [has_changed, is_closed] = waited.map(|waited| !waited.revents().is_empty());
            if is_closed {
                return Ok(None);
            }
            if has_changed {
                let goes_on = self.changes.take()?;
                let caught_up = self.store.catch_up(&mut self.follower);
                caught_up.map_err(io::Error::other)?;
                if !goes_on {
                    return Ok(None);
                }
            }
        }
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            let lines = self.wait()?;
            self.unread.extend(lines.unwrap_or_default());
        }
        self.unread.read(buffer)
    }
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(60);
