//! Bodies of requests: read into a Lease, or refused in the words of the real server.

use std::{fmt, str};

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, value::RawValue};

use super::{
    go_time::{MicroTime, WholeTime},
    object::Lease,
    status::{API_VERSION, Failure},
};

/// Largest body that is read.
pub(super) const MAX_BODY: usize = 3 * 1024 * 1024;

/// How the fields of a Lease are typed: JSON name, Go name, type.
const SPEC: &[(&str, &str, Type)] = &[
    ("holderIdentity", "HolderIdentity", Type::Text),
    ("leaseDurationSeconds", "LeaseDurationSeconds", Type::Int32),
    ("acquireTime", "AcquireTime", Type::MicroTime),
    ("renewTime", "RenewTime", Type::MicroTime),
    ("leaseTransitions", "LeaseTransitions", Type::Int32),
];

/// As [`SPEC`], for the metadata that a client may set.
const METADATA: &[(&str, &str, Type)] = &[
    ("name", "Name", Type::Text),
    ("generateName", "GenerateName", Type::Text),
    ("namespace", "Namespace", Type::Text),
    ("uid", "UID", Type::Text),
    ("resourceVersion", "ResourceVersion", Type::Text),
    ("creationTimestamp", "CreationTimestamp", Type::WholeTime),
    ("deletionTimestamp", "DeletionTimestamp", Type::WholeTime),
    ("labels", "Labels", Type::TextMap),
    ("annotations", "Annotations", Type::TextMap),
];

#[derive(Clone, Copy, Debug)]
enum Type {
    Int32,
    MicroTime,
    Text,
    TextMap,
    WholeTime,
}

/// Reads a Lease from the body of a POST or PUT.
///
/// # Errors
///
/// 400, with the message of the real server where that is known.
pub(super) fn lease(body: &[u8]) -> Result<Lease, Failure> {
    let lease = match serde_json::from_slice::<Lease>(body) {
        Ok(lease) => lease,
        Err(_) => slowly(body).map_err(|complaint| match complaint {
            Complaint::Syntax(what) => Failure::bad_request(format!(
                "the object provided is unrecognized (must be of type Lease): couldn't get version/kind; json parse error: {what} ({})",
                summary(body)
            )),
            Complaint::Content(what) => Failure::bad_request(format!(
                "Lease in version \"v1\" cannot be handled as a Lease: {what}"
            )),
        })?,
    };
    check_kind(&lease)?;
    Ok(lease)
}

/// Reads a Lease from what a patch made of one.
///
/// # Errors
///
/// 422, as the real server answers for a patch whose outcome is no Lease.
pub(super) fn patched(value: Value) -> Result<Lease, Failure> {
    let text = value.to_string();
    let lease = match serde_json::from_value(value) {
        Ok(lease) => lease,
        Err(_) => slowly(text.as_bytes()).map_err(|complaint| {
            let (Complaint::Syntax(what) | Complaint::Content(what)) = complaint;
            let message = format!(" \"\" is invalid: patch: Invalid value: {text:?}: {what}");
            Failure::vague(422, "Invalid", message)
        })?,
    };
    check_kind(&lease)?;
    Ok(lease)
}

/// What is wrong with a body.
enum Complaint {
    Syntax(String),
    Content(String),
}

/// Reads what the quick way did not: a fault to be named, a key given twice, a null within a map.
fn slowly(body: &[u8]) -> Result<Lease, Complaint> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_eof() {
            "unexpected end of JSON input".to_owned()
        } else {
            format!("invalid character at column {}", error.column())
        };
        Complaint::Syntax(what)
    })?;
    if let Some(fault) = fault(body) {
        return Err(Complaint::Content(fault));
    }
    serde_json::from_value(without_nulls(value)).map_err(|it| Complaint::Content(it.to_string()))
}

/// Nulls left out, or empty where they stand for a text in a map.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, it)| !it.is_null())
                .map(|(key, mut it)| {
                    if (key == "labels" || key == "annotations")
                        && let Some(texts) = it.as_object_mut()
                    {
                        for text in texts.values_mut().filter(|it| it.is_null()) {
                            *text = Value::String(String::new());
                        }
                    }
                    (key, without_nulls(it))
                })
                .collect(),
        ),
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            value
        }
    }
}

/// Refuses objects of another kind or version; takes their absence for what the path says.
fn check_kind(lease: &Lease) -> Result<(), Failure> {
    let (kind, version) = (lease.kind.as_str(), lease.api_version.as_str());
    let short = version.rsplit('/').next().unwrap_or(version);
    if !matches!(kind, "" | "Lease") {
        let why = if version == "v1" {
            format!("converting (v1.{kind}) to (coordination.Lease): unknown conversion")
        } else {
            format!("no kind {kind:?} is registered for version {version:?}")
        };
        return Err(Failure::bad_request(format!(
            "{kind} in version {short:?} cannot be handled as a Lease: {why}"
        )));
    }
    if !matches!(version, "" | API_VERSION) {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({API_VERSION})"
        )));
    }
    Ok(())
}

