//! An API server for Leases as a pure function of requests, to test against.
//!
//! [`ApiServer`] answers as a kube-apiserver does: the same paths, codes, messages, preconditions and
//! formats, `managedFields` and watches included. It has no sockets, no clock and no chance of its own:
//! the wall clock is an argument and identifiers come from a seed, so that the same requests at the same
//! times give the same answers, byte for byte. Cloning it forks the world.
//!
//! It knows nothing of the rest of this crate. What it says about the protocol is a second opinion.
//!
//! ```
//! use std::time::SystemTime;
//! use lease_proto::server::{Answer, ApiServer};
//!
//! let mut server = ApiServer::new();
//! let request = http::Request::post("/apis/coordination.k8s.io/v1/namespaces/demo/leases")
//!     .header("content-type", "application/json")
//!     .body(br#"{"metadata":{"name":"singleton"},"spec":{"holderIdentity":"a"}}"#.to_vec())
//!     .unwrap();
//! let Answer::Whole(response) = server.handle(&request, SystemTime::UNIX_EPOCH) else {
//!     panic!("a POST is no watch");
//! };
//! assert_eq!(response.status(), 201);
//! assert_eq!(server.lease("demo", "singleton").unwrap()["spec"]["holderIdentity"], "a");
//! ```
//!
//! A request becomes an answer in these steps, one file each: who asks (`rbac`), for what (`route`), with
//! which object (`decode`), by which rules (`write`, `validate`, `managed_fields`), into the `store`;
//! or out of it (`read`, `table`, `watch`). [`Faults`] stands in front of it and makes it misbehave;
//! [`directory`] is for those who keep it in files.

mod apply;
mod base64;
mod builder;
mod changes;
mod decode;
pub mod directory;
mod discovery;
mod fault;
mod faults;
mod go_time;
mod managed_fields;
mod namespaces;
mod object;
mod openapi;
mod patch;
mod rbac;
mod read;
mod route;
mod selector;
mod snapshot;
mod status;
mod store;
mod submission;
mod table;
mod uids;
mod validate;
mod watch;
mod write;
mod yaml;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;

