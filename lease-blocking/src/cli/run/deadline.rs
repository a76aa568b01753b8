//! When the program has to stop: timers that `lease` sets, and that the process which guards the program goes by.
//!
//! Both have the same ones. A timer is what it was set to last, however long the guard was stopped and how much it has not heard
//! meanwhile, and whoever sets it waits for nobody.

use std::{
    cell::Cell,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// When the program has to stop, on the clock of [`now`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limit {
    /// It is told to stop.
    pub(super) told_at: Duration,
    /// It is killed.
    pub(super) killed_at: Duration,
}

/// The timers, which never end before they are set.
#[derive(Debug)]
pub(super) struct Deadline {
    told: OwnedFd,
    killed: OwnedFd,
    /// What the first was set to last.
    told_at: Cell<Option<Duration>>,
}

impl Deadline {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = || timerfd_create(TimerfdClockId::Boottime, flags);
        Ok(Self::of_files([timer()?, timer()?]))
    }

    /// Makes it of those of the other process.
    pub(super) fn of_files([told, killed]: [OwnedFd; 2]) -> Self {
        Self {
            told,
            killed,
            told_at: Cell::new(None),
        }
    }

    /// What the other process needs; each can be read from once it is time.
    pub(super) fn files(&self) -> [BorrowedFd<'_>; 2] {
        [self.told.as_fd(), self.killed.as_fd()]
    }

    /// From now on the program may run until then.
    pub(super) fn set(&self, limit: Limit) -> io::Result<()> {
        set(&self.killed, limit.killed_at)?;
        let is_past = |at: Duration| at <= now();
        if !(is_past(limit.told_at) && self.told_at.get().is_some_and(is_past)) {
            // Who was told already is not told again before it may go on for longer.
            set(&self.told, limit.told_at)?;
            self.told_at.set(Some(limit.told_at));
        }
        Ok(())
    }

    /// Returns whether the program is to be told to stop; true once for each time that it was set to.
    pub(super) fn is_near(&self) -> bool {
        has_ended(&self.told)
    }

    /// Returns whether the program is to be killed; true once.
    pub(super) fn is_over(&self) -> bool {
        has_ended(&self.killed)
    }
}

/// The time since the machine was started, which counts that it was suspended, and is the same for all processes.
pub(super) fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

/// Has a timer end at an instant.
fn set(timer: &OwnedFd, at: Duration) -> io::Result<()> {
    // Zero would disarm it.
    let at = at.max(Duration::from_nanos(1));
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

fn has_ended(timer: &OwnedFd) -> bool {
    let mut times = [0; 8];
    rustix::io::read(timer, &mut times).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_was_set_last_counts_however_often_it_was_set_before() {
        let ours = Deadline::new().expect("there are timers");
        let files = ours.files().map(|file| file.try_clone_to_owned());
        let theirs = Deadline::of_files(files.map(|file| file.expect("there are descriptors")));
        assert!(!theirs.is_near() && !theirs.is_over());
        // Nobody listens meanwhile.
        for _ in 0..10_000 {
            let (told_at, killed_at) = (now(), now());
            ours.set(Limit { told_at, killed_at }).expect("it is set");
        }
        let (told_at, killed_at) = (now() + FAR, now() + FAR);
        ours.set(Limit { told_at, killed_at }).expect("it is set");
        assert!(!theirs.is_near() && !theirs.is_over());
    }

    #[test]
    fn the_program_is_told_once_until_it_may_go_on_for_longer() {
        let ours = Deadline::new().expect("there are timers");
        let killed_at = now() + FAR;
        let tell = |told_at| {
            ours.set(Limit { told_at, killed_at }).expect("it is set");
            ours.is_near()
        };
        assert!(tell(now()));
        assert!(!tell(now()));
        assert!(!tell(now() + FAR));
        assert!(tell(now()));
        let killed_at = now();
        let told_at = killed_at;
        ours.set(Limit { told_at, killed_at }).expect("it is set");
        assert!(ours.is_over());
    }
}
