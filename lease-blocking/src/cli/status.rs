//! `lease status`: who holds a lease.

use lease_blocking::{
    Client, Error,
    proto::{LeaseName, plain::ApiError, wire::Lease},
};

use super::{args::Status, connect, exit_code::Exit, failure::Failure, output};

pub(crate) fn status(args: &Status) -> Result<Exit, Failure> {
    let client = connect::client(&args.cluster)?;
    match read(&client, &args.name)? {
        Some(lease) => output::status(&lease, args.output),
        None => Err(no_such_lease(&client, &args.name)),
    }
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
