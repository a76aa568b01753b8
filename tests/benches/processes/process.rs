//! Claimants as processes: started, listened to, ended.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use clap::ValueEnum;
use lease_tests::processes::{Signal, signal};

use crate::cluster::Cluster;

/// Whose claimant it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Library {
    LeaseTokio,
    LeaseBlocking,
    KubeLeaderElection,
    KubeLeaseManager,
    Kubert,
}

impl Library {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LeaseTokio => "lease-tokio",
            Self::LeaseBlocking => "lease-blocking",
            Self::KubeLeaderElection => "kube-leader-election",
            Self::KubeLeaseManager => "kube-lease-manager",
            Self::Kubert => "kubert",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Self::LeaseTokio | Self::LeaseBlocking)
    }

    fn program(self) -> PathBuf {
        match self {
            Self::LeaseTokio => env!("CARGO_BIN_EXE_contender-tokio").into(),
            Self::LeaseBlocking => env!("CARGO_BIN_EXE_contender-blocking").into(),
            Self::KubeLeaderElection | Self::KubeLeaseManager | Self::Kubert => {
                let name = format!("contender-{}", self.name());
                Path::new(BENCH).join("target/release").join(name)
            }
        }
    }
}

/// Where the other libraries' programs stand.
const BENCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench");

/// Builds the other libraries' programs.
pub(crate) fn build(libraries: &[Library]) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--release"]);
    let others: Vec<_> = libraries.iter().filter(|it| !it.is_ours()).collect();
    for library in &others {
        cargo.args(["--package", &format!("contender-{}", library.name())]);
    }
    // The target directory that the benchmark was built in is not theirs.
    cargo.env_remove("CARGO_TARGET_DIR").current_dir(BENCH);
    assert!(others.is_empty() || cargo.status().unwrap().success());
}

/// What to claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) library: Library,
    pub(crate) lease: &'a str,
    pub(crate) id: &'a str,
    /// In seconds.
    pub(crate) ttl: u64,
    pub(crate) count: usize,
    pub(crate) user: &'a str,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(library: Library, lease: &'a str, id: &'a str) -> Self {
        Self {
            library,
            lease,
            id,
            ttl: 15,
            count: 1,
            user: "holder-a",
        }
    }
}

/// Something that a claimant has said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) process: usize,
    /// Unix time in seconds.
    pub(crate) at: f64,
    pub(crate) event: String,
    pub(crate) lease: String,
}

/// Where claimants are heard.
#[derive(Debug)]
pub(crate) struct Ears {
    mouth: mpsc::Sender<Said>,
    said: mpsc::Receiver<Said>,
}

impl Ears {
    pub(crate) fn new() -> Self {
        let (mouth, said) = mpsc::channel();
        Self { mouth, said }
    }

    /// Waits for something that fits, and forgets what comes before.
    pub(crate) fn hear(&self, patience: Duration, fits: impl Fn(&Said) -> bool) -> Option<Said> {
        let until = Instant::now() + patience;
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            let said = self.said.recv_timeout(left).ok()?;
            if fits(&said) {
                return Some(said);
            }
        }
    }

    /// Takes what has come until now.
    pub(crate) fn take(&self) -> Vec<Said> {
        self.said.try_iter().collect()
    }
}

/// A claimant. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Unix time in seconds.
    pub(crate) begun: f64,
}

impl Process {
    /// Starts one on the API server that the environment names.
    pub(crate) fn start(cluster: &Cluster, setup: Setup<'_>, number: usize, ears: &Ears) -> Self {
        let token = cluster.token(setup.user);
        let access = [
            ("LEASE_BENCH_SERVER", cluster.server.as_str()),
            ("LEASE_BENCH_CA", cluster.ca.to_str().unwrap()),
            ("LEASE_BENCH_TOKEN", &token),
        ];
        Self::start_at(&access, &cluster.namespace, setup, number, ears)
    }

    pub(crate) fn start_at(
        access: &[(&str, &str)],
        namespace: &str,
        setup: Setup<'_>,
        number: usize,
        ears: &Ears,
    ) -> Self {
        let mut command = Command::new(setup.library.program());
        command
            .args(["--namespace", namespace])
            .args(["--lease", setup.lease, "--id", setup.id])
            .args(["--ttl", &setup.ttl.to_string()])
            .args(["--count", &setup.count.to_string()])
            .envs(access.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let begun = now();
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mouth = ears.mouth.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else {
                    continue;
                };
                let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
                let said = Said {
                    process: number,
                    at: line["t"].as_f64().unwrap_or_default(),
                    event: text("event"),
                    lease: text("lease"),
                };
                if mouth.send(said).is_err() {
                    return;
                }
            }
        });
        Self { child, begun }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to release and to end; returns when that was, in seconds of Unix time.
    pub(crate) fn terminate(&self) -> f64 {
        signal(&self.child, Signal::TERM).unwrap();
        now()
    }

    pub(crate) fn kill(&self) {
        signal(&self.child, Signal::KILL).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) {
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Unix time in seconds.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}
