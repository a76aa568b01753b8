//! The process between `lease` and its program, which kills the program in time even if `lease` cannot.
//!
//! `lease` may be killed, stopped, or stuck; this process does nothing but wait for the end of the grant, which it is told
//! after each renewal, or for the end of `lease`. It inherits whatever the program's children leave behind, so that nothing
//! escapes by a process group, a session or a parent of its own. Is it killed itself, so is the program, and `lease` inherits
//! the rest, and kills it.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process_group,
        set_child_subreaper, set_parent_process_death_signal, wait,
    },
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};
use signal_hook::{consts::SIGCHLD, low_level::pipe};

use super::{
    super::{exit_code::Exit, failure::Failure},
    message::{Channel, Heard, Limit, Order, Report, now},
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
    let Some((order, stdin)) = channel.receive_with::<Order>() else {
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
        limit: None,
        is_told: false,
        children,
        program: None,
    };
    guard.obey(order);
    let looked = now();
    if guard.listen() == Task::Over || guard.is_over(looked) {
        // `lease` was stopped between its look at the clock and now.
        guard.channel.send(Report::Killed);
        guard.channel.send(Report::Ended(Signal::KILL.as_raw()));
        return Ok(Exit::Lost);
    }
    let program = Command::new("/proc/self/exe")
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
    limit: Option<Limit>,
    /// Whether the program was told that this limit is near.
    is_told: bool,
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
        let timer = timerfd_create(
            TimerfdClockId::Boottime,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        loop {
            if let Some(status) = self.reap() {
                self.finish(Some(status));
                return Ok(());
            }
            // Read first: what was said until then counts, however long this process was stopped.
            let now = now();
            if self.listen() == Task::Over {
                self.finish(None);
                return Ok(());
            }
            if self.is_over(now) {
                self.channel.send(Report::Killed);
                self.finish(None);
                return Ok(());
            }
            self.tell(now);
            arm(&timer, self.next())?;
            let mut ready = [
                PollFd::new(&timer, PollFlags::IN),
                PollFd::new(&self.children, PollFlags::IN),
                PollFd::new(&self.channel, PollFlags::IN),
            ];
            // It cannot be asked for what is gone: that would be ready for ever.
            let watched = if self.has_lease { 3 } else { 2 };
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
            Order::Kill => {}
            Order::Signal(signal) => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    self.signal(signal);
                }
            }
            Order::Unlimited => self.limit = None,
            Order::Until(limit) => {
                self.limit = Some(limit);
                self.is_told &= limit.told_at <= now();
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

    fn is_over(&self, now: Duration) -> bool {
        self.limit.is_some_and(|limit| limit.killed_at <= now)
    }

    /// Tells the program to stop, if it is time to.
    fn tell(&mut self, now: Duration) {
        if !self.is_told && self.limit.is_some_and(|limit| limit.told_at <= now) {
            self.is_told = true;
            self.channel.send(Report::Told);
            self.signal(Signal::TERM);
            // It may be suspended, and is to end.
            self.signal(Signal::CONT);
        }
    }

    /// When there is something to do, if nothing happens.
    fn next(&self) -> Option<Duration> {
        let limit = self.limit?;
        Some(if self.is_told {
            limit.killed_at
        } else {
            limit.told_at
        })
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

/// Has a timer be ready from an instant on, or never.
fn arm(timer: &impl AsFd, at: Option<Duration>) -> io::Result<()> {
    // Zero would disarm it.
    let at = at.map_or(Duration::ZERO, |at| at.max(Duration::from_nanos(1)));
    let at = Timespec::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
    let never_again = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    timerfd_settime(
        timer,
        TimerfdTimerFlags::ABSTIME,
        &Itimerspec {
            it_interval: never_again,
            it_value: at,
        },
    )?;
    Ok(())
}

/// The first words of command lines that only `lease` itself uses.
pub(super) const GUARD: &str = "__guard";
const BECOME: &str = "__become";

/// Whether the program must not outlive the lease.
pub(super) const BOUND: &str = "bound";
pub(super) const FREE: &str = "free";
