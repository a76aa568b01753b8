//! An API server on loopback ports: over plain HTTP/1.1, and over TLS once for each version of HTTP.
//!
//! Behind it is the API server of lease-proto, or one elsewhere that speaks TLS alone, as behind `kubectl proxy`; only
//! that the credentials here are those of whoever asks.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lease_proto::server::{Answer, ApiServer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{certificates::Authority, claimant::runtime};

/// Who answers.
pub(crate) enum Backend {
    Here(Mutex<ApiServer>),
    Elsewhere(lease_tokio::Client),
}

/// Where the ports are.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) plain: SocketAddr,
    /// TLS, and HTTP/1.1 in it.
    pub(crate) http1: SocketAddr,
    /// TLS, and HTTP/2 in it.
    pub(crate) http2: SocketAddr,
    /// The certificate that the server's are signed by, for `localhost`.
    pub(crate) ca: String,
}

impl Front {
    pub(crate) fn start(backend: Backend) -> Self {
        let authority = Authority::new("front");
        let backend = Arc::new(backend);
        let tls = |protocol: &[u8]| {
            let config = authority.server(&["localhost"]).server_config(None);
            let mut config = (*config).clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Some(TlsAcceptor::from(Arc::new(config)))
        };
        Self {
            plain: listen(&backend, None, false),
            http1: listen(&backend, tls(b"http/1.1"), false),
            http2: listen(&backend, tls(b"h2"), true),
            ca: authority.pem(),
        }
    }
}

fn listen(backend: &Arc<Backend>, tls: Option<TlsAcceptor>, is_http2: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0");
    let listener = runtime().block_on(listener).unwrap();
    let address = listener.local_addr().unwrap();
    let backend = Arc::clone(backend);
    runtime().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (backend, tls) = (Arc::clone(&backend), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(stream, &backend, is_http2).await,
                    // Who does not like the certificate goes away.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, &backend, is_http2).await;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    backend: &Arc<Backend>,
    is_http2: bool,
) {
    let service = service_fn(|request| {
        let backend = Arc::clone(backend);
        async move { Ok::<_, Infallible>(backend.answer(request).await) }
    });
    let stream = TokioIo::new(stream);
    // An error is the client's going away.
    if is_http2 {
        let builder = http2::Builder::new(TokioExecutor::new());
        let _gone = builder.serve_connection(stream, service).await;
    } else {
        let _gone = http1::Builder::new()
            .serve_connection(stream, service)
            .await;
    }
}

impl Backend {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (mut head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes().to_vec();
        let answer = match self {
            Self::Here(server) => {
                let request = Request::from_parts(head, body);
                let answer = server.lock().unwrap().handle(&request, SystemTime::now());
                match answer {
                    Answer::Whole(answer) => answer,
                    Answer::Watch(..) => return status(StatusCode::NOT_IMPLEMENTED),
                }
            }
            Self::Elsewhere(client) => {
                for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH] {
                    head.headers.remove(name);
                }
                let request = Request::from_parts(head, body);
                match client.send(request, PATIENCE, false).await {
                    Ok(mut answer) => {
                        answer.headers_mut().remove(header::CONTENT_LENGTH);
                        *answer.version_mut() = http::Version::HTTP_11;
                        answer
                    }
                    Err(_) => return status(StatusCode::BAD_GATEWAY),
                }
            }
        };
        answer.map(|body| Full::new(Bytes::from(body)))
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
}

const PATIENCE: Duration = Duration::from_secs(30);
