//! The same scenarios for the clients of both drivers, against servers on loopback ports.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "test code")]

mod certificates;
mod credentials;
mod driver;
mod exchange;
mod http2;
mod places;
mod plain;
mod plugins;
mod proxies;
mod server;
mod tls;
mod transports;
mod tunnels;

/// Makes a test of each scenario for each driver.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod blocking {
            $(#[test] fn $name() { super::$name::<crate::driver::Blocking>(); })+
        }
        mod tokio {
            $(#[test] fn $name() { super::$name::<crate::driver::Tokio>(); })+
        }
    };
}

use scenarios;
