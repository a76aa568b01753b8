//! A claimant as a process of its own, which can be killed.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use lease_tests::processes;
use libtest_mimic::Failed;

use crate::cluster::Cluster;

/// Which program claims.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Tokio,
    Blocking,
    Command,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokio => "tokio",
            Self::Blocking => "blocking",
            Self::Command => "command",
        })
    }
}

/// How a claimant is started.
#[derive(Clone, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) kind: Kind,
    pub(crate) lease: String,
    pub(crate) id: &'static str,
    pub(crate) token_file: PathBuf,
    pub(crate) ca: &'a Path,
    pub(crate) ttl: u64,
}

impl<'a> Start<'a> {
    /// A claimant of `lease` (made different for each kind), as the user that it is named after.
    pub(crate) fn new(cluster: &'a Cluster, kind: Kind, lease: &str, id: &'static str) -> Self {
        Self {
            cluster,
            kind,
            lease: format!("{lease}-{kind}"),
            id,
            token_file: cluster.token_file(id),
            ca: &cluster.ca,
            ttl: 6,
        }
    }

    pub(crate) fn token_file(mut self, file: PathBuf) -> Self {
        self.token_file = file;
        self
    }

    pub(crate) fn ca(mut self, ca: &'a Path) -> Self {
        self.ca = ca;
        self
    }

    pub(crate) fn run(&self) -> Result<Claimant, Failed> {
        let ttl = self.ttl.to_string();
        let mut command = match self.kind {
            Kind::Tokio => Command::new(env!("CARGO_BIN_EXE_contender-tokio")),
            Kind::Blocking => Command::new(env!("CARGO_BIN_EXE_contender-blocking")),
            Kind::Command => Command::new(lease_command()),
        };
        let namespace = &self.cluster.namespace;
        if self.kind == Kind::Command {
            command
                .args([
                    "run",
                    &self.lease,
                    "--ttl",
                    &format!("{ttl}s"),
                    "--holder",
                    self.id,
                ])
                .args(["--namespace", namespace, "--server", &self.cluster.server])
                .arg("--token-file")
                .arg(&self.token_file)
                .arg("--certificate-authority")
                .arg(self.ca)
                .args(["--", "sh", "-c", CHILD]);
        } else {
            command
                .args([
                    "--namespace",
                    namespace,
                    "--lease",
                    &self.lease,
                    "--id",
                    self.id,
                ])
                .args(["--ttl", &ttl])
                .env("LEASE_BENCH_SERVER", &self.cluster.server)
                .env("LEASE_BENCH_CA", self.ca)
                .env("LEASE_BENCH_TOKEN_FILE", &self.token_file);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("it is piped");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _gone = sender.send(line);
            }
        });
        Ok(Claimant {
            child,
            lines,
            kind: self.kind,
        })
    }
}

/// What the command runs: says when it is let in, and when it is told to stop.
const CHILD: &str = r#"echo '{"event":"acquired"}'; trap 'echo "{\"event\":\"stopped\"}"; exit 0' TERM; while :; do sleep 0.1; done"#;

/// A running claimant; killed when dropped.
#[derive(Debug)]
pub(crate) struct Claimant {
    child: Child,
    lines: mpsc::Receiver<String>,
    kind: Kind,
}

impl Claimant {
    /// Waits for an event, and fails on any other.
    pub(crate) fn expect(&mut self, event: &str, within: Duration) -> Result<(), Failed> {
        let line = self.lines.recv_timeout(within);
        let wanted = format!(r#""event":"{event}""#);
        match line {
            Ok(line) if line.replace(' ', "").contains(&wanted) => Ok(()),
            Ok(line) => Err(format!("expected {event}, got {line}").into()),
            Err(_) => Err(format!(
                "expected {event}, got nothing for {within:?}; {}",
                self.end()
            )
            .into()),
        }
    }

    /// Fails on any event until then.
    pub(crate) fn expect_nothing(&mut self, during: Duration) -> Result<(), Failed> {
        match self.lines.recv_timeout(during) {
            Ok(line) => Err(format!("expected nothing, got {line}").into()),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(()),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(format!("expected nothing, and it ended; {}", self.end()).into())
            }
        }
    }

    /// Waits for the loss: the command's program is stopped by it, and the command says so in its exit code.
    pub(crate) fn expect_lost(&mut self, within: Duration) -> Result<(), Failed> {
        if self.kind == Kind::Command {
            let status = self.wait(within)?;
            return if status.code() == Some(123) {
                Ok(())
            } else {
                Err(format!("expected exit code 123, got {status}; {}", self.end()).into())
            };
        }
        self.expect("lost", within)
    }

    /// Asks it to release and to end.
    pub(crate) fn terminate(&mut self) -> Result<(), Failed> {
        processes::signal(&self.child, processes::Signal::TERM)?;
        Ok(())
    }

    pub(crate) fn kill(&mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn wait(&mut self, within: Duration) -> Result<ExitStatus, Failed> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("still running after {within:?}").into())
    }

    /// Ends it, and returns what it said of its troubles.
    pub(crate) fn end(&mut self) -> String {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _not_text = stderr.read_to_string(&mut said);
        }
        format!("it said: {said}")
    }
}

impl Drop for Claimant {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

fn lease_command() -> &'static Path {
    static COMMAND: OnceLock<PathBuf> = OnceLock::new();
    COMMAND.get_or_init(processes::lease_command)
}
