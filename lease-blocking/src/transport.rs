//! What carries requests to an API server and answers back.

use std::fmt;
use std::time::Duration;

use crate::TransportError;

/// Carries requests to an API server and answers back.
///
/// The built-in one speaks HTTP. Others stand in its place through [`Client::with_transport`](crate::Client::with_transport):
/// a store within the process, an HTTP client that a program already has.
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
}
