//! What is wrong with a kubeconfig, where, and what would be right.

use std::fmt;
use std::path::PathBuf;

use super::super::{ProxyError, ServerUrlError};

/// A kubeconfig does not say where the API server is or how to be let in.
///
/// Nothing of a file's content is repeated but the names of its entries.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::{Kubeconfig, KubeconfigError, KubeconfigOptions};
///
/// let empty = Kubeconfig::parse(Path::new("empty.yaml"), b"")?;
/// let error = empty.access(&KubeconfigOptions::new()).unwrap_err();
/// assert!(matches!(error, KubeconfigError::NoCurrentContext { .. }));
/// # Ok::<(), KubeconfigError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// It is not YAML, or not of a kubeconfig's shape.
    Broken {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0 where it is not known.
        line: u64,
        /// The column, from 1; 0 where it is not known.
        column: u64,
        /// What is expected there.
        expected: String,
    },
    /// An entry stands twice in one file.
    Duplicate {
        /// The file.
        file: PathBuf,
        /// What it is, and its name.
        entry: KubeconfigEntry,
    },
    /// The user's credentials come from a program, and running it was not allowed.
    ExecNotAllowed {
        /// The file.
        file: PathBuf,
        /// The user.
        user: String,
        /// The program.
        command: String,
    },
    /// A field has a value that cannot be used, or a field is missing.
    Field {
        /// The file.
        file: PathBuf,
        /// What it is, and its name.
        entry: KubeconfigEntry,
        /// The field.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
    /// There is no `current-context`, and no context was named.
    NoCurrentContext {
        /// The files.
        files: Vec<PathBuf>,
        /// The contexts that there are.
        contexts: Vec<String>,
    },
    /// The cluster's proxy-url cannot be used.
    Proxy {
        /// The file.
        file: PathBuf,
        /// The cluster.
        cluster: String,
        /// What is wrong with it.
        error: ProxyError,
    },
    /// The cluster's server is no URL.
    Server {
        /// The file.
        file: PathBuf,
        /// The cluster.
        cluster: String,
        /// What is wrong with it.
        error: ServerUrlError,
    },
    /// There is no entry of that name.
    Unknown {
        /// The files.
        files: Vec<PathBuf>,
        /// What was looked for.
        entry: KubeconfigEntry,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It asks for something that is not supported.
    Unsupported {
        /// The file.
        file: PathBuf,
        /// What it is, and its name.
        entry: KubeconfigEntry,
        /// What it asks for.
        feature: String,
        /// What to do instead.
        instead: &'static str,
    },
}

/// An entry of a kubeconfig.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::{Kubeconfig, KubeconfigEntry, KubeconfigError, KubeconfigOptions};
///
/// let file = Kubeconfig::parse(Path::new("config.yaml"), b"current-context: staging")?;
/// let Err(KubeconfigError::Unknown { entry, .. }) = file.access(&KubeconfigOptions::new()) else {
///     panic!("there is no such context");
/// };
/// assert_eq!(entry, KubeconfigEntry::Context("staging".to_owned()));
/// # Ok::<(), KubeconfigError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a kubeconfig has these three lists"
)]
pub enum KubeconfigEntry {
    /// Of the list `clusters`.
    Cluster(String),
    /// Of the list `contexts`.
    Context(String),
    /// Of the list `users`.
    User(String),
}

impl fmt::Display for KubeconfigEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "cluster {name:?}"),
            Self::Context(name) => write!(f, "context {name:?}"),
            Self::User(name) => write!(f, "user {name:?}"),
        }
    }
}

impl fmt::Display for KubeconfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken {
                file,
                line: 0,
                expected,
                ..
            } => write!(
                f,
                "{}: broken kubeconfig: expected {expected}",
                file.display()
            ),
            Self::Broken {
                file,
                line,
                column,
                expected,
            } => write!(
                f,
                "{}:{line}:{column}: broken kubeconfig: expected {expected}",
                file.display()
            ),
            Self::Duplicate { file, entry } => {
                write!(
                    f,
                    "{}: {entry} stands twice; rename or remove one",
                    file.display()
                )
            }
            Self::ExecNotAllowed {
                file,
                user,
                command,
            } => write!(
                f,
                "{}: user {user:?} gets credentials by running {command:?}, which is not allowed; allow it with \
                 allow_exec, or give a token",
                file.display()
            ),
            Self::Field {
                file,
                entry,
                field,
                problem,
            } => write!(f, "{}: {entry}: {field} {problem}", file.display()),
            Self::NoCurrentContext { files, contexts } => {
                write!(f, "{}: no current-context; ", Files(files))?;
                if contexts.is_empty() {
                    f.write_str("nor is there any context to name")
                } else {
                    write!(f, "name one of the contexts {}", Names(contexts))
                }
            }
            Self::Proxy { file, cluster, .. } => write!(
                f,
                "{}: cluster {cluster:?}: proxy-url cannot be used",
                file.display()
            ),
            Self::Server { file, cluster, .. } => write!(
                f,
                "{}: cluster {cluster:?}: server cannot be used",
                file.display()
            ),
            Self::Unknown {
                files,
                entry,
                known,
            } => {
                write!(f, "{}: there is no {entry}; ", Files(files))?;
                if known.is_empty() {
                    f.write_str("there are none")
                } else {
                    write!(f, "there are {}", Names(known))
                }
            }
            Self::Unsupported {
                file,
                entry,
                feature,
                instead,
            } => write!(
                f,
                "{}: {entry} asks for {feature}, which is not supported; {instead}",
                file.display()
            ),
        }
    }
}

impl std::error::Error for KubeconfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Proxy { error, .. } => Some(error),
            Self::Server { error, .. } => Some(error),
            Self::Broken { .. }
            | Self::Duplicate { .. }
            | Self::ExecNotAllowed { .. }
            | Self::Field { .. }
            | Self::NoCurrentContext { .. }
            | Self::Unknown { .. }
            | Self::Unsupported { .. } => None,
        }
    }
}

struct Files<'a>(&'a [PathBuf]);

impl fmt::Display for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, file) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", file.display())?;
        }
        Ok(())
    }
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name:?}")?;
        }
        Ok(())
    }
}
