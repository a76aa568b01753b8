//! What can be wrong with a directory of Leases, and what to do about it.

use std::{error::Error, fmt, io, path::PathBuf};

use crate::server::SnapshotError;

/// What is wrong with a directory of Leases.
///
/// A file that cannot be read is never replaced: what it held may still be relied on by others. A write that fails leaves
/// the Leases as they were.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::server::directory::{EmbeddedError, enter};
///
/// let error = enter(Path::new("/home/me"), &["photos".into()]).unwrap_err();
/// assert!(matches!(error, EmbeddedError::Foreign { .. }));
/// ```
#[non_exhaustive]
#[derive(Debug)]
pub enum EmbeddedError {
    /// Another process kept the directory locked for too long.
    Busy {
        /// The directory.
        directory: PathBuf,
        /// The process that has it locked, where the system tells.
        holder: Option<u32>,
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
    /// The file system, or what this user may have of it, is full. The Leases are as they were.
    Full {
        /// What was to be done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
        /// The file, or the directory if that is gone.
        file: PathBuf,
    },
    /// The directory is on a file system whose locks and renames cannot be relied on.
    NetworkFileSystem {
        /// The directory.
        directory: PathBuf,
        /// What the file system is called.
        file_system: &'static str,
    },
    /// A later version of this library has written the file with the Leases.
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The format that it names.
        format: String,
    },
    /// What is named as the directory is something else.
    NotDirectory {
        /// What is named.
        path: PathBuf,
    },
    /// In the place of a file there is something else.
    NotFile {
        /// The place.
        path: PathBuf,
    },
    /// The directory is not its owner's alone, or others could change a file in it.
    NotPrivate {
        /// The directory, or a file in it.
        path: PathBuf,
        /// Who may do what with it.
        mode: u32,
        /// Who should be.
        wanted: u32,
    },
    /// The directory, or a file in it, belongs to another user.
    OtherUser {
        /// The directory or file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// Nothing can be written: the file system is read-only, or this user may not.
    ReadOnly {
        /// What was to be done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory, or a file in it, is a symbolic link.
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// The file with the Leases ends too early.
    Truncated {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
}

impl EmbeddedError {
    /// Takes what the system said, when something was to be done to a file or a directory.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        let kind = source.kind();
        let is_full = matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let is_refused = matches!(
            kind,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        );
        if is_full {
            Self::Full {
                doing,
                path,
                source,
            }
        } else if is_refused {
            Self::ReadOnly {
                doing,
                path,
                source,
            }
        } else {
            Self::Io {
                doing,
                path,
                source,
            }
        }
    }

    /// Takes what is wrong with the state in a file.
    pub fn unreadable(file: impl Into<PathBuf>, source: SnapshotError) -> Self {
        let file = file.into();
        match source {
            SnapshotError::NewerFormat(format) => Self::NewerFormat { file, format },
            SnapshotError::Empty => Self::Truncated { file, source },
            SnapshotError::Malformed(ref error) if error.is_eof() => {
                Self::Truncated { file, source }
            }
            SnapshotError::Malformed(_)
            | SnapshotError::UnknownFormat(_)
            | SnapshotError::Inconsistent(_) => Self::Corrupt { file, source },
        }
    }
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { directory, holder } => {
                let directory = directory.display();
                match holder {
                    Some(holder) => write!(
                        f,
                        "process {holder} keeps {directory} locked; continue it if it is stopped, or kill it"
                    ),
                    None => write!(
                        f,
                        "another process keeps {directory} locked; a stopped one may have to be continued or killed"
                    ),
                }
            }
            Self::Corrupt { file, .. } => write!(f, "{} is damaged; {REMOVE}", file.display()),
            Self::Foreign { directory } => write!(
                f,
                "{} is not empty and holds no leases; name an empty or a new directory",
                directory.display()
            ),
            Self::Full { doing, path, .. } => write!(
                f,
                "no space is left to {doing} {}; the leases are as they were; free some space",
                path.display()
            ),
            Self::Io { doing, path, .. } => write!(f, "cannot {doing} {}", path.display()),
            Self::Missing { file } => write!(f, "{} is gone; {REMOVE}", file.display()),
            Self::NetworkFileSystem {
                directory,
                file_system,
            } => write!(
                f,
                "{} is on a network file system ({file_system}), whose locks cannot be relied on; \
                 name a directory on a disk or in the memory of this machine",
                directory.display()
            ),
            Self::NewerFormat { file, format } => write!(
                f,
                "{} is in format {format:?}, which a newer version has written; update this program, \
                 or name another directory",
                file.display()
            ),
            Self::NotDirectory { path } => write!(
                f,
                "{} is not a directory; name an empty or a new one",
                path.display()
            ),
            Self::NotFile { path } => write!(
                f,
                "{} is not a file; name another directory, or remove it",
                path.display()
            ),
            Self::NotPrivate { path, mode, wanted } => write!(
                f,
                "{0} is open to others (mode {mode:03o}); it must be yours alone: chmod {wanted:03o} {0}",
                path.display()
            ),
            Self::OtherUser { path, owner, user } => write!(
                f,
                "{} belongs to user {owner}; it must belong to user {user}, who runs this: \
                 name a directory of your own",
                path.display()
            ),
            Self::ReadOnly { doing, path, .. } => write!(
                f,
                "no permission to {doing} {}; name a directory that this user may write to, \
                 on a file system that is not read-only",
                path.display()
            ),
            Self::Symlink { path } => write!(
                f,
                "{} is a symbolic link, which may come to point elsewhere; name what it points to",
                path.display()
            ),
            Self::Truncated { file, .. } => {
                write!(
                    f,
                    "{} is damaged: its end is missing; {REMOVE}",
                    file.display()
                )
            }
        }
    }
}

impl Error for EmbeddedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Corrupt { source, .. } | Self::Truncated { source, .. } => Some(source),
            Self::Full { source, .. } | Self::Io { source, .. } | Self::ReadOnly { source, .. } => {
                Some(source)
            }
            Self::Busy { .. }
            | Self::Foreign { .. }
            | Self::Missing { .. }
            | Self::NetworkFileSystem { .. }
            | Self::NewerFormat { .. }
            | Self::NotDirectory { .. }
            | Self::NotFile { .. }
            | Self::NotPrivate { .. }
            | Self::OtherUser { .. }
            | Self::Symlink { .. } => None,
        }
    }
}

/// What to do about a store that cannot be used any more.
const REMOVE: &str = "when no process relies on its leases any more, remove its directory";
