//! Runs a credential plugin: no shell, nothing to read, a time limit, a size limit.

use std::fmt;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lease_proto::access::{
    Access, CredentialsError, Exec, ExecCredential, ExecProblem, Material, Secret,
};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time;

/// A program that gives credentials.
pub(crate) struct Plugin {
    exec: Exec,
    /// What it finds in `KUBERNETES_EXEC_INFO`.
    info: String,
}

impl Plugin {
    pub(crate) fn new(exec: &Exec, access: &Access) -> Result<Self, CredentialsError> {
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

    /// Runs it once. Dropping the future ends the program, and all that it has started.
    pub(crate) async fn run(&self) -> Result<ExecCredential, ExecProblem> {
        let after = self.exec.timeout;
        let output = match time::timeout(after, self.output()).await {
            Ok(output) => output?,
            Err(_) => return Err(ExecProblem::Timeout { after }),
        };
        ExecCredential::parse(output.expose(), &self.exec.api_version)
            .map_err(|error| ExecProblem::Answer(Box::new(error)))
    }

    /// How long it may take.
    pub(crate) fn limit(&self) -> Duration {
        self.exec.timeout
    }

    pub(crate) fn failed(&self, problem: ExecProblem) -> CredentialsError {
        self.exec.failed(problem)
    }

    async fn output(&self) -> Result<Secret, ExecProblem> {
        let start = |source| ExecProblem::Start {
            install_hint: self.exec.install_hint.clone(),
            source: Arc::new(source),
        };
        let (mut group, mut stdout) = self.start().map_err(start)?;
        let mut output = Secret::with_capacity(CAPACITY);
        let exited = tokio::select! {
            biased;
            () = read(&mut stdout, &mut output) => None,
            status = group.0.wait() => Some(status.map_err(start)?),
        };
        if exited.is_some() {
            // What it has started and left behind may keep the pipe open for ever; what it wrote itself is in there.
            let _the_rest = time::timeout(GRACE, read(&mut stdout, &mut output)).await;
        }
        if output.expose().len() > MAX_OUTPUT {
            return Err(ExecProblem::TooMuchOutput { limit: MAX_OUTPUT });
        }
        let status = match exited {
            Some(status) => status,
            None => group.0.wait().await.map_err(start)?,
        };
        if !status.success() {
            return Err(ExecProblem::Exit {
                status: status.to_string(),
            });
        }
        Ok(output)
    }

    fn start(&self) -> io::Result<(Group, ChildStdout)> {
        let mut command = Command::new(&self.exec.command);
        for arg in &self.exec.args {
            command.arg(text(arg)?);
        }
        for (name, value) in &self.exec.env {
            command.env(name, text(value)?);
        }
        // It and what it starts can then be ended together.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command
            .env("KUBERNETES_EXEC_INFO", &self.info)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It may hold anything, a secret too.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        match child.stdout.take() {
            Some(stdout) => Ok((Group(child), stdout)),
            None => Err(io::Error::other("no pipe")),
        }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.exec.command).finish()
    }
}

/// The program and all that it has started, unless that has left its group. Dropping it ends them.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // It has an id until its end has been seen, so this is nobody else's.
        #[cfg(unix)]
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok())
            && let Some(group) = rustix::process::Pid::from_raw(id)
        {
            // Fails only where all have ended already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Reads to the end, or to more than there may be. May be dropped at any moment: what was read is in `output`.
async fn read(stdout: &mut ChildStdout, output: &mut Secret) {
    // What a broken pipe gave is judged as what it is: no answer in JSON.
    while output.expose().len() <= MAX_OUTPUT
        && stdout
            .read_buf(output.expose_mut())
            .await
            .is_ok_and(|read| read > 0)
    {}
}

fn text(secret: &Secret) -> io::Result<&str> {
    str::from_utf8(secret.expose()).map_err(|_| io::Error::other("an argument is not UTF-8"))
}

/// How long is waited for what is in the pipe of a program that has ended.
const GRACE: Duration = Duration::from_millis(200);
const MAX_OUTPUT: usize = 1024 * 1024;
/// More than is ever read: what grows leaves copies behind.
const CAPACITY: usize = MAX_OUTPUT + 64;
