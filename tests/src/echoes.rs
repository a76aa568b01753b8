//! Claims in numbers, and answers that cost next to nothing: what a server would say that carries everything out.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Response, header::DATE};
use jiff::Timestamp;
use lease_proto::{ClaimId, ClaimSet, Config, Patience, Request, SetLimits, SetOutput, Tag};
use serde_json::value::RawValue;

/// What a server keeps beside what clients write, as long as it is there.
const KEPT: &str = r#""creationTimestamp":"2026-11-20T19:31:57Z","managedFields":[{"manager":"lease-proto","operation":"Update","apiVersion":"coordination.k8s.io/v1","time":"2026-11-20T19:31:57Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:acquireTime":{},"f:holderIdentity":{},"f:leaseDurationSeconds":{},"f:leaseTransitions":{},"f:renewTime":{}}}}]"#;

/// A set of claims that hold, and the clock that they go by.
#[derive(Debug)]
pub struct Echoes {
    /// The claims.
    pub set: ClaimSet,
    /// The clock.
    pub now: Instant,
    wall: SystemTime,
    version: u64,
}

impl Echoes {
    /// Makes a set of so many claims and has all of them acquire.
    ///
    /// # Panics
    ///
    /// Panics where one does not.
    pub fn held(claims: usize) -> Self {
        let now = Instant::now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_203_117);
        let mut echoes = Self {
            set: ClaimSet::new(SetLimits::default(), 7, now),
            now,
            wall,
            version: 1_000_000,
        };
        let ids: Vec<_> = (0..claims).map(|number| echoes.add(number)).collect();
        let end = now + Duration::from_secs(12);
        while echoes.step(end) {}
        let is_held = |id: &ClaimId| echoes.set.get(*id).is_some_and(|it| it.is_held(end));
        assert!(ids.iter().all(is_held), "all acquire, and renew once");
        echoes
    }

    fn add(&mut self, number: usize) -> ClaimId {
        let config = Config::builder("default", format!("shard-{number}"), "worker-7c9d");
        let config = config.build().expect("that is a good one");
        let id = self.set.add(config, self.now);
        self.set.acquire(id, Patience::Forever, self.now);
        id
    }

    /// Answers the next request that is due by `end`, having moved the clock there. Returns whether there was one.
    pub fn step(&mut self, end: Instant) -> bool {
        let Some((tag, request)) = self.request(end) else {
            return false;
        };
        let answer = self.answer(&request);
        self.set.handle_response(tag, &answer, self.now);
        true
    }

    /// Moves the clock to the next request that is due by `end`.
    pub fn request(&mut self, end: Instant) -> Option<(Tag, Request)> {
        loop {
            match self.set.poll_output(self.now, self.wall) {
                SetOutput::Request(tag, request) => return Some((tag, request)),
                SetOutput::Wait(until) if until <= end => {
                    self.wall += until - self.now;
                    self.now = until;
                }
                SetOutput::Wait(_) | SetOutput::Done => return None,
                SetOutput::Event(..) | SetOutput::Cancel(_) => {}
            }
        }
    }

    /// Says what a server would.
    pub fn answer(&mut self, request: &Request) -> Response<Vec<u8>> {
        self.version += 1;
        echo(request, self.version, self.wall)
    }
}

/// Says what a server would by its clock that carries every write out, as a version, and has no record before that.
///
/// # Panics
///
/// Panics where a request is none of a claim.
pub fn echo(request: &Request, version: u64, wall: SystemTime) -> Response<Vec<u8>> {
    let method = request.http.method().as_str();
    let mut response = Response::new(Vec::new());
    let time = Timestamp::try_from(wall).expect("it is in this century");
    let date = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let date = HeaderValue::try_from(date).expect("a date has no odd characters");
    response.headers_mut().insert(DATE, date);
    let status = match method {
        "POST" => 201,
        "PUT" => 200,
        _ => 404,
    };
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    if status == 404 {
        return response;
    }
    let written: Written<'_> =
        serde_json::from_slice(request.http.body()).expect("what a claim writes is JSON");
    let name = written.metadata.name;
    *response.body_mut() = format!(
            r#"{{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{{"name":"{name}","namespace":"default","uid":"0d9b1e61-53f5-4a0e-8d4f-6a3f4c7f0c11","resourceVersion":"{}",{KEPT}}},"spec":{}}}"#,
            version,
            written.spec.get(),
        )
        .into_bytes();
    response
}

#[derive(serde::Deserialize)]
struct Written<'a> {
    metadata: Named<'a>,
    #[serde(borrow)]
    spec: &'a RawValue,
}

#[derive(serde::Deserialize)]
struct Named<'a> {
    name: &'a str,
}
