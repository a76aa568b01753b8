//! Timelines: what goes in when, and what comes out.

#[cfg(feature = "server")]
mod ageing;
mod clocks;
mod doubting;
mod ending;
#[cfg(feature = "server")]
mod errands;
mod holding;
mod hostile;
mod insisting;
mod parting;
mod pausing;
#[cfg(feature = "server")]
mod priority;
mod releasing;
mod shortened;
mod taking;
mod told;
mod unwatched;
#[cfg(feature = "server")]
mod waiters;
mod watching;

use http::Response;
use serde_json::{Value, json};

use super::*;
use crate::{ConfigBuilder, RequestId};

/// 2026-11-20T19:31:57.250000Z, in milliseconds.
const WALL: u64 = 1_795_203_117_250;

/// One claim, a clock that stands still unless told otherwise, and the last request.
struct Timeline {
    claim: Claim,
    start: Instant,
    millis: u64,
    /// How far the wall clock is off, in milliseconds.
    wall_error: i64,
    asked: Option<Asked>,
    stream: Option<RequestId>,
    /// What came out and was not looked at.
    next: Option<Output>,
}

/// A request that came out and is not answered.
#[derive(Clone, Debug)]
struct Asked {
    id: RequestId,
    deadline: u64,
    reload_credentials: bool,
    path: String,
    body: Value,
}

impl Timeline {
    fn new(configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        Self::named("me", configure)
    }

    fn named(identity: &str, configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let config = Config::builder("default", "leader", identity);
        let config = config.unique_identity(false).watch(false);
        let start = some_instant();
        Self {
            claim: Claim::new(configure(config).build().unwrap(), 7, start),
            start,
            millis: 0,
            wall_error: 0,
            asked: None,
            stream: None,
            next: None,
        }
    }

    /// A claim that has acquired a new Lease at 0 ms, as version 10.
    fn held(configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let mut t = Self::new(configure);
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET").answer(404, json!({}));
        t.asks("POST").echo(201, 10);
        let acquired = t.event();
        assert!(matches!(acquired, Event::Acquired(_)), "{acquired:?}");
        t
    }

    fn at(&mut self, millis: u64) -> &mut Self {
        assert!(self.millis <= millis, "time does not go back");
        self.millis = millis;
        self
    }

    fn now(&self) -> Instant {
        self.instant(self.millis)
    }

