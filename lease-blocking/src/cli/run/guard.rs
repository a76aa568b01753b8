//! The process between `lease` and its program, which kills the program in time even if `lease` cannot.
//!
//! `lease` may be killed, stopped, or stuck; this process does nothing but wait for the end of the grant, a timer that `lease`
//! sets after each renewal, or for the end of `lease`. It inherits whatever the program's children leave behind, so that nothing
//! escapes by a process group, a session or a parent of its own. Is it killed itself, so is the program, and `lease` inherits
//! the rest, and kills it.

use std::{
    ffi::OsString,
    fs, io,
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process_group,
        set_child_subreaper, set_parent_process_death_signal, wait,
    },
};
use signal_hook::{consts::SIGCHLD, low_level::pipe};

use super::{
    super::{exit_code::Exit, failure::Failure},
    deadline::Deadline,
    message::{Channel, Heard, Order, Report},
    sweep::sweep,
};

/// What makes a process of ours something else than the command that people type.
///
/// What is done between fork and exec takes unsafe code, and a process of ours takes none.
pub(crate) fn play_part(words: &[OsString]) -> Option<Result<Exit, Failure>> {
    let [_, part, rest @ ..] = words else {
        return None;
    };
    match (part.to_str(), rest) {
        (Some(GUARD), [bond, path, name, arguments @ ..]) => {
            Some(guard(bond, path, name, arguments))
        }
        (Some(BECOME), [bond, parent, path, name, arguments @ ..]) => {
            Some(Err(become_program(bond, parent, path, name, arguments)))
        }
        _ => None,
    }
}

/// Looks whether there is what processes are found and started by, before anything is acquired.
pub(super) fn find_proc() -> Result<(), Failure> {
    fs::metadata(OURSELVES).map(|_| ()).map_err(|error| {
        let line = format_args!(
            "{OURSELVES} is missing ({error}): lease run needs /proc, by which it finds all that the program has started"
        );
        Failure::new(Exit::RunFailed, line)
    })
}

/// Arranges to be killed when the guard is, and turns into the program; returns only if that fails.
fn become_program(
    bond: &OsString,
    parent: &OsString,
    path: &OsString,
    name: &OsString,
    arguments: &[OsString],
) -> Failure {
    if bond == BOUND {
        // This lasts beyond the exec, unless the program changes its user.
        let arranged = set_parent_process_death_signal(Some(Signal::KILL));
        let is_orphan = getppid().map(|pid| pid.as_raw_nonzero().to_string())
            != parent.to_str().map(str::to_owned);
        if arranged.is_err() || is_orphan {
            return Failure::new(Exit::RunFailed, "the lease is not kept any more");
        }
    }
    let error = Command::new(path).arg0(name).args(arguments).exec();
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NoProgram,
        _ => Exit::NotExecutable,
    };
    let shown = Path::new(path).display();
    Failure::new(exit, format_args!("cannot run {shown}: {error}"))
}

/// Guards the program until it has ended, with all that it has started.
fn guard(
    bond: &OsString,
    path: &OsString,
    name: &OsString,
    arguments: &[OsString],
) -> Result<Exit, Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            Exit::RunFailed,
            format_args!("the program cannot be guarded: {error}"),
        )
    };
    let channel = Channel::new(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    let Some((Order::Start, [stdin, timers @ ..])) = channel.receive_with() else {
        // `lease` is gone already.
        return Ok(Exit::RunFailed);
    };
    set_child_subreaper(Some(getpid())).map_err(|error| failed(error.into()))?;
    let (children, told) = UnixStream::pair().map_err(failed)?;
    children.set_nonblocking(true).map_err(failed)?;
    pipe::register(SIGCHLD, told).map_err(failed)?;
    let mut guard = Guard {
        is_bound: bond == BOUND,
        channel,
        has_lease: true,
        deadline: Deadline::of_files(timers),
        children,
        program: None,
    };
    if guard.listen() == Task::Over || guard.deadline.is_over() {
        // `lease` was stopped between its look at the clock and now.
        guard.channel.send(Report::Killed);
        guard.channel.send(Report::Ended(Signal::KILL.as_raw()));
        return Ok(Exit::Lost);
    }
    let program = Command::new(OURSELVES)
        .arg(BECOME)
        .arg(bond)
        .arg(std::process::id().to_string())
        .arg(path)
        .arg(name)
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::from(stdin))
        .spawn()
        .map_err(failed)?;
    // What stops a service tells all of its processes to. `lease` passes that on, and this one has to outlive the program.
    let mut blocked = SigSet::all();
    blocked.remove(NixSignal::SIGCHLD);
    blocked
        .thread_block()
        .map_err(|error| failed(error.into()))?;
    guard.program = Some(Pid::from_child(&program));
    guard.channel.send(Report::Started(
        Pid::from_child(&program).as_raw_nonzero().get(),
    ));
    guard.watch().map_err(failed)?;
    Ok(Exit::Done)
}

