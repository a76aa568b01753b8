//! Faults before there is a connection, and one that ends it without a word: for everything that carries requests.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lease_proto::server::ApiServer;
use lease_tests::chaos::proxy::{Mode, Proxy};

use crate::{
    certificates::{Authority, Pair},
    claimant::{SOON, Tries, runtime},
    http2,
    server::{Seen, Server, nobody},
    serving::{Serving, Wire, chain, config, fails_to_hold, plain, renews, settings, well},
    transports::{Endpoint, Transport},
};

/// A name, and what is played.
type Connection = (&'static str, fn(Transport, Wire));

/// Those before there is a connection.
pub(crate) const CONNECTIONS: &[Connection] = &[
    (
        "a_refused_connection_is_tried_again",
        a_refused_connection_is_tried_again,
    ),
    (
        "a_name_that_is_not_found_is_said",
        a_name_that_is_not_found_is_said,
    ),
    (
        "a_certificate_for_another_name_is_said",
        a_certificate_for_another_name_is_said,
    ),
    (
        "an_expired_certificate_is_said",
        an_expired_certificate_is_said,
    ),
    (
        "a_certificate_by_another_authority_is_said",
        a_certificate_by_another_authority_is_said,
    ),
];

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
