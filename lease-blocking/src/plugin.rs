//! Runs a credential plugin: no shell, nothing to read, a time limit, a size limit.

use std::fmt;
use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lease_proto::access::{
    Access, CredentialsError, Exec, ExecCredential, ExecProblem, Material, Secret,
};

use crate::clock::Clock;

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

    /// Runs it once, and ends it, with all that it has started, as soon as nobody `is_wanted` it any more.
    pub(crate) fn run(&self, is_wanted: &dyn Fn() -> bool) -> Result<ExecCredential, ExecProblem> {
        let output = self.output(is_wanted)?;
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

    /// Says that it cannot be run.
    pub(crate) fn start_failed(&self, source: io::Error) -> ExecProblem {
        ExecProblem::Start {
            install_hint: self.exec.install_hint.clone(),
            source: Arc::new(source),
        }
    }

    fn output(&self, is_wanted: &dyn Fn() -> bool) -> Result<Secret, ExecProblem> {
        let start = |source| self.start_failed(source);
        let (clock, after) = (Clock::new(), self.exec.timeout);
        let started = clock.now();
        let (mut group, stdout) = self.start().map_err(start)?;
        let pipe = Pipe::read_aside(stdout).map_err(start)?;
        let mut pause = FIRST_PAUSE;
        let status = loop {
            pipe.wait(pause);
            if pipe.length() > MAX_OUTPUT {
                return Err(ExecProblem::TooMuchOutput { limit: MAX_OUTPUT });
            }
            if let Some(status) = group.try_wait().map_err(start)? {
                // What it has started and left behind may keep the pipe open for ever; what it wrote itself is in there.
                pipe.wait(GRACE);
                break status;
            }
            if clock.now().saturating_duration_since(started) >= after || !is_wanted() {
                return Err(ExecProblem::Timeout { after });
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        let output = pipe.take();
        if output.expose().len() > MAX_OUTPUT {
            return Err(ExecProblem::TooMuchOutput { limit: MAX_OUTPUT });
        }
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
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .env("KUBERNETES_EXEC_INFO", &self.info)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It may hold anything, a secret too.
            .stderr(Stdio::null())
            .spawn()?;
        match child.stdout.take() {
            Some(stdout) => Ok((Group::new(child), stdout)),
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
struct Group {
    child: Child,
    has_ended: bool,
}

impl Group {
    fn new(child: Child) -> Self {
        Self {
            child,
            has_ended: false,
        }
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.has_ended = status.is_some();
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once its end has been seen, the number may be somebody else's.
        if self.has_ended {
            return;
        }
        // These fail only where all have ended already.
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is read on a thread of its own, because a pipe cannot be read with a time limit. The thread ends with the pipe.
struct Pipe {
    /// `None` as soon as nobody wants more.
    output: Arc<Mutex<Option<Secret>>>,
    end: mpsc::Receiver<()>,
}

impl Pipe {
    fn read_aside(mut stdout: ChildStdout) -> io::Result<Self> {
        let output = Arc::new(Mutex::new(Some(Secret::with_capacity(CAPACITY))));
        let (at_end, end) = mpsc::channel();
        let shared = Arc::clone(&output);
        thread::Builder::new()
            .name("lease-plugin-io".to_owned())
            .spawn(move || {
                let _at_end: mpsc::Sender<()> = at_end;
                let mut piece = Secret::new(vec![0; PIECE]);
                // What a broken pipe gave is judged as what it is: no answer in JSON.
                while let Ok(length @ 1..) = stdout.read(piece.expose_mut()) {
                    let mut output = lock(&shared);
                    let Some(output) = output.as_mut().filter(|it| it.expose().len() <= MAX_OUTPUT)
                    else {
                        break;
                    };
                    let read = piece.expose().get(..length).unwrap_or_default();
                    output.expose_mut().extend_from_slice(read);
                    // The next read may wait for long.
                    piece.expose_mut().fill(0);
                }
            })?;
        Ok(Self { output, end })
    }

    /// Waits for the end of the pipe, no longer than this.
    fn wait(&self, longest: Duration) {
        if self.end.recv_timeout(longest) == Err(RecvTimeoutError::Disconnected) && longest < GRACE
        {
            // It has closed its output, so it is about to end.
            thread::sleep(longest);
        }
    }

    fn length(&self) -> usize {
        let output = lock(&self.output);
        output.as_ref().map_or(0, |output| output.expose().len())
    }

    fn take(&self) -> Secret {
        let output = lock(&self.output).take();
        output.unwrap_or_else(|| Secret::with_capacity(0))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.take();
    }
}

fn lock(output: &Mutex<Option<Secret>>) -> MutexGuard<'_, Option<Secret>> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(secret: &Secret) -> io::Result<&str> {
    str::from_utf8(secret.expose()).map_err(|_| io::Error::other("an argument is not UTF-8"))
}

/// Between looks at whether it has ended.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How long is waited for what is in the pipe of a program that has ended.
const GRACE: Duration = Duration::from_millis(200);
const PIECE: usize = 8 * 1024;
const MAX_OUTPUT: usize = 1024 * 1024;
/// More than is ever read: what grows leaves copies behind.
const CAPACITY: usize = MAX_OUTPUT + PIECE + 1;
