//! What can be wrong with a directory of Leases.

use std::{error::Error, fmt, io, path::PathBuf};

use lease_proto::server::SnapshotError;

/// What is wrong with a directory of Leases.
///
/// A file that cannot be read is never replaced: what it held may still be relied on by others.
#[non_exhaustive]
#[derive(Debug)]
pub enum EmbeddedError {
    /// Another process kept the directory locked for too long.
    Busy {
        /// The directory.
        directory: PathBuf,
    },
    /// The file with the Leases cannot be understood.
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
    /// The directory holds other things, and no Leases.
    Foreign {
        /// The directory.
        directory: PathBuf,
    },
    /// The system refused.
    Io {
        /// What was to be done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There were Leases here, and their file is gone.
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// Others could change what the directory holds.
    NotPrivate {
        /// The directory.
        directory: PathBuf,
    },
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { directory } => write!(
                f,
                "another process keeps {} locked; a stopped one may have to be continued or killed",
                directory.display()
            ),
            Self::Corrupt { file, .. } => write!(
                f,
                "{} is damaged; when no process relies on its leases any more, remove its directory",
                file.display()
            ),
            Self::Foreign { directory } => write!(
                f,
                "{} is not empty and holds no leases; name an empty or a new directory",
                directory.display()
            ),
            Self::Io { doing, path, .. } => write!(f, "cannot {doing} {}", path.display()),
            Self::Missing { file } => write!(
                f,
                "{} is gone; when no process relies on its leases any more, remove its directory",
                file.display()
            ),
            Self::NotPrivate { directory } => write!(
                f,
                "{} belongs to another user or may be written by others; it must be yours alone (chmod go-w)",
                directory.display()
            ),
        }
    }
}

impl Error for EmbeddedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Corrupt { source, .. } => Some(source),
            Self::Io { source, .. } => Some(source),
            Self::Busy { .. }
            | Self::Foreign { .. }
            | Self::Missing { .. }
            | Self::NotPrivate { .. } => None,
        }
    }
}
