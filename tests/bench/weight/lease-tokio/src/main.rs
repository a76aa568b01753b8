//! Leads once, in a pod, by lease-tokio.

use std::error::Error;

use lease_tokio::{Client, proto::Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::in_cluster()?;
    let config = Config::builder(client.namespace(), "weight-lease-tokio", "replica").build()?;
    let guard = client.acquire(config).await?;
    println!("leading");
    guard.release().await;
    Ok(())
}
