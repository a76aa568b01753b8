//! `lease list`: all leases of a namespace, or of the cluster.

use lease_blocking::proto::candidate_for;

use super::{args::List, candidates, connect, exit_code::Exit, failure::Failure, view, watch};

pub(crate) fn list(args: &List) -> Result<Exit, Failure> {
    if args.watch {
        let lines = args.output.lines()?;
        return watch::watch(
            watch::Scope::All(args.candidates),
            args.all_namespaces,
            lines,
            &args.cluster,
        );
    }
    let client = connect::reader(&args.cluster)?;
    let leases = if args.all_namespaces {
        client.list_everywhere()
    } else {
        client.list()
    };
    let all = leases.map_err(|error| Failure::of_client(&error))?;
    let shown = all.iter();
    let shown = shown.filter(|lease| args.candidates || candidate_for(lease).is_none());
    let mut leases: Vec<_> = shown
        .map(|lease| (lease, candidates::among(&all, lease)))
        .collect();
    leases.sort_by_key(|(lease, _)| {
        let meta = &lease.metadata;
        (meta.namespace.as_str(), meta.name.as_str())
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
