//! What carries requests to an API server and answers back.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use crate::TransportError;

/// Carries requests to an API server and answers back.
///
/// The built-in one speaks HTTP. Others stand in its place through [`Client::with_transport`](crate::Client::with_transport):
/// a store within the process, an HTTP client that a program already has.
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// use std::{sync::Arc, time::Duration};
///
/// use http::{Request, Response};
/// use lease_blocking::{Client, Transport, TransportError};
///
/// /// Says what is asked, and has somebody else ask it.
/// #[derive(Debug)]
/// struct Spoken(Client);
///
/// impl Transport for Spoken {
///     fn send(
///         &self,
///         request: Request<Vec<u8>>,
///         timeout: Duration,
///     ) -> Result<Response<Vec<u8>>, TransportError> {
///         println!("{} {}", request.method(), request.uri());
///         self.0.send(request, timeout, false)
///     }
/// }
///
/// let client = Client::with_transport(Arc::new(Spoken(Client::in_memory())), "default");
/// assert!(client.get("leader")?.is_none());
/// # Ok::<(), lease_blocking::Error>(())
/// ```
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request and waits for the whole answer, no longer than `timeout`.
    ///
    /// To the built-in transport the request's URI comes with scheme and authority, and the credentials stand in its
    /// headers. To one given by [`Client::with_transport`](crate::Client::with_transport) come path and query only, and no
    /// credentials.
    ///
    /// # Errors
    ///
    /// No answer came. A status code is never an error: 404 and 500 are answers.
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError>;

    /// Sends one request and waits for the beginning of its answer, no longer than `timeout`; the answer goes on for
    /// minutes.
    ///
    /// Without it, which is the default, waiting claimants look at the record from time to time.
    ///
    /// # Errors
    ///
    /// No answer came. A status code is never an error.
    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Chunks>, TransportError> {
        let _not_sent = (request, timeout);
        Err(TransportError::NoStreams)
    }
}

/// A body that comes in pieces, and the way to end it from another thread.
///
/// ```
/// use std::io::Read;
///
/// use lease_blocking::Chunks;
///
/// // A body that is there already: no read of it waits, so there is nothing to wake.
/// let chunks = Chunks::new(b"all of it".as_slice(), || {});
/// let (mut body, _close) = chunks.into_parts();
/// let mut text = String::new();
/// body.read_to_string(&mut text)?;
/// assert_eq!(text, "all of it");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Chunks {
    pub(crate) body: Box<dyn Read + Send>,
    pub(crate) close: Box<dyn FnOnce() + Send>,
}

impl Chunks {
    /// Makes one of a reader, whose reads wait for what comes next, and of what has such a read return at once.
    pub fn new(body: impl Read + Send + 'static, close: impl FnOnce() + Send + 'static) -> Self {
        Self {
            body: Box::new(body),
            close: Box::new(close),
        }
    }

    /// Returns the reader, and what has a read of it return at once when it is called from another thread.
    pub fn into_parts(self) -> (Box<dyn Read + Send>, Box<dyn FnOnce() + Send>) {
        (self.body, self.close)
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").finish_non_exhaustive()
    }
}
