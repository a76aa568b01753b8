//! A lock on a file that the kernel frees when its holder dies, and that is waited for without polling.

use std::{
    fs::File,
    io,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{fs::FlockOperation, io::Errno};

use crate::Clock;

/// A file that is locked, until it is dropped.
#[derive(Debug)]
pub(super) struct Locked(File);

impl Locked {
    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // To close it is not enough: a child that was forked meanwhile has it open as well, until it runs its program.
        let _freed = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Where one store waits for its lock.
///
/// A wait in the kernel gets the lock as soon as it is free, and in turn; but it has no deadline, and its thread cannot be
/// called back. So a thread of its own waits there, one for each store at most, and hands the lock over to whoever waits for
/// that thread at the moment. It frees the lock where nobody does, and ends.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Option<Receiver<io::Result<Locked>>>>,
}

impl Queue {
    /// Locks a file; nothing if that takes until then. After a wait it may be another than this one, which was to be
    /// locked earlier.
    pub(super) fn lock(&self, file: File, until: Instant) -> io::Result<Option<Locked>> {
        let clock = Clock::new();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Locked(file))),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let receiver = match waiting.take() {
                Some(receiver) => receiver,
                None => wait(file.try_clone()?)?,
            };
            loop {
                let left = until.saturating_duration_since(clock.now());
                if left.is_zero() {
                    *waiting = Some(receiver);
                    return Ok(None);
                }
                match receiver.recv_timeout(left.min(TICK)) {
                    Ok(locked) => return locked.map(Some),
                    Err(RecvTimeoutError::Timeout) => {}
                    // Nobody waited for it when it had the lock.
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        }
    }
}

/// Waits on a thread of its own.
fn wait(file: File) -> io::Result<Receiver<io::Result<Locked>>> {
    // Without room, so that it is handed over to somebody who waits, or to nobody.
    let (sender, receiver) = mpsc::sync_channel(0);
    let wait = move || {
        let locked = loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => break Ok(Locked(file)),
                Err(Errno::INTR) => {}
                Err(error) => break Err(error.into()),
            }
        };
        let _refused = sender.try_send(locked);
    };
    thread::Builder::new()
        .name("lease-store-lock".to_owned())
        .spawn(wait)?;
    Ok(receiver)
}

/// The longest that is waited without a look at the clock, since timers stop while the machine is suspended.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_free_once_it_is_dropped_whoever_has_it_open() {
        let file = tempfile::NamedTempFile::new().expect("there is room for a file");
        let open = || file.reopen().expect("it is there");
        let queue = Queue::default();
        let until = Clock::new().now() + Duration::from_secs(60);
        let locked = queue
            .lock(open(), until)
            .expect("it is a file")
            .expect("nobody else knows it");
        // What a child has that was forked at this moment.
        let _inherited = locked.file().try_clone().expect("it is open");
        let try_lock = |file: &File| {
            let operation = FlockOperation::NonBlockingLockExclusive;
            rustix::fs::flock(file, operation)
        };
        assert_eq!(try_lock(&open()), Err(Errno::WOULDBLOCK));
        drop(locked);
        assert_eq!(try_lock(&open()), Ok(()));
    }
}
