//! The auditor at the store: every request and every version is checked against what its author may do.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use http::{HeaderMap, Method, Request};
use lease_proto::wire::RawTime;
use serde_json::Value;

use super::{
    Micros, Violation,
    claimant::CANARY,
    clock::EPOCH,
    record::{Author, Record},
};

/// What is known of one claimant at the moment of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) identity: &'a str,
    /// What it publishes.
    pub(crate) seconds: i64,
    /// Whether it may act as the holder now.
    pub(crate) believes: bool,
}

/// What happened to the record since a claimant began its tenure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Since {
    uid: String,
    /// How often it had changed hands by then.
    transitions: Option<i64>,
    pub(crate) holders: BTreeSet<String>,
    pub(crate) gone: bool,
    pub(crate) yielded: bool,
    /// Somebody else signed with its identity.
    pub(crate) impersonated: bool,
    /// The record named a shorter time than what it had written.
    pub(crate) shortened: bool,
    /// The record named nobody, and said that somebody else had held it since.
    pub(crate) passed_on: bool,
}

/// Checks the form of a request as it leaves a claimant.
pub(crate) fn check_request(
    standing: &Standing<'_>,
    request: &Request<Vec<u8>>,
) -> Result<(), Violation> {
    let broken = |what: String| Err(Violation::new("I6", standing.node, what));
    let method = request.method();
    if shows_secret(request.headers()) {
        let what = "shows its token where its request is printed";
        return Err(Violation::new("I9", standing.node, what));
    }
    if method == Method::GET {
        return Ok(());
    }
    let body: Value = match serde_json::from_slice(request.body()) {
        Ok(body) => body,
        Err(error) => return broken(format!("sent a body that is no JSON: {error}")),
    };
    let (metadata, spec) = (&body["metadata"], &body["spec"]);
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    match *method {
        Method::DELETE => {
            let conditions = &body["preconditions"];
            if !is_text(&conditions["uid"]) || !is_text(&conditions["resourceVersion"]) {
                return broken("deletes without both preconditions".to_owned());
            }
            return Ok(());
        }
        Method::POST => {}
        _ if !is_text(&metadata["resourceVersion"]) => {
            return broken(format!("sent a {method} without resourceVersion"));
        }
        Method::PUT if !is_text(&metadata["uid"]) => {
            return broken("sent a PUT without uid".to_owned());
        }
        _ => {}
    }
    if metadata.get("managedFields").is_some() {
        return broken("wrote managedFields".to_owned());
    }
    for time in [&spec["acquireTime"], &spec["renewTime"]] {
        if let Some(text) = time.as_str()
            && !has_six_digits(text)
        {
            return broken(format!("wrote the time {text:?}"));
        }
    }
    let names_itself = spec["holderIdentity"] == standing.identity;
    if names_itself && spec["leaseDurationSeconds"] != standing.seconds {
        return broken(format!(
            "published {} instead of {} s",
            spec["leaseDurationSeconds"], standing.seconds
        ));
    }
    Ok(())
}

/// Whether a log that prints headers reveals a token: what is marked as sensitive is not printed.
fn shows_secret(headers: &HeaderMap) -> bool {
    let mut shown = headers.values().filter(|value| !value.is_sensitive());
    shown.any(|value| {
        let canary = CANARY.as_bytes();
        let mut windows = value.as_bytes().windows(canary.len());
        windows.any(|window| window == canary)
    })
}

/// Checks that a write changed the `renewTime`, kept what is not the claimant's, and said of what is left in a record only what is so.
///
/// `since` is what happened since its last tenure began, if that is of the life that writes.
pub(crate) fn check_change(
    standing: &Standing<'_>,
    before: &Record,
    after: &Record,
    since: Option<&Since>,
) -> Result<(), Violation> {
    if before.uid == after.uid && before.rest != after.rest {
        let what = format!("changed {:?} to {:?}", before.rest, after.rest);
        return Err(Violation::new("I8", standing.node, what));
    }
    // Whose release it is the record says that it clears: a write of an earlier life may come late.
    // Whoever has left it to somebody, and was not told that, may leave it so again.
    let left = before.done.as_ref().filter(|_| before.heir.is_some());
    let left_by = left.and_then(|done| done["by"].as_str());
    // So may whoever held it last, where somebody else has cleared the record.
    let last = since.filter(|since| since.is_last(before));
    let last = last.map(|_| standing.identity);
    let releaser = before.holder.as_deref().or(left_by).or(last);
    let releaser = releaser.filter(|_| after.holder.is_none());
    let says_who = |done: &Value| releaser.is_some() && done["by"].as_str() == releaser;
    if before.uid == after.uid
        && before.done != after.done
        && !after.done.as_ref().is_some_and(says_who)
    {
        let what = format!("had {:?} done instead of {:?}", after.done, before.done);
        return Err(Violation::new("I8", standing.node, what));
    }
    if after.holder.is_some() && after.heir.is_some() {
        let what = format!("left to {:?} what {:?} holds", after.heir, after.holder);
        return Err(Violation::new("I8", standing.node, what));
    }
    if before.renewed.is_some() && before.renewed == after.renewed && before.uid == after.uid {
        let what = format!("wrote the renewTime {:?} again", after.renewed);
        return Err(Violation::new("I6", standing.node, what));
    }
    Ok(())
}

