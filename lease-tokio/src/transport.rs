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
}
