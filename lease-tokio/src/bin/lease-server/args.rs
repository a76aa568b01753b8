//! What can be typed.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::faults::Faults;

/// An API server for Kubernetes Leases, for kubectl, client-go and tests, without a cluster.
///
/// It answers as kube-apiserver does for coordination.k8s.io/v1 Leases: reads, writes, patches, watches, discovery, tables. Any
/// namespace exists. Whoever may connect may do anything, unless --token-file says who.
#[derive(Debug, Parser)]
#[command(name = "lease-server", version, max_term_width = 100, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Where to listen; port 0 is any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8001")]
    pub(crate) listen: SocketAddr,
    /// Keep the leases in this directory, as `lease --embedded` does, and share them with its users. Without it they are kept
    /// in memory, and gone at the end. Each write waits until it is on the disk, and for those before it, and costs the
    /// more the more Leases there are: with hundreds of them some tens a second are all there are.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Speak TLS, with the certificates in this file (PEM, the server's first). The server's must not be a CA's itself, as what
    /// `openssl req -x509` makes without `-addext basicConstraints=CA:FALSE`: rustls does not believe it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the first certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The authority that signed the certificate (PEM), for --kubeconfig. Without it clients check the certificate by itself,
    /// which is right for one that no authority has signed.
    #[arg(long, value_name = "FILE", requires_all = ["tls_cert", "kubeconfig"])]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Let only those in who know a token of this file: one on each line, as far as the first comma.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Write a kubeconfig that leads here, for this user alone to read.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// What is to go wrong, and how often: 409=5%,503=1%,drop=1%,delay=10ms..200ms. An error is answered and nothing done; a
    /// dropped request or its answer is lost; each request is delayed.
    #[arg(long, value_name = "WHAT")]
    pub(crate) faults: Option<Faults>,
    /// For faults that come in the same order each time.
    #[arg(long, value_name = "NUMBER", requires = "faults")]
    pub(crate) seed: Option<u64>,
    /// Say each request and how it was answered.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What it does instead of serving.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Command {
    /// Print what a shell reads to complete command lines, such as with: source <(lease-server completion bash)
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the page for man, such as with: lease-server man | man -l -
    Man,
}

const EXAMPLES: &str = "Examples:
  lease-server &
  kubectl --server http://127.0.0.1:8001 get leases --all-namespaces --watch

  lease-server --listen 127.0.0.1:0 --data /var/lib/leases --kubeconfig leases.yaml
  KUBECONFIG=leases.yaml lease run nightly -- ./backup

  lease-server --faults 409=5%,drop=1%,delay=50ms --seed 7    # for tests of what goes wrong

Exit codes: 0 after SIGTERM or SIGINT, 64 where the command line makes no sense, 1 where it cannot serve, or print.";
