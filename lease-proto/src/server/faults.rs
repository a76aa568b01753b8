//! A server that misbehaves on demand: scripted faults in front of an [`ApiServer`].

use std::{fmt, sync::Arc, time::SystemTime};

use http::{HeaderName, HeaderValue, Method, Request, Response, header};

use super::{
    Answer, ApiServer, JSON, TEXT,
    go_time::Stamp,
    no_sniff,
    rbac::Attempt,
    route::{Query, Target, Verb},
    status::{Failure, GROUP, RESOURCE},
};

/// Stands before an [`ApiServer`] and answers some of its requests wrongly, late or not at all.
///
/// ```
/// use std::time::SystemTime;
/// use lease_proto::server::{ApiServer, Fault, Faults, Reply};
///
/// let mut server = Faults::new(ApiServer::new());
/// server.push(Fault::lose_answer().on(http::Method::POST));
/// let request = http::Request::post("/apis/coordination.k8s.io/v1/namespaces/demo/leases")
///     .body(br#"{"metadata":{"name":"singleton"}}"#.to_vec())
///     .unwrap();
/// assert!(matches!(server.handle(&request, SystemTime::UNIX_EPOCH), Reply::NoAnswer));
/// assert!(server.server().lease("demo", "singleton").is_some());
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    server: ApiServer,
    script: Vec<Fault>,
}

/// What comes back through [`Faults`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a host must serve both")]
pub enum Reply {
    /// An answer, right or wrong.
    Answer(Answer),
    /// Nothing: the connection breaks, or hangs.
    NoAnswer,
}

/// One fault: what happens, to which requests, how often.
///
/// Unless said otherwise it befalls the next request, whatever that is, once, and the request has no
/// effect on the server.
#[derive(Clone)]
pub struct Fault {
    kind: Kind,
    is_applied: bool,
    method: Option<Method>,
    predicate: Option<Predicate>,
    spared: u32,
    times: u32,
    headers: Vec<(HeaderName, Option<HeaderValue>)>,
}

/// Chooses requests.
type Predicate = Arc<dyn Fn(&Request<Vec<u8>>) -> bool + Send + Sync>;

#[derive(Clone, Debug)]
enum Kind {
    /// The right answer, with other headers.
    Altered,
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    InternalError,
    NoAnswer,
    NotFound,
    Other(Box<Response<Vec<u8>>>),
    Timeout,
    TooManyRequests,
    Unauthorized,
    Unavailable,
}

impl Faults {
    /// Lets every request through until there are faults.
    #[must_use]
    pub fn new(server: ApiServer) -> Self {
        Self {
            server,
            script: Vec::new(),
        }
    }

    /// Adds a fault. Of several that fit a request the oldest befalls it.
    pub fn push(&mut self, fault: Fault) -> &mut Self {
        self.script.push(fault);
        self
    }

    /// How many faults are still to come.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.script.len()
    }

    /// The server behind.
    #[must_use]
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// The server behind, to read watches or to write past the faults.
    pub fn server_mut(&mut self) -> &mut ApiServer {
        &mut self.server
    }

    /// Answers a request, as the script has it.
    pub fn handle(&mut self, request: &Request<Vec<u8>>, wall: SystemTime) -> Reply {
        let Some(index) = self.script.iter_mut().position(|it| it.befalls(request)) else {
            return Reply::Answer(self.server.handle(request, wall));
        };
        let Some(fault) = self.script.get_mut(index) else {
            return Reply::NoAnswer;
        };
        fault.times -= 1;
        let fault = if fault.times == 0 {
            self.script.remove(index)
        } else {
            fault.clone()
        };
        if let Kind::Altered = fault.kind {
            let mut answer = self.server.handle(request, wall);
            match &mut answer {
                Answer::Whole(response) => fault.alter(response),
                Answer::Watch(response, _) => fault.alter(response),
            }
            return Reply::Answer(answer);
        }
        if fault.is_applied
            && let Answer::Watch(_, id) = self.server.handle(request, wall)
        {
            self.server.close_watch(id);
        }
        match self.wrong(&fault.kind, request, Stamp::new(wall)) {
            Some(mut response) => {
                fault.alter(&mut response);
                Reply::Answer(Answer::Whole(response))
            }
            None => Reply::NoAnswer,
        }
    }

    /// The wrong answer; nothing if there is none.
    fn wrong(
        &mut self,
        kind: &Kind,
        request: &Request<Vec<u8>>,
        now: Stamp,
    ) -> Option<Response<Vec<u8>>> {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let (namespace, name) = match Target::parse(request.uri().path()) {
            Target::Resource(it) => (it.namespace, it.name.unwrap_or_default()),
            Target::Path => (None, "".into()),
        };
        let failure = match kind {
            Kind::Altered | Kind::NoAnswer => return None,
            Kind::Other(response) => return Some(Response::clone(response)),
            Kind::TooManyRequests => {
                let body = b"Too many requests, please try again later.\n".to_vec();
                let mut response = self.server.respond(429, TEXT, body, now);
                no_sniff(&mut response);
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                return Some(response);
            }
            Kind::Timeout => return Some(self.timeout(query.get("timeout"), now)),
            Kind::AlreadyExists => Failure::already_exists(&name),
            Kind::Conflict => Failure::modified(&name),
            Kind::Expired => Failure::expired("list"),
            Kind::Forbidden => Attempt {
                verb: Verb::of(request.method(), !name.is_empty(), &query).unwrap_or(Verb::Get),
                group: GROUP,
                resource: RESOURCE,
                namespace: namespace.as_deref(),
                name: Some(&*name).filter(|it| !it.is_empty()),
            }
            .forbidden(&self.server.name_of(request)),
            Kind::InternalError => Failure::vague(
                500,
                "InternalError",
                "Internal error occurred: etcdserver: leader changed",
            ),
            Kind::NotFound => Failure::not_found(&name),
            Kind::Unauthorized => Failure::unauthorized(),
            Kind::Unavailable => Failure::new(
                503,
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
        };
        Some(self.server.refuse(&failure, now))
    }

    /// 504: the store did not answer in time. Only where the client named the time is it a whole `Status`.
    fn timeout(&mut self, requested: Option<&str>, now: Stamp) -> Response<Vec<u8>> {
        if let Some(requested) = requested {
            let message =
                format!("Timeout: request did not complete within requested timeout {requested}");
            let failure = Failure::vague(504, "Timeout", message);
            return self.server.refuse(&failure, now);
        }
        let body = concat!(
            r#"{"metadata":{},"status":"Failure","message":"Timeout: request did not complete within 5s","#,
            r#""reason":"Timeout","details":{},"code":504}"#,
            "\n"
        );
        self.server
            .respond(504, TEXT, body.as_bytes().to_vec(), now)
    }
}

