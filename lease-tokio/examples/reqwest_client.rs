//! Holds a Lease through a `reqwest::Client`, as an example of any HTTP client: here `kubectl proxy` adds the credentials.
//!
//! ```text
//! kubectl proxy --port 8001 &
//! cargo run -p lease-tokio --example reqwest_client -- http://127.0.0.1:8001
//! ```
//!
//! A token stands in `LEASE_EXAMPLE_TOKEN` where the server wants one, and the namespace in `LEASE_EXAMPLE_NAMESPACE`.

#![expect(clippy::print_stdout, reason = "it is a program for people to read")]

use std::{env, sync::Arc, time::Duration};

use http::header::AUTHORIZATION;
use http_body_util::BodyExt;
use lease_tokio::{
    BoxFuture, Client, Transport, TransportError,
    proto::{
        Config,
        access::{Secret, bearer},
    },
};

/// Carries requests through a `reqwest::Client`.
#[derive(Debug)]
struct Reqwest {
    client: reqwest::Client,
    server: String,
    authorization: Option<http::HeaderValue>,
}

impl Transport for Reqwest {
    fn send(
        &self,
        mut request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        Box::pin(async move {
            // Path and query come from the claim, the rest is the transport's business.
            *request.uri_mut() = format!("{}{}", self.server, request.uri())
                .parse()
                .map_err(other)?;
            if let Some(authorization) = self.authorization.clone() {
                request.headers_mut().insert(AUTHORIZATION, authorization);
            }
            let mut request = reqwest::Request::try_from(request).map_err(other)?;
            *request.timeout_mut() = Some(timeout);
            let answer = self.client.execute(request).await.map_err(other)?;
            let (head, body) = http::Response::from(answer).into_parts();
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
    let server = env::args().nth(1).ok_or("usage: reqwest_client URL")?;
    // This build of reqwest leaves it to the program who does the cryptography.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let token = env::var("LEASE_EXAMPLE_TOKEN").ok();
    let token = token.map(|token| bearer(&Secret::from(token.trim())));
    // Where a redirect leads is nobody that the Lease may be entrusted to.
    let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if let Some(ca) = env::var_os("LEASE_EXAMPLE_CA") {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(ca)?)?;
        client = client.tls_certs_only([ca]);
    }
    let transport = Reqwest {
        client: client.build()?,
        server: server.trim_end_matches('/').to_owned(),
        authorization: token.transpose()?,
    };
    let namespace = env::var("LEASE_EXAMPLE_NAMESPACE").unwrap_or_else(|_| "default".to_owned());
    let client = Client::with_transport(Arc::new(transport), namespace);
    let config = Config::builder(client.namespace(), "example-reqwest", "me").build()?;
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
