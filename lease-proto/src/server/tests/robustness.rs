//! Whatever comes: no panic, versions only rise, and the same again is the same again.

use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use serde_json::json;

use super::{A, LEASES, World};
use crate::server::{Answer, ApiServer, Fault, Faults, Reply};

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }
}

const METHODS: &[&str] = &[
    "GET", "PUT", "POST", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS",
];
const PATHS: &[&str] = &[
    A,
    A,
    LEASES,
    LEASES,
    "/apis/coordination.k8s.io/v1/leases",
    "/apis/coordination.k8s.io/v1/leases/a",
    "/apis/coordination.k8s.io/v1/namespaces/demo/leases/a/status",
    "/apis/coordination.k8s.io/v1/namespaces/%ff%2e/leases/%00",
    "/api/v1/namespaces/demo",
    "/apis//",
    "/",
];
const QUERIES: &[&str] = &[
    "",
    "",
    "?watch=1&resourceVersion=3&timeoutSeconds=1",
    "?resourceVersion=x",
    "?limit=1&continue=eyJ2IjoiIiwicnYiOjMsInN0YXJ0IjoiIn0",
    "?fieldSelector=metadata.name%3Da&labelSelector=%28,a+in+(",
    "?dryRun=All&fieldManager=%e2%98%83",
    "?watch=1&timeoutSeconds=18446744073709551615&allowWatchBookmarks=1",
    "?%=%&&=&dryRun",
];
const TYPES: &[&str] = &[
    "application/json",
    "application/json",
    "application/json",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json; charset=utf-8",
    "",
];
const PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"spec\"",
    "\"metadata\"",
    "\"name\"",
    "\"renewTime\"",
    "null",
    "-1",
    "1e999",
    "\"2026-11-20T12:00:00.000000+23:59\"",
    "\"☃\"",
    "\"finalizers\"",
    "\"\\u0000\"",
    "a: b\n",
];
const BODIES: &[&str] = &[
    "",
    r#"{"metadata":{"name":"a"},"spec":{"holderIdentity":"x"}}"#,
    r#"{"metadata":{"name":"a","resourceVersion":"4"},"spec":{"renewTime":"9999-12-31T23:59:59.999999Z"}}"#,
    r#"{"metadata":{"generateName":"g-","finalizers":["a/b"],"labels":{"a":"b"}}}"#,
    r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a"},"spec":{"leaseTransitions":1}}"#,
    r#"{"metadata":{"managedFields":[{"manager":"m","operation":"Update","fieldsV1":{"f:spec":{"f:x":{".":{}}}}}]}}"#,
    r#"[{"op":"add","path":"/metadata/annotations","value":{"k":"v"}}]"#,
    r#"[{"op":"remove","path":""},{"op":"move","from":"/","path":"/-"}]"#,
    r#"{"preconditions":{"uid":"u"}}"#,
    r#"{"metadata":{"name":"a","finalizers":null},"spec":{"leaseTransitions":N}}"#,
];

/// Requests that make sense: method, path, media type, body.
const SENSE: &[[&str; 4]] = &[
    ["POST", LEASES, TYPES[0], BODIES[1]],
    ["POST", LEASES, TYPES[0], BODIES[3]],
    ["PATCH", A, "application/merge-patch+json", BODIES[9]],
    ["PATCH", A, "application/apply-patch+yaml", BODIES[4]],
    ["PATCH", A, "application/json-patch+json", BODIES[6]],
    ["DELETE", A, "", ""],
    ["DELETE", LEASES, "", ""],
];

fn request(dice: &mut Dice) -> Request<Vec<u8>> {
    let number = dice.roll(1_000).to_string();
    if dice.roll(4) == 0 {
        let [method, path, media_type, body] = SENSE[dice.roll(SENSE.len())];
        return Request::builder()
            .method(method)
            .uri(format!("{path}?fieldManager=m"))
            .header(header::CONTENT_TYPE, media_type)
            .body(body.replace('N', &number).into_bytes())
            .unwrap();
    }
    let uri = format!("{}{}", dice.pick(PATHS), dice.pick(QUERIES));
    let body = if dice.roll(4) > 0 {
        dice.pick(BODIES).replace('N', &number)
    } else {
        let length = dice.roll(20);
        (0..length).map(|_| dice.pick(PARTS)).collect()
    };
    Request::builder()
        .method(dice.pick(METHODS))
        .uri(uri)
        .header(header::CONTENT_TYPE, dice.pick(TYPES))
        .body(body.into_bytes())
        .unwrap()
}

