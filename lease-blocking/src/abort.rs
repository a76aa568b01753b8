//! Giving up a request that another thread is about: what it waits for on its connection returns at once.

use std::{
    cell::RefCell,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use ureq::unversioned::transport::{Buffers, NextTimeout, ShutdownHandle, Transport};

/// The way to give up one request. Clones are of the same request.
#[derive(Clone, Default)]
pub(crate) struct Abort(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_aborted: bool,
    /// What the request's connection is ended by, once it has one.
    connection: Option<Weak<dyn ShutdownHandle>>,
}

thread_local! {
    /// The request that this thread is about.
    static CURRENT: RefCell<Option<Abort>> = const { RefCell::new(None) };
}

impl Abort {
    /// Does something for the request, of which it is told which connection it uses.
    pub(crate) fn within<T>(&self, exchange: impl FnOnce() -> T) -> T {
        let _end = End(CURRENT.replace(Some(self.clone())));
        exchange()
    }

    /// Gives the request up. The looking up of a name and the making of a connection take their time all the same; what the
    /// built-in transport does afterwards ends here.
    pub(crate) fn abort(&self) {
        let mut state = self.state();
        state.is_aborted = true;
        let connection = state.connection.take();
        if let Some(connection) = connection.and_then(|connection| connection.upgrade()) {
            connection.shutdown();
        }
    }

    /// Notes which connection is used, unless the request was given up.
    fn uses(&self, connection: &Weak<dyn ShutdownHandle>) -> Result<(), ureq::Error> {
        let mut state = self.state();
        if state.is_aborted {
            let kind = io::ErrorKind::ConnectionAborted;
            return Err(io::Error::new(kind, "the request was given up").into());
        }
        state.connection = Some(Weak::clone(connection));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts back what the thread was about before.
struct End(Option<Abort>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(over) = CURRENT.replace(self.0.take()) {
            // Its connection is another request's from here on.
            over.state().connection = None;
        }
    }
}

/// A connection that tells the request that it is used for, each time anew: it is used for one after the other.
pub(crate) struct Abortable<T> {
    inner: T,
    /// None where the connection is another one's: through a proxy it is the proxy's, which tells by itself.
    handle: Option<Weak<dyn ShutdownHandle>>,
}

impl<T> Abortable<T> {
    pub(crate) fn new(inner: T, handle: Option<Weak<dyn ShutdownHandle>>) -> Self {
        Self { inner, handle }
    }

    fn tell(&self) -> Result<(), ureq::Error> {
        CURRENT.with_borrow(|current| match (current, &self.handle) {
            (Some(abort), Some(handle)) => abort.uses(handle),
            _ => Ok(()),
        })
    }
}

impl<T: Transport> Transport for Abortable<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.tell()?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.tell()?;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl fmt::Debug for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abort").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Abortable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abortable").finish_non_exhaustive()
    }
}
