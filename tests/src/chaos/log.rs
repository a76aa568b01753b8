//! What is known of a run: what each claimant said, what was done to it, and every version of every record.

use std::fmt;

use crate::{boot::Micros, chaos::fenced::Write};

/// Which program a claimant is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Program {
    /// Over `lease-blocking`.
    Blocking,
    /// Over client-go.
    Rival,
    /// Over `lease-tokio`.
    Tokio,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocking => "blocking",
            Self::Rival => "rival",
            Self::Tokio => "tokio",
        })
    }
}

/// A process that claims one Lease.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Process {
    /// The Lease.
    pub lease: String,
    /// Its name, another one for each process; the holder that the records name begins with it.
    pub name: String,
    /// Which program it is.
    pub program: Program,
}

/// What a process said, or what was done to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// It said that it holds the Lease.
    Acquired {
        /// The fencing token, if it has one.
        token: Option<u128>,
        /// When its grant ends; unknown for the rival.
        until: Option<Micros>,
    },
    /// It was let go on.
    Continued,
    /// It was killed, or ended by itself.
    Ended,
    /// It said that it does not hold the Lease any more.
    Lost,
    /// It said that it holds the Lease for longer.
    Renewed {
        /// When its grant ends.
        until: Micros,
    },
    /// It was started.
    Started,
    /// It was stopped.
    Stopped,
}

impl What {
    /// Tells whether the process itself said it.
    pub fn was_said(self) -> bool {
        match self {
            Self::Acquired { .. } | Self::Lost | Self::Renewed { .. } => true,
            Self::Continued | Self::Ended | Self::Started | Self::Stopped => false,
        }
    }
}

/// What happened to a process, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// When, by the clock that all share.
    pub at: Micros,
    /// To whom.
    pub process: Process,
    /// What.
    pub what: What,
}

/// Something that was done to claimants, or to all that they depend on.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Harm {
    /// To those who contend for this Lease; `None` is everybody.
    pub lease: Option<String>,
    /// To which process; `None` is the server, or the record.
    pub process: Option<String>,
    /// What, in a word or two.
    pub what: String,
    /// When it began.
    pub from: Micros,
    /// When it ended.
    pub until: Micros,
}

/// A version of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Version {
    /// The Lease.
    pub lease: String,
    /// Its number.
    pub number: u128,
    /// Whether the record was deleted with it.
    pub is_deletion: bool,
    /// Whether versions before it may be missing.
    pub follows_gap: bool,
    /// Who holds it.
    pub holder: Option<String>,
    /// When the holder says that it said so last, by the clock that all share.
    pub renewed: Option<Micros>,
    /// For how long after that nobody else may take it.
    pub duration: Micros,
}

/// All of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Log {
    /// In any order: each has its time.
    pub entries: Vec<Entry>,
    /// In the order in which the server committed them.
    pub versions: Vec<Version>,
    /// In the order in which they came.
    pub writes: Vec<Write>,
}
