//! Runs a credential plugin: no shell, nothing to read, a time limit, a size limit.

use std::fmt;
use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use lease_proto::access::{
    Access, CredentialsError, Exec, ExecCredential, ExecCredentialError, ExecProblem, Material,
    Secret,
};

use crate::clock::Clock;
use crate::credentials::AskToken;

/// A program that gives a token.
pub(crate) struct Plugin {
    exec: Exec,
    /// What it finds in `KUBERNETES_EXEC_INFO`.
    info: String,
}

/// The plugin that an access names, unless a token or a password goes before it.
pub(crate) fn of(access: &Access) -> Result<Option<Box<dyn AskToken>>, CredentialsError> {
    let auth = &access.auth;
    match &auth.exec {
        Some(exec) if auth.token.is_none() && auth.basic.is_none() => {
            Ok(Some(Box::new(Plugin::new(exec, access)?)))
        }
        Some(_) | None => Ok(None),
    }
}

impl Plugin {
    fn new(exec: &Exec, access: &Access) -> Result<Self, CredentialsError> {
        let ca = match &access.tls.ca {
            Some(Material::File(path)) if exec.provide_cluster_info => Some(
                std::fs::read(path).map_err(|source| CredentialsError::Unreadable {
                    what: "certificate authority",
                    path: path.clone(),
                    source,
                })?,
            ),
            Some(Material::Inline(content)) => Some(content.expose().to_vec()),
            Some(Material::File(_)) | None => None,
        };
        Ok(Self {
            exec: exec.clone(),
            info: exec.info(access, ca.as_deref()),
        })
    }

    fn run(&self, timeout: Duration) -> Result<(Secret, Option<SystemTime>), CredentialsError> {
        let failed = |problem| CredentialsError::Exec {
            command: self.exec.command.clone(),
            problem,
        };
        let output = self.output(timeout).map_err(failed)?;
        let answer = ExecCredential::parse(output.expose(), &self.exec.api_version)
            .map_err(|error| failed(ExecProblem::Answer(error)))?;
        match (answer.token, answer.client_certificate) {
            (Some(token), _) => Ok((token, answer.expires_at)),
            (None, Some(_)) => Err(failed(ExecProblem::OnlyCertificate)),
            (None, None) => Err(failed(ExecProblem::Answer(ExecCredentialError::Missing(
                "token",
            )))),
        }
    }

    fn output(&self, timeout: Duration) -> Result<Secret, ExecProblem> {
        let clock = Clock::new();
        let started = clock.now();
        let left = || timeout.saturating_sub(clock.now().saturating_duration_since(started));
        let (mut child, stdout) = self.start().map_err(|source| ExecProblem::Start {
            install_hint: self.exec.install_hint.clone(),
            source,
        })?;
        let output = read_aside(stdout).recv_timeout(left());
        let Ok(output) = output else {
            stop(&mut child);
            return Err(ExecProblem::Timeout { after: timeout });
        };
        if output.expose().len() > MAX_OUTPUT {
            stop(&mut child);
            return Err(ExecProblem::TooMuchOutput { limit: MAX_OUTPUT });
        }
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(output),
                Ok(Some(status)) => {
                    return Err(ExecProblem::Exit {
                        status: status.to_string(),
                    });
                }
                // It has closed its output, so it is about to end.
                Ok(None) if !left().is_zero() => thread::sleep(EXIT_POLL),
                Ok(None) | Err(_) => {
                    stop(&mut child);
                    return Err(ExecProblem::Timeout { after: timeout });
                }
            }
        }
    }

    fn start(&self) -> io::Result<(Child, ChildStdout)> {
        let mut command = Command::new(&self.exec.command);
        for arg in &self.exec.args {
            command.arg(text(arg)?);
        }
        for (name, value) in &self.exec.env {
            command.env(name, text(value)?);
        }
        let mut child = command
            .env("KUBERNETES_EXEC_INFO", &self.info)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It may hold anything, a secret too.
            .stderr(Stdio::null())
            .spawn()?;
        match child.stdout.take() {
            Some(stdout) => Ok((child, stdout)),
            None => Err(io::Error::other("no pipe")),
        }
    }
}

impl AskToken for Plugin {
    fn ask(&self, timeout: Duration) -> Result<(Secret, Option<SystemTime>), CredentialsError> {
        self.run(timeout)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.exec.command).finish()
    }
}

/// Reads on a thread of its own, because a pipe cannot be read with a time limit. The thread ends with the pipe.
fn read_aside(stdout: ChildStdout) -> mpsc::Receiver<Secret> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut output = Secret::with_capacity(CAPACITY);
        // What a broken pipe gave is judged as what it is: no answer in JSON.
        let mut stdout = stdout.take(MAX_OUTPUT as u64 + 1);
        let _ = stdout.read_to_end(output.expose_mut());
        sender.send(output)
    });
    receiver
}

fn stop(child: &mut Child) {
    // Both fail only where it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn text(secret: &Secret) -> io::Result<&str> {
    str::from_utf8(secret.expose()).map_err(|_| io::Error::other("an argument is not UTF-8"))
}

const EXIT_POLL: Duration = Duration::from_millis(5);
const MAX_OUTPUT: usize = 1024 * 1024;
/// More than is ever read: what grows leaves copies behind.
const CAPACITY: usize = MAX_OUTPUT + 64;
