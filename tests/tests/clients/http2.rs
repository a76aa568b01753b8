//! HTTP/2, which only the tokio driver speaks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lease_proto::access::{Access, ServerUrl, TransportError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Authority;
use crate::driver::{Driver, PATIENCE, Tokio, get, runtime};

#[test]
fn requests_share_a_connection() {
    let authority = Authority::new("h2");
    let server = Server::start(&authority);
    let client = client(&server, &authority);
    for _ in 0..3 {
        assert_eq!(client.fetch("/").unwrap().version(), http::Version::HTTP_2);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn requests_that_begin_together_share_a_connection() {
    let authority = Authority::new("h2");
    let server = Server::start(&authority);
    let client = Arc::new(client(&server, &authority));
    runtime().block_on(async {
        let begun = (0..50).map(|_| fetch(&client)).collect::<JoinSet<_>>();
        assert!(begun.join_all().await.iter().all(|status| *status == 200));
    });
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn requests_do_not_wait_for_the_first_one_for_long() {
    let authority = Authority::new("h2");
    let server = Server::start(&authority);
    let client = Arc::new(client(&server, &authority));
    runtime().block_on(async {
        tokio::select! {
            biased;
            // It is polled before the others begin.
            first = client.send(get("/unanswered"), PATIENCE, false) => panic!("{first:?}"),
            status = async { fetch(&client).await } => assert_eq!(status, 200),
        }
    });
}

fn fetch(client: &Arc<Tokio>) -> impl Future<Output = http::StatusCode> + use<> {
    let client = Arc::clone(client);
    async move {
        let answer = client.send(get("/"), PATIENCE, false).await;
        answer.unwrap().status()
    }
}

#[test]
fn a_connection_that_went_silent_is_not_used_again_after_a_timeout() {
    let authority = Authority::new("h2");
    let server = Server::start(&authority);
    let client = client(&server, &authority);
    let error = client
        .exchange(get("/silence"), Duration::from_millis(300), false)
        .unwrap_err();
    assert!(matches!(error, TransportError::Timeout { .. }), "{error:?}");
    assert_eq!(
        client.exchange(get("/"), PATIENCE, false).unwrap().status(),
        200
    );
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_connection_that_went_silent_is_not_used_again_after_a_request_was_dropped() {
    let authority = Authority::new("h2");
    let server = Server::start(&authority);
    let client = client(&server, &authority);
    runtime().block_on(async {
        let request = client.send(get("/silence"), PATIENCE, false);
        let dropped = tokio::time::timeout(Duration::from_millis(300), request).await;
        assert!(dropped.is_err());
    });
    assert_eq!(
        client.exchange(get("/"), PATIENCE, false).unwrap().status(),
        200
    );
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn requests_under_way_survive_that_another_is_given_up() {
    let authority = Authority::new("h2");
    let server = Server::start(&authority);
    let client = client(&server, &authority);
    client.fetch("/").unwrap();
    runtime().block_on(async {
        let slow = client.send(get("/slow"), PATIENCE, false);
        let silent = client.send(get("/unanswered"), Duration::from_millis(100), false);
        let (slow, silent) = tokio::join!(slow, silent);
        assert!(
            matches!(silent, Err(TransportError::Timeout { .. })),
            "{silent:?}"
        );
        assert_eq!(slow.unwrap().status(), 200);
    });
}

/// Answers; but a connection over which `/silence` was asked for never says anything again.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn start(authority: &Authority) -> Self {
        let mut config = (*authority.server(&["localhost"]).server_config(None)).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = runtime()
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                    // An error is the client's going away, which scenarios provoke.
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, service_fn(respond))
                        .await;
                });
            }
        });
        Self {
            address,
            connections,
        }
    }
}

async fn respond(
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        "/slow" => tokio::time::sleep(Duration::from_millis(500)).await,
        "/silence" | "/unanswered" => std::future::pending().await,
        _ => {}
    }
    Ok(http::Response::new(Full::default()))
}

fn client(server: &Server, authority: &Authority) -> Tokio {
    let url = format!("https://localhost:{}", server.address.port());
    let mut access = Access::new(ServerUrl::parse(&url).unwrap());
    access.tls.ca = Some(authority.pem().as_bytes().into());
    Driver::from_access(&access).unwrap()
}
