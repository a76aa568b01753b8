//! `unary.json`: one request, one answer, in order, every one of them.

use std::time::SystemTime;

use lease_proto::server::{Answer, ApiServer};
use serde_json::{Value, json};

use crate::{
    ask, header_differences,
    likeness::{Likeness, differences},
    recorded_headers, recorded_server, request, wall,
};

const RECORDED: &str = include_str!("../../recordings/unary.json");

/// How many cases there are: more or fewer means that something else was recorded.
const CASES: usize = 73;

/// What is known to differ: the case, where, and why that is no fault. Nothing else may, uids aside: not a
/// header, not a version, not a time, not a word of a message, not the order of keys.
const EXEMPT: &[(&str, &str, &str)] = &[
    (
        "discovery-group",
        "/versions",
        "v1beta1 of Lease is not served",
    ),
    ("version", "/buildDate", "this build is another"),
    ("version", "/compiler", "this build is another"),
    ("version", "/gitCommit", "this build is another"),
    ("version", "/gitTreeState", "this build is another"),
    ("version", "/goVersion", "this build is another"),
    ("version", "/platform", "this build is another"),
];

/// Answers in which the order of keys is another. They are compared as values only.
const ANY_ORDER: &[&str] = &[
    "discovery-group",
    "discovery-resources",
    "table-format",
    "version",
];

/// Leases that were made without being recorded: before which case. The jumps of `resourceVersion` show
/// when, and `remainingItemCount` of the table shows that they were Leases of this namespace.
const UNRECORDED: &[&str] = &["valid-name-253", "spec-absent"];

#[test]
fn every_recorded_request_is_answered_as_recorded() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(cases.len(), CASES);
    let mut server = recorded_server(218).build();
    let mut likeness = Likeness::default();
    let mut complaints = Vec::new();
    let mut exempted = Vec::new();
    for case in &cases {
        let name = case["case"].as_str().unwrap();
        if UNRECORDED.contains(&name) {
            make(&mut server, &format!("unrecorded-{name}"));
        }
        let (asked, recorded) = (&case["request"], &case["response"]);
        let identity = asked["identity"].as_str().unwrap();
        let request = request(asked, identity, body(asked["body"].as_str(), &likeness));
        let date = recorded["headers"]["Date"].as_str().unwrap();
        let Answer::Whole(answer) = server.handle(&request, wall(date)) else {
            panic!("{name}: not a watch");
        };
        if answer.status().as_u16() != recorded["status"] {
            complaints.push(format!("{name}: status {}", answer.status()));
        }
        let headers = recorded_headers(&recorded["headers"]);
        for difference in header_differences(&headers, &answer) {
            complaints.push(format!("{name}: {difference}"));
        }
        let text = recorded["body"].as_str().unwrap();
        let ours = String::from_utf8(answer.into_body()).unwrap();
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            assert_eq!(text, ours, "{name}");
            continue;
        };
        let ours_value = serde_json::from_str(&ours).unwrap();
        likeness.learn(&value, &ours_value);
        let text = likeness.translated(text);
        let value = serde_json::from_str(&text).unwrap();
        for (at, what) in differences(&value, &ours_value) {
            match EXEMPT.iter().find(|it| it.0 == name && it.1 == at) {
                Some(exempt) => exempted.push(exempt),
                None => complaints.push(format!("{name}: {at}: {what}")),
            }
        }
        if text == ours && ANY_ORDER.contains(&name) {
            complaints.push(format!("{name}: the same in order, too"));
        }
        if text != ours && !ANY_ORDER.contains(&name) {
            complaints.push(format!("{name}: bytes: recorded {text}, got {ours}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let idle: Vec<_> = EXEMPT.iter().filter(|it| !exempted.contains(it)).collect();
    assert!(idle.is_empty(), "exempt without need: {idle:?}");
}

#[test]
fn a_list_goes_on_from_the_recorded_token() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let case = cases
        .iter()
        .find(|it| it["case"] == "table-format")
        .unwrap();
    let recorded: Value = serde_json::from_str(case["response"]["body"].as_str().unwrap()).unwrap();
    // It says: version 244, after `h-empty`.
    let token = recorded["metadata"]["continue"].as_str().unwrap();
    let mut server = recorded_server(241).build();
    for name in ["a", "h-empty", "m", "late"] {
        make(&mut server, name);
    }
    assert_eq!(server.resource_version(), 245);
    let path = "/apis/coordination.k8s.io/v1/namespaces/demo/leases";
    let mut list = |query: &str| -> Value {
        let answer = ask(&mut server, "GET", &format!("{path}?{query}"), &Value::Null);
        serde_json::from_slice(answer.body()).unwrap()
    };
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|it| it["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&list(&format!("limit=2&continue={token}"))), ["m"]);
    let first = list("limit=2&resourceVersion=244");
    assert_eq!(names(&first), ["a", "h-empty"]);
    assert_eq!(first["metadata"]["continue"], token);
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
}

/// Makes a Lease.
fn make(server: &mut ApiServer, name: &str) {
    let path = "/apis/coordination.k8s.io/v1/namespaces/demo/leases";
    let answer = ask(server, "POST", path, &json!({"metadata": {"name": name}}));
    assert_eq!(answer.status(), 201);
}

/// The body of a request in our words. Two are described in the recording and not spelled out.
fn body(recorded: Option<&str>, likeness: &Likeness) -> Vec<u8> {
    let big = |length: usize| {
        let metadata = json!({"name": "big", "annotations": {"a": "x".repeat(length)}});
        json!({"metadata": metadata}).to_string().into_bytes()
    };
    match recorded {
        None => Vec::new(),
        Some("<a Lease whose annotation is 4 MiB long>") => big(4 << 20),
        Some("<a Lease whose annotation is 300 KiB long>") => big(300 << 10),
        Some(text) => likeness.translated(text).into_bytes(),
    }
}

#[test]
fn a_server_out_of_step_is_noticed() {
    // The test of the test: one write more than recorded, and versions differ.
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let mut server = recorded_server(219).build();
    let case = cases.iter().find(|it| it["case"] == "create").unwrap();
    let body = body(case["request"]["body"].as_str(), &Likeness::default());
    let request = request(&case["request"], "holder", body);
    let Answer::Whole(answer) = server.handle(&request, SystemTime::UNIX_EPOCH) else {
        panic!("not a watch");
    };
    let recorded = serde_json::from_str(case["response"]["body"].as_str().unwrap()).unwrap();
    let found = differences(&recorded, &serde_json::from_slice(answer.body()).unwrap());
    let at: Vec<_> = found.iter().map(|it| it.0.as_str()).collect();
    assert!(at.contains(&"/metadata/resourceVersion"), "{at:?}");
    assert!(at.contains(&"/metadata/creationTimestamp"), "{at:?}");
}
