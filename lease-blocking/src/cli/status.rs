//! `lease status`: who holds a lease.

use lease_blocking::{
    Client, Error,
    proto::{Identity, LeaseName, plain::ApiError, wire::Lease},
};

use super::{args::Status, connect, exit_code::Exit, failure::Failure, output};

pub(crate) fn status(args: &Status) -> Result<Exit, Failure> {
    let client = connect::client(&args.cluster)?;
    let Some(lease) = read(&client, &args.name)? else {
        return Err(no_such_lease(&client, &args.name));
    };
    let printed = output::status(&lease, args.output)?;
    let is_asked_for = |holder: &Identity| lease.spec.holder() == Some(holder.as_str());
    Ok(if args.holder.as_ref().is_none_or(is_asked_for) {
        printed
    } else {
        Exit::Held
    })
}

/// Reads a lease, or says what is in the way.
pub(crate) fn read(client: &Client, name: &LeaseName) -> Result<Option<Lease>, Failure> {
    client.get(name.as_str()).map_err(|error| {
        let Error::Api(api) = &error else {
            return Failure::chain(Exit::Failed, &error);
        };
        let exit = match api {
            ApiError::Forbidden(_) | ApiError::Unauthorized(_) => Exit::NotPermitted,
            ApiError::NamespaceMissing(_) | ApiError::NotFound(_) => Exit::NotFound,
            _ => Exit::Failed,
        };
        let failure = Failure::chain(exit, &error);
        match api.advice() {
            Some(advice) => failure.with_advice(advice),
            None => failure,
        }
    })
}

pub(crate) fn no_such_lease(client: &Client, name: &LeaseName) -> Failure {
    let namespace = client.namespace();
    Failure::new(
        Exit::NotFound,
        format_args!("there is no lease {name} in namespace {namespace}"),
    )
}
