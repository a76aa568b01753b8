//! The built command, as a shell runs it, over a directory of its own.

#![expect(clippy::unwrap_used, reason = "test code")]

mod asking;
mod bad_input;
mod describing;
mod escaping;
mod guarding;
mod holding;
mod linking;
mod listing;
mod once;
mod priority;
mod reaching;
mod roles;
mod running;
mod secrets;
mod server;
mod terminal;
mod watching;

use std::{
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use lease_blocking::{Client, proto::wire::Lease};
use tempfile::TempDir;

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(30);

/// A directory of leases, and what commands write beside them.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Keeps a file, and gives its path.
    fn keep(&self, name: &str, content: &str) -> String {
        let path = self.file(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// The command, in an environment that says nothing about leases or clusters.
    fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lease"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// The command over the directory; `--` and what follows it stay at the end.
    fn lease(&self, arguments: &[&str]) -> Command {
        let directory = format!("--embedded={}", self.file("leases").display());
        let at = arguments
            .iter()
            .position(|argument| *argument == "--")
            .unwrap_or(arguments.len());
        let (ours, program) = arguments.split_at(at);
        let all: Vec<&str> = ours
            .iter()
            .copied()
            .chain([directory.as_str()])
            .chain(program.iter().copied())
            .collect();
        self.bare(&all)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.lease(arguments).output().unwrap().into()
    }

    fn start(&self, arguments: &[&str]) -> Started {
        Self::spawn(self.lease(arguments))
    }

    /// Starts the command so that it heeds signals: what a shell starts in the background ignores SIGINT, what nohup starts
    /// SIGHUP, and so would whatever these tests start.
    fn start_heeding(&self, arguments: &[&str]) -> Started {
        let lease = self.lease(arguments);
        let mut heeding = Command::new("env");
        heeding
            .args(["--default-signal".as_ref(), lease.get_program()])
            .args(lease.get_args())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        Self::spawn(heeding)
    }

    fn spawn(mut command: Command) -> Started {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Started(command.spawn().unwrap())
    }

    fn client(&self) -> Client {
        Client::embedded(self.file("leases")).unwrap()
    }

    fn record(&self, name: &str) -> Option<Lease> {
        self.client().get(name).unwrap()
    }

    fn await_text(&self, name: &str, wanted: &str) {
        await_that(
            || self.text(name).contains(wanted),
            &format!("{wanted:?} in {name}"),
        );
    }
}

fn await_that(mut holds: impl FnMut() -> bool, what: &str) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What a command left.
#[derive(Debug)]
struct Ran {
    /// As a shell has it in `$?`.
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn code_of(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| status.signal().map(|it| 128 + it))
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: code_of(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    #[track_caller]
    fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// One line on standard error that has these words, and nothing on standard output.
    #[track_caller]
    fn saying(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} is not in {:?}",
                self.stderr
            );
        }
        assert_eq!(self.stdout, "");
        self
    }
}

/// A command that runs; killed when dropped.
struct Started(Child);

impl Started {
    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.0.id().to_string())
            .status();
        assert!(status.unwrap().success());
    }

    fn end(mut self) -> Ran {
        let until = Instant::now() + SOON;
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "still running");
            thread::sleep(Duration::from_millis(10));
        }
        let stdout = std::mem::take(&mut self.0.stdout).unwrap();
        let stderr = std::mem::take(&mut self.0.stderr).unwrap();
        Ran {
            code: code_of(self.0.wait().unwrap()),
            stdout: std::io::read_to_string(stdout).unwrap(),
            stderr: std::io::read_to_string(stderr).unwrap(),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

/// Says loudly that something did not run, and fails where the environment requires it.
fn skip(required: &str, why: &str) {
    assert!(std::env::var_os(required).is_none(), "{why}");
    // Past the harness, which keeps what is printed by tests that succeed.
    let _unread = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn is_alive(pid: &str) -> bool {
    // A zombie is dead, and only its parent has not looked yet.
    let status = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}
