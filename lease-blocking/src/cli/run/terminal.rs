//! The terminal that `lease run` was started from, and who may read from it.

use std::{
    fs::{File, OpenOptions},
    io::{IsTerminal, stderr, stdin, stdout},
};

use nix::sys::signal::{SigSet, Signal as NixSignal, raise};
use rustix::{
    process::{Pid, Signal, getpgrp, kill_current_process_group},
    termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp},
};

/// The terminal, if there is one.
#[derive(Debug)]
pub(super) struct Terminal {
    file: Option<File>,
    /// Whether the program's group has it.
    is_lent: bool,
    /// How it was set when it was lent.
    settings: Option<Termios>,
}

impl Terminal {
    pub(super) fn open() -> Self {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty");
        // Whoever writes to a terminal from the background, or says who may, is stopped by this signal in some terminals.
        let mut blocked = SigSet::empty();
        blocked.add(NixSignal::SIGTTOU);
        let _without = blocked.thread_block();
        Self {
            file: file.ok(),
            is_lent: false,
            settings: None,
        }
    }

    /// Whether nobody else is to have it: in a pipeline the next command may want to read from it, as `less` does.
    pub(super) fn is_for_one() -> bool {
        stdin().is_terminal() && stdout().is_terminal() && stderr().is_terminal()
    }

    /// Lends it to the program's group, unless somebody else has it; returns whether the group has it.
    pub(super) fn lend(&mut self, group: Pid) -> bool {
        if let Some(file) = &self.file
            && !self.is_lent
            && tcgetpgrp(file) == Ok(getpgrp())
        {
            self.settings = tcgetattr(file).ok();
            self.is_lent = tcsetpgrp(file, group).is_ok();
        }
        self.is_lent
    }

    /// Takes it back; returns whether it was lent.
    pub(super) fn take_back(&mut self) -> bool {
        if self.is_lent
            && let Some(file) = &self.file
        {
            let _gone = tcsetpgrp(file, getpgrp());
        }
        std::mem::take(&mut self.is_lent)
    }

    /// Takes it back from a program that has ended; returns whether it was lent.
    ///
    /// One that was killed had no time to set it as it was before, and the shell does that for those jobs only that die of a
    /// signal themselves.
    pub(super) fn take_back_from(&mut self, was_killed: bool) -> bool {
        let was_lent = self.take_back();
        if was_lent
            && was_killed
            && let (Some(file), Some(settings)) = (&self.file, &self.settings)
        {
            // At once: what is still to be written may never be, if somebody has pressed Ctrl-S.
            let _gone = tcsetattr(file, OptionalActions::Now, settings);
        }
        was_lent
    }
}

/// Passes on to the job of the shell what the terminal did to the program alone, and it would have done to all of the job.
pub(super) fn pass_up(signal: Signal) {
    let _gone = kill_current_process_group(signal);
}

/// Has the shell suspend this job, and returns when it goes on: at once, if there is no shell that would ever let it.
///
/// The signal for it is one that is not passed on to the program.
pub(super) fn suspend(is_all_of_the_job: bool) {
    if is_all_of_the_job {
        pass_up(Signal::TTIN);
    } else {
        let _gone = raise(NixSignal::SIGTTIN);
    }
}
