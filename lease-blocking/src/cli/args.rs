//! What can be typed.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use lease_blocking::proto::{Identity, LeaseName, NameError, Namespace, Once, Parting};

use super::{duration, exit_code::Exit, failure::Failure, help};

/// Kubernetes Leases for shell scripts: run a program while a lease is held, or hold one across commands.
#[derive(Debug, Parser)]
#[command(name = "lease", version, max_term_width = 100, after_help = help::all())]
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
    /// Show who holds a lease; exit with 0 if somebody does, with 1 if nobody does.
    Status(Status),
    /// Show all leases of a namespace.
    List(List),
    /// Print a line for each change of a lease, or of all of a namespace, as it happens.
    Watch(Watch),
    /// Print what a shell reads to complete command lines, such as with: source <(lease completion bash)
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print a page for man, such as with: lease man run | man -l -
    Man {
        /// The command whose page it is. Without it, the page that lists all.
        command: Option<String>,
    },
}

#[derive(Args, Debug)]
#[command(after_help = help::run())]
pub(crate) struct Run {
    /// The lease's name.
    pub(crate) name: LeaseName,
    /// How long after its last renewal nobody else may take the lease, such as 30s, 5m or 1h30m; at least 3s, with --embedded 1s.
    #[arg(long, value_parser = duration::parse, default_value = "15s", value_name = "DURATION")]
    pub(crate) ttl: Duration,
    /// Wait this long for the lease, and not for ever; 0 is one try.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION", group = "bound")]
    pub(crate) timeout: Option<Duration>,
    /// Try once, and do not wait. Whether a holder that was killed is dead is seen by the API server's clock, or else by whoever
    /// waits: with --embedded give --timeout a little more than the ttl instead.
    #[arg(long, conflicts_with_all = ["timeout", "wait"], group = "bound")]
    pub(crate) no_wait: bool,
    /// The exit code for when somebody else has the lease, with --no-wait, or after --timeout. Defaults to 124.
    #[arg(long, value_name = "CODE", requires = "bound")]
    pub(crate) conflict_exit_code: Option<u8>,
    /// Wait for the lease as long as it takes or --timeout allows. That is so without it, too.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long before the lease runs out the program is told to stop, where it cannot be renewed. Defaults to a third of
    /// the ttl, at most 10s.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(crate) grace: Option<Duration>,
    /// What becomes of the program when the lease cannot be kept.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) on_lost: OnLost,
    /// Record in the lease that KEY is done, once the program has succeeded; where it was done already, exit with 0 and run
    /// nothing. Another KEY, such as the version of a schema or the tag of an image, is other work. The lease keeps the last KEY
    /// only: an earlier one is run again.
    #[arg(long, value_parser = once, value_name = "KEY")]
    pub(crate) once: Option<Once>,
    /// Wait with this priority: of those that wait with one the highest goes first, and of several alike whoever came first. Who has
    /// waited for 240 times its ttl, or three hours, goes before all that come later. Nobody who holds the lease is cut short.
    /// Needs the verbs create, get, update, list and delete on leases of any name.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    #[command(flatten)]
    pub(crate) renewals: Renewals,
    /// Who holds the lease; a random suffix makes it unique. Defaults to POD_NAME or the host's name.
    #[arg(long, value_name = "ID")]
    pub(crate) holder: Option<Identity>,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) program: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum OnLost {
    /// It is dead, with all that it has started, before anybody else can hold the lease.
    #[default]
    Kill,
    /// It goes on, though somebody else may hold the lease, and stderr says so.
    Warn,
}

/// How the lease is renewed.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Renewals {
    /// Never renew it, and have nobody else do so: it ends with its ttl.
    #[arg(long)]
    pub(crate) not_renewable: bool,
    /// Count in the lease how often it is renewed.
    #[arg(long, conflicts_with = "not_renewable")]
    pub(crate) count_renewals: bool,
}

fn reserve(text: &str) -> Result<Duration, String> {
    let reserve = duration::parse(text)?;
    if reserve.is_zero() {
        Err(
            "others have to hold back for a while: leave --to and --for out if it is anybody's"
                .to_owned(),
        )
    } else if reserve <= Duration::from_secs(300) {
        Ok(reserve)
    } else {
        Err("others hold back for five minutes at the most".to_owned())
    }
}

fn once(key: &str) -> Result<Once, NameError> {
    Once::new(key)
}

