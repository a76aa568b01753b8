//! Runs a credential plugin: no shell, nothing to read, a time limit, a size limit.

use std::fmt;
use std::io;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use lease_proto::access::{
    Access, CredentialsError, Exec, ExecCredential, ExecCredentialError, ExecProblem, Material,
    Secret,
};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time;

use crate::credentials::AskToken;
use crate::transport::BoxFuture;

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

    async fn run(
        &self,
        timeout: Duration,
    ) -> Result<(Secret, Option<SystemTime>), CredentialsError> {
        let failed = |problem| CredentialsError::Exec {
            command: self.exec.command.clone(),
            problem,
        };
        let output = match time::timeout(timeout, self.output()).await {
            Ok(output) => output.map_err(failed)?,
            Err(_) => return Err(failed(ExecProblem::Timeout { after: timeout })),
        };
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

    async fn output(&self) -> Result<Secret, ExecProblem> {
        let start = |source| ExecProblem::Start {
            install_hint: self.exec.install_hint.clone(),
            source,
        };
        let (mut child, stdout) = self.start().map_err(start)?;
        let mut output = Secret::with_capacity(CAPACITY);
        // What a broken pipe gave is judged as what it is: no answer in JSON.
        let _ = stdout
            .take(MAX_OUTPUT as u64 + 1)
            .read_to_end(output.expose_mut())
            .await;
        if output.expose().len() > MAX_OUTPUT {
            return Err(ExecProblem::TooMuchOutput { limit: MAX_OUTPUT });
        }
        let status = child.wait().await.map_err(start)?;
        if !status.success() {
            return Err(ExecProblem::Exit {
                status: status.to_string(),
            });
        }
        Ok(output)
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
            .kill_on_drop(true)
            .spawn()?;
        match child.stdout.take() {
            Some(stdout) => Ok((child, stdout)),
            None => Err(io::Error::other("no pipe")),
        }
    }
}

impl AskToken for Plugin {
    /// Dropping the future ends the program.
    fn ask(
        &self,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<(Secret, Option<SystemTime>), CredentialsError>> {
        Box::pin(self.run(timeout))
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.exec.command).finish()
    }
}

fn text(secret: &Secret) -> io::Result<&str> {
    str::from_utf8(secret.expose()).map_err(|_| io::Error::other("an argument is not UTF-8"))
}

const MAX_OUTPUT: usize = 1024 * 1024;
/// More than is ever read: what grows leaves copies behind.
const CAPACITY: usize = MAX_OUTPUT + 64;
