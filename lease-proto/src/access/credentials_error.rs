//! Why there are no credentials, and what is to be done.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{ExecCredentialError, InvalidToken, Origin, ProxyError};

/// Something to prove an identity with, the server's or the client's, is missing or cannot be used.
///
/// ```
/// use std::{io, time::Instant};
///
/// use lease_proto::access::{CredentialsError, TokenFile};
///
/// let mut file = TokenFile::new("/var/run/secrets/token");
/// let missing = Err(io::ErrorKind::NotFound.into());
/// let error = file.take(missing, None, false, Instant::now()).unwrap_err();
/// assert!(matches!(error, CredentialsError::Unreadable { what: "token", .. }));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A credential plugin gave none.
    Exec {
        /// The program.
        command: PathBuf,
        /// The first of its arguments, if that is a plain word, such as `eks` of `aws eks get-token`.
        subcommand: Option<String>,
        /// Why not.
        problem: ExecProblem,
    },
    /// The token is empty or no text for a header.
    InvalidToken {
        /// Where it came from.
        origin: Origin,
        /// What is wrong.
        source: InvalidToken,
    },
    /// The client's key and its certificate do not belong together.
    KeyMismatch {
        /// Where the certificate came from.
        certificate: Origin,
        /// Where the key came from.
        key: Origin,
        /// What the TLS library said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The platform has no certificates to believe in, and none were given.
    NoPlatformCertificates,
    /// There is no PEM of the right kind in it.
    NotPem {
        /// What it was to be, such as `certificate authority`.
        what: &'static str,
        /// Where it came from.
        origin: Origin,
        /// What it must hold, as PEM names it, such as `CERTIFICATE`.
        label: &'static str,
    },
    /// The proxy, or the name and password for it, cannot be used.
    Proxy(ProxyError),
    /// The server does not know the token that was read from a file, and there is no other to be read.
    RefusedAndUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS server name is neither a DNS name nor an address.
    ServerName {
        /// The name.
        name: String,
    },
    /// A file cannot be read.
    Unreadable {
        /// What was to be in it, such as `token`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl CredentialsError {
    /// Says of a file that cannot be read that the server refused the token that it held before.
    #[must_use]
    pub fn after_refusal(self) -> Self {
        if let Self::Unreadable { path, source, .. } = self {
            Self::RefusedAndUnreadable { path, source }
        } else {
            self
        }
    }
}

#[cfg(feature = "rustls")]
impl CredentialsError {
    pub(super) fn mismatch(
        client: &super::ClientCertificate,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::KeyMismatch {
            certificate: Origin::from(&client.certificate),
            key: Origin::from(&client.key),
            source: source.into(),
        }
    }
}

impl From<ProxyError> for CredentialsError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec { command, subcommand, problem } => {
                write!(f, "the credential plugin {}", command.display())?;
                if let Some(word) = subcommand {
                    write!(f, " {word}")?;
                }
                write!(f, " {problem}")
            }
            Self::InvalidToken { origin, .. } => write!(f, "the token {origin} cannot be used"),
            Self::KeyMismatch { certificate, key, .. } => write!(
                f,
                "the client key {key} and the client certificate {certificate} cannot be used together; give the pair that was \
                 issued together"
            ),
            Self::NoPlatformCertificates => f.write_str(
                "this machine has no certificate authorities to check the server by; give the server's own as certificate authority",
            ),
            Self::NotPem { what, origin, label } => write!(
                f,
                "the {what} {origin} is not PEM; it must hold a block that starts with -----BEGIN {label}-----"
            ),
            Self::Proxy(error) => error.fmt(f),
            Self::RefusedAndUnreadable { path, .. } => write!(
                f,
                "cannot read the token in {}, and the server does not know the one that was read before (401); the file must exist and \
                 be readable by this process",
                path.display()
            ),
            Self::ServerName { name } => write!(
                f,
                "the TLS server name {name:?} is neither a DNS name nor an address; it is one of those in the server's certificate"
            ),
            Self::Unreadable { what, path, .. } => write!(
                f,
                "cannot read the {what} in {}; the file must exist and be readable by this process",
                path.display()
            ),
        }
    }
}

impl Error for CredentialsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Exec { problem, .. } => match problem {
                ExecProblem::Answer(error) => Some(&**error),
                ExecProblem::Certificate(error) => Some(&**error),
                ExecProblem::InvalidToken(error) => Some(error),
                ExecProblem::Start { source, .. } => Some(&**source),
                ExecProblem::Exit { .. }
                | ExecProblem::Timeout { .. }
                | ExecProblem::TooMuchOutput { .. }
                | ExecProblem::Unfinished { .. } => None,
            },
            Self::InvalidToken { source, .. } => Some(source),
            Self::KeyMismatch { source, .. } => Some(&**source),
            Self::NoPlatformCertificates
            | Self::NotPem { .. }
            | Self::Proxy(_)
            | Self::ServerName { .. } => None,
            Self::RefusedAndUnreadable { source, .. } | Self::Unreadable { source, .. } => {
                Some(source)
            }
        }
    }
}

/// Why a credential plugin gave no credentials. What it printed is not repeated: it may be a secret.
///
/// ```
/// use lease_proto::access::{EXEC_TIMEOUT, Exec, ExecProblem};
///
/// let plugin = Exec::new("aws", "client.authentication.k8s.io/v1");
/// let error = plugin.failed(ExecProblem::Timeout { after: EXEC_TIMEOUT });
/// assert!(error.to_string().contains("aws"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExecProblem {
    /// It answered something else.
    Answer(Box<ExecCredentialError>),
    /// Its client certificate cannot be used.
    Certificate(Arc<CredentialsError>),
    /// It ended with another code than 0.
    Exit {
        /// How it ended, in the system's words.
        status: String,
    },
    /// Its token cannot be used.
    InvalidToken(InvalidToken),
    /// It could not be started.
    Start {
        /// What the kubeconfig says to people who lack it.
        install_hint: Option<String>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// It did not end in the time that it is given, and was stopped.
    Timeout {
        /// How long that is.
        after: Duration,
    },
    /// It wrote more than an answer can be.
    TooMuchOutput {
        /// How many bytes are read at most.
        limit: usize,
    },
    /// It has not ended, and a request would not wait longer. It goes on, and the next request has what it answers.
    Unfinished {
        /// How long it has been running.
        running: Duration,
        /// How long it is given.
        limit: Duration,
    },
}

/// Follows the name of the plugin.
impl fmt::Display for ExecProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(_) => f.write_str("gave no credentials"),
            Self::Certificate(_) => f.write_str("gave a client certificate that cannot be used"),
            Self::Exit { status } => write!(f, "failed ({status}); run it by hand to see why"),
            Self::InvalidToken(_) => f.write_str("gave a token that cannot be used"),
            Self::Start { install_hint, .. } => {
                f.write_str("cannot be run")?;
                match install_hint {
                    Some(hint) => write!(f, "; {hint}"),
                    None => f.write_str("; check that it is installed and executable"),
                }
            }
            Self::Timeout { after } => write!(
                f,
                "gave no answer in the {after:?} that it is given, and was stopped; run it by hand to see what it waits for"
            ),
            Self::TooMuchOutput { limit } => write!(f, "wrote more than {limit} bytes"),
            Self::Unfinished { running, limit } => write!(
                f,
                "has given no answer for {:.1} s, longer than a request waits; it is given {limit:?} in all",
                running.as_secs_f64()
            ),
        }
    }
}
