//! What is checked of a claim whatever happens to it, from all that went in and came out.
//!
//! It reads answers for itself, so that it shares little with what it judges.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use http::{Method, Request, Response};
use lease_proto::{Claim, Event, FencingToken, Grant, Loss};
use serde_json::Value;

use super::{
    record::{Record, instant, read, second},
    run::ensure,
    steps::Setup,
};

/// What has been seen of a claim.
#[derive(Debug)]
pub(super) struct Oracle {
    setup: Setup,
    identity: String,
    writes: Vec<Write>,
    /// The grants that answers have proved.
    proofs: Vec<Proof>,
    /// The last look that showed its own record to name a shorter time than it had written.
    short: Option<Proof>,
    /// The version that the last request names.
    asked: Option<String>,
    /// The versions that answers named.
    versions: BTreeSet<String>,
    /// The record in the last answer to a read or write, if there was one.
    last: Option<Record>,
    /// Somebody else's tenure, and since when it has been seen.
    foreign: Option<Foreign>,
    /// Somebody else's record, as a write was answered with it.
    heard: Option<Foreign>,
    tenure: Option<Tenure>,
    tokens: Vec<FencingToken>,
    released: bool,
}

/// A write that named the claim as the holder.
#[derive(Debug)]
struct Write {
    number: usize,
    acquired: i128,
    renewed: i128,
    /// From when a grant that it earns counts.
    from: Instant,
}

#[derive(Debug)]
struct Proof {
    uid: String,
    /// The write that it comes from.
    write: usize,
    until: Instant,
}

#[derive(Debug)]
struct Tenure {
    uid: String,
    until: Instant,
    token: Option<FencingToken>,
    at_risk: bool,
}

#[derive(Debug)]
struct Foreign {
    record: Record,
    since: Instant,
    lasts: Duration,
}

impl Oracle {
    pub(super) fn new(setup: Setup, claim: &Claim) -> Self {
        Self {
            setup,
            identity: claim.identity().as_str().to_owned(),
            writes: Vec::new(),
            proofs: Vec::new(),
            short: None,
            asked: None,
            versions: BTreeSet::new(),
            last: None,
            foreign: None,
            heard: None,
            tenure: None,
            tokens: Vec::new(),
            released: false,
        }
    }

    pub(super) fn hear_release(&mut self) {
        self.released = true;
    }

    pub(super) fn first_token(&self) -> Option<FencingToken> {
        self.tokens.first().copied()
    }

    /// Takes note of an answer that is about to be handed in.
    pub(super) fn hear_answer(
        &mut self,
        request: &Request<Vec<u8>>,
        response: &Response<Vec<u8>>,
        now: Instant,
    ) {
        self.last = None;
        let method = request.method();
        let status = response.status().as_u16();
        if method == Method::DELETE || !matches!(status, 200 | 201) {
            return;
        }
        let config = &self.setup.config;
        let names = [config.namespace().as_str(), config.name().as_str()];
        let Some(record) = read(response.body(), names) else {
            return;
        };
        self.versions.insert(record.version.clone());
        let own = self.own(&record).map(|write| (write.number, write.from));
        // A rewrite that is answered by 201 met no record, and one without a new version was not carried out.
        let is_right = (status == 201) == (method == Method::POST);
        let is_new = method == Method::GET || record.is_newer(self.asked.as_deref());
        let is_enough = record.seconds >= Some(self.setup.config.published_seconds());
        if let Some((write, from)) = own.filter(|_| is_right && is_new && is_enough) {
            // Somebody has lengthened it again, and whoever takes it must have seen that.
            self.short.take_if(|short| short.write == write);
            self.proofs.push(Proof {
                uid: record.uid.clone(),
                write,
                until: from + self.setup.config.grant_length(),
            });
        }
        let is_look = method == Method::GET && status == 200;
        if let (Some((write, from)), Some(seconds), false) = (own, record.seconds, is_enough)
            && is_look
            && !record.is_behind(&self.versions)
        {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            self.short = Some(Proof {
                uid: record.uid.clone(),
                write,
                until: from + Duration::from_secs(seconds),
            });
        }
        let is_named = record.holder == self.identity;
        let is_ours = own.is_some() || (is_named && self.setup.reclaims);
        if is_ours || record.holder.is_empty() {
            if is_look {
                self.foreign = None;
            }
        } else if is_look {
            self.see(&record, now);
        } else if status == 201 || method != Method::POST {
            // A write answered so was not carried out as it was; the record is there all the same. What did not create is unclear.
            let same = |heard: &Foreign| heard.record.says_the_same(&record);
            let before = self.heard.take().filter(same);
            self.heard = Some(Foreign {
                lasts: self.lasts(&record),
                record: record.clone(),
                since: before.map_or(now, |heard| heard.since),
            });
        }
        self.last = Some(record);
    }

