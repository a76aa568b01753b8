//! Holds a Lease through a `reqwest::Client`, as an example of any HTTP client: here `kubectl proxy` adds the credentials.
//!
//! ```text
//! kubectl proxy --port 8001 &
//! cargo run -p lease-tokio --example reqwest_client -- http://127.0.0.1:8001
//! ```
//!
//! A token stands in `LEASE_EXAMPLE_TOKEN` where the server wants one, the file with its CA in `LEASE_EXAMPLE_CA`, and the
//! namespace in `LEASE_EXAMPLE_NAMESPACE`.

#![expect(clippy::print_stdout, reason = "it is a program for people to read")]

mod transport;

use std::{env, sync::Arc, time::Duration};

use lease_tokio::{Client, proto::Config};

use self::transport::Reqwest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = env::args().nth(1).ok_or("usage: reqwest_client URL")?;
    let ca = env::var_os("LEASE_EXAMPLE_CA")
        .map(std::fs::read)
        .transpose()?;
    let token = env::var("LEASE_EXAMPLE_TOKEN").ok();
    let transport = Reqwest::new(&server, ca.as_deref(), token.as_deref())?;
    let namespace = env::var("LEASE_EXAMPLE_NAMESPACE").unwrap_or_else(|_| "default".to_owned());
    let client = Client::with_transport(Arc::new(transport), namespace);
    let config = Config::builder(client.namespace(), "example-reqwest", "me").build()?;
    let guard = client.acquire(config).await?;
    println!("held by {}, token {:?}", guard.identity(), guard.token());
    guard
        .run_while_held(Duration::ZERO, |_grant| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            println!("done");
        })
        .await?;
    // Whoever waits for it has it now, and does not have to wait until it expires.
    let record = client.get("example-reqwest").await?;
    match record.as_ref().and_then(|record| record.spec.holder()) {
        None => println!("released"),
        Some(holder) => println!("held by {holder} still, or again"),
    }
    Ok(())
}
