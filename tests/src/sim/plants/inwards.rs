//! What goes into a claim, changed by a bug.

use std::time::{Duration, Instant, SystemTime};

use http::{Method, Response, StatusCode, header};
use lease_proto::{
    Claim, Event, RequestId,
    wire::{MicroTime, RawTime},
};
use serde_json::{Value, json};

use super::{AHEAD, Asked, Bug, Plant, moved};
use crate::sim::claimant::Say;

impl Plant {
    /// Changes an answer, and the instant at which the claim hears of it; the claim may be made to say something besides.
    pub(crate) fn inwards(
        &mut self,
        id: RequestId,
        response: &Response<Vec<u8>>,
        claim: &Claim,
        now: Instant,
        wall: SystemTime,
    ) -> (Response<Vec<u8>>, Instant, Vec<Say>) {
        let mut response = response.clone();
        if self.bug == Bug::OutOfTurn {
            forget_others(&mut response);
            return (response, now, Vec::new());
        }
        if self.bug == Bug::TakesBequest {
            forget_successor(&mut response);
            return (response, now, Vec::new());
        }
        if self.bug == Bug::IgnoresAge {
            self.rejuvenate_others(&mut response);
            return (response, now, Vec::new());
        }
        if self.bug == Bug::ForgoesBequest {
            self.overlook_bequest(&mut response);
            return (response, now, Vec::new());
        }
        self.redate(&mut response);
        let revives = self.bug == Bug::LateAnswerRevives && self.late == Some(id);
        if revives && response.status() == StatusCode::OK && !self.holding {
            self.late = None;
            let revived = self.last_grant.map(|mut grant| {
                grant.valid_until = Self::from_now(claim, now);
                Say::Event(Event::Renewed(grant))
            });
            return (response, now, revived.into_iter().collect());
        }
        let Some(asked) = self.asked.take_if(|asked| asked.id == id) else {
            return (response, now, Vec::new());
        };
        let mut heard = now;
        match self.bug {
            // Nothing but a record is dated back: a pause would be, too.
            Bug::TimerFromRequest if response.status() == StatusCode::OK => heard = asked.at,
            Bug::IgnoresRetryAfter
                if response.headers_mut().remove(header::RETRY_AFTER).is_some() =>
            {
                response.body_mut().clear();
            }
            Bug::ErrorIsRefusal if response.status().is_server_error() => {
                self.forgotten = Some(asked.body["spec"]["renewTime"].clone());
            }
            _ => {}
        }
        let is_conflict = response.status() == StatusCode::CONFLICT;
        if is_conflict && self.holding {
            self.after_conflict = true;
        }
        let body: Result<Value, _> = serde_json::from_slice(response.body());
        if let Ok(mut body) = body
            && body["kind"] == "Lease"
        {
            let before = body.clone();
            if asked.method == Method::GET {
                self.read(&mut body, response.headers(), wall);
                self.after_conflict = false;
            } else {
                self.wrote(&mut body, response.status_mut(), &asked);
            }
            let version = body["metadata"]["resourceVersion"].as_str();
            let version = version.and_then(|text| text.parse().ok()).unwrap_or(0);
            self.highest = self.highest.max(version);
            if body != before {
                *response.body_mut() = body.to_string().into_bytes();
            }
        }
        (response, heard, Vec::new())
    }

    /// Changes what an answer tells of the servers' clock.
    fn redate(&self, response: &mut Response<Vec<u8>>) {
        let date = response.headers_mut().entry(header::DATE);
        let header::Entry::Occupied(mut date) = date else {
            return;
        };
        match self.bug {
            Bug::UnfoundedDate => {
                date.remove_entry_mult();
            }
            Bug::WallClockAlone => {
                let text = date.get().to_str().unwrap_or_default();
                let Some(time) = http_date(text).map(|time| time.saturating_add(AHEAD)) else {
                    return;
                };
                let time = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or_default();
                let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                if let Ok(text) = text.parse() {
                    date.insert(text);
                }
            }
            _ => {}
        }
    }

    /// Changes what a look shows.
    fn read(&mut self, body: &mut Value, headers: &http::HeaderMap, wall: SystemTime) {
        let version = body["metadata"]["resourceVersion"].as_str();
        let version: u64 = version.and_then(|text| text.parse().ok()).unwrap_or(0);
        let stamp = stamp(body);
        let spec = &mut body["spec"];
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        let (is_held, is_ours) = (!holder.is_empty(), holder == self.identity);
        let is_foreign = is_held && !is_ours;
        let time = |value: &Value| RawTime::new(value.as_str().unwrap_or_default()).time();
        let renewed = time(&spec["renewTime"]);
        let seconds = spec["leaseDurationSeconds"].as_u64().unwrap_or(15);
        let is_past = |at: Option<MicroTime>, now: MicroTime, margin: u64| {
            at.is_some_and(|at| at.saturating_add(Duration::from_secs(seconds + margin)) <= now)
        };
        let date = headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(http_date);
        let free = match self.bug {
            Bug::MissingDurationIsExpired => spec["leaseDurationSeconds"].is_null(),
            Bug::BadTimeIsExpired => renewed.is_none(),
            Bug::WallTakeover => is_past(renewed, wall.into(), 0),
            Bug::StampWithoutSecond => date.is_some_and(|date| is_past(stamp, date, 0)),
            Bug::StampAlone | Bug::StampAfterRestore => {
                let ignores = self.bug == Bug::StampAlone || version < self.highest;
                ignores && date.is_some_and(|date| is_past(stamp, date, 3))
            }
            _ => false,
        };
        if is_foreign && free {
            spec["holderIdentity"] = json!("");
        }
        match self.bug {
            Bug::ReleaseWithoutLooking if self.releasing && is_foreign => {
                if let Some((acquired, renewed)) = &self.written {
                    spec["holderIdentity"] = json!(self.identity);
                    spec["acquireTime"] = acquired.clone();
                    spec["renewTime"] = renewed.clone();
                }
            }
            Bug::ConflictIsLoss if self.after_conflict && is_ours => {
                spec["holderIdentity"] = json!("somebody");
            }
            Bug::ConflictKeptByName if self.after_conflict && is_ours => self.sign(spec),
            Bug::NameIsOwnership if is_ours => self.sign(spec),
            Bug::VersionRestartsTimer if is_foreign => {
                spec["renewTime"] = moved(&spec["renewTime"], version % 1_000_000);
            }
            Bug::OwnDuration if is_foreign => spec["leaseDurationSeconds"] = json!(self.seconds),
            Bug::FloorDuration | Bug::NoClamp if is_ours => {
                spec["leaseDurationSeconds"] = json!(self.seconds);
            }
            Bug::ErrorIsRefusal
                if is_ours && self.forgotten.as_ref() == Some(&spec["renewTime"]) =>
            {
                spec["renewTime"] = moved(&spec["renewTime"], 1);
            }
            _ => {}
        }
    }

