//! Bugs that are planted between a claim and the world, to see whether the checker finds them.

use clap::ValueEnum;

/// A bug.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ValueEnum)]
#[non_exhaustive]
pub enum Plant {
    /// Writes are bound to no version and no uid.
    NoPreconditions,
    /// A grant is believed for a lease duration longer than it lasts.
    LateDeadline,
    /// What others hold is taken without waiting.
    NoWait,
    /// A conflict at a renewal is taken for a success.
    ConflictIsSuccess,
    /// A release clears whatever the record has become.
    ReleaseClobbers,
}

impl Plant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NoPreconditions,
        Self::LateDeadline,
        Self::NoWait,
        Self::ConflictIsSuccess,
        Self::ReleaseClobbers,
    ];
}
