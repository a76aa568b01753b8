//! The program that `lease run` runs: found before anything is acquired, and gone before anybody else can hold the lease.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{
        fs::PermissionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::{exit_code::Exit, failure::Failure, say};

/// Finds the program as execvp(3) does, so that a mistyped name is told before anything is acquired.
pub(crate) fn find(name: &OsStr) -> Result<PathBuf, Failure> {
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

/// The first word of a command line that only `lease` itself uses, to become the program it was told to run.
const BECOME: &str = "__become";

/// Becomes the program, if the command line says so; returns only if it does not, or if that fails.
///
/// What is done between fork and exec takes unsafe code, and a process of ours takes none: it arranges to be killed when
/// the `lease` that keeps its lease is, even by SIGKILL, and then turns into the program.
pub(crate) fn become_program(words: &[OsString]) -> Option<Result<Exit, Failure>> {
    let [_, marker, parent, path, name, arguments @ ..] = words else {
        return None;
    };
    if marker != BECOME {
        return None;
    }
    // This lasts beyond the exec, unless the program changes its user.
    let arranged = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let is_orphan = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string())
        != parent.to_str().map(str::to_owned);
    if arranged.is_err() || is_orphan {
        return Some(Err(Failure::new(
            Exit::RunFailed,
            "the lease is not kept any more",
        )));
    }
    let error = Command::new(path).arg0(name).args(arguments).exec();
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NoProgram,
        _ => Exit::NotExecutable,
    };
    let shown = Path::new(path).display();
    Some(Err(Failure::new(
        exit,
        format_args!("cannot run {shown}: {error}"),
    )))
}

/// A running program, with all that it starts, in a process group of its own.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    group: Pid,
    has_terminal: bool,
}

impl Program {
    /// Starts it; `ended` is called from another thread when it has ended.
    pub(crate) fn start(
        path: &Path,
        words: &[OsString],
        variables: &[(&str, String)],
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Failure> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(BECOME)
            .arg(std::process::id().to_string())
            .arg(path)
            .args(words);
        command
            .process_group(0)
            .envs(variables.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().map_err(|error| {
            Failure::new(
                Exit::RunFailed,
                format_args!("there is no process to run the program in: {error}"),
            )
        })?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group =
            group.ok_or_else(|| Failure::new(Exit::RunFailed, "the program has no process id"))?;
        // Until it is reaped its process id, and so that of its group, belongs to nobody else.
        let wait = move || {
            await_end(group);
            ended();
        };
        let mut program = Self {
            child,
            group,
            has_terminal: false,
        };
        if let Err(error) = thread::Builder::new()
            .name("lease-program".to_owned())
            .spawn(wait)
        {
            program.end();
            return Err(Failure::new(
                Exit::RunFailed,
                format_args!("there is no thread to wait with: {error}"),
            ));
        }
        program.has_terminal = hand_terminal_to(group);
        Ok(program)
    }

    /// Sends a signal to the program and to all that it has started, unless that has left the group.
    pub(crate) fn signal(&self, signal: Signal) {
        let _already_gone = rustix::process::kill_process_group(self.group, signal);
    }

    /// Kills what is left of the group, and says how the program ended.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        let status = self.child.wait().ok();
        if self.has_terminal {
            self.has_terminal = false;
            hand_terminal_to(rustix::process::getpgrp());
        }
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until a program has ended, and has it go on where somebody suspends it from the terminal.
///
/// `lease` has the terminal's only job, and cannot be suspended with it: nobody would renew. SIGSTOP is left alone, since
/// whoever sends it means it.
fn await_end(program: Pid) {
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::Pid(program), options) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(Some(status)) if status.stopped() => {
                // Looked at above, and taken here: otherwise it would be there to be looked at again.
                let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
                let _taken = rustix::process::waitid(WaitId::Pid(program), options);
                if status.stopping_signal() == Some(Signal::TSTP.as_raw()) {
                    say(format_args!(
                        "a program that holds a lease cannot be suspended; it goes on"
                    ));
                    let _already_gone = rustix::process::kill_process_group(program, Signal::CONT);
                }
            }
            Ok(_) | Err(_) => return,
        }
    }
}

/// The exit code for how a program ended.
pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Program(byte(code)),
        (None, Some(signal)) => Exit::Signal(byte(signal) & 0x7f),
        (None, None) => Exit::RunFailed,
    }
}

/// Lets a process group read from the terminal and be interrupted from it; returns whether there is a terminal to give.
fn hand_terminal_to(group: Pid) -> bool {
    let stdin = io::stdin();
    let is_ours = rustix::termios::tcgetpgrp(&stdin).is_ok();
    if !is_ours {
        return false;
    }
    // Whoever changes this from the background is stopped by this signal, unless it is blocked.
    let mut blocked = SigSet::empty();
    blocked.add(NixSignal::SIGTTOU);
    let was_blocked = blocked.thread_block().is_ok();
    let handed = rustix::termios::tcsetpgrp(&stdin, group).is_ok();
    if was_blocked {
        let _still_blocked = blocked.thread_unblock();
    }
    if handed {
        // It may have been stopped for reading before it was allowed to.
        let _already_gone = rustix::process::kill_process_group(group, Signal::CONT);
    }
    handed
}
