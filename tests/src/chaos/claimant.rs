//! A claimant as a process of its own, to which anything can be done.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::{
    boot,
    chaos::{
        cluster::Cluster,
        fenced::Plant,
        history,
        journal::Journal,
        log::{Process, Program, What},
        proxy::Proxy,
    },
    contender::Error,
    processes::{self, Signal},
};

/// A place for a claimant: who claims from there, and through what.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) program: Program,
    pub(crate) proxy: Proxy,
    pub(crate) token_file: PathBuf,
    /// The user whose token is in the file.
    pub(crate) user: &'static str,
    pub(crate) fenced: SocketAddr,
    pub(crate) plant: Option<Plant>,
    pub(crate) stderr: PathBuf,
    pub(crate) ttl: u64,
}

impl Seat {
    /// Starts a claimant of that name.
    pub(crate) fn start(
        &self,
        cluster: &Cluster,
        journal: &Journal,
        lease: &str,
        name: String,
    ) -> Result<Claimant, Error> {
        let server = format!("https://{}", self.proxy.address());
        let mut command = match self.program {
            Program::Blocking => contender("contender-blocking")?,
            Program::Tokio => contender("contender-tokio")?,
            Program::Rival => Command::new(&cluster.rival),
        };
        command.args([
            "--namespace",
            &cluster.namespace,
            "--lease",
            lease,
            "--id",
            &name,
        ]);
        if self.program == Program::Rival {
            // In client-go's own proportions: 15, 10 and 2 seconds.
            let duration = self.ttl * 1_000;
            let (deadline, period) = (duration * 2 / 3, duration * 2 / 15);
            command
                .arg(format!("--server={server}"))
                .arg(format!("--ca={}", cluster.ca.display()))
                .arg(format!("--token-file={}", self.token_file.display()))
                .arg(format!("--lease-duration={duration}ms"))
                .arg(format!("--renew-deadline={deadline}ms"))
                .arg(format!("--retry-period={period}ms"));
        } else {
            command
                .args(["--ttl", &self.ttl.to_string()])
                .env("LEASE_BENCH_SERVER", &server)
                .env("LEASE_BENCH_CA", &cluster.ca)
                .env("LEASE_BENCH_TOKEN_FILE", &self.token_file)
                .env("LEASE_CHAOS_FENCED", self.fenced.to_string());
        }
        if self.plant == Some(Plant::IgnoreLost) {
            command.env(Plant::VARIABLE, Plant::IGNORE_LOST);
        }
        let stderr = File::options()
            .append(true)
            .create(true)
            .open(&self.stderr)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut child = command.spawn()?;
        let process = Process {
            lease: lease.to_owned(),
            name,
            program: self.program,
        };
        journal.enter(boot::now(), &process, What::Started);
        let holds = Arc::new(AtomicBool::new(false));
        if let Some(stdout) = child.stdout.take() {
            let (process, journal, holds) = (process.clone(), journal.clone(), Arc::clone(&holds));
            thread::spawn(move || read(stdout, &process, &journal, &holds));
        }
        Ok(Claimant {
            child,
            process,
            journal: journal.clone(),
            holds,
            is_over: false,
        })
    }
}

/// A running claimant; killed when dropped.
#[derive(Debug)]
pub(crate) struct Claimant {
    child: Child,
    process: Process,
    journal: Journal,
    holds: Arc<AtomicBool>,
    is_over: bool,
}

impl Claimant {
    pub(crate) fn name(&self) -> &str {
        &self.process.name
    }

    /// Tells whether it says that it holds the Lease.
    pub(crate) fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed) && !self.is_over
    }

    /// Tells whether it has ended by itself, and writes that down.
    pub(crate) fn has_ended(&mut self) -> bool {
        if !self.is_over && !matches!(self.child.try_wait(), Ok(None)) {
            self.is_over = true;
            self.journal.enter(boot::now(), &self.process, What::Ended);
        }
        self.is_over
    }

    /// Stops it, so that it does not run until it is continued.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        self.journal
            .enter(boot::now(), &self.process, What::Stopped);
        Ok(processes::signal(&self.child, Signal::STOP)?)
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        self.journal
            .enter(boot::now(), &self.process, What::Continued);
        Ok(processes::signal(&self.child, Signal::CONT)?)
    }

    /// Asks it to release and to end.
    pub(crate) fn terminate(&self) -> Result<(), Error> {
        Ok(processes::signal(&self.child, Signal::TERM)?)
    }

    /// Ends it without asking.
    pub(crate) fn kill(&mut self) {
        if self.is_over {
            return;
        }
        self.journal.enter(boot::now(), &self.process, What::Ended);
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
        self.is_over = true;
    }
}

impl Drop for Claimant {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of our own programs, which stand beside this one.
fn contender(name: &str) -> Result<Command, Error> {
    Ok(Command::new(env::current_exe()?.with_file_name(name)))
}

/// Writes down what a claimant says.
fn read(stdout: ChildStdout, process: &Process, journal: &Journal, holds: &AtomicBool) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            journal.fail(format!("{} said {line:?}", process.name));
            continue;
        };
        let until = line["until"].as_u64();
        let what = match line["event"].as_str() {
            Some("acquired") => What::Acquired {
                token: line["token"].as_str().and_then(|token| token.parse().ok()),
                until,
            },
            Some("renewed") => What::Renewed {
                until: until.unwrap_or_default(),
            },
            Some("lost" | "released") => What::Lost,
            // Whom the rival sees.
            _ => continue,
        };
        holds.store(what != What::Lost, Ordering::Relaxed);
        let at = match (line["at"].as_u64(), line["time"].as_f64()) {
            (Some(at), _) => at,
            (None, Some(wall)) => history::shared(micros(wall)),
            (None, None) => boot::now(),
        };
        journal.enter(at, process, what);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seconds of this century are few microseconds"
)]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

/// The end of what the claimants of a seat have said of their troubles.
pub(crate) fn last_words(stderr: &Path) -> String {
    let said = std::fs::read_to_string(stderr).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let from = lines.len().saturating_sub(8);
    lines.get(from..).unwrap_or_default().join("\n    ")
}
