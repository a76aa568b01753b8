//! `lease release --force`: for a holder that will not do it any more.

use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Write},
};

use lease_blocking::{
    Error,
    proto::{self, plain::ApiError, wire::Lease},
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
    let theirs = Theirs::of(&lease);
    if matches!(theirs, Theirs::Nobody) && args.to.is_none() {
        let nobody = format_args!("nobody holds lease {}", args.name);
        return Err(Failure::new(Exit::Held, nobody));
    }
    if let Some(named) = &args.holder
        && theirs.who() != Some(named.as_str())
    {
        let another = format_args!(
            "lease {} is {theirs}, not {:?}: nothing was changed",
            args.name,
            named.as_str()
        );
        return Err(Failure::new(Exit::Held, another));
    }
    if !args.yes && !is_agreed_to(&lease, &theirs, args.to.as_ref())? {
        let kept = format_args!("lease {} was left as it is", args.name);
        return Err(Failure::new(Exit::Failed, kept));
    }
    let by = theirs.on_whose_behalf(&lease);
    let cleared = args.parting().leave(&lease, by.as_deref(), changes::now());
    match client.update(&cleared) {
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

/// Whose the record is.
enum Theirs {
    Holder(String),
    /// It has no holder, and is left to this one for a while.
    Successor(String),
    Nobody,
}

impl Theirs {
    fn of(lease: &Lease) -> Self {
        match (lease.spec.holder(), proto::successor(lease)) {
            (Some(holder), _) => Self::Holder(holder.to_owned()),
            (None, Some(to)) => Self::Successor(to),
            (None, None) => Self::Nobody,
        }
    }

    fn who(&self) -> Option<&str> {
        match self {
            Self::Holder(who) | Self::Successor(who) => Some(who),
            Self::Nobody => None,
        }
    }

    /// Who may change its mind about whom the record is left to: whoever has given it up, or is made to.
    fn on_whose_behalf(&self, lease: &Lease) -> Option<String> {
        match self {
            Self::Holder(holder) => Some(holder.clone()),
            Self::Successor(_) => proto::left_by(lease),
            Self::Nobody => None,
        }
    }
}

impl fmt::Display for Theirs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holder(who) => write!(f, "held by {who:?}"),
            Self::Successor(who) => write!(f, "left to {who:?}"),
            Self::Nobody => f.write_str("held by nobody"),
        }
    }
}

/// Shows it to whoever sits at the terminal, and asks.
fn is_agreed_to(
    lease: &Lease,
    theirs: &Theirs,
    to: Option<&proto::Identity>,
) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            "--force asks at a terminal, and standard input is none: say --yes if it is to be done unasked",
        ));
    }
    let mut stderr = anstream::stderr().lock();
    let left = to.map_or_else(String::new, |to| {
        format!(" and leave it to {:?}", to.as_str())
    });
    let question = match theirs {
        Theirs::Holder(holder) => {
            format!("Take it from {holder:?}{left}? If that still runs, two may do its work.")
        }
        Theirs::Successor(heir) => format!("Take back that it is left to {heir:?}{left}?"),
        Theirs::Nobody => format!("Nobody holds it. Go on{left}?"),
    };
    let _unread = write!(
        stderr,
        "{}\n{question} [y/N] ",
        portrait::table(lease, &None)
    );
    let _unread = stderr.flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::chain(Exit::Failed, &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}
