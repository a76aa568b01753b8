//! Claims by kube-lease-manager, with a grace of a third of the duration.

use std::error::Error;

use contender_protocol::{Contender, Teller, kubeconfig, stop};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_lease_manager::LeaseManagerBuilder;
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let contender = Contender::from_arguments()?;
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig()?)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let client = Client::try_from(config)?;
    let stop = stop()?;
    let mut tasks = JoinSet::new();
    for lease in contender.leases() {
        let (client, contender, mut stop) = (client.clone(), contender.clone(), stop.clone());
        tasks.spawn(async move {
            let mut teller = Teller::new(&lease);
            let seconds = contender.ttl.as_secs();
            let manager = LeaseManagerBuilder::new(client, &lease)
                .with_namespace(contender.namespace)
                .with_identity(contender.id)
                .with_duration(seconds)
                .with_grace((seconds / 3).max(1))
                .build()
                .await;
            let manager = match manager {
                Ok(manager) => manager,
                Err(error) => return eprintln!("{lease}: {error}"),
            };
            let (mut leads, task) = manager.watch().await;
            loop {
                let is_held = *leads.borrow_and_update();
                teller.tell(is_held);
                tokio::select! {
                    changed = leads.changed() => if changed.is_err() { return },
                    _ = stop.wait_for(|it| *it) => break,
                }
            }
            drop(leads);
            if matches!(task.await, Ok(Ok(_))) {
                teller.released();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}
