//! The Leases of a directory: one file, replaced as a whole, by one process at a time.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    path::{Path, PathBuf},
    time::Instant,
};

use lease_proto::server::{
    Answer,
    directory::{self as layout, EmbeddedError, LEASES, LOCK, Opening},
};

#[cfg(any(target_os = "android", target_os = "linux"))]
use lease_proto::server::directory::{Follower, Following};

use super::{
    directory::Directory,
    lock::{Locked, Queue},
};
use crate::Clock;

/// The Leases of a directory.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    queue: Queue,
}

impl Store {
    /// Makes the store unless there is one, and says what is wrong with what is there.
    pub(super) fn open(directory: &Path, until: Instant) -> Result<Self, EmbeddedError> {
        // A later change of the working directory is none of the store. A slash at the end would have a link followed.
        let path = std::path::absolute(directory)
            .map_err(|error| EmbeddedError::io("find", directory, error))?
            .components()
            .collect();
        let store = Self {
            path,
            queue: Queue::default(),
        };
        store.begin(until)?;
        Ok(store)
    }

    /// Answers a request while nobody else does, and keeps what it changes before the answer is seen.
    pub(super) fn serve(
        &self,
        request: &http::Request<Vec<u8>>,
        until: Instant,
    ) -> Result<Answer, EmbeddedError> {
        let (directory, lock) = self.lock(until)?;
        let file = self.path.join(LEASES);
        let Some(state) = directory.state()? else {
            return Err(EmbeddedError::Missing { file });
        };
        let (answer, changed) = layout::answer(&state, request, Clock::new().wall())
            .map_err(|error| EmbeddedError::unreadable(file, error))?;
        if let Some(changed) = changed {
            directory.replace(&changed, lock.file())?;
        }
        Ok(answer)
    }

    /// Returns where it is.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Answers a request for a stream, over the state as it is now.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub(super) fn follow(
        &self,
        request: &http::Request<Vec<u8>>,
    ) -> Result<Following, EmbeddedError> {
        let state = self.state()?;
        Follower::begin(&state, request, Clock::new().wall())
            .map_err(|error| EmbeddedError::unreadable(self.path.join(LEASES), error))
    }

    /// Tells a stream of the state as it is now.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub(super) fn catch_up(&self, follower: &mut Follower) -> Result<(), EmbeddedError> {
        let state = self.state()?;
        let caught_up = follower.catch_up(&state);
        caught_up.map_err(|error| EmbeddedError::unreadable(self.path.join(LEASES), error))
    }

    /// Reads the state without the lock: at every moment there is one as a whole. Nothing may be decided by it, since whoever
    /// has put it there may not be done.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn state(&self) -> Result<Vec<u8>, EmbeddedError> {
        let state = Directory::open(&self.path)?.state()?;
        state.ok_or_else(|| EmbeddedError::Missing {
            file: self.path.join(LEASES),
        })
    }

    fn begin(&self, until: Instant) -> Result<(), EmbeddedError> {
        Directory::make(&self.path)?;
        // Looked into before anything is put there: it may be another program's.
        let names = Directory::enter(&self.path)?.names()?;
        layout::enter(&self.path, &names)?;
        let (directory, lock) = self.lock(until)?;
        let mark = directory.read_mark(lock.file())?;
        let state = directory.state()?;
        match layout::judge(&self.path, &names, &mark, state.as_deref())? {
            Opening::New => {
                let state = layout::initial(RandomState::new().hash_one(0));
                directory.replace(&state, lock.file())?;
                directory.mark(lock.file())
            }
            Opening::Unmarked => directory.mark(lock.file()),
            Opening::Ready => Ok(()),
        }
    }

    fn lock(&self, until: Instant) -> Result<(Directory, Locked), EmbeddedError> {
        loop {
            let directory = Directory::open(&self.path)?;
            let locked = self
                .queue
                .lock(directory.lock_file()?, until)
                .map_err(|error| EmbeddedError::io("lock", self.path.join(LOCK), error))?;
            // A request whose time is over may be told to have failed: it is not begun.
            let Some(lock) = locked.filter(|_| Clock::new().now() < until) else {
                return Err(EmbeddedError::Busy {
                    directory: self.path.clone(),
                    holder: directory.lock_holder(),
                });
            };
            // Removed and made again while it was waited for, the lock keeps nobody out.
            if directory.is_locked_by(lock.file())? {
                return Ok((directory, lock));
            }
        }
    }
}
