//! `lease release --force`: for a holder that will not do it any more.

use std::io::{self, BufRead, IsTerminal, Write};

use lease_blocking::{
    Client, Error,
    proto::{plain::ApiError, wire::Lease},
};

use super::{
    args::Release, changes, connect, exit_code::Exit, failure::Failure, output, portrait, status,
};

/// Clears the record as it was shown, if whoever looks at it agrees.
pub(crate) fn release(args: &Release) -> Result<Exit, Failure> {
    let client = connect::client(&args.cluster)?;
    let Some(lease) = status::read(&client, &args.name)? else {
        return Err(status::no_such_lease(&client, &args.name));
    };
    let Some(holder) = lease.spec.holder() else {
        let nobody = format_args!("nobody holds lease {}", args.name);
        return Err(Failure::new(Exit::Held, nobody));
    };
    if let Some(named) = &args.holder
        && named.as_str() != holder
    {
        let another = format_args!(
            "lease {} is held by {holder:?}, not by {:?}: nothing was changed",
            args.name,
            named.as_str()
        );
        return Err(Failure::new(Exit::Held, another));
    }
    if !args.yes && !is_agreed_to(&lease, holder)? {
        let kept = format_args!("lease {} was left as it is", args.name);
        return Err(Failure::new(Exit::Failed, kept));
    }
    clear(&client, lease, args)
}

fn clear(client: &Client, mut lease: Lease, args: &Release) -> Result<Exit, Failure> {
    lease.spec = lease.spec.cleared(changes::now());
    match client.update(&lease) {
        Ok(cleared) => output::changed(&cleared, args.output),
        Err(Error::Api(ApiError::Conflict(_))) => Err(Failure::new(
            Exit::Held,
            format_args!(
                "lease {} was written since it was read, so somebody uses it: nothing was changed",
                args.name
            ),
        )),
        Err(error) => Err(Failure::of_client(&error)),
    }
}

/// Shows it to whoever sits at the terminal, and asks.
fn is_agreed_to(lease: &Lease, holder: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            "--force asks at a terminal, and standard input is none: say --yes if it is to be done unasked",
        ));
    }
    let mut stderr = anstream::stderr().lock();
    let _unread = write!(
        stderr,
        "{}\nTake it from {holder:?}? If that still runs, two may do its work. [y/N] ",
        portrait::table(lease)
    );
    let _unread = stderr.flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::chain(Exit::Failed, &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}