    /// Takes note of somebody else's record.
    fn see(&mut self, record: &Record, now: Instant) {
        let lasts = self.lasts(record);
        match &mut self.foreign {
            // Where the store went back in time, what was said later counts no more.
            Some(seen) if seen.record.says_the_same(record) => {
                seen.lasts = if record.is_behind(&self.versions) {
                    lasts
                } else {
                    seen.lasts.max(lasts)
                };
            }
            seen => {
                let heard = self.heard.take();
                let heard = heard.filter(|heard| heard.record.says_the_same(record));
                *seen = Some(Foreign {
                    record: record.clone(),
                    since: heard.map_or(now, |heard| heard.since),
                    lasts,
                });
            }
        }
    }

    /// Checks a request as it is handed out.
    pub(super) fn hear_request(
        &mut self,
        request: &Request<Vec<u8>>,
        body: &Value,
        now: Instant,
    ) -> Result<(), String> {
        let method = request.method();
        if method == Method::GET {
            return Ok(());
        }
        let is_delete = method == Method::DELETE;
        let meta = &body[if is_delete {
            "preconditions"
        } else {
            "metadata"
        }];
        let version = &meta["resourceVersion"];
        self.asked = version.as_str().map(str::to_owned);
        if method == Method::POST {
            ensure!(version.is_null(), "created with a version: {body}");
        } else {
            let is_seen = version
                .as_str()
                .is_some_and(|version| self.versions.contains(version));
            ensure!(is_seen, "wrote on no version that it had seen: {body}");
        }
        if method == Method::PUT || is_delete {
            ensure!(meta["uid"].is_string(), "no uid: {body}");
        }
        ensure!(meta.get("managedFields").is_none(), "managedFields: {body}");
        if is_delete {
            return Ok(());
        }
        let spec = &body["spec"];
        if spec["holderIdentity"] == "" {
            return Ok(());
        }
        ensure!(
            spec["holderIdentity"] == *self.identity,
            "wrote somebody else's name: {spec}"
        );
        ensure!(
            spec["leaseDurationSeconds"].as_i64() == Some(self.setup.config.published_seconds()),
            "published another duration: {spec}"
        );
        self.check_right(now)?;
        self.note_write(spec, now)
    }

