//! One exchange with the API server: what is asked, and what the answer means.

use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

use http::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::json;

use crate::{
    config::{Config, WriteMethod},
    headers,
    notes::Changes,
    refusal::{Refusal, Verb},
    unclear::Unclear,
    wire::{Lease, LeaseSpec, Namespace, Status},
};

/// The longest body that is read; a longer one counts as no answer.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// More than most Leases are, without what the server keeps by itself.
const USUAL_BODY: usize = 512;
/// The same of paths and queries.
const USUAL_PATH: usize = 192;

/// Names a request within its claim.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// use lease_proto::{Claim, Config, Output, Patience, RequestId};
///
/// let now = Instant::now();
/// let mut claim = Claim::new(Config::builder("default", "leader", "me").build()?, 0x5eed, now);
/// claim.acquire(Patience::Once, now);
/// let mut in_flight: Option<RequestId> = None;
/// if let Output::Request(request) = claim.poll_output(now, SystemTime::now()) {
///     in_flight = Some(request.id);
/// }
/// if let Some(id) = in_flight.take() {
///     claim.handle_failure(id, now); // no answer came
/// }
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub(crate) u64);

/// A request for the API server.
///
/// ```
/// use std::time::Instant;
///
/// use lease_proto::Request;
///
/// fn send(request: &Request, now: Instant) {
///     let time_left = request.deadline.saturating_duration_since(now);
///     println!("{} {}, within {time_left:?}", request.http.method(), request.http.uri());
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[expect(clippy::exhaustive_structs, reason = "drivers take it apart")]
pub struct Request {
    /// Names this request in the report of its outcome.
    pub id: RequestId,
    /// When to stop waiting for the whole answer.
    ///
    /// The claim gives up by itself at this instant; a driver that bounds the exchange by it frees its connection.
    pub deadline: Instant,
    /// Whether the credentials must be read again before this is sent: the server did not know the last ones.
    pub reload_credentials: bool,
    /// Whether the answer is a stream, if its status is 200.
    ///
    /// Then [`handle_response`](crate::Claim::handle_response) takes the answer without a body as soon as its headers have
    /// come, which must be by `deadline`; [`handle_chunk`](crate::Claim::handle_chunk) each piece of the body as it comes, and
    /// [`handle_end`](crate::Claim::handle_end) its end. It goes on for minutes beside other requests, until it is
    /// [cancelled](crate::Output::Cancel). Whoever cannot have streams at all says
    /// [`handle_no_stream`](crate::Claim::handle_no_stream): the record is then looked at from time to time. An answer of any other status is like that to any other request.
    pub is_stream: bool,
    /// Method, path and query, headers and body. The driver adds the server's address and the credentials.
    pub http: http::Request<Vec<u8>>,
}

/// What a request asks for, as far as its answer must be read accordingly.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Call {
    Read,
    Create,
    Replace,
    Patch,
    Delete,
    Watch,
}

impl Call {
    fn verb(self) -> Verb {
        match self {
            Self::Read => Verb::Get,
            Self::Create => Verb::Create,
            Self::Replace => Verb::Update,
            Self::Patch => Verb::Patch,
            Self::Delete => Verb::Delete,
            Self::Watch => Verb::Watch,
        }
    }
}

/// What an answer says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// The record as it is now; `created` if it was not there before.
    Record { lease: Box<Lease>, created: bool },
    /// There is no such record (or, for a write, no longer).
    Absent,
    /// The record has been deleted.
    Deleted,
    /// Somebody else was faster; nothing was written.
    Conflict,
    /// The server does not know the credentials; nothing was written.
    Unauthorized(Refusal),
    /// The server is overloaded; nothing was written.
    Busy(Option<Duration>),
    /// The request cannot succeed as it is; nothing was written.
    Refused(Refusal),
    /// It cannot be told whether the request was carried out.
    Unclear,
}

impl Answer {
    /// Returns whether the server said that it did nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Conflict | Self::Unauthorized(_) | Self::Busy(_) | Self::Refused(_) => true,
            Self::Record { .. } | Self::Absent | Self::Deleted | Self::Unclear => false,
        }
    }
}

