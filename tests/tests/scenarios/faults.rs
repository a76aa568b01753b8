//! Servers that fail, and claims that go on all the same and say what it was: for everything that carries requests.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use lease_proto::server::ApiServer;

use crate::{
    claimant::{SOON, Tries},
    server::{Answer, answer, answer_with},
    serving::{Wire, await_that, chain, config, fails_to_hold, renews, well},
    transports::Transport,
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

/// Takes whether the connection would be kept, and the answer.
type Odd = fn(bool, Vec<u8>) -> Answer;

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
        Answer::Hang(_) | Answer::Drip(_) | Answer::Flood(_) => unreachable!("it answers"),
    });
    let claimant = transport.claimant(&server.endpoint());
    let held = claimant.hold(config(), Tries::For(SOON)).unwrap();
    renews(&server);
    assert!(held.is_held());
    assert!(held.release().is_some());
}

const PAGE: &str = "<!doctype html><title>Welcome</title><p>It works!";
/// `{}`, compressed.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0xab, 0xae, 0x05, 0, 0x43, 0xbf, 0xa6, 0xa3, 0x02, 0,
    0, 0,
];
