//! One line of a watch: what it says has become of a record.

use serde::Deserialize;

use crate::{
    config::Config,
    wire::{Lease, ResourceVersion},
};

/// What a line of a watch says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// The record as it became, with the version that it then had.
    Record(Box<Lease>, u128),
    /// The record as it was when it was deleted, with the version of the deletion.
    Deleted(Box<Lease>, u128),
    /// All up to this version has been told.
    Bookmark(u128),
    /// The version from which to go on is forgotten (410).
    Forgotten,
    /// Nothing that can be used: another error, another object, no event at all.
    Unclear,
}

impl Change {
    /// Reads a line. What it is about must be the record that was asked for.
    pub(crate) fn read(config: &Config, line: &[u8]) -> Self {
        Self::read_of(config.namespace.as_str(), config.name.as_str(), line)
    }

    /// Reads a line that must be about one record.
    pub(crate) fn read_of(namespace: &str, name: &str, line: &[u8]) -> Self {
        // The kind of the object depends on the type of the event, so that is read first.
        let Ok(Kind { kind }) = serde_json::from_slice(line) else {
            return Self::Unclear;
        };
        let record = || record(namespace, name, line);
        let change = match kind.as_str() {
            "ADDED" | "MODIFIED" => record().map(|(it, at)| Self::Record(it, at)),
            "DELETED" => record().map(|(it, at)| Self::Deleted(it, at)),
            "BOOKMARK" => bookmark(line).map(Self::Bookmark),
            "ERROR" => is_expired(line).then_some(Self::Forgotten),
            _ => None,
        };
        change.unwrap_or(Self::Unclear)
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Event<T> {
    object: T,
}

#[derive(Deserialize)]
struct Marked {
    metadata: Mark,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    resource_version: String,
}

#[derive(Deserialize)]
struct Code {
    code: u16,
}

/// What a line of a watch of many records is about, without the record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) version: u128,
    /// Whether it may be one of those that a stream begins with, which come in no order.
    pub(crate) is_addition: bool,
}

impl Subject {
    /// Reads what a line is about; `None` where it is about no record.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        let Titled { kind, object } = serde_json::from_slice(line).ok()?;
        let is_addition = kind == "ADDED";
        let is_record = is_addition || kind == "MODIFIED" || kind == "DELETED";
        let Title {
            name,
            resource_version,
        } = object.metadata;
        let version = ResourceVersion::new(resource_version).number()?;
        is_record.then_some(Self {
            name,
            version,
            is_addition,
        })
    }
}

#[derive(Deserialize)]
struct Titled {
    #[serde(rename = "type")]
    kind: String,
    object: Entitled,
}

#[derive(Deserialize)]
struct Entitled {
    metadata: Title,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Title {
    name: String,
    resource_version: String,
}

fn record(namespace: &str, name: &str, line: &[u8]) -> Option<(Box<Lease>, u128)> {
    let Event { object } = serde_json::from_slice::<Event<Lease>>(line).ok()?;
    let meta = &object.metadata;
    let is_ours = meta.name == name && meta.namespace == namespace && meta.uid.is_some();
    let version = meta.resource_version.as_ref()?.number()?;
    is_ours.then(|| (Box::new(object), version))
}

fn bookmark(line: &[u8]) -> Option<u128> {
    let Event { object } = serde_json::from_slice::<Event<Marked>>(line).ok()?;
    ResourceVersion::new(object.metadata.resource_version).number()
}

fn is_expired(line: &[u8]) -> bool {
    serde_json::from_slice(line).is_ok_and(
        |Event {
             object: Code { code },
         }| code == 410,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Change {
        let config = Config::builder("default", "leader", "me").build().unwrap();
        Change::read(&config, line.as_bytes())
    }

    #[test]
    fn a_line_is_read_for_what_it_is() {
        let of = |kind: &str, name: &str, version: &str| {
            read(&format!(
                r#"{{"type":"{kind}","object":{{"metadata":{{"name":"{name}","namespace":"default","uid":"u","resourceVersion":"{version}"}},"spec":{{}}}}}}"#
            ))
        };
        assert!(matches!(of("ADDED", "leader", "7"), Change::Record(_, 7)));
        assert!(matches!(
            of("MODIFIED", "leader", "8"),
            Change::Record(_, 8)
        ));
        assert!(matches!(
            of("DELETED", "leader", "9"),
            Change::Deleted(_, 9)
        ));
        assert_eq!(of("MODIFIED", "another", "8"), Change::Unclear);
        assert_eq!(of("MODIFIED", "leader", "opaque"), Change::Unclear);
        assert_eq!(of("RENAMED", "leader", "8"), Change::Unclear);
        assert_eq!(
            read(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"12"}}}"#),
            Change::Bookmark(12)
        );
        assert_eq!(
            read(r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#),
            Change::Forgotten
        );
        assert_eq!(
            read(r#"{"type":"ERROR","object":{"kind":"Status","code":500}}"#),
            Change::Unclear
        );
        for line in ["", "null", "{}", "[1]", r#"{"type":"MODIFIED"}"#, "<html>"] {
            assert_eq!(read(line), Change::Unclear, "{line}");
        }
    }
}
