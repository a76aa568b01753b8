//! The processes of this machine, as /proc lists them.

use std::{
    fs::{self, File},
    io::Read,
    os::fd::OwnedFd,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    process::{Pid, Signal, kill_process, pidfd_send_signal},
};

/// A process as it was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    started: u64,
}

/// What no two processes have in common, though they may have the same number one after the other.
pub(super) type Identity = (Pid, u64);

impl Process {
    /// Looks at it through its folder, which is that of nobody else when it has ended.
    fn read(pid: Pid) -> Option<(Self, OwnedFd)> {
        let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, format!("{PROC}/{pid}"), folder, Mode::empty()).ok()?;
        let stat = OFlags::RDONLY | OFlags::CLOEXEC;
        let stat = openat(&folder, "stat", stat, Mode::empty()).ok()?;
        // One piece holds all that is needed, and there may be many to be read.
        let mut piece = [0; 512];
        let length = File::from(stat).read(&mut piece).ok()?;
        let piece = String::from_utf8_lossy(piece.get(..length)?);
        Some((Self::parse(pid, &piece)?, folder))
    }

    fn parse(pid: Pid, stat: &str) -> Option<Self> {
        // The program's name stands in parentheses, and may have some of its own.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let parent = Pid::from_raw(fields.nth(1)?.parse().ok()?)?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self {
            pid,
            parent,
            started,
        })
    }

    pub(super) fn identity(&self) -> Identity {
        (self.pid, self.started)
    }

    /// Sends it a signal, unless it has ended: somebody else may have its number then.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match Self::read(self.pid) {
            Some((now, folder)) if now.started == self.started => now.signal_by(&folder, signal),
            _ => Err(Errno::SRCH),
        }
    }

    /// Sends a signal to whom the folder belongs to.
    pub(super) fn signal_by(&self, folder: &OwnedFd, signal: Signal) -> Result<(), Errno> {
        match pidfd_send_signal(folder, signal) {
            // Old systems have no such thing, and some containers forbid it, as if the process did. Then its number has to do, that
            // was read just now.
            Err(Errno::NOSYS | Errno::BADF | Errno::PERM) => kill_process(self.pid, signal),
            outcome => outcome,
        }
    }
}

/// All that there are, each looked at when it is its turn.
pub(super) fn all() -> impl Iterator<Item = (Process, OwnedFd)> {
    let entries = fs::read_dir(PROC).into_iter().flatten();
    entries.filter_map(|entry| {
        let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Process::read(Pid::from_raw(number)?)
    })
}

const PROC: &str = "/proc";

#[cfg(test)]
mod tests {
    use rustix::process::{getpid, getppid};

    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_hides_nothing() {
        let pid = Pid::from_raw(7).expect("it is not zero");
        let stat = "7 (a) S 9 (b) R 3 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 1";
        let process = Process::parse(pid, stat).expect("it is complete");
        assert_eq!(process.parent.as_raw_nonzero().get(), 3);
        assert_eq!(process.started, 4711);
        assert!(Process::parse(pid, "7 (a) R 3 7").is_none());
    }

    #[test]
    fn this_process_is_among_all() {
        let us = all().find(|(it, _)| it.pid == getpid());
        assert_eq!(us.map(|(it, _)| it.parent), getppid());
    }

    #[test]
    fn who_has_got_the_number_of_another_is_not_killed() {
        let (us, _) = Process::read(getpid()).expect("it is there");
        let before_us = Process {
            started: us.started - 1,
            ..us
        };
        assert_eq!(before_us.signal(Signal::KILL), Err(Errno::SRCH));
        assert_eq!(us.signal(Signal::CONT), Ok(()));
    }
}
