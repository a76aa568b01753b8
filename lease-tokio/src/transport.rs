//! What carries requests to an API server and answers back.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::TransportError;

/// A future on the heap, which is what a trait that is used as an object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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
/// use lease_tokio::{BoxFuture, Client, Transport, TransportError};
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
///     ) -> BoxFuture<'_, Result<Response<Vec<u8>>, TransportError>> {
///         println!("{} {}", request.method(), request.uri());
///         Box::pin(self.0.send(request, timeout, false))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::with_transport(Arc::new(Spoken(Client::in_memory())), "default");
/// assert!(client.get("leader").await?.is_none());
/// # Ok(())
/// # }
/// ```
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request and waits for the whole answer. The future is dropped after `timeout`, or at any moment before.
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
    ) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>>;

    /// Sends one request and waits for the beginning of its answer, which goes on for minutes. The future is dropped after
    /// `timeout`, or at any moment before; the pieces are dropped when they are not wanted any more.
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
    ) -> BoxFuture<'_, Result<http::Response<Box<dyn Chunks>>, TransportError>> {
        let _not_sent = (request, timeout);
        Box::pin(async { Err(TransportError::NoStreams) })
    }
}

/// A body that comes in pieces. Dropping it gives up the rest.
///
/// ```
/// use std::collections::VecDeque;
///
/// use lease_tokio::{BoxFuture, Chunks, TransportError};
///
/// /// A body that is there already.
/// struct Pieces(VecDeque<Vec<u8>>);
///
/// impl Chunks for Pieces {
///     fn next(&mut self) -> BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>> {
///         let piece = self.0.pop_front();
///         Box::pin(async { piece.map(Ok) })
///     }
/// }
/// ```
pub trait Chunks: Send {
    /// Waits for the next piece; `None` once the body is complete.
    ///
    /// # Cancel safety
    ///
    /// Must lose nothing when the future is dropped.
    ///
    /// # Errors
    ///
    /// The body ended before it was complete.
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>>;
}
