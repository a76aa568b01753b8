//! Why there is no client, or no answer.

use std::fmt;

use lease_proto::access::{
    CredentialsError, InClusterError, ProxyError, ServerUrlError, TransportError,
};
#[cfg(feature = "kubeconfig")]
use lease_proto::access::{KubeconfigError, NothingConfigured};
use lease_proto::{NameError, plain::ApiError};

/// Why there is no client, or no answer.
///
/// The message of each says what would be right. Those of its sources say more; none of them shows a secret.
///
/// ```
/// use lease_blocking::{Client, Error};
///
/// let error = Client::builder("kubernetes.example").build().unwrap_err();
/// assert!(matches!(error, Error::ServerUrl(_)));
/// println!("{error}"); // says what is missing
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The API server answered, and not with what was asked for.
    Api(ApiError),
    /// Credentials, or what checks the server's, are missing or cannot be used.
    Credentials(CredentialsError),
    /// This is no pod, or not one that is told where the API server is.
    InCluster(InClusterError),
    /// The kubeconfig does not say where the API server is or how to be let in.
    #[cfg(feature = "kubeconfig")]
    Kubeconfig(KubeconfigError),
    /// A name or a namespace cannot be one.
    Name(NameError),
    /// Nothing says where the API server is.
    #[cfg(feature = "kubeconfig")]
    NothingConfigured(NothingConfigured),
    /// The address of the proxy cannot be used.
    Proxy(ProxyError),
    /// The address of the server cannot be used.
    ServerUrl(ServerUrlError),
    /// No answer came.
    Transport(TransportError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Credentials(error) => error.fmt(f),
            Self::InCluster(error) => error.fmt(f),
            #[cfg(feature = "kubeconfig")]
            Self::Kubeconfig(error) => error.fmt(f),
            Self::Name(error) => error.fmt(f),
            #[cfg(feature = "kubeconfig")]
            Self::NothingConfigured(error) => error.fmt(f),
            Self::Proxy(error) => error.fmt(f),
            Self::ServerUrl(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Api(error) => error.source(),
            Self::Credentials(error) => error.source(),
            Self::InCluster(error) => error.source(),
            #[cfg(feature = "kubeconfig")]
            Self::Kubeconfig(error) => error.source(),
            Self::Name(error) => error.source(),
            #[cfg(feature = "kubeconfig")]
            Self::NothingConfigured(error) => error.source(),
            Self::Proxy(error) => error.source(),
            Self::ServerUrl(error) => error.source(),
            Self::Transport(error) => error.source(),
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<CredentialsError> for Error {
    fn from(error: CredentialsError) -> Self {
        Self::Credentials(error)
    }
}

impl From<InClusterError> for Error {
    fn from(error: InClusterError) -> Self {
        Self::InCluster(error)
    }
}

#[cfg(feature = "kubeconfig")]
impl From<KubeconfigError> for Error {
    fn from(error: KubeconfigError) -> Self {
        Self::Kubeconfig(error)
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

#[cfg(feature = "kubeconfig")]
impl From<NothingConfigured> for Error {
    fn from(error: NothingConfigured) -> Self {
        Self::NothingConfigured(error)
    }
}

impl From<ProxyError> for Error {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}

impl From<ServerUrlError> for Error {
    fn from(error: ServerUrlError) -> Self {
        Self::ServerUrl(error)
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}
