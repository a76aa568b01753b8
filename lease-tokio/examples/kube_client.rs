//! Holds a Lease through a `kube::Client` that the program has already: its connections, its credentials, its middleware.
//!
//! ```text
//! cargo run -p lease-tokio --example kube_client
//! ```
//!
//! Needs a cluster (a kubeconfig, or a pod's service account), and the verbs get, create and update on Leases.

#![expect(clippy::print_stdout, reason = "it is a program for people to read")]

use std::{fmt, sync::Arc, time::Duration};

use http_body_util::BodyExt;
use kube::client::Body;
use lease_tokio::{BoxFuture, Client, Transport, TransportError, proto::Config};

/// Carries requests through a `kube::Client`. It knows the server and the credentials; the claim knows all else.
struct Kube(kube::Client);

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
            let body = body.collect().await.map_err(other)?.to_bytes();
            Ok(http::Response::from_parts(head, body.into()))
        })
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TransportError {
    TransportError::Other(error.into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kube = kube::Client::try_default().await?;
    let namespace = kube.default_namespace().to_owned();
    let client = Client::with_transport(Arc::new(Kube(kube)), namespace);
    let config = Config::builder(client.namespace(), "example-kube", "me").build()?;
    let guard = client.acquire(config).await?;
    println!("held by {}, token {:?}", guard.identity(), guard.token());
    guard
        .run_while_held(Duration::ZERO, |_grant| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            println!("done");
        })
        .await?;
    println!("released");
    Ok(())
}
