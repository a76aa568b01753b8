//! Bugs that are planted between a claim and the world, to see whether the checker finds them.

use clap::ValueEnum;

/// A bug.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ValueEnum)]
#[non_exhaustive]
pub enum Plant {
    /// Writes are bound to no version.
    NoVersion,
    /// Writes are bound to no uid.
    NoUid,
    /// What clears the record at a release is bound to no version.
    ReleaseClobbers,
    /// What deletes the record at a release is bound to nothing.
    DeleteClobbers,
    /// A grant counts from when its answer came.
    DeadlineFromAnswer,
    /// A renewal that is answered after the grant has ended revives it.
    LateAnswerRevives,
    /// A conflict at a renewal is taken for a success.
    ConflictIsSuccess,
    /// What others hold is taken without waiting.
    NoWait,
    /// Others' time is counted from when the record was asked for.
    TimerFromRequest,
    /// Others' time is half of what their record says.
    OwnDuration,
    /// The loss is said only after the release.
    ReleaseBeforeLost,
}

impl Plant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NoVersion,
        Self::NoUid,
        Self::ReleaseClobbers,
        Self::DeleteClobbers,
        Self::DeadlineFromAnswer,
        Self::LateAnswerRevives,
        Self::ConflictIsSuccess,
        Self::NoWait,
        Self::TimerFromRequest,
        Self::OwnDuration,
        Self::ReleaseBeforeLost,
    ];

    /// How many misfortunes it takes to see it.
    pub fn least_misfortunes(self) -> u8 {
        match self {
            // A release that comes late has to meet a successor; a grant that counts from late has to meet one that waits.
            Self::ReleaseClobbers | Self::DeadlineFromAnswer => 2,
            _ => 1,
        }
    }
}
