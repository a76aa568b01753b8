//! Claims by kubert, which needs the Lease to be there, and renews a third of the duration before its end.

use std::error::Error;

use contender_protocol::{Contender, Teller, kubeconfig, stop};
use k8s_openapi::api::coordination::v1::Lease;
use kube_client::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use kubert::lease::{ClaimParams, LeaseManager};
use tokio::{sync::watch, task::JoinSet};

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
        let api = Api::<Lease>::namespaced(client.clone(), &contender.namespace);
        let (contender, stop) = (contender.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = claim(api, &lease, &contender, stop).await {
                eprintln!("{lease}: {error}");
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn claim(
    api: Api<Lease>,
    name: &str,
    contender: &Contender,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut teller = Teller::new(name);
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(Default::default()),
    };
    let _there_already = api.create(&PostParams::default(), &lease).await;
    let params = ClaimParams {
        lease_duration: contender.ttl,
        renew_grace_period: contender.ttl / 3,
    };
    let manager = LeaseManager::init(api, name).await?;
    let (mut claim, task) = manager.spawn(&contender.id, params).await?;
    loop {
        let is_held = claim.borrow_and_update().is_current_for(&contender.id);
        teller.tell(is_held);
        tokio::select! {
            changed = claim.changed() => if changed.is_err() { break },
            _ = stop.wait_for(|it| *it) => break,
        }
    }
    drop(claim);
    task.await??;
    teller.released();
    Ok(())
}