/// Renders a read of the record.
pub(crate) fn read(config: &Config, timeout: Duration) -> http::Request<Vec<u8>> {
    let path = with_timeout(object(config), None, timeout);
    render(Method::GET, &path, None, Vec::new())
}

/// Renders a watch of the record from a version on, or beginning with what there is, for so long.
pub(crate) fn watch(
    config: &Config,
    from: Option<u128>,
    length: Duration,
) -> http::Request<Vec<u8>> {
    let from = from.map_or_else(String::new, |from| format!("&resourceVersion={from}"));
    let path = format!(
        "{}?watch=true&fieldSelector=metadata.name%3D{}&allowWatchBookmarks=true&timeoutSeconds={}{from}",
        collection(&config.namespace),
        config.name,
        length.as_secs(),
    );
    render(Method::GET, &path, None, Vec::new())
}

/// Renders a watch of all records of a namespace.
pub(crate) fn watch_all(
    namespace: &Namespace,
    from: Option<u128>,
    length: Duration,
) -> http::Request<Vec<u8>> {
    let from = from.map_or_else(String::new, |from| format!("&resourceVersion={from}"));
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}{from}",
        collection(namespace),
        length.as_secs(),
    );
    render(Method::GET, &path, None, Vec::new())
}

/// Renders a write by `manager` that has the record say `spec` and `notes`: a compare-and-swap on the uid and version with
/// which it was `seen`, or a new record.
pub(crate) fn write(
    config: &Config,
    seen: Option<&Lease>,
    (spec, notes): (&LeaseSpec, &Changes),
    manager: &str,
    timeout: Duration,
) -> (Call, http::Request<Vec<u8>>) {
    const JSON: &str = "application/json";
    let manager = Some(manager);
    let changed;
    let lease = match seen {
        Some(lease) if notes.is_empty() => lease,
        seen => {
            let new = || Lease::new(config.namespace.as_str(), config.name.as_str());
            changed = notes.made_in(seen.cloned().unwrap_or_else(new));
            &changed
        }
    };
    let whole = || {
        let mut body = Vec::with_capacity(USUAL_BODY);
        let written = serde_json::to_writer(&mut body, &lease.saying(spec));
        written.expect("a Lease has a form in JSON");
        body
    };
    if lease.metadata.resource_version.is_none() {
        let path = with_timeout(collection(&config.namespace), manager, timeout);
        return (
            Call::Create,
            render(Method::POST, &path, Some(JSON), whole()),
        );
    }
    let path = with_timeout(object(config), manager, timeout);
    match config.write_method {
        WriteMethod::Put => (
            Call::Replace,
            render(Method::PUT, &path, Some(JSON), whole()),
        ),
        WriteMethod::Patch => {
            let mut patch = json!({
                "metadata": { "resourceVersion": &lease.metadata.resource_version },
                "spec": {
                    "holderIdentity": &spec.holder_identity,
                    "leaseDurationSeconds": &spec.lease_duration_seconds,
                    "acquireTime": &spec.acquire_time,
                    "renewTime": &spec.renew_time,
                    "leaseTransitions": &spec.lease_transitions,
                },
            });
            for (key, value) in notes.iter() {
                patch["metadata"]["annotations"][key] = json!(value);
            }
            const MERGE: &str = "application/merge-patch+json";
            let body = patch.to_string().into_bytes();
            (Call::Patch, render(Method::PATCH, &path, Some(MERGE), body))
        }
    }
}

/// Renders the deletion of exactly the version and incarnation that was `seen`.
pub(crate) fn delete(
    config: &Config,
    seen: Option<&Lease>,
    timeout: Duration,
) -> http::Request<Vec<u8>> {
    let meta = seen.map(|lease| &lease.metadata);
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {
            "uid": meta.and_then(|meta| meta.uid.as_ref()),
            "resourceVersion": meta.and_then(|meta| meta.resource_version.as_ref()),
        },
    });
    let path = with_timeout(object(config), None, timeout);
    render(
        Method::DELETE,
        &path,
        Some("application/json"),
        options.to_string().into_bytes(),
    )
}

