//! Secrets that are sent back: servers that repeat the whole of a request, in headers and in bodies of every form.

use std::{
    convert::Infallible,
    error::Error,
    io::Read,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lease_proto::{AcquireError, Config};
use tokio_rustls::TlsAcceptor;

use crate::{
    CANARY, Log,
    certificates::Authority,
    claimant::runtime,
    server::{Answer, Seen, Server},
};

/// What is looked for: the beginning of the token, and what of it stands in a dump's rows, however short, as text and as numbers.
const TRACES: [&str; 4] = [CANARY, "QZQZ", "515a 515a", "81, 90, 81"];
const STATUSES: [&str; 6] = [
    "200 OK",
    "302 Found",
    "401 Unauthorized",
    "403 Forbidden",
    "422 Unprocessable Entity",
    "500 Internal Server Error",
];
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

/// How a body is sent.
#[derive(Clone, Copy, Debug)]
enum Form {
    Length,
    Chunks,
    UntilClose,
}

/// What is to be said once more: a `Status` of the API server whose message is the request.
fn status(request: &str) -> String {
    let message: String = request.escape_default().collect();
    format!(
        r#"{{"kind":"Status","status":"Failure","reason":"{message}","message":"you sent {message}"}}"#
    )
}

fn echo(seen: &Seen, status_line: &str, form: Form) -> Answer {
    let token = seen.header("authorization").unwrap_or_default();
    let bare = token.trim_start_matches("Bearer ");
    let body = status(&format!("{} {token} {bare}", seen.line));
    let head = format!(
        "HTTP/1.1 103 Early Hints\r\nX-Echo: {token}\r\n\r\nHTTP/1.1 {status_line}\r\nX-Echo: {token}\r\nServer: {bare}\r\n\
         Location: /{bare}\r\nContent-Type: text/{bare}\r\n"
    );
    match form {
        Form::Length => {
            let length = body.len();
            Answer::Keep(format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes())
        }
        Form::UntilClose => Answer::Close(format!("{head}\r\n{body}").into_bytes()),
        Form::Chunks => {
            let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in body.as_bytes().chunks(30) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(format!("0\r\nX-Echo: {token}\r\n\r\n").bytes());
            Answer::Keep(bytes)
        }
    }
}

/// Repeats every request over HTTP/2 in TLS, with this status.
fn http2(authority: &Authority, status_code: Arc<Mutex<u16>>) -> SocketAddr {
    let mut config = (*authority.server(&["localhost"]).server_config(None)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    runtime().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, status_code) = (tls.clone(), Arc::clone(&status_code));
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request: Request<Incoming>| {
                    let token = request.headers()["authorization"].clone();
                    let text = token.to_str().unwrap();
                    let bare = text.trim_start_matches("Bearer ");
                    let answer = Response::builder()
                        .status(*status_code.lock().unwrap())
                        .header("x-echo", &token)
                        .header("location", format!("/{bare}"))
                        .header("content-type", format!("text/{bare}"))
                        .body(Full::<Bytes>::from(status(&format!("{text} {bare}"))));
                    async move { Ok::<_, Infallible>(answer.unwrap()) }
                });
                let builder = http2::Builder::new(TokioExecutor::new());
                let _gone = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// An error and its sources, in words and as they are.
pub(crate) fn all_of(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

fn config() -> Config {
    let config = Config::builder("default", "echoed", "me");
    config.build().unwrap()
}

/// What a driver's errors say, and what is logged meanwhile, when all that it sends is repeated.
macro_rules! said {
    ($client:ident, $log:ident, |$future:ident| $wait:expr) => {{
        let _before = $log.take();
        let mut said = format!("{:?} {0:#?}", $client);
        let $future = $client.get("echoed");
        said.push_str(&all_of(&$wait.unwrap_err()));
        let $future = $client.list();
        // Of an answer without items there are none.
        if let Err(error) = $wait {
            said.push_str(&all_of(&error));
        }
        let $future = $client.try_acquire(config());
        said.push_str(&all_of(&$wait.unwrap_err()));
        let $future = $client.acquire_timeout(config(), SHORT);
        let error: AcquireError = $wait.unwrap_err();
        said.push_str(&all_of(&error));
        said.push_str(&error.advice().unwrap_or_default());
        let request = Request::get("/echoed").body(Vec::new()).unwrap();
        let $future = $client.send(request, PATIENCE, false);
        let answer = $wait.unwrap();
        // What was asked for comes as it is, and nothing else does.
        let body = String::from_utf8(answer.body().clone()).unwrap();
        assert!(body.starts_with(r#"{"kind":"Status""#), "{body}");
        assert_eq!(body.contains(CANARY), answer.status() == 200, "{body}");
        said.push_str(&format!("{:?}", answer.headers()));
        said.push_str(&$log.take());
        said
    }};
}

fn is_silent(said: &str, about: &str) {
    for trace in TRACES {
        assert!(!said.contains(trace), "{about}: {trace} in {said}");
    }
}

/// Whatever is repeated, in whatever form, by both drivers; a stream of changes too.
pub(crate) fn none_is_told_of_what_is_sent_back(log: &Log, token: &Path) {
    for form in [Form::Length, Form::Chunks, Form::UntilClose] {
        // How a body is sent has nothing to do with what its status means.
        let statuses = match form {
            Form::Length => &STATUSES[..],
            Form::Chunks | Form::UntilClose => &STATUSES[..1],
        };
        for &status_line in statuses {
            let server = Server::start(move |seen| echo(seen, status_line, form));
            let about = format!("{status_line} {form:?}");
            let blocking = lease_blocking::Client::builder(server.url()).token_file(token);
            let client = blocking.build().unwrap();
            let said = said!(client, log, |outcome| outcome);
            // What speaks over the wire is among those who say something.
            assert!(said.contains("ureq"), "nothing of ureq in {said}");
            is_silent(&said, &about);
            let request = Request::get("/stream").body(Vec::new()).unwrap();
            let answer = client.stream(request, PATIENCE, false).unwrap();
            is_silent(&format!("{:?}", answer.headers()), &about);
            let is_refused = answer.status() != 200;
            let (mut body, mut text) = (answer.into_body().into_parts().0, String::new());
            body.read_to_string(&mut text).unwrap();
            assert_eq!(text.contains(CANARY), !is_refused, "{text}");
            is_silent(&log.take(), &about);

            let tokio = lease_tokio::Client::builder(server.url()).token_file(token);
            let client = tokio.build().unwrap();
            is_silent(
                &said!(client, log, |future| runtime().block_on(future)),
                &about,
            );
            let request = Request::get("/stream").body(Vec::new()).unwrap();
            let text = runtime().block_on(async {
                let answer = client.stream(request, PATIENCE, false).await.unwrap();
                is_silent(&format!("{:?}", answer.headers()), &about);
                let (mut chunks, mut text) = (answer.into_body(), Vec::new());
                while let Some(chunk) = chunks.next().await {
                    text.extend(chunk.unwrap());
                }
                String::from_utf8(text).unwrap()
            });
            assert!(text.starts_with(r#"{"kind":"Status""#), "{text}");
            assert_eq!(text.contains(CANARY), !is_refused, "{text}");
            is_silent(&log.take(), &about);
        }
    }
    let (authority, status_code) = (Authority::new("echo"), Arc::new(Mutex::new(200)));
    let address = http2(&authority, Arc::clone(&status_code));
    let tokio = lease_tokio::Client::builder(format!("https://localhost:{}", address.port()));
    let tokio = tokio.certificate_authority(authority.pem().as_bytes());
    let client = tokio.token_file(token).build().unwrap();
    for status_line in STATUSES {
        *status_code.lock().unwrap() = status_line[..3].parse().unwrap();
        let said = said!(client, log, |future| runtime().block_on(future));
        assert!(said.contains("h2::"), "nothing of h2 in {said}");
        is_silent(&said, status_line);
    }
}
