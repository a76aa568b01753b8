//! What is wrong with the address of an API server.

use std::fmt;

/// The address of an API server cannot be used.
///
/// ```
/// use lease_proto::access::{ServerUrl, ServerUrlError};
///
/// let error = ServerUrl::parse("http://kubernetes.example").unwrap_err();
/// assert!(matches!(error, ServerUrlError::PlainHttp { .. }));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServerUrlError {
    /// There is nothing in it.
    Empty,
    /// It does not parse.
    Invalid {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It does not start with `https://`.
    NoScheme {
        /// What was given, without what stands before an `@`.
        url: String,
    },
    /// It is `http://` to another machine.
    PlainHttp {
        /// What was given.
        url: String,
    },
    /// It has a query or a fragment.
    Query {
        /// What stands before that, in which there may be a token.
        url: String,
    },
    /// Of the two slashes after the scheme one is missing, or both.
    Slashes {
        /// What stands before the colon.
        scheme: String,
    },
    /// It starts with a scheme other than `https` and `http`.
    UnknownScheme {
        /// The scheme that was given.
        scheme: String,
    },
    /// There is a name or a password in it.
    UserInfo,
}

impl fmt::Display for ServerUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the server's URL is empty; it is like https://10.0.0.1:6443"),
            Self::Invalid { url, reason } => {
                write!(f, "the server's URL {url:?} is invalid: {reason}; it is like https://10.0.0.1:6443")
            }
            Self::NoScheme { url } => write!(f, "the server's URL {url:?} has no scheme; write https://{url}"),
            Self::PlainHttp { url } => write!(
                f,
                "the server's URL {url} is plain http to another machine, where anyone on the way can read the \
                 credentials; write https://, or allow it with allow_plain_http"
            ),
            Self::Query { url } => write!(f, "the server's URL has a query or a fragment after {url:?}; give it up to the path"),
            Self::Slashes { scheme } => write!(
                f,
                "the server's URL does not go on with two slashes after \"{scheme}:\"; it is like https://10.0.0.1:6443"
            ),
            Self::UnknownScheme { scheme } => {
                write!(f, "the server's URL starts with {scheme:?}://; write https://")
            }
            Self::UserInfo => f.write_str(
                "the server's URL has a name or a password before the @; leave it out, and give a token or a client certificate",
            ),
        }
    }
}

impl std::error::Error for ServerUrlError {}
