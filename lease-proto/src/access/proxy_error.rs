//! What is wrong with the address of a proxy.

use std::{error::Error, fmt};

/// What is wrong with the address of a proxy. Repeats nothing of it but its scheme.
///
/// ```
/// use lease_proto::access::{Proxy, ProxyError};
///
/// let error = Proxy::parse("ftp://proxy.example").unwrap_err();
/// assert_eq!(error, ProxyError::UnknownScheme { scheme: "ftp".to_owned() });
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProxyError {
    /// It does not parse.
    Invalid,
    /// The program was built without what such a proxy needs.
    NeedsFeature {
        /// The cargo feature of `lease-tokio` and `lease-blocking`.
        feature: &'static str,
    },
    /// It is no proxy of a kind that is supported.
    UnknownScheme {
        /// What stands before the address.
        scheme: String,
    },
    /// It comes from a variable of the environment.
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        error: Box<Self>,
    },
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str(
                "the address of the proxy does not parse; it is http://host:port, with name:password@ before the host where the proxy wants that",
            ),
            Self::NeedsFeature { feature } => write!(
                f,
                "this program cannot use a proxy with socks5://; build it with the feature {feature:?} of lease-tokio or \
                 lease-blocking, or give a proxy with http://"
            ),
            Self::UnknownScheme { scheme } if scheme.eq_ignore_ascii_case("https") => f.write_str(
                "a proxy that is itself reached by TLS (https://) is not supported; give one with http:// or socks5://, which \
                 hand the server's TLS on as it is",
            ),
            Self::UnknownScheme { scheme } => write!(
                f,
                "proxies with {scheme:?} are not supported; give one with http:// or socks5://"
            ),
            Self::Variable { name, error } => write!(f, "{name}: {error}"),
        }
    }
}

impl Error for ProxyError {}
