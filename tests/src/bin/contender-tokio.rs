//! A claimant over `lease-tokio` as a process of its own: see [`lease_tests::contender`].

use std::{process::ExitCode, sync::Arc};

use lease_proto::SetLimits;
use lease_tests::contender::{self, Contender};
use lease_tokio::Client;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

fn main() -> ExitCode {
    contender::main(|contender| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(run(contender))
    })
}

async fn run(contender: &Contender) -> Result<(), contender::Error> {
    let mut client = Client::builder(&contender.server);
    if let Some(ca) = &contender.ca {
        client = client.certificate_authority(ca.clone());
    }
    if let Some(token) = &contender.token {
        client = client.token(token.as_str());
    }
    if let Some(file) = &contender.token_file {
        client = client.token_file(file);
    }
    let client = client.build()?.with_user_agent(contender.user_agent()?);
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = tokio::sync::watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    // As a program would: many are kept by one task.
    let set = (contender.leases().count() > 1).then(|| client.claim_set(SetLimits::default()));
    for name in contender.leases() {
        let config = contender.config(&name)?;
        let keeper = Arc::new(match &set {
            Some(set) => set.keep(config),
            None => client.keep(config),
        });
        let writer = Arc::clone(&keeper);
        let identity = keeper.identity().as_str().to_owned();
        let teller = contender.begin(&name, &identity, move || writer.grant())?;
        let mut stopped = stop.subscribe();
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    event = keeper.next_event() => match event {
                        Some(event) => teller.tell(&event, keeper.last_error()),
                        None => return,
                    },
                    _ = stopped.changed() => keeper.stop(),
                }
            }
        });
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    Ok(())
}
