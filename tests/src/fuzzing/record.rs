//! A record as an answer shows it, read apart from the claim's own reading.

use std::collections::BTreeSet;

use lease_proto::wire::Members;
use serde::de::DeserializeOwned;

/// What an answer says.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) uid: String,
    pub(super) version: String,
    pub(super) holder: String,
    pub(super) acquired: Option<String>,
    pub(super) renewed: Option<String>,
    pub(super) seconds: Option<i64>,
    transitions: Option<i64>,
}

impl Record {
    /// Whether it is a later version than the one that was written on.
    pub(super) fn is_newer(&self, asked: Option<&str>) -> bool {
        match (number(&self.version), asked.map(number)) {
            (Some(new), Some(Some(old))) => new > old,
            _ => asked != Some(&self.version),
        }
    }

    pub(super) fn is_behind(&self, versions: &BTreeSet<String>) -> bool {
        let highest = versions.iter().filter_map(|version| number(version)).max();
        number(&self.version) < highest
    }

    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.holder == other.holder
            && self.acquired == other.acquired
            && self.renewed == other.renewed
            && self.transitions == other.transitions
    }
}

/// A version as a number, if it is written like one; others can only be told apart.
fn number(version: &str) -> Option<u128> {
    let number: u128 = version.parse().ok()?;
    (number > 0 && number.to_string() == version).then_some(number)
}

/// Reads the record of these names, if it has all that makes it one.
pub(super) fn read(body: &[u8], names: [&str; 2]) -> Option<Record> {
    let object: Members = serde_json::from_slice(body).ok()?;
    let is_lease = is_one_of(&object, "kind", "Lease")?
        && is_one_of(&object, "apiVersion", "coordination.k8s.io/v1")?;
    let meta: Members = field(&object, "metadata")?.unwrap_or_default();
    let spec: Members = field(&object, "spec")?.unwrap_or_default();
    for number in ["leaseTransitions", "leaseDurationSeconds"] {
        field::<i64>(&spec, number)?;
    }
    for text in ["strategy", "preferredHolder"] {
        field::<String>(&spec, text)?;
    }
    let text = |part: &Members, name: &str| Some(field(part, name)?.unwrap_or_default());
    let (namespace, name) = (text(&meta, "namespace")?, text(&meta, "name")?);
    let record = Record {
        uid: text(&meta, "uid")?,
        version: text(&meta, "resourceVersion")?,
        holder: text(&spec, "holderIdentity")?,
        acquired: field(&spec, "acquireTime")?,
        renewed: field(&spec, "renewTime")?,
        seconds: field(&spec, "leaseDurationSeconds")?,
        transitions: field(&spec, "leaseTransitions")?,
    };
    let is_whole = !record.uid.is_empty() && !record.version.is_empty();
    (is_lease && is_whole && [namespace, name] == names).then_some(record)
}

/// A field, the last of its name; `None` if any of its name is something else than a `T` or null.
#[expect(
    clippy::option_option,
    reason = "a field may be absent, and may be wrong"
)]
fn field<T: DeserializeOwned>(members: &Members, name: &str) -> Option<Option<T>> {
    let mut last = None;
    for (_, value) in members.iter().filter(|(key, _)| *key == name) {
        last = value.read::<Option<T>>()?;
    }
    Some(last)
}

/// Whether a field says `wanted` or nothing; `None` if it is no text.
fn is_one_of(members: &Members, name: &str, wanted: &str) -> Option<bool> {
    let said: Option<String> = field(members, name)?;
    Some(said.is_none_or(|said| said.is_empty() || said == wanted))
}

/// A time in microseconds since the epoch.
pub(super) fn instant(text: &str) -> Option<i128> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_nanosecond().div_euclid(1_000))
}

/// The whole second of a time.
pub(super) fn second(micros: i128) -> i128 {
    micros.div_euclid(1_000_000)
}