/// Checks that what others may judge by clocks is not dated before it was handed out, at `departed` in true time.
pub(crate) fn check_date(
    standing: &Standing<'_>,
    request: &Request<Vec<u8>>,
    after: &Record,
    departed: Micros,
) -> Result<(), Violation> {
    let query = request.uri().query().unwrap_or_default();
    let is_timed = query.split('&').any(|it| it == "fieldManager=lease-proto");
    let renewed = after.renewed.as_ref().filter(|_| after.holder.is_some());
    let Some(renewed) = renewed
        .and_then(|text| RawTime::new(text).time())
        .filter(|_| is_timed)
    else {
        return Ok(());
    };
    let true_time = i64::try_from(EPOCH + departed).unwrap_or(i64::MAX);
    if true_time <= renewed.as_micros() {
        return Ok(());
    }
    let what = format!(
        "dated a write {} µs before it was made, and says that it knew both clocks",
        true_time - renewed.as_micros()
    );
    Err(Violation::new("I7", standing.node, what))
}

/// Checks that a claimant might write over `before`, judged from what it had received when it sent the write.
pub(crate) fn check_right(
    standing: &Standing<'_>,
    before: Option<&Arc<Record>>,
    after: Option<&Arc<Record>>,
    may_take: bool,
    may_create: bool,
    sent: Instant,
) -> Result<(), Violation> {
    let broken = |what: String| Err(Violation::new("I7", standing.node, what));
    let Some(before) = before else {
        return if may_create {
            Ok(())
        } else {
            broken(format!(
                "created the record at {sent:?}, before the time of the holder that it had seen was over"
            ))
        };
    };
    let own = before.signed_by == Author::Node(standing.node, standing.life);
    if before.holder.is_none() || own || may_take {
        return Ok(());
    }
    let after = after.map(|after| &after.holder);
    broken(format!(
        "wrote {after:?} over {:?} of {:?}, which it had no right to at {sent:?}",
        before.holder, before.signed_by
    ))
}

/// What a new version means for one claimant that may act as the holder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// Nothing.
    Nothing,
    /// The record does not hold others back any more, through no fault of anybody who plays by the rules.
    Robbed,
    /// Somebody who plays by the rules took it.
    Overlap,
}

/// Says what the change from `before` to `after`, written by `author`, means for whoever signed what was before.
pub(crate) fn meaning(
    holder: &Standing<'_>,
    before: Option<&Arc<Record>>,
    after: Option<&Arc<Record>>,
    author: Author,
    is_lawful: bool,
) -> Meaning {
    let Some(before) = before else {
        return Meaning::Nothing;
    };
    if before.signed_by != Author::Node(holder.node, holder.life) {
        return Meaning::Nothing;
    }
    let is_own = author == Author::Node(holder.node, holder.life);
    let keeps = after.is_some_and(|after| {
        after.uid == before.uid && after.holder.as_deref() == Some(holder.identity)
    });
    let as_long = after.is_some_and(|after| after.duration >= Some(holder.seconds));
    let overlap = if holder.believes {
        Meaning::Overlap
    } else {
        Meaning::Nothing
    };
    match (is_own, keeps, as_long) {
        (true, false, _) => overlap,
        // On its way in somebody shortened what it wrote.
        (true, true, false) => Meaning::Robbed,
        (true, true, true) => Meaning::Nothing,
        (false, true, true) if after.is_some_and(|after| after.says_the_same(before)) => {
            Meaning::Nothing
        }
        (false, _, _) if is_lawful => overlap,
        (false, _, _) => Meaning::Robbed,
    }
}

