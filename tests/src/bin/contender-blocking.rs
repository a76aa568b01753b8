//! A claimant over `lease-blocking` as a process of its own: see [`lease_tests::contender`].

use std::{process::ExitCode, sync::Arc};

use lease_blocking::{Client, Keeper};
use lease_tests::contender::{self, Contender, Teller};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

fn main() -> ExitCode {
    contender::main(|contender| {
        let keepers = keep(contender)?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        std::thread::scope(|scope| {
            for (teller, keeper) in &keepers {
                scope.spawn(move || {
                    while let Some(event) = keeper.next_event() {
                        teller.tell(&event, keeper.last_error());
                    }
                });
            }
            let _signal = signals.forever().next();
            for (_, keeper) in &keepers {
                keeper.stop();
            }
        });
        Ok(())
    })
}

fn keep(contender: &Contender) -> Result<Vec<(Teller, Arc<Keeper>)>, contender::Error> {
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
    let client = client.build()?;
    let keep = |name: String| {
        let keeper = Arc::new(client.keep(contender.config(&name)?)?);
        let writer = Arc::clone(&keeper);
        let identity = keeper.identity().as_str().to_owned();
        let teller = contender.begin(&name, &identity, move || writer.grant())?;
        Ok((teller, keeper))
    };
    contender.leases().map(keep).collect()
}
