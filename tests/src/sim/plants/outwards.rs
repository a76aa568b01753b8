//! What comes out of a claim, changed by a bug.

use std::time::{Instant, SystemTime};

use http::{Method, Request};
use lease_proto::{Claim, Event, Loss, RequestId};
use serde_json::{Value, json};

use super::{Asked, Bug, Plant};
use crate::sim::claimant::Say;

impl Plant {
    /// Changes what the claim says; several things may come of it, or nothing.
    pub(crate) fn outwards(
        &mut self,
        say: Say,
        claim: &Claim,
        now: Instant,
        _wall: SystemTime,
    ) -> Vec<Say> {
        match say {
            Say::Ask(id, request) => self.ask(id, request, now),
            Say::Event(event) => self.event(event, claim, now),
            Say::Watch(..) | Say::Close(_) | Say::Aside(_) | Say::Rest(_) => vec![say],
            Say::Cancel(id) if self.asked.as_ref().is_none_or(|asked| asked.id != id) => vec![say],
            Say::Cancel(id) => {
                if self.late.is_none() {
                    self.late = self.asked.as_ref().map(|asked| asked.id);
                }
                self.fail(id);
                vec![say]
            }
            Say::Wait(_) if self.bug == Bug::HotLoop => vec![Say::Wait(now)],
            Say::Wait(_) | Say::Done => vec![say],
        }
    }

    fn ask(&mut self, id: RequestId, mut request: Request<Vec<u8>>, now: Instant) -> Vec<Say> {
        let mut body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let method = request.method().clone();
        let (is_write, is_put) = (method != Method::GET, method == Method::PUT);
        let names_us = body["spec"]["holderIdentity"] == *self.identity;
        let spec_is_ours = is_write && names_us;
        let before = body.clone();
        match self.bug {
            Bug::FloorDuration if spec_is_ours => {
                body["spec"]["leaseDurationSeconds"] = json!(self.seconds - 1);
            }
            Bug::NoVersion if is_put && names_us => {
                drop_member(&mut body["metadata"], "resourceVersion")
            }
            Bug::NoUid if is_put && names_us => drop_member(&mut body["metadata"], "uid"),
            Bug::NoPreconditions if method == Method::DELETE => {
                drop_member(&mut body, "preconditions")
            }
            Bug::SameRenewTime if is_put && self.holding => {
                if let Some((_, renewed)) = &self.written {
                    body["spec"]["renewTime"] = renewed.clone();
                }
            }
            Bug::EmptyManagedFields if is_put => body["metadata"]["managedFields"] = json!([]),
            Bug::DropsAnnotations if is_put => drop_member(&mut body["metadata"], "annotations"),
            _ => {}
        }
        if spec_is_ours {
            self.written = Some((
                before["spec"]["acquireTime"].clone(),
                before["spec"]["renewTime"].clone(),
            ));
        }
        if body != before {
            *request.body_mut() = body.to_string().into_bytes();
        }
        if self.bug == Bug::UnfoundedDate {
            let uri = request.uri().to_string();
            let uri = uri.replace("=lease-proto-untimed&", "=lease-proto&");
            *request.uri_mut() = uri.parse().unwrap_or_default();
        }
        self.asked = Some(Asked {
            id,
            method,
            body,
            at: now,
        });
        if self.bug == Bug::TokenInDebug {
            for value in request.headers_mut().values_mut() {
                value.set_sensitive(false);
            }
        }
        match self.bug {
            Bug::ParallelWrites if is_put => {
                let twice = request.clone();
                vec![Say::Ask(id, request), Say::Ask(id, twice)]
            }
            _ => vec![Say::Ask(id, request)],
        }
    }

    fn event(&mut self, mut event: Event, claim: &Claim, now: Instant) -> Vec<Say> {
        let mut more = Vec::new();
        match &mut event {
            Event::Acquired(grant) | Event::Renewed(grant) => {
                self.holding = true;
                self.after_conflict = false;
                if self.bug == Bug::DeadlineFromResponse {
                    grant.valid_until = Self::from_now(claim, now);
                    self.believes_until = Some(grant.valid_until);
                }
                self.last_grant = Some(*grant);
                self.late = None;
                if let Some(lease) = claim.observed() {
                    self.uid = json!(lease.metadata.uid);
                }
            }
            Event::Lost(loss) => {
                self.holding = false;
                match (self.bug, &loss) {
                    (Bug::DeadlineFromResponse, Loss::Expired) => {}
                    (Bug::ReleaseBeforeLost, Loss::Released) => {
                        self.held_back = Some(Say::Event(event));
                        return Vec::new();
                    }
                    (Bug::RenewedAfterLost, _) => {
                        more.extend(
                            self.last_grant
                                .map(|grant| Say::Event(Event::Renewed(grant))),
                        );
                    }
                    (Bug::TwoLost, _) => more.push(Say::Event(event.clone())),
                    _ => self.believes_until = None,
                }
            }
            Event::Released(_) => {
                self.releasing = false;
                if let Some(say) = self.held_back.take() {
                    return vec![say, Say::Event(event)];
                }
            }
            _ => {}
        }
        more.insert(0, Say::Event(event));
        more
    }
}

fn drop_member(value: &mut Value, name: &str) {
    if let Some(members) = value.as_object_mut() {
        members.remove(name);
    }
}
