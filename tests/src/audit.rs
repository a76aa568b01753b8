//! What an API server saw, by its own account: the audit log.

use lease_proto::wire::{Lease, RawTime};
use serde_json::Value;

/// A line about a request on a Lease, or on several.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Line {
    /// What its other lines have, too: a stream has one when it begins, and one when it ends.
    pub id: String,
    /// Whether it was written with the end of the answer, and not with its beginning.
    pub is_complete: bool,
    /// Who asked.
    pub user: String,
    /// What it called itself in `User-Agent`.
    pub agent: String,
    /// `get`, `update`, `watch` and so on.
    pub verb: String,
    /// The path and the query.
    pub uri: String,
    /// The Lease; nothing where it was about several.
    pub lease: String,
    /// How it was answered.
    pub code: u16,
    /// When it came, in microseconds since 1970.
    pub came: i64,
    /// When the line was written, likewise.
    pub logged: i64,
    /// What was to be written, where the log tells that: from the level `Request` on, and not of a patch.
    pub asked: Option<Box<Lease>>,
    /// What is in the store since then, where the log tells that: on the level `RequestResponse`.
    pub written: Option<Box<Lease>>,
}

impl Line {
    /// Whether it asks for a change.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete"].contains(&self.verb.as_str())
    }
}

/// Reads what an audit log says about Leases, in the order of its lines; what is no line of an audit log is left out.
pub fn lines(log: &str) -> impl Iterator<Item = Line> + '_ {
    log.lines().filter_map(read)
}

fn read(line: &str) -> Option<Line> {
    let mut entry: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if entry["objectRef"]["resource"] != "leases" {
        return None;
    }
    let time = |name: &str| {
        let time = RawTime::new(text(&entry[name])).time();
        time.map(|time| time.as_micros())
    };
    let (came, logged) = (
        time("requestReceivedTimestamp")?,
        time("stageTimestamp").or_else(|| time("requestReceivedTimestamp"))?,
    );
    let lease = |value: Value| {
        let is_lease = value["kind"] == "Lease";
        let lease = is_lease.then(|| serde_json::from_value(value).ok());
        lease.flatten().map(Box::new)
    };
    let verb = text(&entry["verb"]);
    let (asked, written) = (
        entry["requestObject"].take(),
        entry["responseObject"].take(),
    );
    let is_writing = ["create", "update", "patch"].contains(&verb.as_str());
    Some(Line {
        id: text(&entry["auditID"]),
        is_complete: entry["stage"] == "ResponseComplete",
        user: text(&entry["user"]["username"]),
        agent: text(&entry["userAgent"]),
        uri: text(&entry["requestURI"]),
        lease: text(&entry["objectRef"]["name"]),
        code: entry["responseStatus"]["code"]
            .as_u64()
            .and_then(|code| code.try_into().ok())
            .unwrap_or_default(),
        came,
        logged,
        asked: lease(asked).filter(|_| is_writing && verb != "patch"),
        written: lease(written).filter(|_| is_writing),
        verb,
    })
}
