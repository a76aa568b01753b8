//! Leads once, in a pod, by kube-leader-election.

use std::{error::Error, time::Duration};

use kube::{Client, Config};
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::try_from(Config::incluster()?)?;
    let namespace = client.default_namespace().to_owned();
    let leadership = LeaseLock::new(
        client,
        &namespace,
        LeaseLockParams {
            holder_id: "replica".into(),
            lease_name: "weight-kube-leader-election".into(),
            lease_ttl: Duration::from_secs(15),
        },
    );
    while !matches!(
        leadership.try_acquire_or_renew().await?,
        LeaseLockResult::Acquired(_)
    ) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    println!("leading");
    leadership.step_down().await?;
    Ok(())
}