    fn instant(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn poll(&mut self) -> Output {
        if let Some(next) = self.next.take() {
            return next;
        }
        let wall = (WALL + self.millis)
            .checked_add_signed(self.wall_error)
            .unwrap();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(wall);
        self.claim.poll_output(self.now(), wall)
    }

    fn asks(&mut self, method: &str) -> &mut Self {
        let output = self.poll();
        let Output::Request(request) = output else {
            panic!("expected a {method} at {} ms, got {output:?}", self.millis);
        };
        assert_eq!(request.http.method(), method, "at {} ms", self.millis);
        assert!(!request.is_stream, "a watch at {} ms", self.millis);
        let deadline = request.deadline.duration_since(self.start);
        self.asked = Some(Asked {
            id: request.id,
            deadline: u64::try_from(deadline.as_millis()).unwrap(),
            reload_credentials: request.reload_credentials,
            path: request.http.uri().to_string(),
            body: serde_json::from_slice(request.http.body()).unwrap_or_default(),
        });
        self
    }

    fn asked(&self) -> &Asked {
        self.asked.as_ref().expect("a request came out")
    }

    fn answer(&mut self, status: u16, body: Value) -> &mut Self {
        let response = Response::builder().status(status);
        let response = response.body(serde_json::to_vec(&body).unwrap()).unwrap();
        self.respond(&response)
    }

    fn respond(&mut self, response: &Response<Vec<u8>>) -> &mut Self {
        let id = self.asked().id;
        self.claim.handle_response(id, response, self.now());
        self
    }

    /// Answers as the server does that carried the write out.
    fn echo(&mut self, status: u16, version: u64) -> &mut Self {
        let written = self.written(version);
        self.answer(status, written)
    }

    /// The record as the last request made it.
    fn written(&self, version: u64) -> Value {
        let mut written = self.asked().body.clone();
        written["metadata"]["uid"] = json!("u1");
        written["metadata"]["name"] = json!("leader");
        written["metadata"]["namespace"] = json!("default");
        written["metadata"]["resourceVersion"] = json!(version.to_string());
        written
    }

    fn fails(&mut self) -> &mut Self {
        let id = self.asked().id;
        self.claim.handle_failure(id, self.now());
        self
    }

    fn event(&mut self) -> Event {
        let output = self.poll();
        let Output::Event(event) = output else {
            panic!("expected an event at {} ms, got {output:?}", self.millis);
        };
        event
    }

    fn says(&mut self, event: Event) -> &mut Self {
        assert_eq!(self.event(), event, "at {} ms", self.millis);
        self
    }

    fn renewed_until(&mut self, millis: u64) -> &mut Self {
        let event = self.event();
        let Event::Renewed(grant) = event else {
            panic!("expected a renewal at {} ms, got {event:?}", self.millis);
        };
        assert_eq!(
            grant.valid_until,
            self.instant(millis),
            "at {} ms",
            self.millis
        );
        self
    }

    fn at_risk(&mut self) -> Trouble {
        let event = self.event();
        let Event::AtRisk { trouble, .. } = event else {
            panic!("expected trouble at {} ms, got {event:?}", self.millis);
        };
        trouble
    }

    /// Hears that the grant ends at `until`, since the record names so many seconds.
    fn shortened_to(&mut self, seconds: i64, until: u64) -> &mut Self {
        let trouble = Trouble::Shortened { seconds };
        let until = self.instant(until);
        self.says(Event::AtRisk { until, trouble })
    }

    fn cancels(&mut self) -> &mut Self {
        let output = self.poll();
        assert!(
            matches!(output, Output::Cancel(id) if id == self.asked().id),
            "{output:?}"
        );
        self
    }

    /// The instant, in milliseconds and rounded up, until which nothing is to be done.
    fn waits(&mut self) -> u64 {
        let output = self.poll();
        let Output::Wait(until) = output else {
            panic!("expected to wait at {} ms, got {output:?}", self.millis);
        };
        assert!(
            until > self.now(),
            "a wait that is over at {} ms",
            self.millis
        );
        let micros = until.duration_since(self.start).as_micros();
        u64::try_from(micros.div_ceil(1_000)).unwrap()
    }

    fn waits_until(&mut self, millis: u64) -> &mut Self {
        assert_eq!(self.waits(), millis, "at {} ms", self.millis);
        self
    }

    /// Waits until the claim has something to ask or to say.
    fn in_time(&mut self) -> &mut Self {
        loop {
            let next = self.poll();
            if !matches!(next, Output::Wait(_)) {
                self.next = Some(next);
                return self;
            }
            self.next = Some(next);
            self.sleep();
        }
    }

    /// Waits as long as the claim wants to.
    fn sleep(&mut self) -> &mut Self {
        let until = self.waits();
        self.at(until)
    }

    fn is_done(&mut self) {
        let output = self.poll();
        assert!(matches!(output, Output::Done), "{output:?}");
    }

    fn holds(&self) -> bool {
        self.claim.is_held(self.now())
    }
}

/// A record of somebody else's, with times that tell `renewal` from the others.
fn foreign(version: u64, holder: &str, renewal: u64) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader", "namespace": "default", "uid": "u1", "resourceVersion": version.to_string()},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 20,
            "acquireTime": "2026-11-20T19:00:00.000000Z",
            "renewTime": format!("2026-11-20T19:00:00.{renewal:06}Z"),
            "leaseTransitions": 4,
        },
    })
}

/// The record after a late release by whoever held it before a claim that created it.
fn wiped(version: u64, renewal: u64) -> Value {
    let mut wiped = foreign(version, "", renewal);
    wiped["spec"]["leaseDurationSeconds"] = json!(1);
    wiped["spec"]["leaseTransitions"] = json!(0);
    wiped
}

/// An answer that asks for a pause.
fn later(code: u16, seconds: &str) -> Response<Vec<u8>> {
    let answer = Response::builder()
        .status(code)
        .header("Retry-After", seconds);
    answer.body(b"please try again later".to_vec()).unwrap()
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no other way to make an instant, and any will do"
)]
fn some_instant() -> Instant {
    Instant::now() + Duration::from_secs(1_000_000)
}
