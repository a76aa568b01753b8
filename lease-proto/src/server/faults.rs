//! A server that misbehaves on demand: scripted faults in front of an [`ApiServer`].

use std::time::SystemTime;

use http::{HeaderValue, Request, Response, header};

use super::{
    Answer, ApiServer, Fault, TEXT,
    fault::Kind,
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
///
/// ```
/// use std::time::SystemTime;
///
/// use lease_proto::server::{ApiServer, Fault, Faults, Reply};
///
/// let mut server = Faults::new(ApiServer::new());
/// server.push(Fault::lose_request());
/// let request = http::Request::get("/healthz").body(Vec::new()).unwrap();
/// let first = server.handle(&request, SystemTime::UNIX_EPOCH);
/// let second = server.handle(&request, SystemTime::UNIX_EPOCH);
/// assert!(matches!((first, second), (Reply::NoAnswer, Reply::Answer(_))));
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a host must serve both")]
pub enum Reply {
    /// An answer, right or wrong.
    Answer(Answer),
    /// Nothing: the connection breaks, or hangs.
    NoAnswer,
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

    /// Answers a request, as the script has it, at once.
    pub fn handle(&mut self, request: &Request<Vec<u8>>, wall: SystemTime) -> Reply {
        let fault = self.befall(request);
        self.carry_out(fault, request, wall)
    }

    /// Takes the fault that befalls a request off the script, if one does, for a host that can wait.
    ///
    /// It waits for the fault's [`request_delay`](Fault::request_delay), [carries the request out](Self::carry_out), and waits
    /// for its [`answer_delay`](Fault::answer_delay); where there is no answer, the connection breaks then, unless the fault
    /// [hangs](Fault::hangs).
    pub fn befall(&mut self, request: &Request<Vec<u8>>) -> Option<Fault> {
        let index = self.script.iter_mut().position(|it| it.befalls(request))?;
        let fault = self.script.get_mut(index)?;
        fault.times -= 1;
        if fault.times == 0 {
            Some(self.script.remove(index))
        } else {
            Some(fault.clone())
        }
    }

    /// Answers a request that this befalls.
    pub fn carry_out(
        &mut self,
        fault: Option<Fault>,
        request: &Request<Vec<u8>>,
        wall: SystemTime,
    ) -> Reply {
        let Some(fault) = fault else {
            return Reply::Answer(self.server.handle(request, wall));
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
            Kind::Altered | Kind::Hang | Kind::NoAnswer => return None,
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
