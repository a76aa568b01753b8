//! The record as the store has it, with what those who watch know besides: who wrote it.

use serde_json::{Map, Value};

use super::{Micros, SECOND};

/// Who wrote something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Author {
    /// A claimant or rival, in the life that it then had.
    Node(usize, u64),
    /// Somebody else.
    ThirdParty,
}

/// One version of the record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) uid: String,
    pub(crate) version: u64,
    /// `None` if it is empty.
    pub(crate) holder: Option<String>,
    pub(crate) acquired: Option<String>,
    pub(crate) renewed: Option<String>,
    pub(crate) duration: Option<i64>,
    pub(crate) transitions: Option<i64>,
    pub(crate) preferred: Option<String>,
    pub(crate) strategy: Option<String>,
    /// Which work is done, as the record says.
    pub(crate) done: Option<Value>,
    /// To whom it was left.
    pub(crate) heir: Option<Value>,
    /// Whatever claimants have no business with.
    pub(crate) rest: Map<String, Value>,
    /// Who wrote holder and times, whoever wrote the rest since.
    pub(crate) signed_by: Author,
    /// When, in true time, one of ours handed out the write that made holder and times what they are.
    pub(crate) dated: Option<Micros>,
}

impl Record {
    /// Reads what the store has, as `author` made it by a write that one of ours handed out at `dated`; `before` is the
    /// version that it replaces.
    pub(crate) fn read(
        lease: &Value,
        author: Author,
        dated: Option<Micros>,
        before: Option<&Self>,
    ) -> Self {
        let (metadata, spec) = (&lease["metadata"], &lease["spec"]);
        let text = |value: &Value| {
            value
                .as_str()
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
        };
        let mut rest = metadata.as_object().cloned().unwrap_or_default();
        for known in [
            "creationTimestamp",
            "managedFields",
            "name",
            "namespace",
            "resourceVersion",
            "selfLink",
            "uid",
        ] {
            rest.remove(known);
        }
        let mut annotation = |key| {
            let annotations = rest.get_mut("annotations")?.as_object_mut()?;
            let value = annotations.remove(key)?;
            if annotations.is_empty() {
                rest.remove("annotations");
            }
            serde_json::from_str(value.as_str()?).ok()
        };
        let done = annotation("lease-proto/done");
        let heir = annotation("lease-proto/successor");
        let version = metadata["resourceVersion"].as_str();
        let mut record = Self {
            uid: text(&metadata["uid"]).unwrap_or_default(),
            version: version.and_then(|it| it.parse().ok()).unwrap_or(0),
            holder: text(&spec["holderIdentity"]),
            acquired: text(&spec["acquireTime"]),
            renewed: text(&spec["renewTime"]),
            duration: spec["leaseDurationSeconds"].as_i64(),
            transitions: spec["leaseTransitions"].as_i64(),
            preferred: text(&spec["preferredHolder"]),
            strategy: text(&spec["strategy"]),
            done,
            heir,
            rest,
            signed_by: author,
            dated,
        };
        if let Some(before) = before.filter(|before| record.says_the_same(before)) {
            (record.signed_by, record.dated) = (before.signed_by, before.dated);
        }
        record
    }

    /// Whether holder and times are the same, so that nobody has renewed.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        (&self.uid, &self.holder, self.transitions)
            == (&other.uid, &other.holder, other.transitions)
            && (&self.acquired, &self.renewed) == (&other.acquired, &other.renewed)
    }

    /// Whether its time was over at `now`, in true time; `own` is the duration where it names none.
    pub(crate) fn is_over(&self, own: i64, now: Micros) -> bool {
        self.dated
            .is_some_and(|dated| dated + self.seconds(own) * SECOND <= now)
    }

    /// For how long observers wait; `own` where the record does not say.
    pub(crate) fn seconds(&self, own: i64) -> u64 {
        let named = self.duration.filter(|named| *named > 0).unwrap_or(own);
        named.unsigned_abs()
    }
}
