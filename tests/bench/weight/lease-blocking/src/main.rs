//! Leads once, in a pod, by lease-blocking.

use std::error::Error;

use lease_blocking::{Client, proto::Config};

fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::in_cluster()?;
    let config = Config::builder(client.namespace(), "weight-lease-blocking", "replica").build()?;
    let guard = client.acquire(config)?;
    println!("leading");
    guard.release();
    Ok(())
}