use self::{
    builder::Config,
    go_time::Stamp,
    namespaces::Namespaces,
    rbac::{Access, Attempt, User},
    route::{Query, Resource, Target},
    status::{Failure, GROUP, RESOURCE},
    store::Store,
    submission::Write,
    uids::Uids,
    watch::Watch,
    write::Deletion,
};
pub use self::{
    builder::{ApiServerBuilder, Version},
    fault::Fault,
    faults::{Faults, Reply},
    rbac::Rule,
    route::Verb,
    snapshot::SnapshotError,
    watch::{WatchId, WatchOutput},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_API: HeaderValue =
    HeaderValue::from_static("application/com.github.proto-openapi.spec.v2.v1.0+protobuf");

/// An API server for Leases.
///
/// Requests go into [`handle`](Self::handle); a watch that it opens is read with
/// [`poll_watch`](Self::poll_watch) and ended with [`close_watch`](Self::close_watch).
///
/// ```
/// use std::time::SystemTime;
///
/// use lease_proto::server::{Answer, ApiServer};
///
/// let mut server = ApiServer::new();
/// let path = "/apis/coordination.k8s.io/v1/namespaces/demo/leases/leader";
/// let request = http::Request::get(path).body(Vec::new()).unwrap();
/// let Answer::Whole(response) = server.handle(&request, SystemTime::UNIX_EPOCH) else {
///     panic!("that is no watch");
/// };
/// assert_eq!(response.status(), 404);
/// ```
#[derive(Clone, Debug)]
pub struct ApiServer {
    config: Arc<Config>,
    access: Arc<Access>,
    store: Store,
    uids: Uids,
    namespaces: Namespaces,
    watches: BTreeMap<WatchId, Watch>,
    next_watch: u64,
    /// The `Date` header of the second that was asked for last.
    date: Option<(i64, HeaderValue)>,
}

/// What comes of a request.
///
/// ```
/// use std::time::SystemTime;
///
/// use lease_proto::server::{Answer, ApiServer};
///
/// let mut server = ApiServer::new();
/// let path = "/apis/coordination.k8s.io/v1/leases?watch=true";
/// let request = http::Request::get(path).body(Vec::new()).unwrap();
/// match server.handle(&request, SystemTime::UNIX_EPOCH) {
///     Answer::Whole(response) => panic!("refused: {}", response.status()),
///     Answer::Watch(_head, id) => server.close_watch(id), // the client hangs up
/// }
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a host must serve both")]
pub enum Answer {
    /// A whole answer.
    Whole(Response<Vec<u8>>),
    /// The head of an answer whose body is a stream, to be had from [`ApiServer::poll_watch`].
    Watch(Response<()>, WatchId),
}

/// An answer before it has headers.
#[derive(Debug)]
enum Outcome {
    Json(u16, Vec<u8>),
    Text(&'static str),
    /// The older OpenAPI document.
    OpenApi(Vec<u8>),
    Watch(Box<Watch>),
}

impl ApiServer {
    /// A server in which every namespace exists and everybody may do everything.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts a server with namespaces, users, rules or a version of its own.
    pub fn builder() -> ApiServerBuilder {
        ApiServerBuilder::default()
    }

    /// Answers a request that arrives when the server's clock says `wall`.
    ///
    /// The path counts, not the authority; `Authorization: Bearer` says who asks.
    pub fn handle(&mut self, request: &Request<Vec<u8>>, wall: SystemTime) -> Answer {
        let now = Stamp::new(wall);
        let outcome = self.outcome(request, now);
        let (code, content_type, body) = match outcome {
            Ok(Outcome::Json(code, body)) => (code, JSON, body),
            Ok(Outcome::Text(body)) => (200, TEXT, body.as_bytes().to_vec()),
            Ok(Outcome::OpenApi(body)) => (200, OPEN_API, body),
            Ok(Outcome::Watch(watch)) => {
                let id = WatchId(self.next_watch);
                self.next_watch += 1;
                self.watches.insert(id, *watch);
                return Answer::Watch(self.respond(200, JSON, (), now), id);
            }
            Err(failure) => return Answer::Whole(self.refuse(&failure, now)),
        };
        let is_text = content_type == TEXT;
        let mut response = self.respond(code, content_type, body, now);
        if is_text {
            no_sniff(&mut response);
        }
        Answer::Whole(response)
    }

    /// One Lease as the server would show it.
    #[must_use]
    pub fn lease(&self, namespace: &str, name: &str) -> Option<Value> {
        self.store.get(namespace, name).map(|it| it.value())
    }

    /// The `resourceVersion` of the latest write. While it stays the same no watch has anything new.
    #[must_use]
    pub fn resource_version(&self) -> u64 {
        self.store.version()
    }

    /// Forgets the history up to a version, as etcd's compaction does: a watch from before it gets 410.
    pub fn compact(&mut self, resource_version: u64) {
        self.store.compact(resource_version);
    }

    /// The answer to a request that was refused.
    fn refuse(&mut self, failure: &Failure, now: Stamp) -> Response<Vec<u8>> {
        let mut response = self.respond(failure.code, JSON, failure.body(), now);
        let headers = response.headers_mut();
        let retry_after = failure
            .details
            .as_ref()
            .and_then(|it| it.retry_after_seconds);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match failure.code {
            403 => no_sniff(&mut response),
            413 => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }

    /// The name of who asks.
    fn name_of(&self, request: &Request<Vec<u8>>) -> String {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let user = self.access.user(authorization.map(HeaderValue::as_bytes));
        user.map_or_else(|_| rbac::ANONYMOUS.to_owned(), |it| it.name)
    }

    fn outcome(&mut self, request: &Request<Vec<u8>>, now: Stamp) -> Result<Outcome, Failure> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let user = self.access.user(authorization.map(HeaderValue::as_bytes))?;
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let path = request.uri().path();
        let resource = match Target::parse(path) {
            Target::Resource(resource) => resource,
            Target::Path => {
                return discovery::document(request.method(), path, &user, self.config.version);
            }
        };
        let verb = Verb::of(request.method(), resource.name.is_some(), &query)
            .ok_or_else(Failure::method_not_allowed)?;
        let selected = match verb {
            Verb::List | Verb::Watch | Verb::DeleteCollection => query
                .fields()
                .ok()
                .and_then(|it| it.name().map(str::to_owned)),
            Verb::Create | Verb::Delete | Verb::Get | Verb::Patch | Verb::Update => None,
        };
        self.access.check(
            &user,
            &Attempt {
                verb,
                group: &resource.group,
                resource: &resource.resource,
                namespace: resource.namespace.as_deref(),
                name: resource.name.as_deref().or(selected.as_deref()),
            },
        )?;
        match (&*resource.group, &*resource.version, &*resource.resource) {
            _ if resource.has_subresource => Err(Failure::no_resource()),
            (GROUP, "v1", RESOURCE) => self.leases(request, verb, &resource, &query, &user, now),
            ("", "v1", "namespaces") => {
                let name = resource.name.as_deref();
                self.namespace(verb, name, &query, request.body(), now)
            }
            _ => Err(Failure::no_resource()),
        }
    }

    /// Requests about Leases.
    fn leases(
        &mut self,
        request: &Request<Vec<u8>>,
        verb: Verb,
        resource: &Resource<'_>,
        query: &Query<'_>,
        user: &User,
        now: Stamp,
    ) -> Result<Outcome, Failure> {
        let form = table::form(request.headers())?;
        let namespace = resource.namespace.as_deref();
        let name = resource.name.as_deref();
        match verb {
            Verb::List => return self.list(namespace, query, form, now),
            Verb::Watch => return self.watch(namespace, query, form, now),
            Verb::Get
            | Verb::Create
            | Verb::Update
            | Verb::Patch
            | Verb::Delete
            | Verb::DeleteCollection => {}
        }
        let Some(namespace) = namespace else {
            return Err(if name.is_some() {
                Failure::no_resource()
            } else {
                Failure::method_not_allowed()
            });
        };
        let write = Write {
            request,
            query,
            user,
            now,
            namespace,
        };
        let (object, is_new) = match (verb, name) {
            (Verb::Get, Some(name)) => (self.get(namespace, name, query)?, false),
            (Verb::Create, None) => (self.create(&write)?, true),
            (Verb::Update, Some(name)) => self.replace(name, &write)?,
            (Verb::Patch, Some(name)) => self.patch(name, &write)?,
            (Verb::Delete, Some(name)) => match self.remove(name, &write)? {
                Deletion::Gone(uid) => return Ok(Outcome::Json(200, status::deleted(name, &uid))),
                Deletion::Pending(object) => (object, false),
            },
            (Verb::DeleteCollection, _) => return self.remove_all(&write),
            _ => return Err(Failure::method_not_allowed()),
        };
        let code = if is_new { 201 } else { 200 };
        Ok(Outcome::Json(code, form.one(&object, now)))
    }

    /// An answer with the headers that every answer has.
    fn respond<T>(
        &mut self,
        code: u16,
        content_type: HeaderValue,
        body: T,
        now: Stamp,
    ) -> Response<T> {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(code).expect("the server's codes are valid ones");
        let headers = response.headers_mut();
        headers.reserve(4);
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache, private"),
        );
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::DATE, self.date(now));
        response
    }

    /// The `Date` header, written once a second.
    fn date(&mut self, now: Stamp) -> HeaderValue {
        let second = now.second();
        if let Some((known, date)) = &self.date
            && *known == second
        {
            return date.clone();
        }
        let date = HeaderValue::from_str(&now.date())
            .expect("a date is made of letters, digits and punctuation");
        self.date = Some((second, date.clone()));
        date
    }
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a `resourceVersion`.
///
/// # Errors
///
/// Go's complaint about the text.
fn parse_version(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let why = if is_number {
        "value out of range"
    } else {
        "invalid syntax"
    };
    let number = if is_number { text.parse().ok() } else { None };
    number.ok_or_else(|| format!("strconv.ParseUint: parsing {text:?}: {why}"))
}

/// Tells browsers to take the media type at its word.
fn no_sniff<T>(response: &mut Response<T>) {
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}
