//! A claimant over `lease-blocking` as a process of its own: see [`lease_tests::contender`].

use std::{process::ExitCode, sync::Arc, thread, time::Duration};

use lease_blocking::{Client, Keeper};
use lease_proto::SetLimits;
use lease_tests::contender::{self, Contender, Teller};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

fn main() -> ExitCode {
    contender::main(|contender| {
        let keepers = keep(contender)?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        thread::scope(|scope| {
            if let [(teller, keeper)] = &keepers[..] {
                scope.spawn(move || {
                    while let Some(event) = keeper.next_event() {
                        teller.tell(&event, keeper.last_error());
                    }
                });
            } else {
                scope.spawn(|| tell_of_many(&keepers));
            }
            let _signal = signals.forever().next();
            for (_, keeper) in &keepers {
                keeper.stop();
            }
        });
        Ok(())
    })
}

/// Tells of all of them from one thread, and so a moment later.
fn tell_of_many(keepers: &[(Teller, Arc<Keeper>)]) {
    let mut all_ended = false;
    while !all_ended {
        // Asked for before the last events are taken.
        all_ended = keepers.iter().all(|(_, keeper)| keeper.has_ended());
        for (teller, keeper) in keepers {
            while let Some(event) = keeper.next_event_timeout(Duration::ZERO) {
                teller.tell(&event, keeper.last_error());
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
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
    let client = client.build()?.with_user_agent(contender.user_agent()?);
    // As a program would: many share a few threads.
    let limits = SetLimits::default().requests(16).streams(4);
    let is_many = contender.leases().count() > 1;
    let set = is_many.then(|| client.claim_set(limits)).transpose()?;
    let keep = |name: String| {
        let config = contender.config(&name)?;
        let keeper = Arc::new(match &set {
            Some(set) => set.keep(config),
            None => client.keep(config)?,
        });
        let writer = Arc::clone(&keeper);
        let identity = keeper.identity().as_str().to_owned();
        let teller = contender.begin(&name, &identity, move || writer.grant())?;
        Ok((teller, keeper))
    };
    contender.leases().map(keep).collect()
}
