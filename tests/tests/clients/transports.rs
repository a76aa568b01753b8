//! Transports that stand in for HTTP, and clients that are built by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lease_proto::access::TransportError;

use crate::driver::{PATIENCE, get, runtime};
use crate::server::{Server, ok};

#[test]
fn a_transport_of_ones_own_gets_path_and_query_and_no_credentials() {
    let recorder = Arc::new(Recorder::default());
    let blocking = lease_blocking::Client::with_transport(Arc::clone(&recorder) as Arc<_>, "team");
    let tokio = lease_tokio::Client::with_transport(Arc::clone(&recorder) as Arc<_>, "team");
    assert_eq!(
        blocking
            .send(get("/x?a=b"), PATIENCE, false)
            .unwrap()
            .status(),
        200
    );
    let answer = runtime().block_on(tokio.send(get("/x?a=b"), PATIENCE, true));
    assert_eq!(answer.unwrap().status(), 200);
    let seen = recorder.0.lock().unwrap();
    assert_eq!(*seen, ["/x?a=b 0", "/x?a=b 0"]);
    assert_eq!((blocking.namespace(), tokio.namespace()), ("team", "team"));
    assert!(blocking.server().is_none() && tokio.server().is_none());
}

#[test]
fn a_transport_of_ones_own_is_given_up_in_time_on_tokio() {
    #[derive(Debug)]
    struct Never;

    impl lease_tokio::Transport for Never {
        fn send(
            &self,
            _: http::Request<Vec<u8>>,
            _: Duration,
        ) -> lease_tokio::BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
            Box::pin(std::future::pending())
        }
    }

    let client = lease_tokio::Client::with_transport(Arc::new(Never), "team");
    let error = runtime()
        .block_on(client.send(get("/"), Duration::from_millis(50), false))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no answer from the API server within 50ms"
    );
}

#[test]
fn a_client_is_built_from_a_url() {
    let server = Server::start(|_| ok());
    let blocking = lease_blocking::Client::builder(server.url())
        .token("abc")
        .namespace("team")
        .build()
        .unwrap();
    let tokio = lease_tokio::Client::builder(server.url())
        .token("abc")
        .build()
        .unwrap()
        .with_namespace("team");
    blocking.send(get("/"), PATIENCE, false).unwrap();
    runtime()
        .block_on(tokio.send(get("/"), PATIENCE, false))
        .unwrap();
    for seen in server.seen() {
        assert_eq!(seen.header("authorization"), Some("Bearer abc"));
    }
    assert_eq!((blocking.namespace(), tokio.namespace()), ("team", "team"));
    assert_eq!(blocking.server().unwrap().to_string(), server.url());
    assert_eq!(
        lease_blocking::Client::builder("http://localhost:1")
            .build()
            .unwrap()
            .namespace(),
        "default"
    );
}

#[test]
fn a_url_that_cannot_be_used_is_refused() {
    for (url, message) in [
        (
            "h:6443",
            "the server's URL \"h:6443\" has no scheme; write https://h:6443",
        ),
        ("http://10.0.0.1", "allow it with allow_plain_http"),
    ] {
        let blocking = lease_blocking::Client::builder(url)
            .build()
            .unwrap_err()
            .to_string();
        let tokio = lease_tokio::Client::builder(url)
            .build()
            .unwrap_err()
            .to_string();
        assert!(blocking.contains(message), "{blocking}");
        assert_eq!(blocking, tokio);
    }
    assert!(
        lease_blocking::Client::builder("http://10.0.0.1")
            .allow_plain_http(true)
            .build()
            .is_ok()
    );
    assert!(
        lease_tokio::Client::builder("http://10.0.0.1")
            .allow_plain_http(true)
            .build()
            .is_ok()
    );
}

#[test]
fn clients_go_from_thread_to_thread() {
    fn is_shareable<T: Clone + Send + Sync + 'static>() {}

    is_shareable::<lease_blocking::Client>();
    is_shareable::<lease_tokio::Client>();
}

/// Notes path and number of headers, and answers 200.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn note(
        &self,
        request: &http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let note = format!("{} {}", request.uri(), request.headers().len());
        self.0.lock().unwrap().push(note);
        Ok(http::Response::new(Vec::new()))
    }
}

impl lease_blocking::Transport for Recorder {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.note(&request)
    }
}

impl lease_tokio::Transport for Recorder {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> lease_tokio::BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        let answer = self.note(&request);
        Box::pin(std::future::ready(answer))
    }
}
