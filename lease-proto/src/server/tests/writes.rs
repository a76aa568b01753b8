//! Writes and their preconditions.

use serde_json::{Value, json};

use super::{A, LEASES, World};
use crate::server::{ApiServer, Version};

fn lease(holder: &str) -> Value {
    json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": holder}})
}

#[test]
fn a_put_without_uid_brings_a_deleted_lease_back() {
    let mut world = World::new();
    let (_, mut old) = world.post(&lease("x"));
    world.delete(A);
    assert_eq!(world.put(A, &old).0, 409);
    old["metadata"].as_object_mut().unwrap().remove("uid");
    let (code, new) = world.put(A, &old);
    assert_eq!(code, 201);
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
    let (_, failure) = world.put(A, &json!({"metadata": {"name": "a", "uid": "other"}}));
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("UID in precondition: other, UID in object meta: "));
}

#[test]
fn the_uid_is_looked_at_before_the_version() {
    let mut world = World::new();
    world.post(&lease("x"));
    let body = json!({"metadata": {"name": "a", "uid": "other", "resourceVersion": "1"}});
    let (code, failure) = world.put(A, &body);
    assert_eq!(code, 409);
    assert!(failure["message"].as_str().unwrap().contains("UID"));
}

#[test]
fn a_write_of_what_is_there_keeps_the_version() {
    let mut world = World::new();
    let (_, first) = world.post(&lease("x"));
    world.pass(100);
    let (code, second) = world.put(A, &first);
    assert_eq!((code, &second), (200, &first));
    let (code, third) = world.patch(A, &json!({"spec": {"holderIdentity": "x"}}));
    assert_eq!((code, &third), (200, &first));
}

#[test]
fn every_other_write_gets_a_version_that_is_higher() {
    let mut world = World::new();
    let mut last = 0;
    for round in 0..3 {
        world.post(&lease("x"));
        world.patch(
            A,
            &json!({"metadata": {"annotations": {"round": round.to_string()}}}),
        );
        let (_, object) = world.get(A);
        let version = object["metadata"]["resourceVersion"].as_str().unwrap();
        assert!(version.parse::<u64>().unwrap() > last);
        last = version.parse().unwrap();
        world.delete(A);
        assert_eq!(world.server.resource_version(), last + 1);
        last += 1;
    }
}

#[test]
fn a_dry_run_answers_and_changes_nothing() {
    let mut world = World::new();
    let path = format!("{LEASES}?dryRun=All");
    let (code, object) = world.send("POST", &path, "", &lease("x").to_string());
    assert_eq!(
        (code, &object["spec"]["holderIdentity"]),
        (201, &json!("x"))
    );
    assert_eq!(object["metadata"].get("resourceVersion"), None);
    assert_eq!(world.get(A).0, 404);
    world.post(&lease("x"));
    let version = world.server.resource_version();
    let path = format!("{A}?dryRun=All");
    let (code, object) = world.patch(&path, &json!({"spec": {"holderIdentity": "y"}}));
    assert_eq!(
        (code, &object["spec"]["holderIdentity"]),
        (200, &json!("y"))
    );
    assert_eq!(world.delete(&path).0, 200);
    assert_eq!(world.get(A).1["spec"]["holderIdentity"], "x");
    assert_eq!(world.server.resource_version(), version);
    let path = format!("{A}?dryRun=Some");
    assert_eq!(world.patch(&path, &json!({})).0, 422);
}

#[test]
fn a_generated_name_begins_as_asked() {
    let mut world = World::new();
    let body = json!({"metadata": {"generateName": "lock-"}});
    let (code, one) = world.post(&body);
    let (_, two) = world.post(&body);
    let name = |it: &Value| it["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(code, 201);
    assert!(name(&one).starts_with("lock-") && name(&one).len() == 10);
    assert_ne!(name(&one), name(&two));
    let (code, failure) = world.post(&json!({"metadata": {}}));
    assert_eq!(code, 422);
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("name or generateName is required"));
}

#[test]
fn finalizers_put_a_deletion_off() {
    let mut world = World::new();
    world.post(&json!({"metadata": {"name": "a", "finalizers": ["example.com/wait"]}}));
    let (code, marked) = world.delete(A);
    assert_eq!(code, 200);
    assert_eq!(marked["kind"], "Lease");
    assert_eq!(
        marked["metadata"]["deletionTimestamp"],
        "2027-01-15T08:00:00Z"
    );
    let (code, renewed) = world.patch(A, &json!({"spec": {"holderIdentity": "x"}}));
    assert_eq!(
        (code, &renewed["spec"]["holderIdentity"]),
        (200, &json!("x"))
    );
    let (code, _) = world.patch(
        A,
        &json!({"metadata": {"finalizers": ["example.com/more"]}}),
    );
    assert_eq!(code, 422);
    assert_eq!(
        world.patch(A, &json!({"metadata": {"finalizers": null}})).0,
        200
    );
    assert_eq!(world.get(A).0, 404);
}

