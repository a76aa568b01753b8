//! Threads that are made for one thing each, and a bound on how many there are.

use std::{sync::Arc, thread};

use crate::TransportError;

/// Counts the threads of one kind that a claim or a set has.
#[derive(Debug)]
pub(crate) struct Threads {
    count: Arc<()>,
    most: usize,
}

impl Default for Threads {
    fn default() -> Self {
        Self {
            count: Arc::new(()),
            most: MOST,
        }
    }
}

impl Threads {
    /// Sets how many there may be.
    pub(crate) fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Does `work` on a thread of its own, unless too many have not come back from theirs.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), TransportError> {
        if Arc::strong_count(&self.count) > self.most {
            return Err(stuck());
        }
        let counted = Arc::clone(&self.count);
        let run = move || {
            work();
            drop(counted);
        };
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        spawned.map_err(|error| TransportError::Other(error.into()))?;
        Ok(())
    }
}

/// What is said of a request that is not sent.
pub(crate) fn stuck() -> TransportError {
    TransportError::Other(STUCK.into())
}

/// One that is waited for, one that was given up before its time was over, and one that is a little late to notice that its
/// own is.
pub(crate) const MOST: usize = 3;
const STUCK: &str = "nothing was sent, since too many earlier requests have not come back from the transport, which does not \
                     keep to its timeouts";
