//! Requests through a `kube::Client`. It knows the server and the credentials; the claim knows all else.
//!
//! A token file it reads again by itself once a minute, and not when the server refuses the token: whoever replaces one leaves
//! the old one valid for longer than that, as a cluster does.

use std::{fmt, time::Duration};

use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use lease_tokio::{BoxFuture, Transport, TransportError, proto::MAX_BODY};

/// Carries requests through a `kube::Client`.
pub(crate) struct Kube(pub(crate) kube::Client);

impl fmt::Debug for Kube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kube")
    }
}

impl Transport for Kube {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        Box::pin(async move {
            // `send`, not `request`: an answer of 404 or 409 is an answer.
            let answer = self.0.send(request.map(Body::from)).await;
            let (head, body) = answer.map_err(other)?.into_parts();
            // Whatever it is that answers, it is not kept without end.
            let body = Limited::new(body, MAX_BODY).collect().await;
            let body = body.map_err(other)?.to_bytes();
            Ok(http::Response::from_parts(head, body.into()))
        })
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TransportError {
    TransportError::Other(error.into())
}
