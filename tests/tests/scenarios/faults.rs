//! Servers that fail, and claims that go on all the same and say what it was: for everything that carries requests.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use lease_proto::{AcquireError, Config, ConfigBuilder, server::ApiServer};
use lease_tests::chaos::proxy::{Mode, Proxy};

use crate::{
    certificates::{Authority, Pair},
    claimant::{Claimant, SOON, Tries, runtime},
    http2,
    server::{Answer, Seen, Server, answer, answer_with, nobody, rendered},
    transports::{Endpoint, Transport},
};

/// What a server does instead of answering, and what is said of it to whoever tries once.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    answer: fn() -> Answer,
    said: &'static str,
}

/// Those after which no answer can be used.
pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        name: "a_body_compressed_though_nobody_asked_for_it",
        answer: || Answer::Close(answer_with("200 OK\r\nContent-Encoding: gzip", GZIP)),
        said: "200 OK with a body that is not the lease",
    },
    Fault {
        name: "a_page_of_a_load_balancer",
        answer: || Answer::Close(answer("200 OK\r\nContent-Type: text/html", PAGE)),
        said: "200 OK with text/html that is not the lease",
    },
    Fault {
        name: "a_page_of_a_load_balancer_without_servers",
        answer: || Answer::Close(answer("502 Bad Gateway\r\nContent-Type: text/html", PAGE)),
        said: "no usable answer (502 Bad Gateway)",
    },
    Fault {
        name: "a_redirect",
        answer: || Answer::Close(answer("302 Found\r\nLocation: http://127.0.0.1:1/", "")),
        said: "no usable answer (302 Found)",
    },
    Fault {
        name: "a_body_that_never_ends",
        answer: || Answer::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"),
        said: "no answer",
    },
    Fault {
        name: "a_body_of_more_than_anybody_reads",
        answer: || Answer::Close(answer("200 OK", &"x".repeat(3 << 20))),
        said: "no answer",
    },
    Fault {
        name: "a_header_section_that_never_ends",
        answer: || Answer::Drip(b"HTTP/1.1 200 OK\r\nA: b\r\n"),
        said: "no answer",
    },
    Fault {
        name: "a_header_section_of_more_than_anybody_reads",
        answer: || {
            let mut bytes = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
            bytes.resize(4 << 20, b'x');
            Answer::Hang(bytes)
        },
        said: "no answer",
    },
    Fault {
        name: "an_answer_cut_short",
        answer: || Answer::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec()),
        said: "no answer",
    },
    Fault {
        name: "another_protocol",
        answer: || Answer::Close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
        said: "no answer",
    },
    Fault {
        name: "silence",
        answer: || Answer::Hang(Vec::new()),
        said: "no answer",
    },
];

/// What goes before or after every answer, and costs nothing.
pub(crate) const ODDITIES: &[(&str, Odd)] = &[
    ("interim_answers", |keeps, bytes| {
        let mut all = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
        all.extend(bytes);
        if keeps {
            Answer::Keep(all)
        } else {
            Answer::Close(all)
        }
    }),
    // It says nothing of closing, so that is learnt from the connection.
    ("a_server_that_closes_after_every_answer", |_, bytes| {
        Answer::Close(bytes)
    }),
];

/// A version of HTTP, and what goes with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wire {
    /// Without TLS, but where that is what a fault is about.
    Http1,
    /// Over TLS.
    Http2,
}

/// A server on one wire or the other.
enum Serving {
    Http1(Server),
    Http2(http2::Server),
}

impl Wire {
    fn start(self, behaviour: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Serving {
        self.listen("127.0.0.1:0", &Authority::new("good"), Arc::new(behaviour))
    }

    fn listen(
        self,
        address: &str,
        authority: &Authority,
        behaviour: Arc<http2::Behaviour>,
    ) -> Serving {
        match self {
            Self::Http1 => Serving::Http1(Server::listen(address, None, behaviour).unwrap()),
            Self::Http2 => Serving::Http2(http2::Server::listen(address, authority, behaviour)),
        }
    }
}

impl Serving {
    fn endpoint(&self) -> Endpoint {
        match self {
            Self::Http1(server) => plain(&server.url()),
            Self::Http2(server) => Endpoint {
                ca: Some(server.ca.clone()),
                ..plain(&server.url())
            },
        }
    }

