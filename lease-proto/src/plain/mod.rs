//! Leases read and written without a claim: one request, one answer, no state.
//!
//! For inspection, for tests, for operators' tools. Nobody holds anything by these: a holder's rules are those of
//! [`Claim`](crate::Claim).

#[cfg(test)]
mod tests;
mod watch;

use std::fmt;

use http::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::json;

pub use self::watch::{WatchEvent, WatchLines, watch, watch_refused};
use crate::{
    refusal::{Refusal, Verb},
    wire::{Lease, LeaseList, LeaseName, Namespace, ResourceVersion, Status},
};

/// Renders a read of one Lease.
pub fn get(namespace: &Namespace, name: &LeaseName) -> http::Request<Vec<u8>> {
    render(Method::GET, &object(namespace, name), Vec::new())
}

/// Reads the answer to [`get`]: the Lease, or nothing where there is none.
///
/// # Errors
///
/// The server refused, or sent no Lease.
pub fn read_get(
    namespace: &Namespace,
    name: &LeaseName,
    response: &Response<Vec<u8>>,
) -> Result<Option<Lease>, ApiError> {
    match response.status() {
        StatusCode::OK => lease(response).map(Some),
        StatusCode::NOT_FOUND if is_about_leases(response) => Ok(None),
        _ => Err(ApiError::read(
            Verb::Get,
            namespace,
            name.as_str(),
            response,
        )),
    }
}

/// Renders the creation of a Lease in this namespace, whatever namespace, uid and version it carries.
pub fn create(namespace: &Namespace, lease: &Lease) -> http::Request<Vec<u8>> {
    let mut lease = lease.clone();
    lease.metadata.namespace = namespace.as_str().to_owned();
    lease.metadata.uid = None;
    lease.metadata.resource_version = None;
    render(
        Method::POST,
        &written(&collection(namespace)),
        encode(&lease),
    )
}

/// Reads the answer to [`create`].
///
/// # Errors
///
/// The server refused, [`ApiError::AlreadyExists`] among the ways, or sent no Lease.
pub fn read_create(
    namespace: &Namespace,
    name: &LeaseName,
    response: &Response<Vec<u8>>,
) -> Result<Lease, ApiError> {
    match response.status() {
        StatusCode::CREATED => lease(response),
        _ => Err(ApiError::read(
            Verb::Create,
            namespace,
            name.as_str(),
            response,
        )),
    }
}

/// Renders the replacement of exactly the version and incarnation that the Lease carries.
///
/// # Errors
///
/// It carries none: without its version the server refuses, and without its uid it creates anew what somebody deleted.
pub fn update(
    namespace: &Namespace,
    name: &LeaseName,
    lease: &Lease,
) -> Result<http::Request<Vec<u8>>, ApiError> {
    if lease.metadata.uid.is_none() || lease.metadata.resource_version.is_none() {
        return Err(ApiError::NotRead);
    }
    let mut lease = lease.clone();
    lease.metadata.namespace = namespace.as_str().to_owned();
    Ok(render(
        Method::PUT,
        &written(&object(namespace, name)),
        encode(&lease),
    ))
}

/// Reads the answer to [`update`].
///
/// # Errors
///
/// The server refused, [`ApiError::Conflict`] among the ways, or sent no Lease.
pub fn read_update(
    namespace: &Namespace,
    name: &LeaseName,
    response: &Response<Vec<u8>>,
) -> Result<Lease, ApiError> {
    match response.status() {
        StatusCode::OK => lease(response),
        _ => Err(ApiError::read(
            Verb::Update,
            namespace,
            name.as_str(),
            response,
        )),
    }
}

/// What must be true of a Lease for its deletion to be carried out.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preconditions {
    /// It must be this incarnation.
    pub uid: Option<String>,
    /// It must be this version.
    pub resource_version: Option<ResourceVersion>,
}

impl Preconditions {
    /// Whatever is there is deleted, a successor's Lease too.
    pub fn none() -> Self {
        Self::default()
    }

    /// Only what this was read as is deleted: this incarnation, in this version.
    pub fn unchanged(lease: &Lease) -> Self {
        Self {
            uid: lease.metadata.uid.clone(),
            resource_version: lease.metadata.resource_version.clone(),
        }
    }
}

/// Renders a deletion.
pub fn delete(
    namespace: &Namespace,
    name: &LeaseName,
    preconditions: &Preconditions,
) -> http::Request<Vec<u8>> {
    let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
    if *preconditions != Preconditions::none() {
        options["preconditions"] = json!({
            "uid": &preconditions.uid,
            "resourceVersion": &preconditions.resource_version,
        });
    }
    render(
        Method::DELETE,
        &object(namespace, name),
        options.to_string().into_bytes(),
    )
}

