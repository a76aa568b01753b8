//! What the exit code says.

use std::process::ExitCode;

/// How a command ends.
///
/// `acquire`, `renew`, `release`, `status` and `list` end with 0 to 6, `run` as timeout(1) does, and all with 64 where the
/// command line makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Any other failure.
    Failed,
    /// `status`: nobody holds it.
    NotHeld,
    /// There is no such lease, namespace or directory.
    NotFound,
    /// Somebody else had it until the time given for waiting was over.
    TimedOut,
    /// The API server does not know the identity, or does not permit it.
    NotPermitted,
    /// Somebody else holds it.
    Held,
    /// `status`: any other failure, so that it is not known.
    Unknown,
    /// The command line makes no sense.
    Usage,
    /// `run`: the lease was lost while the program ran, and the program was stopped.
    Lost,
    /// `run`: somebody else had it until the time given was over.
    NotAcquired,
    /// `run`: it failed before the program was run.
    RunFailed,
    /// `run`: the program cannot be executed.
    NotExecutable,
    /// `run`: there is no such program.
    NoProgram,
    /// `run`: the program ended with this code.
    Program(u8),
    /// This signal ended the program, or `lease` itself while it waited.
    Signal(u8),
}

impl Exit {
    /// The code that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed | Self::NotHeld => 1,
            Self::NotFound => 2,
            Self::TimedOut => 3,
            Self::NotPermitted => 4,
            Self::Held => 5,
            Self::Unknown => 6,
            Self::Usage => 64,
            Self::Lost => 123,
            Self::NotAcquired => 124,
            Self::RunFailed => 125,
            Self::NotExecutable => 126,
            Self::NoProgram => 127,
            Self::Program(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// The codes of all commands but `run`, as `--help` shows them.
pub(crate) const OURS: &str = "\
EXIT CODES of acquire, renew, release, status, list and watch:
    0  done; status: it is held
    1  status: it is free or expired; others: any other failure, such as that there was no answer
    2  there is no such lease, namespace or directory
    3  somebody else had it until the time for waiting was over
    4  not permitted
    5  somebody else holds it
    6  status: any other failure, so it is not known whether somebody holds it
   64  the command line makes no sense";

/// Those of `run`.
pub(crate) const RUN: &str = "\
EXIT CODES of run:
       the program's own, or 128 and the number of the signal that ended it
   64  the command line makes no sense
  123  the lease was lost while the program ran, and the program was stopped; or it ended by the
       SIGTERM before that, though the lease was renewed after all
  124  somebody else had it until the time for waiting was over, or --conflict-exit-code
  125  lease itself failed, such as that there was no answer, or it is not permitted
  126  the program cannot be executed
  127  there is no such program";

/// What they have in common.
pub(crate) const RULE: &str = "\
An API server that cannot be reached, or a directory that cannot be used, is 1, for status 6, and for run 125, however long it was tried.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_that_are_documented() {
        let codes = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::NotHeld, 1),
            (Exit::NotFound, 2),
            (Exit::TimedOut, 3),
            (Exit::NotPermitted, 4),
            (Exit::Held, 5),
            (Exit::Unknown, 6),
            (Exit::Usage, 64),
            (Exit::Lost, 123),
            (Exit::NotAcquired, 124),
            (Exit::RunFailed, 125),
            (Exit::NotExecutable, 126),
            (Exit::NoProgram, 127),
            (Exit::Program(42), 42),
            (Exit::Signal(15), 143),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
        for code in [
            "  0  done",
            "  1  status",
            "  2  there is no such",
            "  3  somebody else had",
            "  4  not",
            "  5  somebody else holds",
            "  6  status",
            " 64  ",
            "123  ",
            "124  ",
            "125  ",
            "126  ",
            "127  ",
        ] {
            let is_told = [OURS, RUN].iter().any(|help| help.contains(code));
            assert!(is_told, "{code} is not in the help");
        }
    }
}
