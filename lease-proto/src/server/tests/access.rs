//! Who may do what.

use serde_json::{Value, json};

use super::{A, LEASES, World};
use crate::server::{ApiServer, Rule, Verb};

fn world(rule: Rule) -> World {
    let builder = ApiServer::builder()
        .user("secret", "me")
        .admin("root", "admin")
        .rule(rule);
    let mut world = World::with(builder);
    world.token = Some("root");
    world.post(&json!({"metadata": {"name": "a"}}));
    world.token = Some("secret");
    world
}

#[test]
fn a_rule_with_names_allows_those_and_no_creation() {
    let mut world = world(Rule::new("me").names(["a"]));
    assert_eq!(world.get(A).0, 200);
    assert_eq!(world.get(&format!("{LEASES}/b")).0, 403);
    assert_eq!(world.get(LEASES).0, 403);
    assert_eq!(
        world
            .get(&format!("{LEASES}?fieldSelector=metadata.name%3Da"))
            .0,
        200
    );
    assert_eq!(
        world
            .get(&format!("{LEASES}?fieldSelector=metadata.name%3Db"))
            .0,
        403
    );
    assert_eq!(world.post(&json!({"metadata": {"name": "a"}})).0, 403);
    world.watch("fieldSelector=metadata.name%3Da");
    assert_eq!(world.get(&format!("{LEASES}?watch=1")).0, 403);
}

#[test]
fn a_put_that_creates_needs_the_verb_for_it() {
    let verbs = [Verb::Get, Verb::Update, Verb::Delete];
    let mut world = world(Rule::new("me").verbs(verbs).namespace("demo"));
    assert_eq!(world.delete(A).0, 200);
    let (code, failure) = world.put(A, &json!({"metadata": {"name": "a"}}));
    assert_eq!(code, 403);
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("cannot create resource"), "{message}");
    assert_eq!(world.patch(A, &json!({})).0, 403);
}

#[test]
fn a_rule_holds_in_its_namespace() {
    let mut world = world(Rule::new("me").namespace("demo"));
    assert_eq!(world.get(&A.replace("demo", "other")).0, 403);
    let (code, failure) = world.get("/apis/coordination.k8s.io/v1/leases");
    assert_eq!(code, 403);
    let message = failure["message"].as_str().unwrap();
    assert!(message.ends_with("at the cluster scope"), "{message}");
}

#[test]
fn strangers_see_versions_and_health_and_nothing_else() {
    let mut world = world(Rule::new("me"));
    let mut codes = |token| -> Vec<u16> {
        world.token = token;
        [
            "/version",
            "/readyz",
            "/apis",
            "/apis/coordination.k8s.io/v1",
            "/metrics",
            A,
        ]
        .iter()
        .map(|it| world.get(it).0)
        .collect()
    };
    assert_eq!(codes(None), [200, 200, 403, 403, 403, 403]);
    assert_eq!(codes(Some("wrong")), [401; 6]);
    assert_eq!(codes(Some("secret")), [200, 200, 200, 200, 403, 200]);
    assert_eq!(codes(Some("root")), [200, 200, 200, 200, 404, 200]);
}

#[test]
fn namespaces_come_and_go() {
    let mut world = World::with(ApiServer::builder().namespaces(["other"]));
    let lease = json!({"metadata": {"name": "a"}});
    let namespaces = "/api/v1/namespaces";
    let code = |it: (u16, Value)| it.0;
    assert_eq!(code(world.post(&lease)), 404);
    assert_eq!(code(world.put(A, &lease)), 404);
    assert_eq!(code(world.get(&format!("{namespaces}/demo"))), 404);
    let body = json!({"metadata": {"name": "demo"}}).to_string();
    assert_eq!(code(world.send("POST", namespaces, "", &body)), 201);
    assert_eq!(code(world.send("POST", namespaces, "", &body)), 409);
    assert_eq!(code(world.send("POST", namespaces, "", "{}")), 422);
    assert_eq!(code(world.post(&lease)), 201);
    assert_eq!(
        world.get(namespaces).1["items"].as_array().unwrap().len(),
        2
    );
    assert_eq!(code(world.delete(&format!("{namespaces}/demo"))), 200);
    let (code, failure) = world.post(&json!({"metadata": {"name": "b"}}));
    assert_eq!(code, 403);
    assert_eq!(
        failure["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    assert_eq!(
        world.patch(A, &json!({"spec": {"holderIdentity": "x"}})).0,
        200
    );
}

#[test]
fn a_dry_run_makes_no_namespace_and_ends_none() {
    let mut world = World::with(ApiServer::builder().namespaces(["demo"]));
    let namespaces = "/api/v1/namespaces?dryRun=All";
    let body = json!({"metadata": {"name": "other"}}).to_string();
    let (code, made) = world.send("POST", namespaces, "", &body);
    assert_eq!((code, &made["metadata"]["name"]), (201, &json!("other")));
    let (code, _) = world.delete("/api/v1/namespaces/demo?dryRun=All");
    assert_eq!(code, 200);
    assert_eq!(world.get("/api/v1/namespaces/other").0, 404);
    let (_, kept) = world.get("/api/v1/namespaces/demo");
    assert_eq!(kept["status"]["phase"], "Active");
    assert_eq!(world.server.resource_version(), 1);
}