impl Fault {
    /// 409, `AlreadyExists`.
    #[must_use]
    pub fn already_exists() -> Self {
        Self::new(Kind::AlreadyExists)
    }

    /// 409, `Conflict`: the object has been modified.
    #[must_use]
    pub fn conflict() -> Self {
        Self::new(Kind::Conflict)
    }

    /// 410, `Expired`.
    #[must_use]
    pub fn expired() -> Self {
        Self::new(Kind::Expired)
    }

    /// 403.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(Kind::Forbidden)
    }

    /// 200 with this body, which need not be what it says it is.
    #[must_use]
    pub fn garbage(body: impl Into<Vec<u8>>) -> Self {
        let mut response = Response::new(body.into());
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        Self::answer(response)
    }

    /// 500, `InternalError`.
    #[must_use]
    pub fn internal_error() -> Self {
        Self::new(Kind::InternalError)
    }

    /// No answer, although the request was carried out.
    #[must_use]
    pub fn lose_answer() -> Self {
        Self::new(Kind::NoAnswer).applied()
    }

    /// No answer: the request never arrived.
    #[must_use]
    pub fn lose_request() -> Self {
        Self::new(Kind::NoAnswer)
    }

    /// 404 for the object.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound)
    }

    /// 504 as of a stalled etcd: as `text/plain`, unless the request has a `timeout` of its own.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(Kind::Timeout)
    }

    /// 429 as of an overloaded server: `text/plain`, with a `Retry-After` of one second.
    #[must_use]
    pub fn too_many_requests() -> Self {
        Self::new(Kind::TooManyRequests)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(Kind::Unauthorized)
    }

    /// 503, `ServiceUnavailable`.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(Kind::Unavailable)
    }

    /// This answer.
    #[must_use]
    pub fn answer(response: Response<Vec<u8>>) -> Self {
        Self::new(Kind::Other(Box::new(response)))
    }

    /// The right answer, but for what [`header`](Self::header) and [`without_header`](Self::without_header) change.
    #[must_use]
    pub fn altered() -> Self {
        Self::new(Kind::Altered)
    }

    /// Carries the request out before it is answered wrongly.
    #[must_use]
    pub fn applied(mut self) -> Self {
        self.is_applied = true;
        self
    }

    /// Only requests with this method.
    #[must_use]
    pub fn on(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only requests that fulfil a condition.
    #[must_use]
    pub fn when(
        mut self,
        predicate: impl Fn(&Request<Vec<u8>>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.predicate = Some(Arc::new(predicate));
        self
    }

    /// Spares this many of the requests that fit. Defaults to 0.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.spared = requests;
        self
    }

    /// Befalls this many requests, at least one. Defaults to 1.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        self.times = requests.max(1);
        self
    }

    /// Sets a header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, Some(value)));
        self
    }

    /// Leaves a header out of the answer.
    #[must_use]
    pub fn without_header(mut self, name: HeaderName) -> Self {
        self.headers.push((name, None));
        self
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            is_applied: false,
            method: None,
            predicate: None,
            spared: 0,
            times: 1,
            headers: Vec::new(),
        }
    }

    /// Whether a request is hit; counts those that are spared.
    fn befalls(&mut self, request: &Request<Vec<u8>>) -> bool {
        let fits = self.method.as_ref().is_none_or(|it| it == request.method())
            && self.predicate.as_ref().is_none_or(|it| it(request));
        if fits && self.spared > 0 {
            self.spared -= 1;
            return false;
        }
        fits
    }

    fn alter<T>(&self, response: &mut Response<T>) {
        for (name, value) in &self.headers {
            match value {
                Some(value) => response.headers_mut().insert(name, value.clone()),
                None => response.headers_mut().remove(name),
            };
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("kind", &self.kind)
            .field("is_applied", &self.is_applied)
            .field("method", &self.method)
            .field("spared", &self.spared)
            .field("times", &self.times)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