    fn seen(&self) -> Vec<Seen> {
        match self {
            Self::Http1(server) => server.seen(),
            Self::Http2(server) => server.seen(),
        }
    }
}

/// Takes whether the connection would be kept, and the answer.
type Odd = fn(bool, Vec<u8>) -> Answer;

/// A name, what is played, and whether that needs TLS, or a name that is looked up.
type Connection = (&'static str, fn(Transport, Wire), bool);

/// Those before there is a connection.
pub(crate) const CONNECTIONS: &[Connection] = &[
    (
        "a_refused_connection_is_tried_again",
        a_refused_connection_is_tried_again,
        false,
    ),
    (
        "a_name_that_is_not_found_is_said",
        a_name_that_is_not_found_is_said,
        true,
    ),
    (
        "a_certificate_for_another_name_is_said",
        a_certificate_for_another_name_is_said,
        true,
    ),
    (
        "an_expired_certificate_is_said",
        an_expired_certificate_is_said,
        true,
    ),
    (
        "a_certificate_by_another_authority_is_said",
        a_certificate_by_another_authority_is_said,
        true,
    ),
];

/// A claimant that meets a fault says so, acquires once it is over, and is not cost the Lease by one when it holds it.
pub(crate) fn is_survived(transport: Transport, wire: Wire, fault: &'static Fault) {
    let (fails, failures) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let server = {
        let (fails, failures) = (Arc::clone(&fails), Arc::clone(&failures));
        let api = Mutex::new(ApiServer::new());
        wire.start(move |seen| {
            if !fails.load(Ordering::SeqCst) {
                return well(&api, seen);
            }
            failures.fetch_add(1, Ordering::SeqCst);
            (fault.answer)()
        })
    };
    let claimant = transport.claimant(&server.endpoint());
    let error = fails_to_hold(&*claimant);
    assert!(chain(&error).contains(fault.said), "{}", chain(&error));
    fails.store(false, Ordering::SeqCst);
    let held = claimant.hold(config(), Tries::For(SOON)).unwrap();
    fails.store(true, Ordering::SeqCst);
    let before = failures.load(Ordering::SeqCst);
    await_that(|| failures.load(Ordering::SeqCst) > before);
    fails.store(false, Ordering::SeqCst);
    renews(&server);
    assert!(held.is_held());
    assert_eq!(held.lost(Duration::ZERO), None);
}

/// A claimant does not notice that the server is odd.
pub(crate) fn costs_nothing(transport: Transport, wire: Wire, odd: Odd) {
    let api = Mutex::new(ApiServer::new());
    let server = wire.start(move |seen| match well(&api, seen) {
        Answer::Keep(bytes) => odd(true, bytes),
        Answer::Close(bytes) => odd(false, bytes),
        Answer::Hang(_) | Answer::Drip(_) => unreachable!("it answers"),
    });
    let claimant = transport.claimant(&server.endpoint());
    let held = claimant.hold(config(), Tries::For(SOON)).unwrap();
    renews(&server);
    assert!(held.is_held());
    assert!(held.release().is_some());
}

/// Nobody listens yet.
fn a_refused_connection_is_tried_again(transport: Transport, wire: Wire) {
    let (address, authority) = (nobody(), Authority::new("good"));
    let claimant = transport.claimant(&match wire {
        Wire::Http1 => plain(&format!("http://{address}")),
        Wire::Http2 => Endpoint {
            ca: Some(authority.pem()),
            ..plain(&format!("https://localhost:{}", address.port()))
        },
    });
    let error = fails_to_hold(&*claimant);
    assert!(chain(&error).contains("refused"), "{}", chain(&error));
    let waits = thread::spawn(move || claimant.hold(config(), Tries::For(SOON)).map(drop));
    thread::sleep(Duration::from_millis(500));
    let api = Mutex::new(ApiServer::new());
    let behaviour = Arc::new(move |seen: &Seen| well(&api, seen));
    let _server = wire.listen(&address.to_string(), &authority, behaviour);
    waits.join().unwrap().unwrap();
}

fn a_name_that_is_not_found_is_said(transport: Transport, _: Wire) {
    // A label is at most 63 bytes, so the resolver refuses this one without asking anybody.
    let url = format!("http://{}.example:1", "a".repeat(64));
    let error = fails_to_hold(&*transport.claimant(&plain(&url)));
    let chain = chain(&error).to_lowercase();
    assert!(
        chain.contains("dns") || chain.contains("not known"),
        "{chain}"
    );
}

fn a_certificate_for_another_name_is_said(transport: Transport, wire: Wire) {
    let authority = Authority::new("good");
    let pair = authority.server(&["kubernetes"]);
    distrusts(transport, wire, &pair, &authority);
}

fn an_expired_certificate_is_said(transport: Transport, wire: Wire) {
    let authority = Authority::new("good");
    let pair = authority.expired_server(&["localhost"]);
    distrusts(transport, wire, &pair, &authority);
}

fn a_certificate_by_another_authority_is_said(transport: Transport, wire: Wire) {
    let pair = Authority::new("good").server(&["localhost"]);
    distrusts(transport, wire, &pair, &Authority::new("other"));
}

/// A connection that many requests share goes dead, and nothing says so: no FIN, no RST. New ones work.
pub(crate) fn a_connection_that_goes_dead_is_noticed_in_time(transport: Transport, wire: Wire) {
    let api = Mutex::new(ApiServer::new());
    let server = wire.start(move |seen| well(&api, seen));
    let Serving::Http2(upstream) = &server else {
        panic!("over HTTP/1.1 every request that is given up costs its connection")
    };
    let proxy = Proxy::open(runtime().handle(), upstream.address).unwrap();
    let endpoint = Endpoint {
        url: format!("https://localhost:{}", proxy.address().port()),
        ..server.endpoint()
    };
    // A request may take longer than the test, so whoever waits for the end of its time waits in vain.
    let config = settings()
        .lease_duration(20 * SOON)
        .request_timeout(12 * SOON);
    let config = config.build().unwrap();
    let held = transport.claimant(&endpoint).hold(config, Tries::For(SOON));
    let held = held.unwrap();
    renews(&server);
    proxy.set(Mode::Hang);
    renews(&server);
    assert!(held.is_held());
    assert_eq!(held.lost(Duration::ZERO), None);
}

/// A claimant whose token is refused while the file with the next one is not there yet.
pub(crate) fn a_token_file_that_vanishes_and_returns_costs_nothing(
    transport: Transport,
    wire: Wire,
) {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("token");
    fs::write(&file, "one").unwrap();
    let (token, refusals) = (Arc::new(Mutex::new("one")), Arc::new(AtomicUsize::new(0)));
    let server = {
        let (token, refusals) = (Arc::clone(&token), Arc::clone(&refusals));
        let api = Mutex::new(ApiServer::new());
        wire.start(move |seen| {
            let expected = format!("Bearer {}", token.lock().unwrap());
            if seen.header("authorization") == Some(&expected) {
                return well(&api, seen);
            }
            refusals.fetch_add(1, Ordering::SeqCst);
            Answer::Keep(answer("401 Unauthorized", "{}"))
        })
    };
    let claimant = transport.claimant(&Endpoint {
        token_file: Some(file.clone()),
        ..server.endpoint()
    });
    let held = claimant.hold(config(), Tries::Once).unwrap();
    fs::remove_file(&file).unwrap();
    // What was read before will do.
    renews(&server);
    *token.lock().unwrap() = "two";
    await_that(|| refusals.load(Ordering::SeqCst) > 0);
    let once = settings().acquire_retries(0).build().unwrap();
    let error = claimant.hold(once, Tries::Once).err().unwrap();
    assert!(
        chain(&error).contains("cannot read the token in"),
        "{}",
        chain(&error)
    );
    fs::write(&file, "two").unwrap();
    renews(&server);
    assert!(held.is_held());
    assert_eq!(held.lost(Duration::ZERO), None);
}

fn distrusts(transport: Transport, wire: Wire, pair: &Pair, authority: &Authority) {
    let config = match wire {
        Wire::Http1 => pair.server_config(None),
        Wire::Http2 => http2::config(pair),
    };
    // It never gets as far as to speak one or the other.
    let server = Server::start_tls(config, |_| crate::server::ok());
    let error = fails_to_hold(&*transport.claimant(&Endpoint {
        ca: Some(authority.pem()),
        ..plain(&server.tls_url())
    }));
    let chain = chain(&error).to_lowercase();
    assert!(chain.contains("certificate"), "{chain}");
    assert!(server.seen().is_empty(), "something was sent to a stranger");
}

fn well(api: &Mutex<ApiServer>, seen: &Seen) -> Answer {
    let answer = api
        .lock()
        .unwrap()
        .handle(&seen.request(), SystemTime::now());
    let bytes = rendered(answer);
    if seen.line.ends_with("HTTP/1.0") {
        Answer::Close(bytes)
    } else {
        Answer::Keep(bytes)
    }
}

fn config() -> Config {
    settings().build().unwrap()
}

fn settings() -> ConfigBuilder {
    Config::builder("team", "leader", "me")
        .whole_second_observers(false)
        .lease_duration(Duration::from_secs(9))
        .renew_interval(Duration::from_secs(1))
        .request_timeout(Duration::from_secs(1))
        .acquire_retries(1)
}

fn plain(url: &str) -> Endpoint {
    Endpoint {
        url: url.to_owned(),
        ca: None,
        token: None,
        token_file: None,
        namespace: "team".to_owned(),
    }
}

fn fails_to_hold(claimant: &dyn Claimant) -> AcquireError {
    let held = claimant.hold(config(), Tries::Once);
    held.err().expect("it cannot be acquired")
}

/// Waits for two renewals from now on; the first may have been on its way.
fn renews(server: &Serving) {
    let writes = || {
        let seen = server.seen();
        seen.iter().filter(|it| it.line.starts_with("PUT")).count()
    };
    let before = writes();
    await_that(|| writes() >= before + 2);
}

fn await_that(holds: impl Fn() -> bool) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain");
        thread::sleep(Duration::from_millis(50));
    }
}

/// An error and its sources, one after the other, as a command prints them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

const PAGE: &str = "<!doctype html><title>Welcome</title><p>It works!";
/// `{}`, compressed.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0xab, 0xae, 0x05, 0, 0x43, 0xbf, 0xa6, 0xa3, 0x02, 0,
    0, 0,
];
