//! Holds a Lease through a `kube::Client` that the program has already: its connections, its credentials, its middleware.
//!
//! ```text
//! cargo run -p lease-tokio --example kube_client
//! ```
//!
//! Needs a cluster (a kubeconfig, or a pod's service account), and the verbs get, create and update on Leases.

#![expect(clippy::print_stdout, reason = "it is a program for people to read")]

mod transport;

use std::{sync::Arc, time::Duration};

use lease_tokio::{Client, proto::Config};

use self::transport::Kube;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kube = kube::Client::try_default().await?;
    let namespace = kube.default_namespace().to_owned();
    let client = Client::with_transport(Arc::new(Kube(kube)), namespace);
    let config = Config::builder(client.namespace(), "example-kube", "me").build()?;
    let guard = client.acquire(config).await?;
    println!("held by {}, token {:?}", guard.identity(), guard.token());
    guard
        .run_while_held(Duration::ZERO, |_grant| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            println!("done");
        })
        .await?;
    // Whoever waits for it has it now, and does not have to wait until it expires.
    let record = client.get("example-kube").await?;
    match record.as_ref().and_then(|record| record.spec.holder()) {
        None => println!("released"),
        Some(holder) => println!("held by {holder} still, or again"),
    }
    Ok(())
}
