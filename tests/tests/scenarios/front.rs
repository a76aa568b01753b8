//! An API server on loopback ports: over plain HTTP/1.1, and over TLS once for each version of HTTP.
//!
//! Behind it is the API server of lease-proto, or one elsewhere that speaks TLS alone, as behind `kubectl proxy`; only
//! that the credentials here are those of whoever asks.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{
    body::{Body, Bytes, Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lease_proto::server::{Answer, ApiServer, WatchId, WatchOutput};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Notify, mpsc},
};
use tokio_rustls::TlsAcceptor;

use crate::{certificates::Authority, claimant::runtime};

/// Who answers.
pub(crate) enum Backend {
    Here(Box<Here>),
    Elsewhere(lease_tokio::Client),
}

/// An API server, and what tells of its changes.
pub(crate) struct Here {
    server: Mutex<ApiServer>,
    changed: Notify,
}

impl From<ApiServer> for Backend {
    fn from(server: ApiServer) -> Self {
        Self::Here(Box::new(Here {
            server: Mutex::new(server),
            changed: Notify::new(),
        }))
    }
}

/// A body that comes in pieces, or at once as one.
pub(crate) struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(whole: Vec<u8>) -> Self {
        let (outbox, pieces) = mpsc::channel(1);
        outbox.try_send(Bytes::from(whole)).unwrap();
        Self(pieces)
    }
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
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Pieces> {
        let (mut head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes().to_vec();
        let answer = match &**self {
            Self::Here(here) => {
                let request = Request::from_parts(head, body);
                let mut server = here.server.lock().unwrap();
                let answer = server.handle(&request, SystemTime::now());
                drop(server);
                here.changed.notify_waiters();
                match answer {
                    Answer::Whole(answer) => answer,
                    Answer::Watch(answer, id) => {
                        let (outbox, pieces) = mpsc::channel(4);
                        tokio::spawn(Arc::clone(self).tell(id, outbox));
                        return answer.map(|()| Pieces(pieces));
                    }
                }
            }
            Self::Elsewhere(client) => {
                for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH] {
                    head.headers.remove(name);
                }
                let request = Request::from_parts(head, body);
                let query = request.uri().query().unwrap_or_default();
                if query.contains("watch=true") {
                    return relay(client, request).await;
                }
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
        answer.map(Pieces::from)
    }

    /// Sends what a watch has to say, until nobody listens.
    async fn tell(self: Arc<Self>, id: WatchId, outbox: mpsc::Sender<Bytes>) {
        let Self::Here(here) = &*self else { return };
        loop {
            let mut changed = pin!(here.changed.notified());
            changed.as_mut().enable();
            let output = here
                .server
                .lock()
                .unwrap()
                .poll_watch(id, SystemTime::now());
            match output {
                WatchOutput::Chunk(chunk) => {
                    if outbox.send(Bytes::from(chunk)).await.is_err() {
                        break;
                    }
                }
                WatchOutput::End => return,
                WatchOutput::Wait { .. } => {
                    tokio::select! {
                        () = changed => {}
                        () = outbox.closed() => break,
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    }
                }
            }
        }
        here.server.lock().unwrap().close_watch(id);
    }
}

/// Passes a stream on.
async fn relay(client: &lease_tokio::Client, request: Request<Vec<u8>>) -> Response<Pieces> {
    let Ok(answer) = client.stream(request, PATIENCE, false).await else {
        return status(StatusCode::BAD_GATEWAY);
    };
    let (mut head, mut chunks) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.version = http::Version::HTTP_11;
    let (outbox, pieces) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = outbox.closed() => return,
                chunk = chunks.next() => {
                    let Some(Ok(chunk)) = chunk else { return };
                    if outbox.send(Bytes::from(chunk)).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Response::from_parts(head, Pieces(pieces))
}

fn status(status: StatusCode) -> Response<Pieces> {
    let mut answer = Response::new(Pieces::from(Vec::new()));
    *answer.status_mut() = status;
    answer
}

const PATIENCE: Duration = Duration::from_secs(30);