/// Reads an answer: the status code decides, the body only says more.
pub(crate) fn classify(config: &Config, call: Call, response: &Response<Vec<u8>>) -> Answer {
    if response.body().len() > MAX_BODY {
        return Answer::Unclear;
    }
    let status = response.status();
    let said = || Status::read(response.body());
    match (call, status) {
        (Call::Delete, StatusCode::OK | StatusCode::ACCEPTED) => Answer::Deleted,
        (Call::Read, StatusCode::OK) => record(config, response, false),
        (Call::Create, StatusCode::CREATED) => record(config, response, true),
        // A 201 to a rewrite means that the record had been deleted and now exists again.
        (Call::Replace | Call::Patch, StatusCode::OK | StatusCode::CREATED) => {
            record(config, response, status == StatusCode::CREATED)
        }
        (Call::Create | Call::Watch, StatusCode::NOT_FOUND) => {
            Answer::Refused(refusal(config, call, response, said()))
        }
        (_, StatusCode::NOT_FOUND) => Answer::Absent,
        (Call::Read | Call::Watch, StatusCode::CONFLICT) => Answer::Unclear,
        (_, StatusCode::CONFLICT) => Answer::Conflict,
        (_, StatusCode::UNAUTHORIZED) => {
            Answer::Unauthorized(refusal(config, call, response, said()))
        }
        (_, StatusCode::TOO_MANY_REQUESTS) => Answer::Busy(headers::retry_after(response)),
        (_, StatusCode::REQUEST_TIMEOUT) => Answer::Unclear,
        _ if status.is_client_error() => Answer::Refused(refusal(config, call, response, said())),
        _ => Answer::Unclear,
    }
}

/// Says why an answer is not clear.
pub(crate) fn unclear(response: &Response<Vec<u8>>) -> Unclear {
    Unclear::new(response, MAX_BODY)
}

fn record(config: &Config, response: &Response<Vec<u8>>, created: bool) -> Answer {
    let Ok(lease) = serde_json::from_slice::<Lease>(response.body()) else {
        return Answer::Unclear;
    };
    let meta = &lease.metadata;
    let is_whole = meta.name == config.name.as_str()
        && meta.namespace == config.namespace.as_str()
        && meta.uid.is_some()
        && meta.resource_version.is_some();
    if is_whole {
        Answer::Record {
            lease: Box::new(lease),
            created,
        }
    } else {
        Answer::Unclear
    }
}

fn refusal(config: &Config, call: Call, response: &Response<Vec<u8>>, said: Status) -> Refusal {
    let (namespace, name) = (config.namespace.as_str(), config.name.as_str());
    Refusal::new(
        call.verb(),
        response.status(),
        said,
        response.body(),
        namespace,
        name,
    )
}

fn collection(namespace: &Namespace) -> String {
    let mut path = String::with_capacity(USUAL_PATH);
    path.push_str("/apis/coordination.k8s.io/v1/namespaces/");
    path.push_str(namespace.as_str());
    path.push_str("/leases");
    path
}

fn object(config: &Config) -> String {
    let mut path = collection(&config.namespace);
    path.push('/');
    path.push_str(config.name.as_str());
    path
}

/// Completes a path, and asks the server to give up when we do, so that a write cannot be carried out long after.
fn with_timeout(mut path: String, manager: Option<&str>, timeout: Duration) -> String {
    path.push('?');
    if let Some(manager) = manager {
        path.push_str("fieldManager=");
        path.push_str(manager);
        path.push('&');
    }
    let written = write!(path, "timeout={}ms", timeout.as_millis().max(1));
    written.expect("a string takes whatever is written");
    path
}

fn render(
    method: Method,
    path: &str,
    content_type: Option<&'static str>,
    body: Vec<u8>,
) -> http::Request<Vec<u8>> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, "application/json");
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    request
        .body(body)
        .expect("names are checked, and contain nothing that a path may not")
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