#[test]
fn whatever_comes_is_answered_and_versions_only_rise() {
    let mut dice = Dice(42);
    let mut world = World::with(ApiServer::builder().history(16));
    let (mut version, mut written) = (1, 0);
    for _ in 0..60_000 {
        world.wall += Duration::from_millis(100);
        let request = request(&mut dice);
        if let Answer::Whole(response) = world.server.handle(&request, world.wall) {
            assert!(response.headers().contains_key(header::DATE));
            assert_ne!(response.status(), StatusCode::CONTINUE);
        }
        let now = world.server.resource_version();
        assert!(now >= version);
        written += now - version;
        version = now;
        let watches: Vec<_> = world.server.watches().collect();
        for watch in watches {
            world.events(watch);
        }
    }
    assert!(written > 1_000, "{written} writes show too little");
    let snapshot = world.server.snapshot();
    assert!(ApiServer::builder().restore(&snapshot).is_ok());
}

#[test]
fn the_same_requests_get_the_same_answers() {
    let run = |seed| {
        let mut dice = Dice(7);
        let mut world = World::with(ApiServer::builder().seed(seed));
        let mut told = Vec::new();
        for _ in 0..3_000 {
            world.wall += Duration::from_millis(100);
            let answer = world.server.handle(&request(&mut dice), world.wall);
            told.push(format!("{answer:?}"));
        }
        (told, world.server.snapshot())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).1, run(2).1);
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut world = World::new();
    world.post(&json!({"metadata": {"name": "a"}}));
    let fork = world.server.clone();
    world.delete(A);
    assert!(world.server.lease("demo", "a").is_none());
    assert!(fork.lease("demo", "a").is_some());
}

#[test]
fn faults_befall_whom_they_are_meant_for() {
    let world = World::new();
    let mut faults = Faults::new(ApiServer::new());
    let conflict = Fault::conflict()
        .on(Method::PUT)
        .after(1)
        .times(2)
        .applied();
    let marked = Fault::unavailable().when(|it| it.headers().contains_key("x-mark"));
    faults.push(conflict).push(marked);
    let body = r#"{"metadata":{"name":"a"}}"#;
    let post = world.request("POST", LEASES, "", body);
    let mut code = |request: &Request<Vec<u8>>| match faults.handle(request, world.wall) {
        Reply::Answer(Answer::Whole(response)) => response.status().as_u16(),
        Reply::Answer(Answer::Watch(..)) | Reply::NoAnswer => 0,
    };
    assert_eq!(code(&post), 201);
    let put = |version: u64, holder: &str| {
        let body = format!(
            r#"{{"metadata":{{"name":"a","resourceVersion":"{version}"}},"spec":{{"holderIdentity":"{holder}"}}}}"#
        );
        world.request("PUT", A, "", &body)
    };
    assert_eq!(code(&put(2, "x")), 200);
    assert_eq!(code(&put(3, "y")), 409);
    let mut get = world.request("GET", A, "", "");
    assert_eq!(code(&get), 200);
    get.headers_mut()
        .insert("x-mark", HeaderValue::from_static("1"));
    assert_eq!(code(&get), 503);
    assert_eq!(code(&get), 200);
    assert_eq!(code(&put(4, "z")), 409);
    assert_eq!(faults.pending(), 0);
    // Both were carried out.
    assert_eq!(
        faults.server().lease("demo", "a").unwrap()["spec"]["holderIdentity"],
        "z"
    );
}

#[test]
fn every_fault_has_its_code_and_headers_can_be_changed() {
    let world = World::new();
    let get = world.request("GET", A, "", "");
    for (fault, code) in [
        (Fault::already_exists(), 409),
        (Fault::conflict(), 409),
        (Fault::expired(), 410),
        (Fault::forbidden(), 403),
        (Fault::garbage("<html>"), 200),
        (Fault::internal_error(), 500),
        (Fault::not_found(), 404),
        (Fault::timeout(), 504),
        (Fault::too_many_requests(), 429),
        (Fault::unauthorized(), 401),
        (Fault::unavailable(), 503),
        (Fault::altered(), 404),
    ] {
        let mut faults = Faults::new(ApiServer::new());
        let shown = format!("{fault:?}");
        let late = HeaderValue::from_static("never");
        faults.push(
            fault
                .header(header::RETRY_AFTER, late)
                .without_header(header::DATE),
        );
        let Reply::Answer(Answer::Whole(response)) = faults.handle(&get, world.wall) else {
            panic!("{shown}");
        };
        assert_eq!(response.status().as_u16(), code, "{shown}");
        assert_eq!(response.headers()[header::RETRY_AFTER], "never", "{shown}");
        assert!(!response.headers().contains_key(header::DATE), "{shown}");
    }
}