impl Since {
    /// A tenure of this record begins.
    pub(crate) fn new(record: &Record) -> Self {
        Self {
            uid: record.uid.clone(),
            transitions: record.transitions,
            ..Self::default()
        }
    }

    /// Whether nobody else has held it since, by all that the record ever said.
    fn is_last(&self, record: &Record) -> bool {
        let is_same = self.uid == record.uid && self.transitions == record.transitions;
        is_same && !self.gone && !self.passed_on && self.holders.is_empty()
    }

    /// Takes note of a new version, for the claimant with `identity` in the `life` of `node`.
    pub(crate) fn note(&mut self, standing: &Standing<'_>, record: Option<&Record>) {
        let Some(record) = record else {
            self.gone = true;
            return;
        };
        self.gone |= record.uid != self.uid;
        self.yielded |= record.preferred.is_some() || record.strategy.is_some();
        let is_free = record.holder.is_none();
        self.passed_on |=
            is_free && (record.heir.is_some() || self.transitions < record.transitions);
        if let Some(holder) = &record.holder {
            if holder != standing.identity {
                self.holders.insert(holder.clone());
            } else if record.signed_by != Author::Node(standing.node, standing.life) {
                self.impersonated = true;
            } else if record
                .duration
                .is_some_and(|named| named < standing.seconds)
            {
                self.shortened = true;
            }
        }
    }
}

/// Whether a time has the one form that every API server takes.
fn has_six_digits(text: &str) -> bool {
    let digits = text
        .strip_suffix('Z')
        .and_then(|text| text.split_once('.'))
        .map(|(_, digits)| digits);
    digits.is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|it| it.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STANDING: Standing<'static> = Standing {
        node: 0,
        life: 1,
        identity: "me",
        seconds: 15,
        believes: false,
    };

    /// A version of the record that names `holder`, and says that `by` has done something.
    fn record(version: u64, holder: &str, by: Option<&str>) -> Record {
        let mut lease = json!({
            "metadata": {"uid": "u", "resourceVersion": version.to_string()},
            "spec": {"holderIdentity": holder, "leaseTransitions": 3},
        });
        if let Some(by) = by {
            let done = json!({"by": by}).to_string();
            lease["metadata"]["annotations"] = json!({"lease-proto/done": done});
        }
        Record::read(&lease, Author::ThirdParty, None, None)
    }

    /// Whether "me" may say so in a record that names nobody, after `versions` of it since its tenure began.
    fn may_say(by: &str, versions: &[Option<Record>]) -> bool {
        let mut since = Since::new(&record(1, "me", None));
        for version in versions {
            since.note(&STANDING, version.as_ref());
        }
        let (before, after) = (record(8, "", None), record(9, "", Some(by)));
        let nobody = check_change(&STANDING, &before, &after, None);
        assert!(nobody.is_err(), "whoever has not held it has done nothing");
        check_change(&STANDING, &before, &after, Some(&since)).is_ok()
    }

    #[test]
    fn whoever_held_it_last_may_say_what_it_has_done_in_a_record_that_names_nobody() {
        let cleared = Some(record(2, "", None));
        assert!(may_say("me", &[]));
        assert!(may_say("me", std::slice::from_ref(&cleared)));
        assert!(!may_say("other", std::slice::from_ref(&cleared)));
        assert!(!may_say(
            "me",
            &[Some(record(2, "other", None)), cleared.clone()]
        ));
        assert!(!may_say("me", &[None, cleared]));
        let mut passed_on = record(2, "", None);
        passed_on.transitions = Some(4);
        assert!(!may_say("me", &[Some(passed_on)]));
        let mut left = record(2, "", None);
        left.heir = Some(json!("other"));
        assert!(!may_say("me", &[Some(left)]));
        let mut anew = record(2, "", None);
        anew.uid = "another".to_owned();
        assert!(!may_say("me", &[Some(anew)]));
    }

    #[test]
    fn whoever_held_it_last_says_so_in_no_record_that_has_changed_hands() {
        let since = Since::new(&record(1, "me", None));
        let (mut before, mut after) = (record(8, "", None), record(9, "", Some("me")));
        for record in [&mut before, &mut after] {
            record.transitions = Some(4);
        }
        assert!(check_change(&STANDING, &before, &after, Some(&since)).is_err());
    }
}
