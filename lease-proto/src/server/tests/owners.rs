//! `managedFields`: who wrote what last.

use serde_json::{Value, json};

use super::{A, World};
use crate::server::{ApiServer, Version};

fn lease() -> Value {
    json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15}})
}

/// The managers with their times and fields of the spec.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let entry = |it: &Value| {
        let fields = it["fieldsV1"]["f:spec"].as_object();
        let fields: Vec<_> = fields
            .into_iter()
            .flatten()
            .map(|it| it.0.as_str())
            .collect();
        let (manager, time) = (
            it["manager"].as_str().unwrap(),
            it["time"].as_str().unwrap(),
        );
        format!("{manager} {} {}", &time[17..19], fields.join(" "))
    };
    entries.iter().map(entry).collect()
}

#[test]
fn a_field_belongs_to_its_last_writer() {
    let mut world = World::new();
    world.post(&lease());
    world.pass(1);
    world.program = "other/2";
    let (_, object) = world.patch(A, &json!({"spec": {"holderIdentity": "y"}}));
    assert_eq!(
        owners(&object),
        [
            "tests 00 f:leaseDurationSeconds",
            "other 01 f:holderIdentity"
        ]
    );
    // A change of a value alone, of what is the writer's own, leaves the time as it is.
    world.pass(1);
    let (_, object) = world.patch(A, &json!({"spec": {"holderIdentity": "z"}}));
    assert_eq!(owners(&object)[1], "other 01 f:holderIdentity");
    // The first writer takes it back, and nothing is left to the other.
    world.pass(1);
    world.program = "tests/9";
    let (_, object) = world.patch(A, &json!({"spec": {"holderIdentity": "x"}}));
    assert_eq!(
        owners(&object),
        ["tests 03 f:holderIdentity f:leaseDurationSeconds"]
    );
}

#[test]
fn newer_servers_move_the_time_with_every_write() {
    let mut world = World::with(ApiServer::builder().version(Version::V1_31));
    world.post(&lease());
    world.pass(1);
    let (_, object) = world.patch(A, &json!({"spec": {"holderIdentity": "y"}}));
    assert_eq!(
        owners(&object),
        ["tests 01 f:holderIdentity f:leaseDurationSeconds"]
    );
    world.pass(1);
    let (_, again) = world.patch(A, &json!({"spec": {"holderIdentity": "y"}}));
    assert_eq!(again, object);
}

#[test]
fn a_field_taken_from_another_leaves_the_time_of_ones_own_to_the_version() {
    for (version, second) in [(Version::V1_20, "00"), (Version::V1_31, "01")] {
        let mut world = World::with(ApiServer::builder().version(version));
        world.post(&lease());
        let path = format!("{A}?fieldManager=other");
        world.patch(&path, &json!({"spec": {"leaseTransitions": 1}}));
        world.pass(1);
        let spec = json!({"holderIdentity": "y", "leaseTransitions": null});
        let (_, object) = world.patch(A, &json!({"spec": spec}));
        let expected = format!("tests {second} f:holderIdentity f:leaseDurationSeconds");
        assert_eq!(owners(&object), [expected]);
    }
}

#[test]
fn the_query_names_the_manager_before_the_program_does() {
    let mut world = World::new();
    world.program = "";
    let (_, object) = world.post(&lease());
    assert!(owners(&object)[0].starts_with("unknown "));
    let path = format!("{A}?fieldManager=me");
    let (_, object) = world.patch(&path, &json!({"spec": {"leaseTransitions": 1}}));
    assert_eq!(owners(&object)[0], "me 00 f:leaseTransitions");
}

#[test]
fn ownership_that_was_reset_is_not_tracked_again() {
    for reset in [json!([]), json!([{}])] {
        let mut world = World::new();
        let (_, mut object) = world.post(&lease());
        object["metadata"]["managedFields"] = reset;
        let (_, object) = world.put(A, &object);
        assert!(owners(&object).is_empty());
        let (_, object) = world.patch(A, &json!({"spec": {"holderIdentity": "y"}}));
        assert!(owners(&object).is_empty());
    }
}

#[test]
fn ownership_that_cannot_be_read_is_left_as_it_was() {
    let mut world = World::new();
    let (_, mut object) = world.post(&lease());
    let before = owners(&object);
    object["metadata"]["managedFields"][0]["fieldsV1"] = json!({"spec": 1});
    object["metadata"]["annotations"] = json!({"a": "b"});
    let (code, object) = world.put(A, &object);
    assert_eq!((code, owners(&object)), (200, before));
}

#[test]
fn more_than_ten_writers_are_put_together() {
    let mut world = World::new();
    world.post(&lease());
    for index in 0..20 {
        world.pass(1);
        let path = format!("{A}?fieldManager=m{index}");
        let metadata = json!({"annotations": {format!("a{index}"): "x"}});
        world.patch(&path, &json!({"metadata": metadata}));
    }
    let (_, object) = world.get(A);
    let owners = owners(&object);
    assert_eq!(owners.len(), 10);
    assert!(owners[0].starts_with("ancient-changes 11 "), "{owners:?}");
    assert!(owners[0].contains("f:holderIdentity"));
}

#[test]
fn collections_and_their_members_are_owned_apart() {
    let mut world = World::new();
    let metadata = json!({
        "name": "a",
        "labels": {"l": "1"},
        "finalizers": ["example.com/f"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
    });
    let (_, object) = world.post(&json!({"metadata": metadata}));
    let fields = &object["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"];
    let expected = json!({
        "f:labels": {".": {}, "f:l": {}},
        "f:finalizers": {".": {}, "v:\"example.com/f\"": {}},
        "f:ownerReferences": {".": {}, "k:{\"uid\":\"u\"}": {
            ".": {}, "f:apiVersion": {}, "f:kind": {}, "f:name": {}, "f:uid": {},
        }},
    });
    assert_eq!(*fields, expected);
    let path = format!("{A}?fieldManager=m");
    let (_, object) = world.patch(&path, &json!({"metadata": {"labels": {"k": "2"}}}));
    let fields = &object["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"];
    assert_eq!(*fields, json!({"f:labels": {"f:k": {}}}));
    let (_, object) = world.patch(&path, &json!({"metadata": {"labels": null}}));
    assert_eq!(
        object["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
