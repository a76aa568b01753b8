//! Secrets on the way through a proxy and over TLS: by HTTP/1.1 from one driver, by HTTP/2 from the other.

use std::{path::Path, time::Duration};

use lease_proto::{AcquireError, Config, server::ApiServer};

use crate::{
    CANARY, IN_ROWS, Log,
    claimant::runtime,
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
            log.take()
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

fn config(identity: &str) -> Config {
    let config = Config::builder("default", "observed-over-tls", identity);
    let config = config.lease_duration(Duration::from_secs(30));
    config.build().unwrap()
}
