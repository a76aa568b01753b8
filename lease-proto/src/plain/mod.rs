//! Leases read and written without a claim: one request, one answer, no state.
//!
//! For inspection, for tests, for operators' tools. Nobody holds anything by these: a holder's rules are those of
//! [`Claim`](crate::Claim).

mod error;
#[cfg(test)]
mod tests;
mod watch;

use http::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::json;

pub use self::error::ApiError;
pub use self::watch::{WatchEvent, WatchLines, watch, watch_refused};
use crate::{
    refusal::Verb,
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
///
/// ```
/// use lease_proto::{LeaseName, Namespace, plain::{self, Preconditions}, wire::Lease};
///
/// let mut lease = Lease::new("default", "stale"); // as it was read
/// lease.metadata.uid = Some("0b1c".to_owned());
/// let only_this = Preconditions::unchanged(&lease);
/// let request = plain::delete(&Namespace::new("default")?, &LeaseName::new("stale")?, &only_this);
/// assert_eq!(request.method(), http::Method::DELETE);
/// # Ok::<(), lease_proto::NameError>(())
/// ```
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