/// Reads the answer to [`delete`]: whether there was anything to delete.
///
/// # Errors
///
/// The server refused, [`ApiError::Conflict`] among the ways.
pub fn read_delete(
    namespace: &Namespace,
    name: &LeaseName,
    response: &Response<Vec<u8>>,
) -> Result<bool, ApiError> {
    match response.status() {
        StatusCode::OK | StatusCode::ACCEPTED => Ok(true),
        StatusCode::NOT_FOUND if is_about_leases(response) => Ok(false),
        _ => Err(ApiError::read(
            Verb::Delete,
            namespace,
            name.as_str(),
            response,
        )),
    }
}

/// Renders a read of all Leases of a namespace, or without one of all namespaces: of the first page, or of that which the token
/// of the last one names.
pub fn list(namespace: Option<&Namespace>, page: Option<&str>) -> http::Request<Vec<u8>> {
    let leases = namespace.map_or_else(|| EVERYWHERE.to_owned(), collection);
    let mut path = format!("{leases}?limit={PAGE}");
    if let Some(page) = page {
        path.push_str("&continue=");
        path.push_str(&escaped(page));
    }
    render(Method::GET, &path, Vec::new())
}

/// Renders a read of all Leases of a namespace that have a label: a key and its value, joined by `=`.
///
/// The answer is one page, read by [`read_list`].
pub fn list_of(namespace: &Namespace, label: &str) -> http::Request<Vec<u8>> {
    let leases = collection(namespace);
    let path = format!("{leases}?labelSelector={}", escaped(label));
    render(Method::GET, &path, Vec::new())
}

/// Reads the answer to [`list`]: a page, and the token of the next one where there is one.
///
/// # Errors
///
/// The server refused, or sent no list of Leases.
pub fn read_list(
    namespace: Option<&Namespace>,
    response: &Response<Vec<u8>>,
) -> Result<(Vec<Lease>, Option<String>), ApiError> {
    match response.status() {
        StatusCode::OK => {
            let list: LeaseList = decode(response)?;
            let token: Option<String> =
                list.metadata.get("continue").and_then(|token| token.read());
            Ok((list.items, token.filter(|token| !token.is_empty())))
        }
        _ => Err(ApiError::refused(
            Verb::List,
            namespace.map_or("", Namespace::as_str),
            "",
            response,
        )),
    }
}

/// The API server answered, and not with what was asked for.
///
/// `Display` is one line; [`advice`](Self::advice) says what to do, and prints the Role where a permission lacks.
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

    fn read(verb: Verb, namespace: &Namespace, name: &str, response: &Response<Vec<u8>>) -> Self {
        Self::refused(verb, namespace.as_str(), name, response)
    }

    fn refused(verb: Verb, namespace: &str, name: &str, response: &Response<Vec<u8>>) -> Self {
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

fn lease(response: &Response<Vec<u8>>) -> Result<Lease, ApiError> {
    let lease: Lease = decode(response)?;
    // A body of defaults is what an answer that is no Lease parses as.
    if lease.metadata.name.is_empty() || lease.metadata.resource_version.is_none() {
        return Err(ApiError::Unreadable {
            status: response.status(),
        });
    }
    Ok(lease)
}

fn decode<T: serde::de::DeserializeOwned>(response: &Response<Vec<u8>>) -> Result<T, ApiError> {
    serde_json::from_slice(response.body()).map_err(|_| ApiError::Unreadable {
        status: response.status(),
    })
}

/// A 404 of some other server, or of a path that this one does not have, is no news of the Lease.
fn is_about_leases(response: &Response<Vec<u8>>) -> bool {
    Status::read(response.body()).details.kind == "leases"
}

fn encode(lease: &Lease) -> Vec<u8> {
    serde_json::to_vec(lease).expect("a Lease has a form in JSON")
}

fn collection(namespace: &Namespace) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}

fn object(namespace: &Namespace, name: &LeaseName) -> String {
    format!("{}/{name}", collection(namespace))
}

/// Servers' tokens need no escaping; what came from elsewhere must not become another parameter.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn written(path: &str) -> String {
    format!("{path}?fieldManager={FIELD_MANAGER}")
}

fn render(method: Method, path: &str, body: Vec<u8>) -> http::Request<Vec<u8>> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, "application/json");
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request
        .body(body)
        .expect("names are checked, and contain nothing that a path may not")
}

const EVERYWHERE: &str = "/apis/coordination.k8s.io/v1/leases";
/// Never that of a claim: a `renewTime` under a claim's field manager vouches for how it was made.
const FIELD_MANAGER: &str = "lease-plain";
/// Leases to a page: at 2 KiB each, far below the longest body that is read.
const PAGE: usize = 250;