    /// Checks an event as it is told.
    pub(super) fn hear_event(&mut self, event: &Event, now: Instant) -> Result<(), String> {
        let is_inside = matches!(
            event,
            Event::Renewed(_)
                | Event::AtRisk { .. }
                | Event::Recovered
                | Event::Verified(_)
                | Event::Lost(_)
        );
        ensure!(
            is_inside == self.tenure.is_some(),
            "{event:?} out of turn, in {:?}",
            self.tenure
        );
        let is_short = self.is_short();
        match (event, self.tenure.as_mut()) {
            (Event::Acquired(grant), _) => self.begin(grant, now),
            (Event::Renewed(grant) | Event::Verified(grant), Some(tenure)) => {
                ensure!(grant.token == tenure.token, "another token in {event:?}");
                let is_longer = grant.valid_until > tenure.until;
                let is_renewal = matches!(event, Event::Renewed(_));
                ensure!(
                    is_longer == is_renewal,
                    "{event:?} after {:?}",
                    tenure.until
                );
                tenure.until = grant.valid_until;
                if !is_renewal {
                    let last = self.last.as_ref();
                    ensure!(
                        last.is_some_and(|last| self.own(last).is_some()),
                        "verified by {last:?}"
                    );
                }
                self.check_belief(grant.valid_until)
            }
            (Event::AtRisk { until, .. }, Some(tenure)) => {
                let is_shorter = *until < tenure.until && is_short;
                ensure!(!tenure.at_risk || is_shorter, "at risk twice");
                ensure!(
                    *until == tenure.until || is_shorter,
                    "at risk until another time"
                );
                tenure.at_risk = true;
                tenure.until = *until;
                Ok(())
            }
            (Event::Recovered, Some(tenure)) => {
                ensure!(tenure.at_risk, "recovered from nothing");
                tenure.at_risk = false;
                Ok(())
            }
            (Event::Lost(loss), Some(tenure)) => {
                let until = tenure.until;
                self.tenure = None;
                self.check_loss(loss, until, now)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the claim may be at rest.
    pub(super) fn hear_end(&self) -> Result<(), String> {
        ensure!(self.tenure.is_none(), "done while the lease is held");
        Ok(())
    }

    /// Checks that some write of the tenure, which an answer showed to have been carried out, allows to believe until then.
    pub(super) fn check_belief(&self, until: Instant) -> Result<(), String> {
        let Some(tenure) = &self.tenure else {
            // Between an input and the event that tells of it.
            let allowed = self.proofs.iter().any(|proof| until <= proof.until);
            ensure!(allowed, "believes until {until:?} without any proof");
            return Ok(());
        };
        let proofs = || self.proofs.iter().filter(|proof| proof.uid == tenure.uid);
        if let Some(short) = self.short.as_ref().filter(|short| short.uid == tenure.uid) {
            ensure!(
                until <= short.until || proofs().any(|proof| proof.write > short.write),
                "believes until {until:?}, having read that it is {:?}",
                short.until
            );
        }
        ensure!(
            proofs().any(|proof| until <= proof.until),
            "believes until {until:?}, which no write of {tenure:?} earned"
        );
        Ok(())
    }

    /// Whether the last answer showed a record of its own that names a shorter time than it had written.
    fn is_short(&self) -> bool {
        let published = self.setup.config.published_seconds();
        let last = self.last.as_ref();
        let last = last.filter(|last| last.seconds.is_some_and(|seconds| seconds < published));
        last.is_some_and(|last| self.own(last).is_some())
    }

    fn begin(&mut self, grant: &Grant, now: Instant) -> Result<(), String> {
        let Some(record) = &self.last else {
            return Err("acquired without a record".to_owned());
        };
        ensure!(self.own(record).is_some(), "acquired by {record:?}");
        ensure!(grant.valid_until > now, "acquired when it was over");
        if let Some(token) = grant.token {
            ensure!(
                token.to_string() == record.version,
                "the token {token} for the version {:?}",
                record.version
            );
            let highest = self.tokens.iter().max();
            ensure!(
                highest.is_none_or(|highest| *highest < token),
                "the token {token} after {highest:?}"
            );
            self.tokens.push(token);
        }
        self.released = false;
        self.foreign = None;
        self.tenure = Some(Tenure {
            uid: record.uid.clone(),
            until: grant.valid_until,
            token: grant.token,
            at_risk: false,
        });
        self.check_belief(grant.valid_until)
    }

    /// A tenure ends for a reason, and the reason is true.
    fn check_loss(&self, loss: &Loss, until: Instant, now: Instant) -> Result<(), String> {
        let last = self.last.as_ref();
        let is_true = match loss {
            Loss::Expired => until <= now || self.is_short(),
            Loss::Released => self.released,
            Loss::TakenOver { by } => {
                *by != self.identity && last.is_some_and(|last| last.holder == *by)
            }
            Loss::IdentityCollision => last.is_some_and(|last| last.holder == self.identity),
            _ => true,
        };
        ensure!(is_true, "lost because {loss}, which is not so: {last:?}");
        Ok(())
    }

    /// Somebody else's record is taken only when its time, as first seen, is over.
    fn check_right(&self, now: Instant) -> Result<(), String> {
        if self.tenure.is_some() {
            return Ok(());
        }
        let Some(foreign) = &self.foreign else {
            return Ok(());
        };
        let passed = now.saturating_duration_since(foreign.since);
        ensure!(
            passed >= foreign.lasts,
            "took {:?} after {passed:?}",
            foreign.record
        );
        Ok(())
    }

    fn note_write(&mut self, spec: &Value, now: Instant) -> Result<(), String> {
        let text = |name: &str| spec[name].as_str().unwrap_or_default();
        let time = |name: &str| instant(text(name)).filter(|_| text(name).len() == 27);
        let (Some(acquired), Some(renewed)) = (time("acquireTime"), time("renewTime")) else {
            return Err(format!("wrote what is no time: {spec}"));
        };
        let is_same = |write: &Write| write.renewed == renewed;
        // Where the calendar ends times repeat.
        let is_last = text("renewTime").starts_with("9999-12-30T");
        ensure!(
            is_last || !self.writes.last().is_some_and(is_same),
            "wrote a renewTime again: {spec}"
        );
        let from = match self.writes.last() {
            Some(last) if self.setup.whole_seconds && second(last.renewed) == second(renewed) => {
                last.from
            }
            _ => now,
        };
        self.writes.push(Write {
            number: self.writes.len(),
            acquired,
            renewed,
            from,
        });
        Ok(())
    }

    fn own(&self, record: &Record) -> Option<&Write> {
        if record.holder != self.identity {
            return None;
        }
        let acquired = instant(record.acquired.as_deref()?)?;
        let renewed = instant(record.renewed.as_deref()?)?;
        let mut writes = self.writes.iter().rev();
        writes.find(|write| write.acquired == acquired && write.renewed == renewed)
    }

    fn lasts(&self, record: &Record) -> Duration {
        let named = record.seconds.filter(|seconds| *seconds > 0);
        let named = named.map(|seconds| seconds.min(i64::from(i32::MAX)).unsigned_abs());
        named.map_or_else(|| self.setup.config.lease_duration(), Duration::from_secs)
    }
}
