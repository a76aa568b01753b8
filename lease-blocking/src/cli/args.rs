//! What can be typed.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use lease_blocking::proto::{Identity, LeaseName, Namespace};

use super::{duration, exit_code};

/// Kubernetes Leases for shell scripts: run a program while a lease is held, or hold one across commands.
#[derive(Debug, Parser)]
#[command(name = "lease", version, max_term_width = 100, after_help = exit_code::HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program while the lease is held.
    Run(Run),
    /// Acquire a lease for a holder, and print its fencing token.
    Acquire(Acquire),
    /// Renew a lease that the holder has.
    Renew(Renew),
    /// Give a lease back that the holder has.
    Release(Release),
    /// Show who holds a lease.
    Status(Status),
}

#[derive(Args, Debug)]
#[command(after_help = RUN_HELP)]
pub(crate) struct Run {
    /// The lease's name.
    pub(crate) name: LeaseName,
    /// How long after its last renewal nobody else may take the lease, such as 30s, 5m or 1h30m.
    #[arg(long, value_parser = duration::parse, default_value = "15s", value_name = "DURATION")]
    pub(crate) ttl: Duration,
    /// Wait this long for the lease, and not for ever; 0 is one try.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(crate) timeout: Option<Duration>,
    /// Try once, and do not wait.
    #[arg(long, conflicts_with_all = ["timeout", "wait"])]
    pub(crate) no_wait: bool,
    /// Wait for the lease as long as it takes or --timeout allows. That is so without it, too.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long before the lease runs out the program is told to stop, where it cannot be renewed. Defaults to a third of
    /// the ttl, at most 10s.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(crate) grace: Option<Duration>,
    /// Who holds the lease; a random suffix makes it unique. Defaults to POD_NAME or the host's name.
    #[arg(long, value_name = "ID")]
    pub(crate) holder: Option<Identity>,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) program: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct Acquire {
    #[command(flatten)]
    pub(crate) target: Target,
    /// How long after its last renewal nobody else may take the lease, such as 30s, 5m or 1h30m. Defaults to what the
    /// record names, else 15s.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(crate) ttl: Option<Duration>,
    /// Wait until the lease is free, as long as that takes or --timeout allows.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait at most this long; 0 is one try.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Args, Debug)]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The new duration. Defaults to what the record names.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(crate) ttl: Option<Duration>,
}

#[derive(Args, Debug)]
pub(crate) struct Release {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The lease's name.
    pub(crate) name: LeaseName,
    /// Exit with 5 unless this one holds it.
    #[arg(long, value_name = "ID")]
    pub(crate) holder: Option<Identity>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// A lease, and for whom.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The lease's name.
    pub(crate) name: LeaseName,
    /// Who holds it: the same for acquire, renew and release, and nobody else's.
    #[arg(long, env = "LEASE_HOLDER", value_name = "ID")]
    pub(crate) holder: Identity,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// For people, and for $(...).
    #[default]
    Text,
    /// One object on one line.
    Json,
}

/// Where the leases are.
#[derive(Args, Debug)]
#[command(next_help_heading = "Where the leases are")]
pub(crate) struct Cluster {
    /// The namespace. Defaults to that of the kubeconfig's context or of the pod, else default.
    #[arg(short, long)]
    pub(crate) namespace: Option<Namespace>,
    /// Keep the leases in a directory of this machine, and use no cluster.
    #[arg(
        long, value_name = "DIR", num_args = 0..=1, require_equals = true,
        conflicts_with_all = ["server", "token_file", "certificate_authority", "kubeconfig", "context", "allow_exec", "allow_plain_http"]
    )]
    pub(crate) embedded: Option<Option<PathBuf>>,
    /// The API server's address, such as https://10.0.0.1:6443.
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubeconfig", "context", "allow_exec"])]
    pub(crate) server: Option<String>,
    /// File with the token, read again when it changes. With --server.
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) token_file: Option<PathBuf>,
    /// File with the certificate of the CA that the server's is signed by. With --server.
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// The kubeconfig. Defaults to those that KUBECONFIG lists, else ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Allow the kubeconfig to name a program that gets the credentials.
    #[arg(long)]
    pub(crate) allow_exec: bool,
    /// Allow http:// to another machine, where anyone on the way can read the credentials.
    #[arg(long)]
    pub(crate) allow_plain_http: bool,
    /// Say on stderr what happens.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const RUN_HELP: &str = "\
The program gets LEASE_NAME, LEASE_NAMESPACE, LEASE_HOLDER, LEASE_TOKEN and LEASE_TRANSITIONS. It runs in a process group
of its own. Signals are passed on to that group, and what is left of it when the program ends is killed. Where the lease
cannot be renewed the group gets SIGTERM (see --grace), and is killed before anybody else can hold the lease. If lease
itself is killed, so is the program, though not what it has started.

Examples:
  lease run db-migration -- ./migrate                    one at a time, in all of the cluster
  lease run nightly --timeout 10m -- ./report            give up after ten minutes
  lease run worker --ttl 30s -- ./leader                 a leader that is replaced within 30s
  lease run demo --embedded -- sh -c 'echo $LEASE_TOKEN' no cluster at all";