/// The members of an object in their order, each as its text within the body.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The first value of a wrong type, in the words of the JSON reader of the real server.
fn fault(body: &[u8]) -> Option<String> {
    let Ok(Members(members)) = serde_json::from_slice(body) else {
        return Some("expected an object".to_owned());
    };
    for (name, value) in &members {
        let found = match name.as_str() {
            "metadata" => struct_fault(body, value, METADATA)
                .map(|it| format!("ObjectMeta: v1.ObjectMeta.{it}")),
            "spec" => struct_fault(body, value, SPEC).map(|it| format!("Spec: v1.LeaseSpec.{it}")),
            "kind" | "apiVersion" if !matches!(value.get().as_bytes(), [b'"' | b'n', ..]) => {
                Some(format!("{name}: expects \" or n"))
            }
            _ => None,
        };
        if let Some(found) = found {
            return Some(format!("v1.Lease.{found}"));
        }
    }
    None
}

/// The first fault within an object of known fields. The reader of the real server stumbles over the
/// field after the one at fault, and names it first.
fn struct_fault(body: &[u8], value: &RawValue, types: &[(&str, &str, Type)]) -> Option<String> {
    if value.get() == "null" {
        return None;
    }
    let Ok(Members(members)) = serde_json::from_str(value.get()) else {
        return Some("expect { or n".to_owned());
    };
    let known = |name: &str| types.iter().find(|it| it.0 == name);
    for (index, (name, value)) in members.iter().enumerate() {
        let Some((_, go_name, kind)) = known(name) else {
            continue;
        };
        let Some(what) = value_fault(value.get(), *kind) else {
            continue;
        };
        let next = members.get(index + 1).and_then(|it| known(&it.0));
        let next = next.map(|it| format!("{}: ", it.1)).unwrap_or_default();
        return Some(format!("{next}{go_name}: {what}{}", context(body, value)));
    }
    None
}

/// What is wrong with a value, if anything.
fn value_fault(text: &str, kind: Type) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value.is_null() {
        return None;
    }
    match kind {
        Type::Text => (!value.is_string())
            .then(|| format!("ReadString: expects \" or n, but found {}", &text[..1])),
        Type::TextMap => match value.as_object() {
            Some(map) if map.values().all(|it| it.is_string() || it.is_null()) => None,
            Some(_) => Some("ReadString: expects \" or n".to_owned()),
            None => Some("ReadMapCB: expect { or n".to_owned()),
        },
        Type::Int32 => {
            if value.as_i64().is_some_and(|it| i32::try_from(it).is_ok()) {
                None
            } else if value.is_i64() || value.is_u64() {
                Some(format!("ReadInt32: overflow: {text}"))
            } else if value.is_f64() {
                Some("assertInteger: can not decode float as int".to_owned())
            } else {
                Some(format!("readUint32: unexpected character: {}", &text[..1]))
            }
        }
        Type::MicroTime => time_fault(&value, |it| MicroTime::parse(it).err()),
        Type::WholeTime => time_fault(&value, |it| WholeTime::parse(it).err()),
    }
}

fn time_fault(value: &Value, parse: impl Fn(&str) -> Option<String>) -> Option<String> {
    let what = match value {
        Value::String(text) => parse(text)?,
        Value::Array(_) => "json: cannot unmarshal array into Go value of type string".to_owned(),
        Value::Bool(_) => "json: cannot unmarshal bool into Go value of type string".to_owned(),
        Value::Object(_) => "json: cannot unmarshal object into Go value of type string".to_owned(),
        Value::Null | Value::Number(_) => {
            "json: cannot unmarshal number into Go value of type string".to_owned()
        }
    };
    Some(format!("unmarshalerDecoder: {what}"))
}

/// What stands around the end of a value in the body.
fn context(body: &[u8], value: &RawValue) -> String {
    let end = value.get().as_ptr() as usize + value.get().len();
    let head = end.saturating_sub(body.as_ptr() as usize).min(body.len());
    let around = |reach: usize| {
        let from = head.saturating_sub(reach);
        let to = (head + reach).min(body.len());
        (
            head - from,
            String::from_utf8_lossy(&body[from..to]).into_owned(),
        )
    };
    let ((byte, near), (_, far)) = (around(10), around(50));
    format!(", error found in #{byte} byte of ...|{near}|..., bigger context ...|{far}|...")
}

/// The beginning of a body, for messages.
fn summary(body: &[u8]) -> String {
    let beginning = body.get(..30).unwrap_or(body);
    let shown = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(beginning).into_owned(),
        Some(_) => beginning.iter().map(|it| format!("{it:02x}")).collect(),
    };
    let more = if body.len() > beginning.len() {
        " ..."
    } else {
        ""
    };
    format!("{shown}{more}")
}
