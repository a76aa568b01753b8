//! Requests through a `reqwest::Client`, which is told where the server is and what lets it in.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, Limited};
use lease_tokio::{
    BoxFuture, Secret, Transport, TransportError,
    proto::{MAX_BODY, access::bearer},
};

/// Carries requests through a `reqwest::Client`.
#[derive(Debug)]
pub(crate) struct Reqwest {
    client: reqwest::Client,
    server: String,
    authorization: Option<http::HeaderValue>,
}

impl Reqwest {
    /// Takes the server's URL, its CA's certificate in PEM where the platform's do not do, and a token where it wants one.
    pub(crate) fn new(
        server: &str,
        ca: Option<&[u8]>,
        token: Option<&str>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        // This build of reqwest leaves it to the program who does the cryptography.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        // Where a redirect leads is nobody that the Lease may be entrusted to.
        let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if let Some(ca) = ca {
            client = client.tls_certs_only([reqwest::Certificate::from_pem(ca)?]);
        }
        let authorization = token.map(|token| bearer(&Secret::from(token.trim())));
        Ok(Self {
            client: client.build()?,
            server: server.trim_end_matches('/').to_owned(),
            authorization: authorization.transpose()?,
        })
    }
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
