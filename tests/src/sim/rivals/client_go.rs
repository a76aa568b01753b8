//! client-go's leader election (`tools/leaderelection`), from the retries to the release.
//!
//! Modelled: the attempt (an update without a look while it believes itself the valid leader, else a look, then a create or
//! an update on the version that was looked at), that its clock starts when an answer has come, records compared in whole
//! seconds, the renew loop that gives each renewal the whole `RenewDeadline` anew, `OnStoppedLeading` only after the release,
//! and the release that looks without looking whose lease it is.

use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use lease_proto::wire::MicroTime;
use serde_json::{Value, json};

use super::{Moment, Rival, Wish};
use crate::sim::servers::{LEASE, LEASES};

/// In which ways a client-go is built and configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) lease_duration: Duration,
    pub(crate) renew_deadline: Duration,
    pub(crate) retry_period: Duration,
    /// How long the HTTP client waits for an answer.
    pub(crate) timeout: Duration,
    /// `ReleaseOnCancel`.
    pub(crate) releases: bool,
    /// Whether a release reads the record first, as since v0.34, and so writes over whatever it has become.
    pub(crate) release_looks: bool,
}

#[derive(Debug)]
pub(crate) struct ClientGo {
    identity: String,
    habits: Habits,
    /// The record as compared.
    observed: Option<Value>,
    observed_at: Option<Instant>,
    /// The object as last read or written.
    object: Value,
    leads: bool,
    stage: Stage,
    step: Step,
    /// Not before this instant.
    at: Option<Instant>,
    flight: Option<(u64, Step, Instant)>,
    next: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Acquire,
    /// Between two renewals.
    Rest,
    /// Within the time for one renewal.
    Renew(Instant),
    Release,
}

/// What to send next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// An update without a look if it believes itself the valid leader, else a look.
    Try,
    /// A look.
    Look,
    /// An update of what the look showed.
    Update,
    /// The look of a release.
    LookToRelease,
    /// The update of a release.
    Release,
}

impl Habits {
    /// The defaults, as Kubernetes' own components have them.
    pub(crate) fn usual() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            releases: true,
            release_looks: true,
        }
    }
}

impl ClientGo {
    pub(crate) fn new(identity: String, habits: Habits) -> Self {
        Self {
            identity,
            habits,
            observed: None,
            observed_at: None,
            object: Value::Null,
            leads: false,
            stage: Stage::Acquire,
            step: Step::Try,
            at: None,
            flight: None,
            next: 0,
        }
    }

    fn is_leader(&self) -> bool {
        let observed = self.observed.as_ref();
        observed.is_some_and(|record| record["holderIdentity"] == *self.identity)
    }

    fn is_valid(&self, now: Instant) -> bool {
        let Some(record) = &self.observed else {
            return false;
        };
        let named = record["leaseDurationSeconds"].as_u64().unwrap_or(0);
        let since = self.observed_at;
        since.is_some_and(|since| since + Duration::from_secs(named) > now)
    }

    fn note(&mut self, lease: &Value, now: Instant) {
        let record = in_whole_seconds(&lease["spec"]);
        self.object = lease.clone();
        if self.observed.as_ref() != Some(&record) {
            self.observed = Some(record);
            self.observed_at = Some(now);
        }
    }

    fn send(&mut self, step: Step, request: Request<Vec<u8>>, now: Instant) -> Wish {
        let id = self.next;
        self.next += 1;
        let within = match self.stage {
            Stage::Renew(until) => (now + self.habits.timeout).min(until),
            Stage::Acquire | Stage::Rest | Stage::Release => now + self.habits.timeout,
        };
        self.flight = Some((id, step, within));
        Wish::Ask(id, request)
    }

    fn update(&mut self, step: Step, moment: &Moment<'_>) -> Wish {
        let now = MicroTime::from(moment.wall).to_string();
        let seconds = self.habits.lease_duration.as_secs();
        let mut lease = self.object.clone();
        let is_new = lease.is_null();
        if is_new {
            lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "leader", "namespace": "default"}, "spec": {"leaseTransitions": -1}});
        }
        let spec = &mut lease["spec"];
        if !self.is_leader() {
            spec["acquireTime"] = json!(now);
            let transitions = spec["leaseTransitions"].as_i64().unwrap_or(0);
            spec["leaseTransitions"] = json!(transitions + 1);
        }
        spec["holderIdentity"] = json!(self.identity);
        spec["leaseDurationSeconds"] = json!(seconds);
        spec["renewTime"] = json!(now);
        let request = if is_new {
            Request::post(LEASES)
        } else {
            Request::put(LEASE)
        };
        self.send(step, written(request, &lease), moment.now)
    }

    /// An attempt has failed: what then depends on the stage.
    fn fail(&mut self, moment: &mut Moment<'_>) {
        self.step = Step::Try;
        let pause = match self.stage {
            Stage::Acquire => {
                let most = u64::try_from(self.habits.retry_period.as_micros()).unwrap_or(0) * 6 / 5;
                self.habits.retry_period + Duration::from_micros(moment.random.between(0, most))
            }
            Stage::Rest | Stage::Renew(_) => self.habits.retry_period,
            Stage::Release => {
                self.stop();
                Duration::from_secs(1)
            }
        };
        self.at = Some(moment.now + pause);
    }

    /// A request came to nothing.
    fn missed(&mut self, step: Step, moment: &mut Moment<'_>) {
        if step == Step::Try {
            // "Failed to update lease optimistically, falling back to slow path."
            (self.step, self.at) = (Step::Look, None);
        } else {
            self.fail(moment);
        }
    }

    fn succeed(&mut self, now: Instant) {
        self.leads = true;
        self.step = Step::Try;
        match self.stage {
            Stage::Acquire => self.stage = Stage::Renew(now + self.habits.renew_deadline),
            Stage::Renew(_) | Stage::Rest => {
                self.stage = Stage::Rest;
                self.at = Some(now + self.habits.retry_period);
            }
            Stage::Release => {}
        }
    }

    /// The process ends, and another one begins.
    fn stop(&mut self) {
        self.leads = false;
        (self.stage, self.step) = (Stage::Acquire, Step::Try);
        (self.observed, self.observed_at, self.object) = (None, None, Value::Null);
    }

    fn release(&mut self, moment: &Moment<'_>) -> Wish {
        if !self.is_leader() {
            self.stop();
            self.at = Some(moment.now + Duration::from_secs(1));
            return Wish::Wait(moment.now + Duration::from_secs(1));
        }
        let now = MicroTime::from(moment.wall).to_string();
        let mut lease = self.object.clone();
        let spec = &mut lease["spec"];
        spec["holderIdentity"] = json!("");
        spec["leaseDurationSeconds"] = json!(1);
        spec["acquireTime"] = json!(now);
        spec["renewTime"] = json!(now);
        self.send(Step::Release, written(Request::put(LEASE), &lease), moment.now)
    }
}

