//! Secrets on the way through a proxy and over TLS: by HTTP/1.1 from one driver, by HTTP/2 from the other.

use std::{path::Path, time::Duration};

use lease_proto::{AcquireError, Config, server::ApiServer};

use crate::{
    CANARY, IN_ROWS, Log,
    claimant::runtime,
    echoes::all_of,
    front::{Backend, Front},
    tunnels::{Tunnels, Will},
};

/// `me:` and the canary, as a proxy is told them.
const ENCODED: &str = "bWU6Y2FuYXJ5LTBkNWU3Nw==";
/// How the canary begins where bytes are printed as numbers.
const NUMBERS: &str = "99, 97, 110, 97, 114, 121";

/// Holds a Lease, and waits for it by a watch meanwhile.
pub(crate) fn none_is_told_of_what_goes_over_tls_and_through_a_proxy(log: &Log, token: &Path) {
    let front = Front::start(Backend::from(ApiServer::new()));
    macro_rules! said {
        ($driver:ident, $address:expr, |$future:ident| $wait:expr) => {{
            let proxy = Tunnels::start(Will::Connect($address));
            let client = $driver::Client::builder(format!("https://localhost:{}", $address.port()))
                .certificate_authority(front.ca.as_bytes())
                .proxy(proxy.url(&format!("me:{CANARY}@")))
                .token_file(token)
                .build()
                .unwrap();
            let _before = log.take();
            let $future = client.acquire(config("holder"));
            let guard = $wait.unwrap();
            let $future = client.acquire_timeout(config("waiter"), Duration::from_secs(1));
            assert!(matches!($wait, Err(AcquireError::TimedOut { .. })));
            let $future = guard.release();
            assert!($wait.is_some());
            assert!(proxy.heads()[0].contains(ENCODED), "it was not asked");
            format!("{} {client:?} {client:#?}", log.take())
        }};
    }
    let blocking = said!(lease_blocking, front.http1, |outcome| outcome);
    let tokio = said!(lease_tokio, front.http2, |future| runtime()
        .block_on(future));
    // What speaks over the wire is among those who say something.
    for (said, by) in [(blocking, "ureq"), (tokio, "h2::")] {
        assert!(said.contains(by), "nothing of {by} in {said}");
        for secret in [CANARY, IN_ROWS, ENCODED, NUMBERS] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

/// A proxy that repeats what it refuses: its name, its password, and what they are encoded as.
pub(crate) fn none_is_told_of_what_a_proxy_sends_back(log: &Log) {
    const ECHO: &str = "407 me:canary-0d5e77 is bWU6Y2FuYXJ5LTBkNWU3Nw==\r\nProxy-Authenticate: canary-0d5e77\r\n\
                        Location: /bWU6Y2FuYXJ5LTBkNWU3Nw==";
    macro_rules! said {
        ($driver:ident, |$future:ident| $wait:expr) => {{
            let proxy = Tunnels::start(Will::Refuse(ECHO));
            let client = $driver::Client::builder("https://localhost:1")
                .proxy(proxy.url(&format!("me:{CANARY}@")))
                .build()
                .unwrap();
            let _before = log.take();
            let $future = client.try_acquire(config("refused"));
            let error = all_of(&$wait.unwrap_err());
            assert!(proxy.heads()[0].contains(ENCODED), "it was not asked");
            format!("{} {error} {client:?}", log.take())
        }};
    }
    let blocking = said!(lease_blocking, |outcome| outcome);
    let tokio = said!(lease_tokio, |future| runtime().block_on(future));
    for said in [blocking, tokio] {
        assert!(said.contains("the proxy does not connect"), "{said}");
        for secret in [CANARY, ENCODED, NUMBERS] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

fn config(identity: &str) -> Config {
    let config = Config::builder("default", "observed-over-tls", identity);
    let config = config.lease_duration(Duration::from_secs(30));
    config.build().unwrap()
}
