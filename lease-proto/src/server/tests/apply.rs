//! Server-side apply.

use serde_json::{Value, json};

use super::{A, World};

fn apply(world: &mut World, manager: &str, config: &str) -> (u16, Value) {
    let path = format!("{A}?fieldManager={manager}");
    world.send("PATCH", &path, "application/apply-patch+yaml", config)
}

const FIRST: &str = "
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: a
  labels: {app: web}
spec: {holderIdentity: x, leaseDurationSeconds: 15}
";
const SECOND: &str = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a"},"spec":{"holderIdentity":"x"}}"#;
const OTHER: &str = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a"},"spec":{"holderIdentity":"y"}}"#;

#[test]
fn an_apply_creates_keeps_and_takes_back() {
    let mut world = World::new();
    let (code, first) = apply(&mut world, "me", FIRST);
    assert_eq!(
        (code, &first["spec"]["leaseDurationSeconds"]),
        (201, &json!(15))
    );
    let entry = &first["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["operation"], &entry["manager"]),
        (&json!("Apply"), &json!("me"))
    );
    assert_eq!(
        entry["fieldsV1"]["f:metadata"],
        json!({"f:labels": {"f:app": {}}})
    );
    world.pass(9);
    assert_eq!(apply(&mut world, "me", FIRST), (200, first));
    let (code, second) = apply(&mut world, "me", SECOND);
    assert_eq!(
        (code, &second["spec"]),
        (200, &json!({"holderIdentity": "x"}))
    );
    assert_eq!(second["metadata"].get("labels"), None);
}

#[test]
fn what_another_owns_is_only_taken_by_force() {
    let mut world = World::new();
    apply(&mut world, "me", FIRST);
    let (code, failure) = apply(&mut world, "you", OTHER);
    assert_eq!((code, &failure["reason"]), (409, &json!("Conflict")));
    assert_eq!(
        failure["details"]["causes"][0]["message"],
        "conflict with \"me\""
    );
    // The same value can be owned by both.
    assert_eq!(apply(&mut world, "you", SECOND).0, 200);
    let (code, object) = apply(&mut world, "you&force=true", OTHER);
    assert_eq!(
        (code, &object["spec"]["holderIdentity"]),
        (200, &json!("y"))
    );
    // Who lost it may not take it away by leaving it out.
    let (_, object) = apply(&mut world, "me", &FIRST.replace("holderIdentity: x, ", ""));
    assert_eq!(object["spec"]["holderIdentity"], "y");
}

#[test]
fn a_lease_that_nobody_tracked_belongs_to_its_past() {
    let mut world = World::new();
    world.post(&json!({"metadata": {"name": "a", "managedFields": []}, "spec": {}}));
    let (_, mut object) = world.patch(A, &json!({"spec": {"holderIdentity": "x"}}));
    assert_eq!(object["metadata"].get("managedFields"), None);
    let (code, failure) = apply(&mut world, "me", OTHER);
    assert_eq!(code, 409);
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("before-first-apply"), "{message}");
    object = apply(&mut world, "me", SECOND).1;
    assert_eq!(
        object["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn what_cannot_be_applied_is_refused() {
    let mut world = World::new();
    let media_type = "application/apply-patch+yaml";
    assert_eq!(world.send("PATCH", A, media_type, FIRST).0, 422);
    assert_eq!(apply(&mut world, "me", "a: &anchor b").0, 415);
    assert_eq!(
        apply(&mut world, "me", r#"{"metadata":{"name":"a"}}"#).0,
        400
    );
    let tracked = SECOND.replace(r#""name":"a""#, r#""name":"a","managedFields":[{"manager":"m","operation":"Apply","fieldsV1":{"f:spec":{"f:x":{}}}}]"#);
    assert_eq!(apply(&mut world, "me", &tracked).0, 400);
}