#[test]
fn a_deletion_can_be_bound_to_a_version() {
    let mut world = World::new();
    let (_, object) = world.post(&lease("x"));
    let mut delete = |version: &str| {
        let body = json!({"preconditions": {"resourceVersion": version}}).to_string();
        world.send("DELETE", A, "application/json", &body)
    };
    let (code, failure) = delete("7");
    assert_eq!((code, &failure["reason"]), (409, &json!("Conflict")));
    let version = object["metadata"]["resourceVersion"].as_str().unwrap();
    assert_eq!(delete(version).0, 200);
}

#[test]
fn newer_servers_keep_what_older_ones_drop() {
    let body = json!({"metadata": {"name": "a"}, "spec": {
        "strategy": "OldestEmulationVersion",
        "preferredHolder": "b",
    }});
    let mut world = World::with(ApiServer::builder().version(Version::V1_31));
    assert_eq!(world.post(&body).1["spec"], body["spec"]);
    assert_eq!(world.patch(A, &json!({"spec": {"strategy": null}})).0, 422);
    assert_eq!(world.patch(A, &json!({"spec": {"strategy": "Own"}})).0, 422);
    assert_eq!(
        world
            .patch(A, &json!({"spec": {"strategy": "example.com/Own"}}))
            .0,
        200
    );
    let mut world = World::new();
    assert_eq!(world.post(&body).1["spec"], json!({}));
}

#[test]
fn a_patch_whose_outcome_is_no_lease_is_refused() {
    let mut world = World::new();
    world.post(&lease("x"));
    let (code, failure) = world.patch(A, &json!({"spec": {"renewTime": "2026-11-20T12:00:00Z"}}));
    assert_eq!(code, 422);
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains("cannot parse \"Z\" as \".000000\""),
        "{message}"
    );
    assert_eq!(world.patch(A, &json!({"metadata": {"name": "b"}})).0, 422);
    assert_eq!(world.patch(A, &json!({"kind": "Pod"})).0, 400);
    assert_eq!(
        world.patch(A, &json!({"metadata": {"namespace": "b"}})).0,
        400
    );
    assert_eq!(world.send("PATCH", A, "application/json", "{}").0, 415);
    assert_eq!(
        world
            .send("PATCH", A, "application/merge-patch+json", "[]")
            .0,
        400
    );
    assert_eq!(
        world
            .patch(A, &json!({"metadata": {"resourceVersion": null}}))
            .0,
        422
    );
}

#[test]
fn a_key_given_twice_counts_as_it_was_last() {
    let mut world = World::new();
    let body = r#"{"metadata":{"name":"b"},"metadata":{"name":"a","labels":null,"annotations":{"k":null}},"spec":null}"#;
    let (code, object) = world.send("POST", LEASES, "", body);
    assert_eq!(code, 201);
    assert_eq!(object["metadata"]["name"], "a");
    assert_eq!(object["metadata"]["annotations"], json!({"k": ""}));
}

#[test]
fn labels_annotations_and_owners_have_rules() {
    let mut world = World::new();
    for metadata in [
        json!({"labels": {"-a": "b"}}),
        json!({"labels": {"a": "b c"}}),
        json!({"labels": {"a": "b".repeat(64)}}),
        json!({"annotations": {"a/b/c": "d"}}),
        json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": "u"}]}),
        json!({"finalizers": [""]}),
        json!({"managedFields": [{"operation": "Guess", "fieldsV1": {"f:spec": {}}}]}),
    ] {
        let mut object = json!({"metadata": metadata});
        object["metadata"]["name"] = "a".into();
        assert_eq!(world.post(&object).0, 422, "{object}");
    }
    let (code, _) = world.send(
        "POST",
        &LEASES.replace("demo", "De_mo"),
        "",
        &lease("x").to_string(),
    );
    assert_eq!(code, 422);
}

#[test]
fn a_page_of_a_list_stays_at_its_version() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.post(
            &json!({"metadata": {"name": name, "labels": {"odd": (name != "b").to_string()}}}),
        );
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|it| it["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, page) = world.get(&format!("{LEASES}?limit=1"));
    assert_eq!(names(&page), ["a"]);
    let token = page["metadata"]["continue"].as_str().unwrap().to_owned();
    world.delete(&format!("{LEASES}/b"));
    let (_, page) = world.get(&format!("{LEASES}?limit=9&continue={token}"));
    assert_eq!(names(&page), ["b", "c"]);
    let (_, all) = world.get("/apis/coordination.k8s.io/v1/leases?labelSelector=odd%3Dtrue");
    assert_eq!(names(&all), ["a", "c"]);
    world.server.compact(5);
    assert_eq!(
        world.get(&format!("{LEASES}?limit=9&continue={token}")).0,
        410
    );
    assert_eq!(world.get(&format!("{LEASES}?continue=no-token")).0, 400);
    assert_eq!(world.get(&format!("{LEASES}?resourceVersion=99")).0, 504);
    let (code, deleted) = world.delete(LEASES);
    assert_eq!(
        (code, names(&deleted)),
        (200, vec!["a".to_owned(), "c".to_owned()])
    );
    assert!(names(&world.get(LEASES).1).is_empty());
}
