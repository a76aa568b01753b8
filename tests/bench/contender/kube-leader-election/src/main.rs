//! Claims by kube-leader-election, which is asked every third of the duration, as its documentation does.

use std::error::Error;

use contender_protocol::{Contender, Teller, kubeconfig, stop};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
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
        let params = LeaseLockParams {
            holder_id: contender.id.clone(),
            lease_name: lease.clone(),
            lease_ttl: contender.ttl,
        };
        let lock = LeaseLock::new(client.clone(), &contender.namespace, params);
        let (pause, mut stop) = (contender.ttl / 3, stop.clone());
        tasks.spawn(async move {
            let mut teller = Teller::new(&lease);
            loop {
                let outcome = lock.try_acquire_or_renew().await;
                match outcome {
                    Ok(outcome) => teller.tell(matches!(outcome, LeaseLockResult::Acquired(_))),
                    Err(error) => eprintln!("{lease}: {error}"),
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = stop.wait_for(|it| *it) => break,
                }
            }
            if teller.is_held() && lock.step_down().await.is_ok() {
                teller.released();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}
