//! A claimant: a shipped claim, what is planted around it, and what is known of it besides.

use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode, header};
use lease_proto::{Claim, Config, Event, Grant, Loss, OnRelease, RequestId, WriteMethod};
use serde_json::{Value, json};

use super::{Plant, clock::Clock, key::Text, streams::Stream};

/// A claimant.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) claim: Claim,
    pub(super) life: u8,
    pub(super) paused: bool,
    /// A third party took its record away: until it notices, it may believe on.
    pub(super) robbed: bool,
    /// Between `Acquired` and `Lost`.
    pub(super) holding: bool,
    /// Wants nothing.
    pub(super) rests: bool,
    /// When it asked to be woken.
    pub(super) wake: Option<u32>,
    /// The last request that it sent.
    pub(super) asked: Option<RequestId>,
    /// The stream that it has asked for.
    pub(super) stream: Option<Stream>,
    /// When it sent that.
    asked_at: u32,
    /// Until when a planted bug has it believe.
    believes_until: Option<Instant>,
    /// A planted bug keeps a loss back.
    silent: bool,
    /// What tells it apart.
    pub(super) text: Text,
}

impl Node {
    pub(super) fn new(index: usize, life: u8, now: Instant, watches: bool) -> Self {
        let config = config(index, life, watches);
        // Any seed will do: see `key`.
        let seed = u64::from(life) * 16 + index as u64;
        Self {
            claim: Claim::new(config, seed, now),
            life,
            paused: false,
            robbed: false,
            holding: false,
            rests: false,
            wake: None,
            asked: None,
            stream: None,
            asked_at: 0,
            believes_until: None,
            silent: false,
            text: Text::default(),
        }
    }

    pub(super) fn believes(&self, now: Instant) -> bool {
        let by_plant = self.believes_until.is_some_and(|until| now < until);
        self.claim.is_held(now) || by_plant || self.silent
    }

    pub(super) fn identity(&self) -> &str {
        self.claim.identity().as_str()
    }

    /// The name of who claims as the `index`th, and has crashed `life` times.
    pub(super) fn name(index: usize, life: u8) -> String {
        format!("n{index}l{life}")
    }

