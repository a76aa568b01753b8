//! The threads that a claim has beside its own, and a bound on how many there are.

use std::{sync::Arc, thread};

use crate::TransportError;

/// Counts the threads of one kind that a claim has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads(Arc<()>);

impl Threads {
    /// Does `work` on a thread of its own, unless too many have not come back from theirs.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), TransportError> {
        if Arc::strong_count(&self.0) > MOST {
            return Err(TransportError::Other(STUCK.into()));
        }
        let counted = Arc::clone(&self.0);
        let run = move || {
            work();
            drop(counted);
        };
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        spawned.map_err(|error| TransportError::Other(error.into()))?;
        Ok(())
    }
}

/// One that is waited for, one that was given up before its time was over, and one that is a little late to notice that its
/// own is.
const MOST: usize = 3;
const STUCK: &str = "nothing was sent, since three earlier requests have not come back from the transport, which does not \
                     keep to its timeouts";
