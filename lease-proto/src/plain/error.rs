//! What the API server may answer instead.

use std::fmt;

use http::{Response, StatusCode};

use crate::{
    refusal::{Refusal, Verb},
    wire::{Namespace, Status},
};

/// The API server answered, and not with what was asked for.
///
/// `Display` is one line; [`advice`](Self::advice) says what to do, and prints the Role where a permission lacks.
///
/// ```
/// use lease_proto::{LeaseName, Namespace, plain::{self, ApiError}};
///
/// let (namespace, name) = (Namespace::new("default")?, LeaseName::new("leader")?);
/// let mut response = http::Response::new(br#"{"kind":"Status","reason":"AlreadyExists"}"#.to_vec());
/// *response.status_mut() = http::StatusCode::CONFLICT;
/// let error = plain::read_create(&namespace, &name, &response).unwrap_err();
/// assert!(matches!(error, ApiError::AlreadyExists(_)));
/// # Ok::<(), lease_proto::NameError>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ApiError {
    /// There is one of that name.
    AlreadyExists(Refusal),
    /// Somebody else was faster: it is not the version, or not the incarnation, that was named. Read it again.
    Conflict(Refusal),
    /// The server has forgotten the version that was named, or the page: begin anew.
    Expired(Refusal),
    /// The identity lacks a permission.
    Forbidden(Refusal),
    /// The server does not accept a value.
    Invalid(Refusal),
    /// The namespace does not exist.
    NamespaceMissing(Refusal),
    /// There is none of that name, or the address is not that of an API server.
    NotFound(Refusal),
    /// The Lease to write has not been read: its uid or version is missing.
    NotRead,
    /// The server cannot answer now. Whether it carried a write out is unknown.
    Server(Refusal),
    /// The server is overloaded; nothing was carried out.
    TooManyRequests(Refusal),
    /// The server does not know the credentials.
    Unauthorized(Refusal),
    /// It answered with something else.
    Unexpected(Refusal),
    /// The answer's body is not what the status promises; something between may have answered in its place.
    Unreadable {
        /// The status of the answer.
        status: StatusCode,
    },
}

impl ApiError {
    /// What would make the server agree, in one or several lines, as far as that is known.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::AlreadyExists(_) | Self::Conflict(_) => {
                Some("read it again, and decide anew".to_owned())
            }
            Self::Forbidden(refusal)
            | Self::Invalid(refusal)
            | Self::NamespaceMissing(refusal)
            | Self::NotFound(refusal)
            | Self::Unauthorized(refusal) => Some(refusal.advice()),
            Self::NotRead => {
                Some("read it first, and write what was read with its changes".to_owned())
            }
            Self::Expired(_) => Some("begin anew".to_owned()),
            Self::Server(_) | Self::TooManyRequests(_) => Some("try again later".to_owned()),
            Self::Unexpected(_) | Self::Unreadable { .. } => None,
        }
    }

    /// The refusal, where the server gave one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::AlreadyExists(refusal)
            | Self::Conflict(refusal)
            | Self::Expired(refusal)
            | Self::Forbidden(refusal)
            | Self::Invalid(refusal)
            | Self::NamespaceMissing(refusal)
            | Self::NotFound(refusal)
            | Self::Server(refusal)
            | Self::TooManyRequests(refusal)
            | Self::Unauthorized(refusal)
            | Self::Unexpected(refusal) => Some(refusal),
            Self::NotRead | Self::Unreadable { .. } => None,
        }
    }

    pub(super) fn read(
        verb: Verb,
        namespace: &Namespace,
        name: &str,
        response: &Response<Vec<u8>>,
    ) -> Self {
        Self::refused(verb, namespace.as_str(), name, response)
    }

    pub(super) fn refused(
        verb: Verb,
        namespace: &str,
        name: &str,
        response: &Response<Vec<u8>>,
    ) -> Self {
        let status = response.status();
        let said = Status::read(response.body());
        let already_exists = said.is_already_exists();
        let refusal = Refusal::new(verb, status, said, response.body(), namespace, name);
        match status {
            StatusCode::CONFLICT if already_exists => Self::AlreadyExists(refusal),
            StatusCode::CONFLICT => Self::Conflict(refusal),
            StatusCode::FORBIDDEN => Self::Forbidden(refusal),
            StatusCode::GONE => Self::Expired(refusal),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Self::Invalid(refusal),
            StatusCode::NOT_FOUND if refusal.is_namespace_missing() => {
                Self::NamespaceMissing(refusal)
            }
            StatusCode::NOT_FOUND => Self::NotFound(refusal),
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyRequests(refusal),
            StatusCode::UNAUTHORIZED => Self::Unauthorized(refusal),
            _ if status.is_server_error() => Self::Server(refusal),
            _ => Self::Unexpected(refusal),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.refusal(), self) {
            (Some(refusal), _) => refusal.fmt(f),
            (None, Self::Unreadable { status }) => write!(
                f,
                "the answer ({status}) is no Lease; check that the address is that of a Kubernetes API server"
            ),
            (None, _) => f.write_str(
                "a Lease can be updated only as it was read: its uid or resourceVersion is missing",
            ),
        }
    }
}

impl std::error::Error for ApiError {}
