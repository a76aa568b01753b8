//! Requests and answers, and answers that do not come.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lease_proto::access::{Access, Secret, ServerUrl, TransportError};
use lease_proto::{Config, MAX_BODY};

use crate::driver::{Driver, PATIENCE, chain, get};
use crate::server::{Answer, Server, answer, nobody, ok};

crate::scenarios! {
    an_answer_that_is_no_lease_is_explained,
    a_body_goes_along_with_every_method_that_has_one,
    a_body_over_the_cap_is_an_error_of_its_own,
    a_dripping_body_is_given_up_in_time,
    a_dripping_head_is_given_up_in_time,
    a_hanging_server_is_given_up_in_time_and_the_next_request_is_answered,
    a_head_without_end_is_given_up,
    a_name_that_is_not_found_says_so,
    a_redirect_is_an_answer,
    a_refused_connection_names_the_server,
    a_request_gets_address_credentials_and_user_agent_and_nothing_else,
    a_server_that_answers_no_http_is_an_interruption,
    a_server_that_closes_after_every_answer_is_connected_to_again,
    an_answer_cut_short_is_no_answer,
    an_ipv6_address_is_connected_to,
    connections_are_used_again,
    interim_answers_are_passed_over,
    interim_answers_without_end_are_given_up,
    status_codes_are_answers,
    what_is_compressed_comes_as_it_is,
}

fn a_request_gets_address_credentials_and_user_agent_and_nothing_else<D: Driver>() {
    let server = Server::start(|_| ok());
    let mut access = access(&format!("{}/k8s/c-1/", server.url()));
    access.auth.token = Some(Secret::from("abc").into());
    let client = D::from_access(&access).unwrap();
    let answer = client.fetch("/apis/x?watch=true&a=b%2Fc").unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (200, &b"{}"[..])
    );
    let seen = server.last();
    assert_eq!(seen.line, "GET /k8s/c-1/apis/x?watch=true&a=b%2Fc HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer abc"));
    let user_agent = format!("{}/{}", D::USER_AGENT, env!("CARGO_PKG_VERSION"));
    assert_eq!(seen.header("user-agent"), Some(user_agent.as_str()));
    assert_eq!(
        seen.header("host"),
        Some(server.address.to_string().as_str())
    );
    let mut names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "host", "user-agent"]);
    let client = client.with_user_agent("shard-owner/2");
    client.fetch("/apis/x").unwrap();
    assert_eq!(server.last().header("user-agent"), Some("shard-owner/2"));
}

fn a_body_goes_along_with_every_method_that_has_one<D: Driver>() {
    let server = Server::start(|_| ok());
    let client = D::from_access(&access(&server.url())).unwrap();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let request = http::Request::builder()
            .method(method)
            .uri("/x")
            .body(b"body".to_vec())
            .unwrap();
        client.exchange(request, PATIENCE, false).unwrap();
        let seen = server.last();
        assert!(seen.line.starts_with(method), "{}", seen.line);
        assert_eq!(seen.body, b"body", "{method}");
    }
}

fn status_codes_are_answers<D: Driver>() {
    let server = Server::start(|seen| {
        let status = seen.line.split(['/', ' ']).nth(2).unwrap().to_owned();
        Answer::Keep(answer(&format!("{status} Word"), "text"))
    });
    let client = D::from_access(&access(&server.url())).unwrap();
    for status in [200, 201, 401, 403, 404, 409, 410, 422, 429, 500, 503, 504] {
        let answer = client.fetch(&format!("/{status}")).unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.body()[..]),
            (status, &b"text"[..])
        );
    }
}

fn what_is_compressed_comes_as_it_is<D: Driver>() {
    let server = Server::start(|_| Answer::Keep(answer("200 OK\r\nContent-Encoding: gzip", "zip")));
    let client = D::from_access(&access(&server.url())).unwrap();
    assert_eq!(client.fetch("/").unwrap().body(), b"zip");
    assert_eq!(server.last().header("accept-encoding"), None);
}

fn a_redirect_is_an_answer<D: Driver>() {
    let elsewhere = Server::start(|_| ok());
    let location = elsewhere.url();
    let server = Server::start(move |_| {
        Answer::Keep(
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
                .into_bytes(),
        )
    });
    let mut access = access(&server.url());
    access.auth.token = Some(Secret::from("abc").into());
    let client = D::from_access(&access).unwrap();
    assert_eq!(client.fetch("/").unwrap().status(), 302);
    let request = http::Request::post("/").body(b"x".to_vec()).unwrap();
    assert_eq!(
        client.exchange(request, PATIENCE, false).unwrap().status(),
        302
    );
    assert_eq!((server.seen().len(), elsewhere.connections()), (2, 0));
}

