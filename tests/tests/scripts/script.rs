//! A script that runs, and what is done to it.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use lease_tests::processes::{self, Signal};
use libtest_mimic::Failed;

use crate::place::SOON;

pub(crate) struct Script {
    command: Command,
    stderr: PathBuf,
}

impl Script {
    pub(crate) fn new(command: Command, stderr: PathBuf) -> Self {
        Self { command, stderr }
    }

    pub(crate) fn set(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn start(mut self) -> Result<Running, Failed> {
        self.command.stderr(File::create(&self.stderr)?);
        Ok(Running {
            child: self.command.spawn()?,
            stderr: self.stderr,
        })
    }
}

/// Killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failed> {
        Ok(processes::signal(&self.child, signal)?)
    }

    pub(crate) fn end_with(mut self, code: i32) -> Result<(), Failed> {
        let until = Instant::now() + SOON;
        while Instant::now() < until {
            let Some(status) = self.child.try_wait()? else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            if status.code() == Some(code) {
                return Ok(());
            }
            let said = fs::read_to_string(&self.stderr).unwrap_or_default();
            return Err(
                format!("it ended with {status} instead of {code}, and said: {said}").into(),
            );
        }
        Err("it goes on".into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A script that is stopped dies of nothing else.
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}
