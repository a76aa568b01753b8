//! Snapshots: kept, shared, gone back to.

use serde_json::json;

use super::{A, LEASES, World};
use crate::server::{ApiServer, SnapshotError, WatchOutput};

#[test]
fn a_restored_server_goes_on_where_the_other_stopped() {
    let mut world = World::with(ApiServer::builder().seed(3).namespaces(["demo"]));
    world.post(
        &json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"holderIdentity": "x"}}),
    );
    world.post(&json!({"metadata": {"name": "b"}}));
    world.delete(&format!("{LEASES}/b"));
    let snapshot = world.server.snapshot();
    let mut other = World::new();
    other.server = ApiServer::builder().restore(&snapshot).unwrap();
    assert_eq!(other.server.snapshot(), snapshot);
    for path in [A, LEASES] {
        assert_eq!(world.get(path), other.get(path));
    }
    let body = json!({"metadata": {"name": "c"}});
    assert_eq!(world.post(&body), other.post(&body));
    let elsewhere = LEASES.replace("demo", "nope");
    assert_eq!(
        other
            .send("POST", &elsewhere, "", "{\"metadata\":{\"name\":\"x\"}}")
            .0,
        404
    );
    // What happened before is not known to it.
    let watch = other.watch("resourceVersion=2");
    assert_eq!(other.events(watch), ["ERROR - -"]);
}

#[test]
fn watches_see_what_others_did_to_a_shared_store() {
    let mut world = World::new();
    world.post(&json!({"metadata": {"name": "a"}}));
    world.post(&json!({"metadata": {"name": "b"}}));
    let watch = world.watch("resourceVersion=3");
    let mut other = World::new();
    other.server.adopt(&world.server.snapshot()).unwrap();
    other.patch(A, &json!({"spec": {"holderIdentity": "x"}}));
    other.patch(A, &json!({"spec": {"holderIdentity": "y"}}));
    other.delete(&format!("{LEASES}/b"));
    other.post(&json!({"metadata": {"name": "c"}}));
    world.server.adopt(&other.server.snapshot()).unwrap();
    assert_eq!(
        world.events(watch),
        ["MODIFIED a 5", "ADDED c 7", "DELETED b 7"]
    );
    assert_eq!(world.get(LEASES).1, other.get(LEASES).1);
    assert_eq!(world.server.resource_version(), 7);
    world.server.adopt(&other.server.snapshot()).unwrap();
    assert!(world.events(watch).is_empty());
}

#[test]
fn going_back_to_a_backup_repeats_versions_and_ends_watches() {
    let mut world = World::new();
    world.post(&json!({"metadata": {"name": "a"}}));
    let backup = world.server.snapshot();
    let (_, first) = world.patch(A, &json!({"spec": {"holderIdentity": "x"}}));
    let watch = world.watch("");
    world.server.adopt(&backup).unwrap();
    assert_eq!(world.server.poll_watch(watch, world.wall), WatchOutput::End);
    assert_eq!(world.get(A).1["spec"], json!({}));
    let (_, second) = world.patch(A, &json!({"spec": {"holderIdentity": "y"}}));
    let version = |it: &serde_json::Value| it["metadata"]["resourceVersion"].clone();
    assert_eq!(version(&first), version(&second));
}

#[test]
fn a_snapshot_that_contradicts_itself_changes_nothing() {
    let mut world = World::new();
    world.post(&json!({"metadata": {"name": "a"}}));
    let whole = String::from_utf8(world.server.snapshot()).unwrap();
    let ahead = whole.replace("\"resourceVersion\":2", "\"resourceVersion\":1");
    let twice = whole.replace("\"leases\":[", "\"leases\":[{\"metadata\":{\"name\":\"a\",\"namespace\":\"demo\",\"uid\":\"u\",\"resourceVersion\":\"1\"}},");
    for broken in [ahead, twice] {
        assert_ne!(broken, whole);
        let error = world.server.adopt(broken.as_bytes()).unwrap_err();
        assert!(matches!(error, SnapshotError::Inconsistent(_)), "{error}");
        assert_eq!(world.server.snapshot(), whole.as_bytes());
    }
}
