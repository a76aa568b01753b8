//! A claimant that judges by wall clocks: kubert's way with compare-and-swap, kube-leader-election's without.

use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use lease_proto::wire::{MicroTime, RawTime};
use serde_json::{Value, json};

use super::{Moment, Rival, Wish};
use crate::sim::servers::LEASE;

const DURATION: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct WallClock {
    identity: String,
    /// Whether it writes on the version that it has looked at, or on whatever there is.
    compares: bool,
    until: Option<SystemTime>,
    at: Option<Instant>,
    object: Value,
    /// What to write next.
    write: bool,
    flight: Option<(u64, Option<SystemTime>, Instant)>,
    next: u64,
}

impl WallClock {
    pub(crate) fn new(identity: String, compares: bool) -> Self {
        Self {
            identity,
            compares,
            until: None,
            at: None,
            object: Value::Null,
            write: false,
            flight: None,
            next: 0,
        }
    }

    fn request(&self, wall: SystemTime) -> Request<Vec<u8>> {
        if !self.write {
            return Request::get(LEASE)
                .body(Vec::new())
                .expect("the path is a valid one");
        }
        let now = MicroTime::from(wall).to_string();
        let mut patch = json!({"spec": {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": DURATION.as_secs(),
            "acquireTime": now,
            "renewTime": now,
        }});
        if self.compares {
            let version = &self.object["metadata"]["resourceVersion"];
            patch["metadata"] = json!({ "resourceVersion": version });
        }
        Request::patch(LEASE)
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string().into_bytes())
            .expect("the path is a valid one")
    }

    /// Whether the record is free, by the wall clock.
    fn may_write(&self, wall: SystemTime) -> bool {
        let spec = &self.object["spec"];
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        let renewed = RawTime::new(spec["renewTime"].as_str().unwrap_or_default()).time();
        let seconds = spec["leaseDurationSeconds"].as_u64().unwrap_or(15);
        let end = renewed.map(|at| at.saturating_add(Duration::from_secs(seconds)));
        holder.is_empty()
            || holder == self.identity
            || end.is_none_or(|end| end < MicroTime::from(wall))
    }
}

impl Rival for WallClock {
    fn poll(&mut self, moment: &mut Moment<'_>) -> Wish {
        if let Some((_, _, until)) = self.flight {
            if moment.now < until {
                return Wish::Wait(until);
            }
            self.flight = None;
            self.write = false;
            self.at = Some(moment.now + Duration::from_secs(1));
        }
        if let Some(at) = self.at.filter(|at| moment.now < *at) {
            return Wish::Wait(at);
        }
        let request = self.request(moment.wall);
        let id = self.next;
        self.next += 1;
        let basis = self.write.then_some(moment.wall);
        self.flight = Some((id, basis, moment.now + Duration::from_secs(10)));
        Wish::Ask(id, request)
    }

    fn answer(&mut self, id: u64, response: &Response<Vec<u8>>, moment: &mut Moment<'_>) {
        let Some((_, basis, _)) = self.flight.take_if(|(flying, _, _)| *flying == id) else {
            return;
        };
        let lease: Option<Value> = serde_json::from_slice(response.body()).ok();
        let is_success = response.status().is_success();
        let lease = lease.filter(|lease| lease["kind"] == "Lease" && is_success);
        let mut pause = Duration::from_secs(2);
        self.write = false;
        if let Some(lease) = lease {
            self.object = lease;
            if let Some(basis) = basis {
                self.until = Some(basis + DURATION);
                pause = DURATION - Duration::from_secs(1);
            } else if self.may_write(moment.wall) {
                self.write = true;
                pause = Duration::ZERO;
            }
        }
        self.at = Some(moment.now + pause);
    }

    fn believes(&self, wall: SystemTime) -> bool {
        self.until.is_some_and(|until| wall < until)
    }

    fn is_lawful(&self) -> bool {
        false
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}
