//! The command `lease-server`, as its users start it.

#![cfg(target_os = "linux")]

mod authority;
mod describing;
mod kubeconfigs;
mod kubectl;
mod rival;
mod serving;
mod singleton;

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use lease_tokio::Client;
use rustix::process::{Pid, Signal, kill_process};

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// A server that is killed at the latest when a test ends.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut process = command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("its output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let mut said = String::new();
            if let Some(stderr) = &mut process.stderr {
                stderr.read_to_string(&mut said)?;
            }
            return Err(format!("it does not listen: {line}{said}").into());
        };
        let url = url.to_owned();
        Ok(Self { process, url })
    }

    fn client(&self) -> Result<Client> {
        Ok(Client::builder(&self.url).build()?)
    }

    fn terminate(&self) -> Result {
        let pid = Pid::from_child(&self.process);
        Ok(kill_process(pid, Signal::TERM)?)
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let until = Instant::now() + SOON;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            assert!(Instant::now() < until, "it goes on");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it, and returns what it has said.
    fn end(mut self) -> Result<String> {
        self.terminate()?;
        let status = self.wait()?;
        assert!(status.success(), "{status}");
        let mut said = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        Ok(said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _over = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lease-server"));
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII")
}

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(60);
