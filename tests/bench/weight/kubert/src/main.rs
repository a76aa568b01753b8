//! Leads once, in a pod, by kubert, which needs the Lease to be there.

use std::error::Error;

use k8s_openapi::api::coordination::v1::Lease;
use kube_client::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
};
use kubert::lease::{ClaimParams, LeaseManager};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::try_from(Config::incluster()?)?;
    let leases = Api::<Lease>::default_namespaced(client);
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some("weight-kubert".into()),
            ..ObjectMeta::default()
        },
        spec: Some(Default::default()),
    };
    let _there_already = leases.create(&PostParams::default(), &lease).await;
    let manager = LeaseManager::init(leases, "weight-kubert").await?;
    let (mut claim, task) = manager.spawn("replica", ClaimParams::default()).await?;
    claim.wait_for(|it| it.is_current_for("replica")).await?;
    println!("leading");
    drop(claim);
    task.await??;
    Ok(())
}
