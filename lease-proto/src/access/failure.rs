//! Why no answer came: what a driver says, and what is to be checked.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::CredentialsError;

/// No answer came. Whether the request took effect is unknown, but for the variants that say otherwise.
///
/// The message names the server and what to check; the chain of sources has what the libraries below said.
///
/// ```
/// use lease_proto::access::TransportError;
///
/// // A transport of one's own says so where it got no answer; a claim then looks up what came of the request.
/// let error = TransportError::Other("the tunnel is closed".into());
/// let source = std::error::Error::source(&error).expect("what was given");
/// assert_eq!(source.to_string(), "the tunnel is closed");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The body of the answer is larger than any answer to a request for Leases.
    BodyTooLarge {
        /// The server's address.
        server: String,
        /// How many bytes are read at most.
        limit: usize,
    },
    /// No connection was made; nothing was sent.
    Connect {
        /// The server's address.
        server: String,
        /// What the system said.
        source: io::Error,
    },
    /// The credentials could not be read or got; nothing was sent.
    Credentials(CredentialsError),
    /// The server's name was not found; nothing was sent.
    Dns {
        /// The server's address.
        server: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection ended, or what came over it is no HTTP.
    Interrupted {
        /// The server's address.
        server: String,
        /// What the HTTP library said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The request cannot be sent as it is; nothing was.
    InvalidRequest(http::Error),
    /// The transport cannot carry answers that come in pieces; nothing was sent.
    NoStreams,
    /// Whatever a transport from elsewhere has to say.
    Other(Box<dyn Error + Send + Sync>),
    /// The proxy made no connection to the server; nothing was sent.
    Proxy {
        /// The server's address.
        server: String,
        /// What the proxy said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer came in time.
    Timeout {
        /// The server's address.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server is not who it should be, or does not want this client.
    Tls {
        /// The server's address.
        server: String,
        /// What is wrong.
        problem: TlsProblem,
        /// What the TLS library said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTooLarge { server, limit } => write!(
                f,
                "the answer of {server} is larger than {limit} bytes; check that it is a Kubernetes API server"
            ),
            Self::Connect { server, .. } => {
                write!(
                    f,
                    "cannot connect to {server}; check the address, and that the server runs"
                )
            }
            Self::Credentials(_) => f.write_str("no credentials to send"),
            Self::Dns { server, .. } => write!(
                f,
                "the name of {server} is not found; check it, and the DNS"
            ),
            Self::Interrupted { server, .. } => {
                write!(
                    f,
                    "the connection to {server} ended before the answer was complete"
                )
            }
            Self::InvalidRequest(_) => f.write_str("the request cannot be sent"),
            Self::NoStreams => f.write_str("this transport cannot carry a stream of changes"),
            Self::Other(_) => f.write_str("the transport failed"),
            Self::Proxy { server, .. } => write!(
                f,
                "the proxy does not connect to {server}; check that it may, and the name and password that it wants, or exempt the server with NO_PROXY"
            ),
            Self::Timeout { server, after } => {
                write!(f, "no answer from {server} within {after:?}")
            }
            Self::Tls {
                server, problem, ..
            } => problem.describe(server, f),
        }
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::BodyTooLarge { .. } | Self::NoStreams | Self::Timeout { .. } => None,
            Self::Connect { source, .. } | Self::Dns { source, .. } => Some(source),
            Self::Credentials(error) => Some(error),
            Self::Interrupted { source, .. }
            | Self::Other(source)
            | Self::Proxy { source, .. }
            | Self::Tls { source, .. } => Some(&**source),
            Self::InvalidRequest(error) => Some(error),
        }
    }
}

impl From<CredentialsError> for TransportError {
    fn from(error: CredentialsError) -> Self {
        Self::Credentials(error)
    }
}

/// What is wrong between a server's certificate, a client's, and what each expects.
///
/// ```
/// use lease_proto::access::{TlsProblem, TransportError};
///
/// fn is_expired(error: &TransportError) -> bool {
///     matches!(error, TransportError::Tls { problem: TlsProblem::Expired, .. })
/// }
/// assert!(!is_expired(&TransportError::NoStreams));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The certificate is that of an authority, and no server's.
    Authority,
    /// The server refused the client's certificate, or wants one and got none.
    ClientCertificateRefused,
    /// The certificate's time is over.
    Expired,
    /// The certificate is for other names.
    NameMismatch {
        /// The names that it is for; empty where they are not known.
        presented: Vec<String>,
    },
    /// The certificate is for something else than to be a server.
    NotForServers,
    /// The certificate's time has not come.
    NotYetValid,
    /// Something else; the source says what.
    Other,
    /// The certificate is not signed by an authority that is believed.
    UnknownIssuer,
}

impl TlsProblem {
    fn describe(&self, server: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => write!(
                f,
                "the certificate of {server} is that of an authority (CA:TRUE), and no server's; give the server one with CA:FALSE, \
                 such as that authority signs"
            ),
            Self::ClientCertificateRefused => write!(
                f,
                "{server} refused the client certificate or wants one; check that it (client-certificate of the kubeconfig's \
                 user) is of the server's client CA and not expired"
            ),
            Self::Expired => write!(
                f,
                "the certificate of {server} has expired; renew it, or correct the clock of this machine"
            ),
            Self::NameMismatch { presented } => {
                write!(f, "the certificate of {server} is for another name")?;
                for (index, name) in presented.iter().enumerate() {
                    let comma = if index == 0 { ": " } else { ", " };
                    write!(f, "{comma}{name}")?;
                }
                f.write_str("; use a name that it is for, or set one as TLS server name (tls-server-name in the \
                     kubeconfig)")
            }
            Self::NotForServers => write!(
                f,
                "the certificate of {server} is not for servers; give the server one that is (extendedKeyUsage serverAuth)"
            ),
            Self::NotYetValid => write!(
                f,
                "the certificate of {server} is not valid yet; correct the clock of this machine or of the one that issued it"
            ),
            Self::Other => write!(f, "no TLS connection to {server}"),
            Self::UnknownIssuer => write!(
                f,
                "the certificate of {server} is signed by an unknown authority; give the one that signed it as certificate \
                 authority (certificate-authority, on the command line or in the kubeconfig)"
            ),
        }
    }
}

/// Where a piece of configuration came from, for messages.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::{Material, Origin};
///
/// let ca = Material::from(Path::new("/etc/kube/ca.crt"));
/// assert_eq!(Origin::from(&ca), Origin::File("/etc/kube/ca.crt".into()));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "as Material, without its content")]
pub enum Origin {
    /// It was given as it is.
    Inline,
    /// It was read from a file.
    File(PathBuf),
}

impl From<&super::Material> for Origin {
    fn from(material: &super::Material) -> Self {
        match material {
            super::Material::Inline(_) => Self::Inline,
            super::Material::File(path) => Self::File(path.clone()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline => f.write_str("as given"),
            Self::File(path) => write!(f, "in {}", path.display()),
        }
    }
}