impl Rival for ClientGo {
    fn poll(&mut self, moment: &mut Moment<'_>) -> Wish {
        let now = moment.now;
        if let Some((_, step, until)) = self.flight {
            if now < until {
                return Wish::Wait(until);
            }
            self.flight = None;
            self.missed(step, moment);
        }
        if let Stage::Renew(until) = self.stage
            && until <= now
        {
            if self.habits.releases {
                self.stage = Stage::Release;
                self.step = if self.habits.release_looks {
                    Step::LookToRelease
                } else {
                    Step::Release
                };
                self.at = None;
            } else {
                self.stop();
                self.at = Some(now + Duration::from_secs(1));
            }
        }
        if let Some(at) = self.at.filter(|at| now < *at) {
            return Wish::Wait(match self.stage {
                Stage::Renew(until) => at.min(until),
                Stage::Acquire | Stage::Rest | Stage::Release => at,
            });
        }
        if self.stage == Stage::Rest {
            self.stage = Stage::Renew(now + self.habits.renew_deadline);
        }
        match self.step {
            Step::Try if self.is_leader() && self.is_valid(now) => self.update(Step::Try, moment),
            Step::Try | Step::Look => self.send(Step::Look, read(), now),
            Step::Update => self.update(Step::Update, moment),
            Step::LookToRelease => self.send(Step::LookToRelease, read(), now),
            Step::Release => self.release(moment),
        }
    }

    fn answer(&mut self, id: u64, response: &Response<Vec<u8>>, moment: &mut Moment<'_>) {
        let Some((_, step, _)) = self.flight.take_if(|(flying, _, _)| *flying == id) else {
            return;
        };
        let now = moment.now;
        let lease: Option<Value> = serde_json::from_slice(response.body()).ok();
        let is_success = response.status().is_success();
        let lease = lease.filter(|lease| lease["kind"] == "Lease" && is_success);
        match (step, lease) {
            (Step::Look, Some(lease)) => {
                self.note(&lease, now);
                let is_held = lease["spec"]["holderIdentity"].as_str() != Some("");
                if is_held && self.is_valid(now) && !self.is_leader() {
                    self.fail(moment);
                } else {
                    (self.step, self.at) = (Step::Update, None);
                }
            }
            (Step::Look, None) if response.status() == 404 => {
                (self.object, self.observed) = (Value::Null, None);
                (self.step, self.at) = (Step::Update, None);
            }
            (Step::Try | Step::Update, Some(lease)) => {
                self.observed = Some(in_whole_seconds(&lease["spec"]));
                self.observed_at = Some(now);
                self.object = lease;
                self.succeed(now);
            }
            // What it holds is written over with what it was told; what it compares stays as it was.
            (Step::LookToRelease, Some(lease)) => {
                self.object = lease;
                self.step = Step::Release;
            }
            (Step::Release, _) => {
                self.stop();
                self.at = Some(now + Duration::from_secs(1));
            }
            (Step::Try | Step::Look | Step::Update | Step::LookToRelease, _) => self.missed(step, moment),
        }
    }

    fn believes(&self, _: SystemTime) -> bool {
        self.leads
    }

    fn is_lawful(&self) -> bool {
        true
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}

/// The record as it is compared: by its JSON, in which times are cut to whole seconds.
fn in_whole_seconds(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for name in ["acquireTime", "renewTime"] {
        if let Some(time) = spec[name].as_str() {
            spec[name] = json!(time.split('.').next());
        }
    }
    spec
}

fn read() -> Request<Vec<u8>> {
    Request::get(LEASE)
        .body(Vec::new())
        .expect("the path is a valid one")
}

fn written(request: http::request::Builder, lease: &Value) -> Request<Vec<u8>> {
    let request = request.header("content-type", "application/json");
    let body = lease.to_string().into_bytes();
    request.body(body).expect("the path is a valid one")
}
