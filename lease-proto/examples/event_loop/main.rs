//! A claim in an event loop of one's own: no runtime, no thread, one socket, and `mio` to wait with.
//!
//! ```text
//! cargo run -p lease-proto --features server --example event_loop            # against a server of its own
//! kubectl proxy --port 8001 & … --example event_loop -- 127.0.0.1:8001       # against a cluster
//! ```

#![expect(clippy::print_stdout, reason = "it is a program for people to read")]
#![expect(
    clippy::disallowed_methods,
    reason = "whoever drives the protocol reads the clocks"
)]

mod driving;
mod exchange;
mod server;

use std::{env, error::Error, ops::ControlFlow, time::Instant};

use lease_proto::{Claim, Config, Event, Patience};
use mio::Poll;

use self::driving::{Server, Told, drive};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server {
        address: match env::args().nth(1) {
            Some(address) => address.parse()?,
            None => server::start()?,
        },
        authorization: None,
    };
    let config = Config::builder("default", "example-loop", "me")
        .lease_duration(std::time::Duration::from_secs(3))
        .build()?;
    // Any number that differs from process to process: it spreads what many would do at once.
    let seed = std::process::id().into();
    let mut claim = Claim::new(config, seed, Instant::now());
    let mut renewals = 0;
    claim.acquire(Patience::Forever, Instant::now());
    drive(&mut claim, &server, &mut Poll::new()?, |claim, told| {
        match told {
            Told::Event(event) => {
                println!("{event:?}");
                if let Event::Renewed(_) = event {
                    renewals += 1;
                    if renewals == 3 {
                        claim.release(Instant::now());
                    }
                }
            }
            Told::NoAnswer(error) => println!("no answer: {error}"),
            Told::Woken => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}
