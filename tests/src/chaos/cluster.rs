//! The API server that the environment names, and what is done to it and to its records.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use lease_blocking::{Client, Preconditions};
use rustix::process::{Pid, Signal, kill_process};

use crate::contender::Error;

/// The API server that the environment names.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    pub(crate) ca: PathBuf,
    pub(crate) namespace: String,
    pub(crate) rival: PathBuf,
    pub(crate) audit_log: PathBuf,
    tokens: PathBuf,
    pids: PathBuf,
    script: Pid,
    admin: Client,
}

/// One of the two servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Server {
    Apiserver,
    Etcd,
}

impl Cluster {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let needed = |name: &str| {
            env::var(name).map_err(|_| {
                format!(
                    "{name} is not set; .ci/cluster starts kube-apiserver and etcd and sets all LEASE_LIVE_*: \
                     .ci/cluster cargo run --release -p lease-tests --bin chaos"
                )
            })
        };
        let server = needed("LEASE_LIVE_SERVER")?;
        let ca = PathBuf::from(needed("LEASE_LIVE_CA")?);
        let namespace = needed("LEASE_LIVE_NAMESPACE")?;
        let tokens = PathBuf::from(needed("LEASE_LIVE_TOKENS")?);
        let address = server.strip_prefix("https://").unwrap_or(&server);
        let address: SocketAddr = address.parse().map_err(|_| {
            format!("LEASE_LIVE_SERVER is {server:?}, and must be https://ADDRESS:PORT")
        })?;
        if !address.ip().is_loopback() {
            return Err(format!("LEASE_LIVE_SERVER is {server:?}, and must be on loopback").into());
        }
        let admin = Client::builder(server)
            .certificate_authority(ca.clone())
            .token_file(tokens.join("admin"))
            .namespace(&namespace)
            .build()?;
        Ok(Self {
            address,
            ca,
            namespace,
            rival: needed("LEASE_LIVE_RIVAL")?.into(),
            audit_log: needed("LEASE_LIVE_AUDIT_LOG")?.into(),
            tokens,
            pids: needed("LEASE_LIVE_PIDS")?.into(),
            script: pid(&needed("LEASE_LIVE_CLUSTER_PID")?)?,
            admin,
        })
    }

    /// Puts the token of `user` in place of the one in `file`, at once as kubelet does.
    pub(crate) fn rotate(&self, file: &Path, user: &str) -> io::Result<()> {
        let aside = file.with_extension("new");
        fs::copy(self.tokens.join(user), &aside)?;
        fs::rename(&aside, file)
    }

    /// Annotates the record, as kubectl does.
    pub(crate) fn annotate(&self, lease: &str, value: u64) -> Result<(), Error> {
        let path = format!("{}/{lease}", self.leases());
        let patch = format!(r#"{{"metadata":{{"annotations":{{"noted":"{value}"}}}}}}"#);
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(patch.into_bytes())?;
        let answer = self.admin.send(request, PATIENCE, false)?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("annotating was answered with {}", answer.status()).into())
        }
    }

    /// Deletes the record, whoever holds it.
    pub(crate) fn delete(&self, lease: &str) -> Result<(), Error> {
        self.admin.delete(lease, &Preconditions::default())?;
        Ok(())
    }

    /// Asks for the Leases of the namespace, with a query.
    pub(crate) fn ask(&self, query: &str) -> Result<http::Response<Vec<u8>>, Error> {
        let request = http::Request::get(format!("{}{query}", self.leases())).body(Vec::new())?;
        Ok(self.admin.send(request, PATIENCE, false)?)
    }

    /// Tells whether the API server answers as one that is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let request = http::Request::get("/readyz").body(Vec::new());
        let Ok(request) = request else { return false };
        let answer = self.admin.send(request, Duration::from_secs(2), false);
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Sends a signal to a server.
    pub(crate) fn signal(&self, server: Server, signal: Signal) -> Result<(), Error> {
        let name = match server {
            Server::Apiserver => "apiserver",
            Server::Etcd => "etcd",
        };
        let pid = pid(&fs::read_to_string(self.pids.join(name))?)?;
        Ok(kill_process(pid, signal)?)
    }

    /// Has a server killed and started again with the same data.
    pub(crate) fn restart(&self, server: Server) -> Result<(), Error> {
        let signal = match server {
            Server::Apiserver => Signal::USR1,
            Server::Etcd => Signal::USR2,
        };
        Ok(kill_process(self.script, signal)?)
    }

    fn leases(&self) -> String {
        let namespace = &self.namespace;
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
    }
}

fn pid(text: &str) -> Result<Pid, Error> {
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| format!("{:?} is no process id", text.trim()).into())
}

/// How long a request of our own may take while servers are being stopped.
const PATIENCE: Duration = Duration::from_secs(10);
