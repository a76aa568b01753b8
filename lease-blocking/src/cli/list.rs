//! `lease list`: all leases of a namespace, or of the cluster.

use super::{args::List, connect, exit_code::Exit, failure::Failure, view, watch};

pub(crate) fn list(args: &List) -> Result<Exit, Failure> {
    if args.watch {
        let lines = args.output.lines()?;
        return watch::watch(None, args.all_namespaces, lines, &args.cluster);
    }
    let client = connect::reader(&args.cluster)?;
    let leases = if args.all_namespaces {
        client.list_everywhere()
    } else {
        client.list()
    };
    let mut leases = leases.map_err(|error| Failure::of_client(&error))?;
    leases.sort_by(|one, other| {
        let key = |it: &lease_blocking::proto::wire::Lease| {
            (it.metadata.namespace.clone(), it.metadata.name.clone())
        };
        key(one).cmp(&key(other))
    });
    if leases.is_empty() && !args.output.is_for_programs() {
        if args.all_namespaces {
            super::say(format_args!("there are no leases"));
        } else {
            let namespace = client.namespace();
            super::say(format_args!("there are no leases in namespace {namespace}"));
        }
        return Ok(Exit::Done);
    }
    view::list(&leases, args.output, args.all_namespaces)
}
