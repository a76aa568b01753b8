//! How far a program has been told to stop, and what its end means then.

use super::super::exit_code::Exit;

/// How far the program has been told to stop.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stop {
    No,
    /// It was told to, and the lease was renewed after that, before it was lost.
    Spared,
    Asked,
    Killed,
}

impl Stop {
    /// What `lease` ends with when the program has ended like this.
    pub(super) fn judge(self, ended: Exit) -> Exit {
        match (self, ended) {
            (Self::No, ended) => ended,
            // Nothing was lost, but it is not done either: this is what it was told to do.
            (Self::Spared, Exit::Signal(TERM) | Exit::Program(TERMINATED)) => Exit::Lost,
            (Self::Spared, ended) => ended,
            (Self::Asked | Self::Killed, _) => Exit::Lost,
        }
    }
}

/// SIGTERM, and the code of shells whose program has died of it.
const TERM: u8 = 15;
const TERMINATED: u8 = 128 + TERM;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_told_to_stop_and_spared_has_ended_by_itself_unless_it_obeyed() {
        let by_itself = [Exit::Program(0), Exit::Program(7), Exit::Signal(9)];
        for ended in by_itself {
            assert_eq!(Stop::No.judge(ended), ended);
            assert_eq!(Stop::Spared.judge(ended), ended);
            assert_eq!(Stop::Asked.judge(ended), Exit::Lost);
            assert_eq!(Stop::Killed.judge(ended), Exit::Lost);
        }
        for obeyed in [Exit::Program(143), Exit::Signal(15)] {
            assert_eq!(Stop::No.judge(obeyed), obeyed);
            assert_eq!(Stop::Spared.judge(obeyed), Exit::Lost);
        }
    }
}