#[derive(Debug)]
struct Guard {
    /// Whether the program must not outlive the lease.
    is_bound: bool,
    channel: Channel,
    /// Whether `lease` was there when it was last listened to.
    has_lease: bool,
    /// Never, where the program may run for as long as it likes.
    deadline: Deadline,
    /// Has something to read when something has happened to a child.
    children: UnixStream,
    /// Until it has ended. It is not waited for before, so its number, and that of its group, belong to nobody else.
    program: Option<Pid>,
}

/// Whether the program may go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Task {
    GoesOn,
    Over,
}

impl Guard {
    fn watch(&mut self) -> io::Result<()> {
        loop {
            if let Some(status) = self.reap() {
                self.finish(Some(status));
                return Ok(());
            }
            if self.listen() == Task::Over {
                self.finish(None);
                return Ok(());
            }
            if self.deadline.is_over() {
                self.channel.send(Report::Killed);
                self.finish(None);
                return Ok(());
            }
            if self.deadline.is_near() {
                self.tell();
            }
            let [told, killed] = self.deadline.files();
            let mut ready = [
                PollFd::new(&told, PollFlags::IN),
                PollFd::new(&killed, PollFlags::IN),
                PollFd::new(&self.children, PollFlags::IN),
                PollFd::new(&self.channel, PollFlags::IN),
            ];
            // It cannot be asked for what is gone: that would be ready for ever.
            let watched = if self.has_lease { 4 } else { 3 };
            let Some(asked) = ready.get_mut(..watched) else {
                return Ok(());
            };
            match poll(asked, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does all that `lease` has asked for until now.
    fn listen(&mut self) -> Task {
        while self.has_lease {
            match self.channel.receive_now() {
                Heard::Message(Order::Kill) => return Task::Over,
                Heard::Message(order) => self.obey(order),
                Heard::Nothing => break,
                Heard::Gone if self.is_bound => return Task::Over,
                Heard::Gone => self.has_lease = false,
            }
        }
        Task::GoesOn
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Kill | Order::Start => {}
            Order::Signal(signal) => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    self.signal(signal);
                }
            }
        }
    }

    /// Takes note of what has happened to the children; returns how the program has ended, if it has.
    fn reap(&mut self) -> Option<WaitStatus> {
        let mut drained = [0; 64];
        while io::Read::read(&mut &self.children, &mut drained).is_ok_and(|length| length > 0) {}
        loop {
            match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((child, status))) if Some(child) == self.program => {
                    match status.stopping_signal() {
                        Some(signal) => self.channel.send(Report::Stopped(signal)),
                        None => {
                            self.program = None;
                            return Some(status);
                        }
                    }
                }
                // An orphan, that was left to this process.
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Tells the program to stop.
    fn tell(&self) {
        self.channel.send(Report::Told);
        self.signal(Signal::TERM);
        // It may be suspended, and is to end.
        self.signal(Signal::CONT);
    }

    /// Sends a signal to the program and to all that it has started, unless that has left the group.
    fn signal(&self, signal: Signal) {
        if let Some(program) = self.program {
            let _already_gone = kill_process_group(program, signal);
        }
    }

    /// Kills all that there is, and says how the program has ended.
    fn finish(&mut self, status: Option<WaitStatus>) {
        // It is faster than to look for each.
        self.signal(Signal::KILL);
        let swept = sweep(self.program);
        if swept.has_left {
            self.channel.send(Report::Unkillable);
        }
        let status = status.or(swept.status).map(WaitStatus::as_raw);
        let status = status.unwrap_or(Signal::KILL.as_raw());
        self.channel.send(Report::Ended(status));
    }
}

/// The first words of command lines that only `lease` itself uses.
pub(super) const GUARD: &str = "__guard";
const BECOME: &str = "__become";

/// What is run to be a process of ours.
pub(super) const OURSELVES: &str = "/proc/self/exe";

/// Whether the program must not outlive the lease.
pub(super) const BOUND: &str = "bound";
pub(super) const FREE: &str = "free";