fn interim_answers_are_passed_over<D: Driver>() {
    let server = Server::start(|_| {
        let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
        bytes.extend(answer("200 OK", "end"));
        Answer::Keep(bytes)
    });
    let client = D::from_access(&access(&server.url())).unwrap();
    let answer = client.fetch("/").unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (200, &b"end"[..])
    );
}

fn interim_answers_without_end_are_given_up<D: Driver>() {
    let server = Server::start(|seen| match seen.line.contains("flood") {
        true => Answer::Flood(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)),
        false => ok(),
    });
    let client = D::from_access(&access(&server.url())).unwrap();
    let timeout = Duration::from_millis(300);
    let error = client.exchange(get("/flood"), timeout, false).unwrap_err();
    // When its time is over, or as a head that is too long, if so many come at once.
    assert!(
        matches!(
            error,
            TransportError::Timeout { .. } | TransportError::Interrupted { .. }
        ),
        "{error:?}"
    );
    assert_eq!(client.fetch("/").unwrap().status(), 200);
}

fn connections_are_used_again<D: Driver>() {
    let server = Server::start(|_| ok());
    let client = D::from_access(&access(&server.url())).unwrap();
    for client in [&client, &client.clone()].repeat(5) {
        client.fetch("/").unwrap();
        let_it_be_put_back();
    }
    assert_eq!(server.seen().len(), 10);
    assert!(server.connections() <= 5, "{}", server.connections());
}

/// Leaves a client the time to put a connection back among those that are free, which it does in the background once the
/// answer is read; a machine may be too slow even so, which costs a connection more and nothing else.
pub(crate) fn let_it_be_put_back() {
    std::thread::sleep(Duration::from_millis(20));
}

fn a_server_that_closes_after_every_answer_is_connected_to_again<D: Driver>() {
    let server = Server::start(|_| Answer::Close(answer("200 OK", "{}")));
    let client = D::from_access(&access(&server.url())).unwrap();
    for _ in 0..4 {
        client.fetch("/").unwrap();
        // The server says nothing of closing, so the client learns of it from the connection.
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(server.connections(), 4);
}

fn a_hanging_server_is_given_up_in_time_and_the_next_request_is_answered<D: Driver>() {
    let server = Server::start(|seen| match seen.line.contains("hang") {
        true => Answer::Hang(Vec::new()),
        false => ok(),
    });
    let client = D::from_access(&access(&server.url())).unwrap();
    client.fetch("/").unwrap();
    gives_up(&client, "/hang");
    assert_eq!(client.fetch("/").unwrap().status(), 200);
}

fn a_dripping_body_is_given_up_in_time<D: Driver>() {
    let server = Server::start(|seen| match seen.line.contains("length") {
        true => Answer::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"),
        false => Answer::Drip(b"HTTP/1.1 200 OK\r\n\r\nx"),
    });
    let client = D::from_access(&access(&server.url())).unwrap();
    gives_up(&client, "/length");
    gives_up(&client, "/until-close");
}

fn a_dripping_head_is_given_up_in_time<D: Driver>() {
    let server = Server::start(|_| Answer::Drip(b"HTTP/1.1 200 OK\r\nA: b\r\n"));
    gives_up(&D::from_access(&access(&server.url())).unwrap(), "/");
}

fn a_head_without_end_is_given_up<D: Driver>() {
    let server = Server::start(|_| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        bytes.resize(4 * 1024 * 1024, b'x');
        Answer::Hang(bytes)
    });
    let client = D::from_access(&access(&server.url())).unwrap();
    let error = client.fetch("/").unwrap_err();
    assert!(
        matches!(error, TransportError::Interrupted { .. }),
        "{error:?}"
    );
}

