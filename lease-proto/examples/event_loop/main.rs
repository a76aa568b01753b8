//! A claim in an event loop of one's own: no runtime, no thread, one socket, and `mio` to wait with.
//!
//! ```text
//! cargo run -p lease-proto --features rustls,server --example event_loop     # against a server of its own
//! kubectl proxy --port 8001 & … --example event_loop -- http://127.0.0.1:8001 # against a cluster
//! ```
//!
//! Or straight to the cluster, with its URL, `https://…`: then the file with its CA stands in `LEASE_EXAMPLE_CA`, one with a
//! token in `LEASE_EXAMPLE_TOKEN_FILE`, and the namespace in `LEASE_EXAMPLE_NAMESPACE`.

#![expect(clippy::print_stdout, reason = "it is a program for people to read")]
#![expect(
    clippy::disallowed_methods,
    reason = "whoever drives the protocol reads the clocks"
)]

mod connection;
mod driving;
mod exchange;
mod remote;
mod server;

use std::{env, error::Error, ops::ControlFlow, path::PathBuf, time::Instant};

use lease_proto::{
    Claim, Config, Event, Patience,
    access::{Access, Material, ServerUrl},
};
use mio::Poll;

use self::{
    driving::{Told, drive},
    remote::Server,
};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut server = Server::new(&match env::args().nth(1) {
        Some(url) => access(&url)?,
        None => access(&format!("http://{}", server::start()?))?,
    })?;
    let namespace = env::var("LEASE_EXAMPLE_NAMESPACE").unwrap_or_else(|_| "default".to_owned());
    let config = Config::builder(namespace, "example-loop", "me")
        .lease_duration(std::time::Duration::from_secs(3))
        .build()?;
    // Any number that differs from process to process: it spreads what many would do at once.
    let seed = std::process::id().into();
    let mut claim = Claim::new(config, seed, Instant::now());
    let mut renewals = 0;
    claim.acquire(Patience::Forever, Instant::now());
    drive(&mut claim, &mut server, &mut Poll::new()?, |claim, told| {
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

/// What the program is told of the way to a server.
fn access(url: &str) -> Result<Access, Box<dyn Error + Send + Sync>> {
    let file = |name| Some(Material::from(PathBuf::from(env::var_os(name)?)));
    let mut access = Access::new(ServerUrl::parse(url)?);
    access.tls.ca = file("LEASE_EXAMPLE_CA");
    access.auth.token = file("LEASE_EXAMPLE_TOKEN_FILE");
    Ok(access)
}