    /// Takes apart anew what tells it apart, but for what the state looks at itself.
    pub(super) fn seal(&mut self, clock: &Clock) {
        let Self { claim, holding, .. } = self;
        let (until, silent) = (self.believes_until, self.silent);
        let stream = self.stream.as_ref();
        let held_up = stream.map(|stream| stream.held_up);
        let lines = stream.iter().flat_map(|stream| &stream.lines);
        let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line)).collect();
        self.text = Text::new(
            clock,
            format_args!("{claim:?}{holding}{until:?}{silent}{held_up:?}{lines:?}"),
        );
    }

    /// Takes note of a request on its way out, and changes it as the bug has it.
    pub(super) fn ask(
        &mut self,
        id: RequestId,
        request: &mut Request<Vec<u8>>,
        tick: u32,
        plant: Option<Plant>,
    ) {
        (self.asked, self.asked_at) = (Some(id), tick);
        let Some(plant) = plant else { return };
        let mut body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let method = request.method().clone();
        let is_put = method == Method::PUT;
        let clears = is_put && body["spec"]["holderIdentity"] == "";
        match plant {
            Plant::NoVersion if is_put => unbind(request, &body),
            Plant::ReleaseClobbers if clears => unbind(request, &body),
            Plant::NoUid if is_put => {
                drop_member(&mut body["metadata"], "uid");
                *request.body_mut() = body.to_string().into_bytes();
            }
            Plant::DeleteClobbers if method == Method::DELETE => {
                drop_member(&mut body, "preconditions");
                *request.body_mut() = body.to_string().into_bytes();
            }
            _ => {}
        }
    }

    /// Takes an answer, changed as the bug has it.
    pub(super) fn answer(
        &mut self,
        id: RequestId,
        request: &Request<Vec<u8>>,
        response: &Response<Vec<u8>>,
        tick: u32,
        clock: &Clock,
        plant: Option<Plant>,
    ) {
        let now = clock.now(tick);
        let Some(plant) = plant else {
            self.claim.handle_response(id, response, now);
            return;
        };
        let mut heard = now;
        let mut response = response.clone();
        let mut body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let holder = body["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let (is_held, is_ours) = (!holder.is_empty(), holder == self.identity());
        let is_read = request.method() == Method::GET;
        let is_write = [Method::PUT, Method::PATCH].contains(request.method());
        match plant {
            Plant::TimerFromRequest if is_read && self.asked == Some(id) => {
                heard = clock.now(self.asked_at);
            }
            Plant::NoWait if is_read && is_held && !is_ours => {
                body["spec"]["holderIdentity"] = json!("");
                *response.body_mut() = body.to_string().into_bytes();
            }
            Plant::OwnDuration if is_read && is_held && !is_ours => {
                let named = body["spec"]["leaseDurationSeconds"].as_i64().unwrap_or(2);
                body["spec"]["leaseDurationSeconds"] = json!(named / 2);
                *response.body_mut() = body.to_string().into_bytes();
            }
            Plant::LateAnswerRevives
                if is_write && is_ours && !self.holding && response.status() == StatusCode::OK =>
            {
                self.believes_until = Some(now + self.claim.config().grant_length());
            }
            Plant::ConflictIsSuccess
                if is_write && response.status() == StatusCode::CONFLICT && self.holding =>
            {
                // With its `Date`: what is known of the servers' clock would get older for ever.
                let headers = response.headers().clone();
                response = echo(request);
                *response.headers_mut() = headers;
            }
            _ => {}
        }
        self.claim.handle_response(id, &response, heard);
    }

    /// Hears what the claim says to the application. Returns what it should not have said.
    pub(super) fn hear(
        &mut self,
        event: &Event,
        now: Instant,
        plant: Option<Plant>,
    ) -> Option<&'static str> {
        let (may_come, holds_after) = match event {
            Event::Acquired(_) => (!self.holding, true),
            Event::Renewed(_) | Event::AtRisk { .. } | Event::Recovered | Event::Verified(_) => {
                (self.holding, true)
            }
            Event::Lost(_) => (self.holding, false),
            _ => (!self.holding, false),
        };
        self.holding = holds_after;
        match event {
            Event::Acquired(Grant { valid_until, .. })
            | Event::Renewed(Grant { valid_until, .. }) => {
                self.believes_until = None;
                if plant == Some(Plant::DeadlineFromAnswer) {
                    self.believes_until = Some(now + self.claim.config().grant_length());
                }
                if *valid_until <= now {
                    return Some("a grant that is over when it is told");
                }
            }
            Event::Lost(loss) => {
                self.robbed = false;
                if plant != Some(Plant::DeadlineFromAnswer) || *loss != Loss::Expired {
                    self.believes_until = None;
                }
                self.silent = plant == Some(Plant::ReleaseBeforeLost) && *loss == Loss::Released;
            }
            Event::Released(_) => self.silent = false,
            _ => {}
        }
        (!may_come).then_some("something was said out of turn")
    }
}

/// All timings are such that what is drawn at random ends with the same tick, whatever is drawn.
///
/// Claimants differ in how they write and in how they release. Those who watch do not go by the servers' clock: they hear of it
/// so rarely that what they know of it would be another thing each time.
fn config(index: usize, life: u8, watches: bool) -> Config {
    let second = Duration::from_secs(1);
    let (write_method, on_release) = match index {
        0 => (WriteMethod::Put, OnRelease::Clear),
        1 => (WriteMethod::Put, OnRelease::Delete),
        _ => (WriteMethod::Patch, OnRelease::Clear),
    };
    Config::builder("default", "leader", Node::name(index, life))
        .watch(watches)
        .server_time(!watches)
        .unique_identity(false)
        .lease_duration(4 * second)
        .renew_deadline(4 * second)
        .renew_interval(2 * second)
        .retry_period(Duration::from_millis(750))
        .request_timeout(2 * second)
        .write_method(write_method)
        .on_release(on_release)
        .build()
        .expect("the timings fit each other")
}

/// Makes a write that is bound to no version.
fn unbind(request: &mut Request<Vec<u8>>, body: &Value) {
    *request.method_mut() = Method::PATCH;
    let merge = header::HeaderValue::from_static("application/merge-patch+json");
    request.headers_mut().insert(header::CONTENT_TYPE, merge);
    *request.body_mut() = json!({"spec": body["spec"]}).to_string().into_bytes();
}

/// The answer to a write that succeeds.
fn echo(request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let version = body["metadata"]["resourceVersion"].as_str();
    let version: u64 = version.and_then(|it| it.parse().ok()).unwrap_or(0);
    body["metadata"]["resourceVersion"] = json!((version + 1).to_string());
    Response::new(body.to_string().into_bytes())
}

fn drop_member(value: &mut Value, name: &str) {
    if let Some(members) = value.as_object_mut() {
        members.remove(name);
    }
}
