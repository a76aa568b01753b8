//! A claimant over `lease-blocking` as a process of its own: see [`lease_tests::contender`].

use std::process::ExitCode;

use lease_blocking::Client;
use lease_tests::contender::{self, Contender};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

fn main() -> ExitCode {
    contender::main(|contender| {
        let keepers = keep(contender)?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        std::thread::scope(|scope| {
            for (name, keeper) in &keepers {
                scope.spawn(move || {
                    while let Some(event) = keeper.next_event() {
                        contender::tell(name, &event, keeper.last_error());
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

fn keep(contender: &Contender) -> Result<Vec<(String, lease_blocking::Keeper)>, contender::Error> {
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
    let keep = |name: String| Ok((name.clone(), client.keep(contender.config(&name)?)?));
    contender.leases().map(keep).collect()
}
