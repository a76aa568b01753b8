//! Token files that vanish and return, for everything that reads them.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use lease_proto::server::ApiServer;

use crate::{
    claimant::{SOON, Tries},
    server::{Answer, answer},
    serving::{Wire, await_that, await_within, chain, config, renews, settings, well},
    transports::{Endpoint, Transport},
};

/// A name, what is played, and whatever reads files in that way.
type TokenFile = (&'static str, fn(Transport, Wire), &'static [Transport]);

pub(crate) const TOKEN_FILES: &[TokenFile] = &[
    (
        "a_token_file_that_vanishes_and_returns_costs_nothing",
        a_token_file_that_vanishes_and_returns_costs_nothing,
        &[Transport::Hyper, Transport::Ureq, Transport::EventLoop],
    ),
    (
        "a_token_file_that_vanishes_and_returns_is_read_in_a_while",
        a_token_file_that_vanishes_and_returns_is_read_in_a_while,
        &[Transport::Kube],
    ),
];

/// A claimant whose token is refused while the file with the next one is not there yet.
fn a_token_file_that_vanishes_and_returns_costs_nothing(transport: Transport, wire: Wire) {
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

/// `kube::Client` reads the file by itself, once a minute and whatever the server says: what was read before will do until then,
/// if the server still knows it, as that of a cluster does.
fn a_token_file_that_vanishes_and_returns_is_read_in_a_while(transport: Transport, wire: Wire) {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("token");
    fs::write(&file, "one").unwrap();
    let is_replaced = Arc::new(AtomicBool::new(false));
    let server = {
        let (is_replaced, api) = (Arc::clone(&is_replaced), Mutex::new(ApiServer::new()));
        wire.start(move |seen| {
            let replaced = match seen.header("authorization") {
                Some("Bearer one") => false,
                Some("Bearer two") => true,
                _ => return Answer::Keep(answer("401 Unauthorized", "{}")),
            };
            is_replaced.fetch_or(replaced, Ordering::SeqCst);
            well(&api, seen)
        })
    };
    let claimant = transport.claimant(&Endpoint {
        token_file: Some(file.clone()),
        ..server.endpoint()
    });
    let held = claimant.hold(config(), Tries::Once).unwrap();
    fs::remove_file(&file).unwrap();
    renews(&server);
    fs::write(&file, "two").unwrap();
    await_within(3 * SOON, || is_replaced.load(Ordering::SeqCst));
    renews(&server);
    assert!(held.is_held());
    assert_eq!(held.lost(Duration::ZERO), None);
}
