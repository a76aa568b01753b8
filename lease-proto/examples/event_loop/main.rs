//! A claim in an event loop of one's own: no runtime, no thread, one socket, and `mio` to wait with.
//!
//! ```text
//! cargo run -p lease-proto --features server --example event_loop            # against a server of its own
//! kubectl proxy --port 8001 & … --example event_loop -- 127.0.0.1:8001       # against a cluster
//! ```
//!
//! The numbers are those of the loop in the documentation of the crate.

#![expect(clippy::print_stdout, reason = "it is a program for people to read")]
#![expect(
    clippy::disallowed_methods,
    reason = "whoever drives the protocol reads the clocks"
)]

mod exchange;
mod server;

use std::{
    env,
    error::Error,
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use lease_proto::{Claim, Config, Event, Output, Patience};
use mio::{Events, Poll};

use self::exchange::Exchange;

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = match env::args().nth(1) {
        Some(address) => address.parse()?,
        None => server::start()?,
    };
    let config = Config::builder("default", "example-loop", "me")
        .watch(false)
        .lease_duration(std::time::Duration::from_secs(3))
        .build()?;
    // Any number that differs from process to process: it spreads what many would do at once.
    let seed = std::process::id().into();
    let mut claim = Claim::new(config, seed, Instant::now());
    let mut poll = Poll::new()?;
    let mut ready = Events::with_capacity(4);
    let mut exchange: Option<Exchange> = None;
    let mut renewals = 0;

    claim.acquire(Patience::Forever, Instant::now());
    loop {
        let until = loop {
            // 1. The clock first, then the wall clock. `Instant` stands still on Linux while the machine sleeps: where that
            //    can happen, make instants of CLOCK_BOOTTIME, as the drivers do.
            let now = Instant::now();
            match claim.poll_output(now, SystemTime::now()) {
                // 2. Send it. A failure is an outcome like any other.
                Output::Request(request) => {
                    exchange = Exchange::begin(address, request.id, &request.http, &poll).ok();
                    if exchange.is_none() {
                        claim.handle_failure(request.id, Instant::now());
                    }
                }
                // 3. Stop waiting for it: dropping the exchange closes its connection.
                Output::Cancel(_) => exchange = None,
                // 4. Tell the application.
                Output::Event(event) => {
                    println!("{event:?}");
                    if let Event::Renewed(_) = event {
                        renewals += 1;
                        if renewals == 3 {
                            claim.release(now);
                        }
                    }
                }
                // 5. Wait for that instant, or for the socket.
                Output::Wait(until) => break until,
                Output::Done => return Ok(()),
            }
        };
        let timeout = until.saturating_duration_since(Instant::now());
        poll.poll(&mut ready, Some(timeout))?;
        // 6. Hand the outcome back, and go on with 1.
        if let Some(going) = &mut exchange {
            match going.advance() {
                Ok(None) => {}
                Ok(Some(response)) => {
                    claim.handle_response(going.id(), &response, Instant::now());
                    exchange = None;
                }
                Err(error) => {
                    println!("no answer: {error}");
                    claim.handle_failure(going.id(), Instant::now());
                    exchange = None;
                }
            }
        }
    }
}
