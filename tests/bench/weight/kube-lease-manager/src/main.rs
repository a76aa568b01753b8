//! Leads once, in a pod, by kube-lease-manager.

use std::error::Error;

use kube::{Client, Config};
use kube_lease_manager::LeaseManagerBuilder;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::try_from(Config::incluster()?)?;
    let namespace = client.default_namespace().to_owned();
    let manager = LeaseManagerBuilder::new(client, "weight-kube-lease-manager")
        .with_namespace(namespace)
        .with_identity("replica")
        .build()
        .await?;
    let (mut is_leader, task) = manager.watch().await;
    is_leader.wait_for(|it| *it).await?;
    println!("leading");
    drop(is_leader);
    task.await??;
    Ok(())
}
