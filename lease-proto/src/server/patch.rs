//! Patches of an object as JSON: RFC 7386 and RFC 6902.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::status::Failure;

/// How many operations a JSON patch may have.
const MAX_OPERATIONS: usize = 10_000;

/// One step of a JSON patch.
#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    path: String,
    from: Option<String>,
    #[serde(default)]
    value: Value,
}

/// The object that a patch makes of another. A strategic merge patch does to a Lease what a merge patch
/// does, for its directives concern lists that a Lease does not have.
///
/// # Errors
///
/// 400 for what is no patch, 422 for a JSON patch that does not fit.
pub(super) fn apply(media_type: &str, mut object: Value, body: &[u8]) -> Result<Value, Failure> {
    if media_type == "application/json-patch+json" {
        return json_patch(object, body);
    }
    let patch: Value = serde_json::from_slice(body)
        .map_err(|it| Failure::bad_request(format!("error decoding patch: {it}")))?;
    let Value::Object(patch) = patch else {
        return Err(Failure::bad_request("Invalid JSON Patch"));
    };
    merge(&mut object, patch);
    Ok(object)
}

fn merge(object: &mut Value, patch: Map<String, Value>) {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(members) = object.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        match value {
            Value::Null => {
                members.remove(&key);
            }
            Value::Object(inner) => merge(members.entry(key).or_insert(Value::Null), inner),
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                members.insert(key, value);
            }
        }
    }
}

fn json_patch(mut object: Value, body: &[u8]) -> Result<Value, Failure> {
    let operations: Vec<Operation> = serde_json::from_slice(body)
        .map_err(|it| Failure::bad_request(format!("error decoding patch: {it}")))?;
    if operations.len() > MAX_OPERATIONS {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(Failure::new(413, "RequestEntityTooLarge", message));
    }
    for operation in operations {
        step(&mut object, operation).ok_or_else(|| {
            let message = "the server rejected our request due to an error in our request";
            Failure::vague(422, "Invalid", message)
        })?;
    }
    Ok(object)
}

/// Does one step; nothing if it does not fit.
fn step(object: &mut Value, operation: Operation) -> Option<()> {
    let Operation {
        op,
        path,
        from,
        value,
    } = operation;
    match op.as_str() {
        "add" => add(object, &path, value),
        "remove" => remove(object, &path).map(|_| ()),
        "replace" => {
            *object.pointer_mut(&path)? = value;
            Some(())
        }
        "test" => {
            let found = object.pointer(&path).unwrap_or(&Value::Null);
            (*found == value).then_some(())
        }
        "move" => {
            let moved = remove(object, &from?)?;
            add(object, &path, moved)
        }
        "copy" => {
            let copied = object.pointer(&from?)?.clone();
            add(object, &path, copied)
        }
        _ => None,
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, last) = split(path)?;
    match object.pointer_mut(parent)? {
        Value::Object(members) => {
            members.insert(last, value);
        }
        Value::Array(items) => {
            let index = if last == "-" {
                items.len()
            } else {
                last.parse().ok().filter(|it| *it <= items.len())?
            };
            items.insert(index, value);
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = split(path)?;
    match object.pointer_mut(parent)? {
        Value::Object(members) => members.remove(&last),
        Value::Array(items) => {
            let index = last.parse().ok().filter(|it| *it < items.len())?;
            Some(items.remove(index))
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => None,
    }
}

/// Where something is to be found, and under which key.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(patch: &Value) -> Result<Value, Failure> {
        let object = json!({"a": {"b": 1, "x/y": [1, 2]}});
        apply(
            "application/json-patch+json",
            object,
            patch.to_string().as_bytes(),
        )
    }

    #[test]
    fn every_operation_does_its_own() {
        let patch = json!([
            {"op": "test", "path": "/a/b", "value": 1},
            {"op": "test", "path": "/a/none", "value": null},
            {"op": "add", "path": "/a/x~1y/1", "value": 9},
            {"op": "add", "path": "/a/x~1y/-", "value": 3},
            {"op": "copy", "from": "/a/b", "path": "/c"},
            {"op": "move", "from": "/a/b", "path": "/d"},
            {"op": "replace", "path": "/c", "value": "new"},
            {"op": "remove", "path": "/a/x~1y/0"},
        ]);
        let expected = json!({"a": {"x/y": [9, 2, 3]}, "c": "new", "d": 1});
        assert_eq!(patched(&patch).unwrap(), expected);
    }

    #[test]
    fn a_step_that_does_not_fit_refuses_the_whole() {
        for patch in [
            json!([{"op": "test", "path": "/a/b", "value": 2}]),
            json!([{"op": "replace", "path": "/none", "value": 2}]),
            json!([{"op": "remove", "path": "/a/x~1y/7"}]),
            json!([{"op": "jump", "path": "/a"}]),
        ] {
            assert_eq!(patched(&patch).unwrap_err().code, 422);
        }
        assert_eq!(patched(&json!({})).unwrap_err().code, 400);
    }

    #[test]
    fn a_merge_removes_by_null_and_keeps_the_rest() {
        let object = json!({"a": {"b": 1, "c": 2}, "d": 3});
        let body = br#"{"a":{"b":null,"e":{"f":null,"g":4}}}"#;
        let merged = apply("application/merge-patch+json", object, body).unwrap();
        assert_eq!(merged, json!({"a": {"c": 2, "e": {"g": 4}}, "d": 3}));
    }
}