fn a_body_over_the_cap_is_an_error_of_its_own<D: Driver>() {
    const CAP: usize = 2 * 1024 * 1024;
    let server = Server::start(|seen| {
        let length = if seen.line.contains("over") {
            CAP + 1
        } else {
            CAP
        };
        Answer::Keep(answer("200 OK", &"x".repeat(length)))
    });
    let client = D::from_access(&access(&server.url())).unwrap();
    assert_eq!(client.fetch("/").unwrap().body().len(), CAP);
    let error = client.fetch("/over").unwrap_err();
    assert!(
        matches!(error, TransportError::BodyTooLarge { limit: CAP, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(&server.url()), "{error}");
    let endless = Server::start(|_| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..3 {
            bytes.extend(format!("{:x}\r\n{}\r\n", CAP / 2, "x".repeat(CAP / 2)).bytes());
        }
        Answer::Hang(bytes)
    });
    let error = D::from_access(&access(&endless.url()))
        .unwrap()
        .fetch("/")
        .unwrap_err();
    assert!(
        matches!(error, TransportError::BodyTooLarge { .. }),
        "{error:?}"
    );
}

fn an_answer_cut_short_is_no_answer<D: Driver>() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
    ] {
        let server = Server::start(|_| Answer::Close(bytes.to_vec()));
        let error = D::from_access(&access(&server.url()))
            .unwrap()
            .fetch("/")
            .unwrap_err();
        assert!(
            matches!(error, TransportError::Interrupted { .. }),
            "{bytes:?}: {error:?}"
        );
        assert!(error.to_string().contains(&server.url()), "{error}");
    }
}

fn a_server_that_answers_no_http_is_an_interruption<D: Driver>() {
    let server = Server::start(|_| Answer::Close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()));
    let error = D::from_access(&access(&server.url()))
        .unwrap()
        .fetch("/")
        .unwrap_err();
    assert!(
        matches!(error, TransportError::Interrupted { .. }),
        "{error:?}"
    );
}

fn a_refused_connection_names_the_server<D: Driver>() {
    let url = format!("http://{}", nobody());
    let error = D::from_access(&access(&url))
        .unwrap()
        .fetch("/")
        .unwrap_err();
    let TransportError::Connect { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    let expected = format!("cannot connect to {url}; check the address, and that the server runs");
    assert_eq!(error.to_string(), expected);
    assert!(error.source().is_some());
}

fn a_name_that_is_not_found_says_so<D: Driver>() {
    // A label is at most 63 bytes, so the resolver refuses this one without asking anybody.
    let url = format!("http://{}.example:1", "a".repeat(64));
    let error = D::from_access(&access(&url))
        .unwrap()
        .fetch("/")
        .unwrap_err();
    assert!(
        matches!(error, TransportError::Dns { .. }),
        "{}",
        chain(&error)
    );
    assert!(
        error
            .to_string()
            .contains("is not found; check it, and the DNS"),
        "{error}"
    );
}

fn an_ipv6_address_is_connected_to<D: Driver>() {
    // A machine without IPv6 has nothing to try.
    let Ok(server) = Server::listen("[::1]:0", None, Arc::new(|_| ok())) else {
        return;
    };
    D::from_access(&access(&server.url()))
        .unwrap()
        .fetch("/")
        .unwrap();
    assert_eq!(
        server.last().header("host"),
        Some(server.address.to_string().as_str())
    );
}

fn gives_up<D: Driver>(client: &D, path: &str) {
    let started = Instant::now();
    let timeout = Duration::from_millis(300);
    let error = client.exchange(get(path), timeout, false).unwrap_err();
    let TransportError::Timeout { .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        error
            .to_string()
            .starts_with("no answer from http://127.0.0.1:"),
        "{error}"
    );
    assert!(started.elapsed() >= timeout, "{:?}", started.elapsed());
    assert!(
        started.elapsed() < timeout + PATIENCE,
        "{:?}",
        started.elapsed()
    );
}

fn access(url: &str) -> Access {
    Access::new(ServerUrl::parse_plain_http(url).unwrap())
}

fn an_answer_that_is_no_lease_is_explained<D: Driver>() {
    let message =
        |text: &str| format!(r#"{{"kind":"Status","status":"Failure","message":"{text}"}}"#);
    let long = "canary ".repeat(MAX_BODY / 7 + 1);
    for (status, body, expected) in [
        (
            "200 OK\r\nContent-Type: text/html",
            "<html>canary</html>",
            "200 OK with text/html that is not the lease: is there a login page or a proxy in between?",
        ),
        (
            "500 Internal Server Error",
            &message("etcdserver: leader changed"),
            "the API server answered 500 Internal Server Error: etcdserver: leader changed",
        ),
        (
            "502 Bad Gateway\r\nContent-Type: text/html",
            "<html>canary</html>",
            "the API server gave no usable answer (502 Bad Gateway)",
        ),
        ("200 OK", &long, "is larger than 2097152 bytes"),
    ] {
        let bytes = answer(status, body);
        let server = Server::start(move |_| Answer::Keep(bytes.clone()));
        let client = D::from_access(&access(&server.url())).unwrap();
        let config = Config::builder("default", "leader", "me").build().unwrap();
        let error = chain(&client.refused_lease(config, None));
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}