#[derive(Args, Debug)]
#[command(after_help = help::acquire())]
pub(crate) struct Acquire {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) renewals: Renewals,
    /// Wait with this priority: of those that wait with one the highest goes first, and of several alike whoever came first. Who has
    /// waited for 240 times its ttl, or three hours, goes before all that come later. Nobody who holds the lease is cut short.
    /// Needs the verbs create, get, update, list and delete on leases of any name.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// How long after its last renewal nobody else may take the lease, such as 30s, 5m or 1h30m; at least 3s, with
    /// --embedded 1s. Defaults to what the record names, else 15s.
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
#[command(after_help = help::renew())]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The new duration. Defaults to what the record names.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(crate) ttl: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(after_help = help::release())]
pub(crate) struct Release {
    /// The lease's name.
    pub(crate) name: LeaseName,
    /// Who holds it: the same as for acquire and renew. With --force, it is taken from this one only, who holds it or to whom it
    /// is left.
    #[arg(
        long,
        env = "LEASE_HOLDER",
        value_name = "ID",
        required_unless_present = "force"
    )]
    pub(crate) holder: Option<Identity>,
    /// Take it from whoever holds it, or from whom it was left to with --to, after showing who that is and asking. Not for a
    /// holder that lives: it goes on until it learns of that.
    #[arg(long)]
    pub(crate) force: bool,
    /// Leave it to this one: others hold back for as long as --for says, and then it is anybody's. Whoever has left it to one
    /// can leave it to another instead, until it is taken.
    #[arg(long, value_name = "ID")]
    pub(crate) to: Option<Identity>,
    /// How long others hold back; at most 5m.
    #[arg(long = "for", value_parser = reserve, default_value = "15s", value_name = "DURATION", requires = "to")]
    pub(crate) reserve: Duration,
    /// Do not ask.
    #[arg(short, long, requires = "force")]
    pub(crate) yes: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

impl Release {
    /// What is left in the record.
    pub(crate) fn parting(&self) -> Parting {
        self.to.clone().map_or_else(Parting::default, |to| {
            Parting::default().successor(to, self.reserve)
        })
    }
}

#[derive(Args, Debug)]
#[command(after_help = help::status())]
pub(crate) struct Status {
    /// The lease's name.
    pub(crate) name: LeaseName,
    /// Exit with 5 if another one than this holds it.
    #[arg(long, value_name = "ID")]
    pub(crate) holder: Option<Identity>,
    /// Print nothing: the exit code says it.
    #[arg(short, long, conflicts_with = "output")]
    pub(crate) quiet: bool,
    /// Go on with a line for each change, as `lease watch` does.
    #[arg(short, long, conflicts_with_all = ["quiet", "holder"])]
    pub(crate) watch: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: View,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

#[derive(Args, Debug)]
#[command(after_help = help::list())]
pub(crate) struct List {
    /// Those of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// With those in which waiters with a priority announce themselves.
    #[arg(long)]
    pub(crate) candidates: bool,
    /// Go on with a line for each change, as `lease watch` does.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: View,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

#[derive(Args, Debug)]
#[command(after_help = help::watch())]
pub(crate) struct Watch {
    /// The lease's name. Without it all of the namespace are watched.
    pub(crate) name: Option<LeaseName>,
    /// Those of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// With those in which waiters with a priority announce themselves.
    #[arg(long, conflicts_with = "name")]
    pub(crate) candidates: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Lines,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Lines {
    /// For people.
    #[default]
    Text,
    /// An object on each line: `time`, `change`, and the `lease` as `status` has it.
    Json,
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

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum View {
    /// For people.
    #[default]
    Text,
    /// The same, with more columns.
    Wide,
    /// One object; of several leases, with the list `items`.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names only, as kubectl takes them.
    Name,
}

impl View {
    /// How changes are printed that are asked for with `--watch`.
    pub(crate) fn lines(self) -> Result<Lines, Failure> {
        match self {
            Self::Text => Ok(Lines::Text),
            Self::Json => Ok(Lines::Json),
            Self::Wide | Self::Yaml | Self::Name => Err(Failure::new(
                Exit::Usage,
                "--watch prints lines of text or JSON: -o text or -o json",
            )),
        }
    }

    pub(crate) fn is_for_programs(self) -> bool {
        matches!(self, Self::Json | Self::Yaml | Self::Name)
    }
}

/// Where the leases are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where the leases are")]
pub(crate) struct Cluster {
    /// The namespace. Defaults to that of the kubeconfig's context or of the pod, else default.
    #[arg(short, long)]
    pub(crate) namespace: Option<Namespace>,
    /// Keep the leases in a directory of this machine, and use no cluster. Only those who use the same one exclude each other;
    /// defaults to /var/lib/lease for root, and to /var/tmp/lease-UID for everybody else, each user having one of their own.
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
