//! One request that makes the first connection, where others may share it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// Has requests wait for the first one's answer, for a moment, while it is not known whether it has a connection.
///
/// Over HTTP/2 one connection carries them all, but until the server has said that it speaks HTTP/2 each request makes one of its
/// own: a thousand that begin together would be a thousand handshakes, of which one is of use.
#[derive(Debug, Default)]
pub(crate) struct First {
    is_answered: AtomicBool,
    turn: Mutex<()>,
}

impl First {
    /// Waits for whoever is first. What it returns is kept until there is an answer.
    pub(crate) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if self.is_answered.load(Ordering::Relaxed) {
            return None;
        }
        // Where the first one hangs, the others need not.
        let turn = timeout(PATIENCE, self.turn.lock()).await.ok()?;
        Some(turn).filter(|_| !self.is_answered.load(Ordering::Relaxed))
    }

    /// Takes note of whether a request was answered: if not, there may be no connection any more.
    pub(crate) fn note(&self, is_answered: bool) {
        self.is_answered.store(is_answered, Ordering::Relaxed);
    }
}

/// Many times what a handshake takes, and a small part of what a request may take.
const PATIENCE: Duration = Duration::from_millis(250);
