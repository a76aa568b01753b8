//! The program that `lease run` runs: found before anything is acquired, and gone before anybody else can hold the lease.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::AsFd,
        unix::{
            fs::PermissionsExt,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
};

use rustix::process::{Pid, getpid, set_child_subreaper};

use super::{
    super::{exit_code::Exit, failure::Failure},
    deadline::{Deadline, Limit},
    guard::{BOUND, FREE, GUARD, OURSELVES},
    message::{Channel, Order, Report},
    sweep::{strike_all_but, sweep},
};

/// Finds the program as execvp(3) does, so that a mistyped name is told before anything is acquired.
pub(super) fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let shown = name.display();
    let missing = || Failure::new(Exit::NoProgram, format_args!("there is no program {shown}"));
    if Path::new(name).components().count() > 1 || name.as_encoded_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return if is_executable(&path) {
            Ok(path)
        } else if path.exists() {
            Err(not_executable(name))
        } else {
            Err(missing())
        };
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let candidates: Vec<_> = env::split_paths(&path)
        .map(|folder| folder.join(name))
        .collect();
    if let Some(found) = candidates.iter().find(|path| is_executable(path)) {
        return Ok(found.clone());
    }
    if candidates.iter().any(|path| path.is_file()) {
        return Err(not_executable(name));
    }
    Err(missing())
}

fn not_executable(name: &OsStr) -> Failure {
    let line = format!(
        "{} cannot be executed: it is no program, or not permitted (chmod +x)",
        name.display()
    );
    Failure::new(Exit::NotExecutable, line)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A program that runs, and the process that guards it.
#[derive(Debug)]
pub(super) struct Program {
    guard: Child,
    channel: Arc<Channel>,
    deadline: Deadline,
    /// Whether all that is to end has ended.
    is_over: bool,
    is_bound: bool,
}

impl Program {
    /// Starts it, to run until the limit at most, or without one for as long as it likes.
    ///
    /// What happens is reported from another thread, and `None` when the guard is gone.
    pub(super) fn start(
        path: &Path,
        words: &[OsString],
        variables: &[(&str, String)],
        limit: Option<Limit>,
        mut report: impl FnMut(Option<Report>) + Send + 'static,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(
                Exit::RunFailed,
                format_args!("there is no process to run the program in: {error}"),
            )
        };
        // Whatever the guard leaves, if it is killed.
        set_child_subreaper(Some(getpid())).map_err(|error| failed(error.into()))?;
        let (ours, theirs) = Channel::pair().map_err(failed)?;
        let deadline = Deadline::new().map_err(failed)?;
        limit
            .map_or(Ok(()), |limit| deadline.set(limit))
            .map_err(failed)?;
        let guard = Command::new(OURSELVES)
            .args([GUARD, if limit.is_some() { BOUND } else { FREE }])
            .arg(path)
            .args(words)
            // Whoever stops or interrupts the group of `lease` does not mean the guard.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .spawn()
            .map_err(failed)?;
        let channel = Arc::new(ours);
        let program = Self {
            guard,
            channel: Arc::clone(&channel),
            deadline,
            is_over: false,
            is_bound: limit.is_some(),
        };
        let [told, killed] = program.deadline.files();
        program
            .channel
            .send_with(Order::Start, &[io::stdin().as_fd(), told, killed])
            .map_err(failed)?;
        let listen = move || {
            loop {
                let heard = channel.receive();
                report(heard);
                if heard.is_none() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("lease-program".to_owned());
        thread.spawn(listen).map_err(failed)?;
        Ok(program)
    }

    pub(super) fn order(&self, order: Order) {
        self.channel.send(order);
    }

    /// From now on it may run until then.
    pub(super) fn may_run_until(&self, limit: Limit) {
        if self.deadline.set(limit).is_err() {
            // No system does that, and what is not bounded is not to go on.
            self.order(Order::Kill);
        }
    }

    /// Waits for the guard, which has reported that the program has ended.
    pub(super) fn end(mut self) {
        self.is_over = true;
        let _status = self.guard.wait();
    }

    /// Kills the guard, and with it the program, and all that it has started.
    pub(super) fn kill(&mut self) {
        self.is_over = true;
        if self.is_bound {
            // First, since the guard may be at it, and then both are faster.
            strike_all_but(Pid::from_child(&self.guard));
        }
        let _already_gone = self.guard.kill();
        if self.is_bound {
            sweep(None);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}

/// The exit code for how a program ended.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Program(byte(code)),
        (None, Some(signal)) => Exit::Signal(byte(signal) & 0x7f),
        (None, None) => Exit::RunFailed,
    }
}
