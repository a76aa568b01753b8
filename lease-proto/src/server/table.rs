//! Forms of an answer: the objects themselves, or a table of them as kubectl asks for.

use std::time::Duration;

use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::{
    go_time::Stamp,
    object::Stored,
    read::Page,
    route::Query,
    status::{self, Failure},
    submission::text,
};

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: http://kubernetes.io/docs/user-guide/identifiers#names";
const HOLDER: &str = "holderIdentity contains the identity of the holder of a current lease.";
const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The form that a client prefers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// Objects.
    Object,
    /// A table.
    Table,
}

/// Reads the `Accept` header.
///
/// # Errors
///
/// 406 if nothing in it can be had.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Failure> {
    let accept = text(headers, header::ACCEPT);
    if accept.is_empty() {
        return Ok(Form::Object);
    }
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let is_json = matches!(
            parts.next(),
            Some("application/json" | "application/*" | "*/*")
        );
        let mut wanted = (None, "meta.k8s.io", "v1");
        for parameter in parts {
            match parameter.split_once('=') {
                Some(("as", value)) => wanted.0 = Some(value),
                Some(("g", value)) => wanted.1 = value,
                Some(("v", value)) => wanted.2 = value,
                _ => {}
            }
        }
        match wanted {
            (None, ..) if is_json => return Ok(Form::Object),
            (Some("Table"), "meta.k8s.io", "v1") if is_json => return Ok(Form::Table),
            _ => {}
        }
    }
    let message = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    Err(Failure::new(406, "NotAcceptable", message))
}

impl Form {
    /// One object.
    pub(super) fn one(self, object: &Stored, now: Stamp) -> Vec<u8> {
        match self {
            Self::Object => object.body(),
            Self::Table => {
                let metadata = json!({"resourceVersion": object.lease.metadata.resource_version});
                table(metadata, true, vec![row(object, "Metadata", now)])
            }
        }
    }

    /// Many objects.
    pub(super) fn many(self, page: &Page<'_>, query: &Query<'_>, now: Stamp) -> Vec<u8> {
        match self {
            Self::Object => page.list(),
            Self::Table => {
                let metadata = serde_json::from_str(&page.metadata()).unwrap_or_default();
                let included = query.get("includeObject").unwrap_or("Metadata");
                let rows = page.items.iter().map(|it| row(it, included, now)).collect();
                table(metadata, true, rows)
            }
        }
    }

    /// The object of a watch event; only the first of a stream describes the columns.
    pub(super) fn event(self, object: &Stored, is_first: bool, now: Stamp) -> Vec<u8> {
        match self {
            Self::Object => {
                let mut body = Vec::new();
                object.write(&mut body);
                body
            }
            Self::Table => {
                let metadata = json!({"resourceVersion": object.lease.metadata.resource_version});
                let mut body = table(metadata, is_first, vec![row(object, "Metadata", now)]);
                body.pop();
                body
            }
        }
    }
}

fn table(metadata: Value, has_columns: bool, rows: Vec<Value>) -> Vec<u8> {
    let column = |name: &str, format: &str, description: &str| json!({"name": name, "type": "string", "format": format, "description": description, "priority": 0});
    let columns = has_columns.then(|| {
        [
            column("Name", "name", NAME),
            column("Holder", "", HOLDER),
            column("Age", "", AGE),
        ]
    });
    let table = json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    });
    let mut body = status::json(&table);
    body.push(b'\n');
    body
}

fn row(object: &Stored, included: &str, now: Stamp) -> Value {
    let metadata = &object.lease.metadata;
    let holder = object.lease.spec.holder_identity.as_deref();
    let age = metadata
        .creation_timestamp
        .map_or_else(|| "<unknown>".to_owned(), |created| human(created.age(now)));
    let mut row = json!({"cells": [metadata.name, holder.unwrap_or_default(), age]});
    match included {
        "None" => {}
        "Object" => row["object"] = object.value(),
        _ => {
            row["object"] = json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
            });
        }
    }
    row
}

/// An age as kubectl shows it: two units at most, fewer the longer it is.
fn human(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: u64, unit: char, small: u64, rest: char| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{rest}")
        }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => two(days, 'd', hours % 24, 'h'),
        () if days < 730 => format!("{days}d"),
        () if days < 2_920 => two(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_shown_as_kubectl_shows_them() {
        for (seconds, shown) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (3_600, "60m"),
            (4 * 3_600 + 60, "4h1m"),
            (47 * 3_600, "47h"),
            (49 * 3_600, "2d1h"),
            (100 * 86_400, "100d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), shown);
        }
    }
}
