//! A claimant: a shipped claim, what is planted in it, and what is known of it besides.

use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use lease_proto::{Claim, Config, Grant, RequestId};
use serde_json::{Value, json};

use super::Plant;

/// The timings of all claimants: a tick is a second.
pub(super) const LEASE_DURATION: Duration = Duration::from_secs(4);

/// A claimant.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) claim: Claim,
    pub(super) life: u8,
    pub(super) paused: bool,
    /// A third party took its record away: until it notices, it may believe on.
    pub(super) robbed: bool,
    /// The last that it was granted.
    pub(super) grant: Option<Grant>,
    pub(super) requests: u64,
    pub(super) campaigns: u64,
    releasing: bool,
    written: Option<(Value, Value)>,
}

impl Node {
    pub(super) fn new(index: usize, life: u8, now: Instant) -> Self {
        let second = Duration::from_secs(1);
        let config = Config::builder("default", "leader", format!("n{index}l{life}"))
            .unique_identity(false)
            .whole_second_observers(false)
            .lease_duration(LEASE_DURATION)
            .renew_deadline(3 * second)
            .renew_interval(second)
            .retry_period(second)
            .request_timeout(second)
            .build()
            .expect("the timings fit each other");
        Self {
            claim: Claim::new(config, 0, now),
            life,
            paused: false,
            robbed: false,
            grant: None,
            requests: 0,
            campaigns: 0,
            releasing: false,
            written: None,
        }
    }

    pub(super) fn believes(&self, now: Instant, plant: Option<Plant>) -> bool {
        let late = plant == Some(Plant::LateDeadline);
        let is_late = |grant: Grant| now < grant.valid_until + LEASE_DURATION;
        self.claim.is_held(now) || (late && self.grant.is_some_and(is_late))
    }

    pub(super) fn identity(&self) -> &str {
        self.claim.identity().as_str()
    }

    /// Whether it was told to release, and not to acquire since.
    pub(super) fn releases(&mut self, releasing: bool) {
        self.releasing = releasing;
    }

    /// Changes a request on its way out, as the bug has it.
    pub(super) fn outwards(&mut self, request: &mut Request<Vec<u8>>, plant: Option<Plant>) {
        let Some(plant) = plant else { return };
        if request.method() != Method::PUT {
            return;
        }
        let mut body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        if body["spec"]["holderIdentity"] == *self.identity() {
            let spec = &body["spec"];
            self.written = Some((spec["acquireTime"].clone(), spec["renewTime"].clone()));
        }
        if plant == Plant::NoPreconditions
            && let Some(metadata) = body["metadata"].as_object_mut()
        {
            metadata.remove("resourceVersion");
            metadata.remove("uid");
            *request.body_mut() = body.to_string().into_bytes();
        }
    }

    /// Takes an answer, changed as the bug has it.
    pub(super) fn answer(
        &mut self,
        id: RequestId,
        request: &Request<Vec<u8>>,
        response: &Response<Vec<u8>>,
        now: Instant,
        plant: Option<Plant>,
    ) {
        let mut response = response.clone();
        let mut body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let holder = body["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let is_foreign = !holder.is_empty() && holder != self.identity();
        let is_read = request.method() == Method::GET;
        match plant {
            Some(Plant::NoWait) if is_read && is_foreign => {
                body["spec"]["holderIdentity"] = json!("");
                *response.body_mut() = body.to_string().into_bytes();
            }
            Some(Plant::ConflictIsSuccess)
                if request.method() == Method::PUT
                    && response.status() == StatusCode::CONFLICT
                    && self.claim.is_held(now) =>
            {
                let mut echo: Value = serde_json::from_slice(request.body()).unwrap_or_default();
                let version = echo["metadata"]["resourceVersion"].as_str();
                let version: u64 = version.and_then(|it| it.parse().ok()).unwrap_or(0);
                echo["metadata"]["resourceVersion"] = json!((version + 1).to_string());
                response = Response::new(echo.to_string().into_bytes());
            }
            Some(Plant::ReleaseClobbers) if is_read && is_foreign && self.releasing => {
                if let Some((acquired, renewed)) = &self.written {
                    body["spec"]["holderIdentity"] = json!(self.identity());
                    body["spec"]["acquireTime"] = acquired.clone();
                    body["spec"]["renewTime"] = renewed.clone();
                    *response.body_mut() = body.to_string().into_bytes();
                }
            }
            _ => {}
        }
        self.claim.handle_response(id, &response, now);
    }
}
