//! Servers on one wire or another, for claims that meet faults, and what is common to these.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime},
};

use lease_proto::{AcquireError, Config, ConfigBuilder, server::ApiServer};

use crate::{
    certificates::Authority,
    claimant::{Claimant, SOON, Tries},
    http2,
    server::{Answer, Seen, Server, rendered},
    transports::Endpoint,
};

/// A version of HTTP, and what goes with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wire {
    /// Without TLS, but where that is what a fault is about.
    Http1,
    /// Over TLS.
    Http2,
}

/// A server on one wire or the other.
pub(crate) enum Serving {
    Http1(Server),
    Http2(http2::Server),
}

impl Wire {
    pub(crate) fn start(
        self,
        behaviour: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Serving {
        self.listen("127.0.0.1:0", &Authority::new("good"), Arc::new(behaviour))
    }

    pub(crate) fn listen(
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
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Http1(server) => plain(&server.url()),
            Self::Http2(server) => Endpoint {
                ca: Some(server.ca.clone()),
                ..plain(&server.url())
            },
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        match self {
            Self::Http1(server) => server.seen(),
            Self::Http2(server) => server.seen(),
        }
    }
}

pub(crate) fn well(api: &Mutex<ApiServer>, seen: &Seen) -> Answer {
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

pub(crate) fn config() -> Config {
    settings().build().unwrap()
}

pub(crate) fn settings() -> ConfigBuilder {
    Config::builder("team", "leader", "me")
        .whole_second_observers(false)
        .lease_duration(Duration::from_secs(9))
        .renew_interval(Duration::from_secs(1))
        .request_timeout(Duration::from_secs(1))
        .acquire_retries(1)
}

pub(crate) fn plain(url: &str) -> Endpoint {
    Endpoint {
        url: url.to_owned(),
        ca: None,
        token: None,
        token_file: None,
        namespace: "team".to_owned(),
    }
}

pub(crate) fn fails_to_hold(claimant: &dyn Claimant) -> AcquireError {
    let held = claimant.hold(config(), Tries::Once);
    held.err().expect("it cannot be acquired")
}

/// Waits for two renewals from now on; the first may have been on its way.
pub(crate) fn renews(server: &Serving) {
    let writes = || {
        let seen = server.seen();
        seen.iter().filter(|it| it.line.starts_with("PUT")).count()
    };
    let before = writes();
    await_that(|| writes() >= before + 2);
}

pub(crate) fn await_that(holds: impl Fn() -> bool) {
    await_within(SOON, holds);
}

pub(crate) fn await_within(time: Duration, holds: impl Fn() -> bool) {
    let until = Instant::now() + time;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain");
        thread::sleep(Duration::from_millis(50));
    }
}

/// An error and its sources, one after the other, as a command prints them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