    /// Changes the answer to a write.
    fn wrote(&mut self, body: &mut Value, status: &mut StatusCode, asked: &Asked) {
        let is_ours = body["spec"]["holderIdentity"] == *self.identity;
        match self.bug {
            Bug::FloorDuration | Bug::NoClamp if is_ours => {
                body["spec"]["leaseDurationSeconds"] = json!(self.seconds);
            }
            Bug::UnchangedVersion => {
                let version = &mut body["metadata"]["resourceVersion"];
                if *version == asked.body["metadata"]["resourceVersion"] {
                    let number: u64 = version.as_str().and_then(|it| it.parse().ok()).unwrap_or(0);
                    *version = json!((number + 1).to_string());
                }
            }
            Bug::CreatedIsRenewal if self.holding && *status == StatusCode::CREATED => {
                *status = StatusCode::OK;
                body["metadata"]["uid"] = self.uid.clone();
            }
            _ => {}
        }
    }

    /// Has a list show those that are less important as if they had come only now.
    fn rejuvenate_others(&self, response: &mut Response<Vec<u8>>) {
        let body: Result<Value, _> = serde_json::from_slice(response.body());
        let Ok(mut body) = body else {
            return;
        };
        let Some(items) = body["items"].as_array_mut() else {
            return;
        };
        let latest = items.iter().map(|item| {
            let since = &item["metadata"]["annotations"]["lease-proto/since"];
            since.as_str().unwrap_or_default().to_owned()
        });
        let latest = latest.max().unwrap_or_default();
        for metadata in items.iter_mut().map(|item| &mut item["metadata"]) {
            let priority = metadata["annotations"]["lease-proto/priority"].as_str();
            let priority: Option<i32> = priority.and_then(|text| text.parse().ok());
            if priority.is_some_and(|priority| priority < self.priority) {
                metadata["annotations"]["lease-proto/since"] = json!(latest);
                metadata["creationTimestamp"] = Value::Null;
            }
        }
        *response.body_mut() = body.to_string().into_bytes();
    }

    /// Has a record that was left to us be left to somebody else.
    fn overlook_bequest(&self, response: &mut Response<Vec<u8>>) {
        let body: Result<Value, _> = serde_json::from_slice(response.body());
        if let Ok(mut body) = body
            && let Some(left) = body["metadata"]["annotations"].get_mut("lease-proto/successor")
            && let Some(text) = left.as_str()
            && text.contains(&self.identity)
        {
            *left = json!(text.replace(&self.identity, "somebody"));
            *response.body_mut() = body.to_string().into_bytes();
        }
    }

    /// Makes a record that names us look as if we had written it last.
    fn sign(&self, spec: &mut Value) {
        if let Some((acquired, renewed)) = &self.written {
            spec["acquireTime"] = acquired.clone();
            spec["renewTime"] = renewed.clone();
        }
    }
}

/// When the server says that `renewTime` was last written.
fn stamp(body: &Value) -> Option<MicroTime> {
    let entries = body["metadata"]["managedFields"].as_array()?;
    let entry = entries
        .iter()
        .find(|entry| !entry["fieldsV1"]["f:spec"]["f:renewTime"].is_null())?;
    RawTime::new(entry["time"].as_str()?.replace('Z', ".000000Z")).time()
}

/// Reads the one form of a date that servers write.
fn http_date(text: &str) -> Option<MicroTime> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(MicroTime::from_micros(time.timestamp().as_microsecond()))
}

/// Has a record be left to nobody.
fn forget_successor(response: &mut Response<Vec<u8>>) {
    let body: Result<Value, _> = serde_json::from_slice(response.body());
    if let Ok(mut body) = body
        && let Some(annotations) = body["metadata"]["annotations"].as_object_mut()
        && annotations.remove("lease-proto/successor").is_some()
    {
        *response.body_mut() = body.to_string().into_bytes();
    }
}

/// Has a list show nobody.
fn forget_others(response: &mut Response<Vec<u8>>) {
    let body: Result<Value, _> = serde_json::from_slice(response.body());
    if let Ok(mut body) = body
        && body["kind"] == "LeaseList"
    {
        body["items"] = Value::Array(Vec::new());
        *response.body_mut() = body.to_string().into_bytes();
    }
}
