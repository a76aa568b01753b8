//! Requests, mostly such as make sense, against the API server.

use std::time::{Duration, SystemTime};

use http::{Method, Request, Response, header};
use lease_proto::server::{Answer, ApiServer, Rule, Verb, Version, WatchOutput};
use serde_json::Value;

use super::{reader::Reader, submissions::Submission};

/// How many requests one input may make.
const MANY: usize = 24;
/// More outputs in a row than a watch can have.
const MANY_CHUNKS: usize = 40;

const ALL: &str = "/apis/coordination.k8s.io/v1/leases";

/// A server, and a clock.
struct World {
    server: ApiServer,
    wall: SystemTime,
    /// What was stored when that was last looked at.
    state: Option<(u64, Vec<u8>)>,
}

/// Makes the requests that the bytes say.
///
/// # Panics
///
/// The server panics, says what is no answer, changes something where it refuses, or changes nothing and counts it.
pub fn requests(data: &[u8]) {
    let mut reader = Reader::new(data);
    let flags = reader.byte();
    if flags == 255 {
        let _ = ApiServer::builder().restore(reader.rest());
        return;
    }
    let mut world = World::new(flags);
    for _ in 0..MANY {
        if reader.is_empty() {
            break;
        }
        world.wall += Duration::from_millis(100 * u64::from(reader.byte()));
        let submission = Submission::read(&mut reader, &world.server);
        let Some(request) = submission.request() else {
            continue;
        };
        world.handle(&submission, &request);
        world.watch();
    }
    let before = world.state();
    let snapshot = world.server.snapshot();
    let restored = ApiServer::builder()
        .admin("root", "root")
        .restore(&snapshot);
    world.server = restored.expect("a server takes its own snapshot");
    assert!(world.state() == before, "a snapshot is something else");
}

impl World {
    fn new(flags: u8) -> Self {
        let mut builder = ApiServer::builder()
            .admin("root", "root")
            .user("some", "some");
        let rule = Rule::new("some")
            .verbs([Verb::Get, Verb::Create, Verb::Update])
            .namespace("demo");
        builder = builder.rule(rule);
        if flags & 1 != 0 {
            builder = builder.version(Version::V1_31);
        }
        if flags & 2 != 0 {
            builder = builder.namespaces(["demo"]);
        }
        if flags & 4 != 0 {
            builder = builder.history(3);
        }
        let seconds = if flags & 8 != 0 {
            253_402_300_700
        } else {
            1_795_203_117
        };
        Self {
            server: builder.build(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            state: None,
        }
    }

    fn handle(&mut self, submission: &Submission, request: &Request<Vec<u8>>) {
        let before = self.state.take().unwrap_or_else(|| self.state());
        let twin = submission.twice.then(|| self.server.clone());
        let answer = self.server.handle(request, self.wall);
        if let Some(mut twin) = twin {
            let again = twin.handle(request, self.wall);
            assert_eq!(format!("{answer:?}"), format!("{again:?}"), "{request:?}");
        }
        let after = self.state();
        let Answer::Whole(response) = answer else {
            assert!(after == before, "a watch changed something");
            return;
        };
        assert!(after.0 >= before.0, "versions went back: {request:?}");
        let body = check_form(request, &response);
        let is_write = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        );
        let may_change = is_write && response.status().is_success();
        if !may_change || submission.is_dry_run() {
            assert!(after == before, "{request:?} was answered {response:?}");
        }
        // Namespaces count by the same versions.
        let is_about_leases = !request.uri().path().starts_with("/api/");
        let is_counted = after.0 > before.0;
        // The list names its version, so that it is another one where that is.
        let is_changed = is_counted && items(&after) != items(&before);
        assert!(is_counted || after == before, "a change: {request:?}");
        assert!(
            is_changed || !is_counted || !is_about_leases,
            "a version without a change: {request:?}"
        );
        if submission.changes_nothing {
            let status = response.status().as_u16();
            assert!(
                after == before,
                "nothing was changed: {request:?}, {status}"
            );
        }
        if may_change && !submission.is_dry_run() && body["kind"] == "Lease" {
            self.check_stored(request, &body, before.0);
        }
        self.state = Some(after);
    }

    /// What a write is answered with is what is stored, unless the last finalizer was removed by it.
    fn check_stored(&self, request: &Request<Vec<u8>>, body: &Value, version: u64) {
        let text = |name: &str| body["metadata"][name].as_str().unwrap_or_default();
        match self.server.lease(text("namespace"), text("name")) {
            Some(mut stored) => {
                // Answers name their kind, and what is stored has none.
                for name in ["kind", "apiVersion"] {
                    stored[name] = body[name].clone();
                }
                assert_eq!(stored, *body, "{request:?}");
            }
            None => assert!(
                !body["metadata"]["deletionTimestamp"].is_null(),
                "{request:?} stored nothing: {body}"
            ),
        }
        let latest = self.server.resource_version();
        let number: u64 = text("resourceVersion")
            .parse()
            .expect("a version is a number");
        assert!(number <= latest, "{number} of {latest}: {request:?}");
        assert!(latest <= version + 1, "two versions for one: {request:?}");
    }

    /// The version, and the list of everything that is stored.
    fn state(&mut self) -> (u64, Vec<u8>) {
        let request = Request::get(ALL)
            .header(header::AUTHORIZATION, "Bearer root")
            .body(Vec::new())
            .expect("the path is one");
        let Answer::Whole(response) = self.server.handle(&request, self.wall) else {
            panic!("a list is no watch");
        };
        (self.server.resource_version(), response.into_body())
    }

    /// Hears what all watches have to say, to the end.
    fn watch(&mut self) {
        let watches: Vec<_> = self.server.watches().collect();
        for watch in watches {
            let mut chunks = 0;
            while let WatchOutput::Chunk(chunk) = self.server.poll_watch(watch, self.wall) {
                chunks += 1;
                assert!(chunks < MANY_CHUNKS, "a watch without end");
                assert_eq!(chunk.last(), Some(&b'\n'), "half a line");
                for line in chunk.split_inclusive(|byte| *byte == b'\n') {
                    let event: Value = serde_json::from_slice(line).expect("an event is JSON");
                    let kind = event["type"].as_str().unwrap_or_default();
                    let is_known =
                        ["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"].contains(&kind);
                    assert!(is_known && event["object"]["kind"].is_string(), "{event}");
                }
            }
        }
    }
}

/// What is in a list, which names the version that it is of.
fn items((version, list): &(u64, Vec<u8>)) -> Value {
    let mut list: Value = serde_json::from_slice(list).expect("a list is JSON");
    assert_eq!(list["kind"], "LeaseList");
    assert_eq!(list["metadata"]["resourceVersion"], version.to_string());
    list["items"].take()
}

/// Checks that an answer is one; returns its body.
fn check_form(request: &Request<Vec<u8>>, response: &Response<Vec<u8>>) -> Value {
    assert!(response.headers().contains_key(header::DATE));
    let status = response.status();
    let media_type = &response.headers()[header::CONTENT_TYPE];
    if media_type != "application/json" {
        assert!(status.is_success(), "{response:?}");
        return Value::Null;
    }
    let body: Value = serde_json::from_slice(response.body()).expect("an answer is JSON");
    if status.is_success() {
        let is_failure = body["kind"] == "Status" && body["status"] != "Success";
        assert!(!is_failure, "{request:?} was answered {status} with {body}");
        return body;
    }
    assert!(status.is_client_error() || status.is_server_error());
    assert_eq!(body["kind"], "Status", "{body}");
    assert_eq!(body["apiVersion"], "v1", "{body}");
    assert_eq!(body["status"], "Failure", "{body}");
    assert_eq!(body["code"], status.as_u16(), "{body}");
    let is_said = body["message"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    assert!(is_said, "{request:?} was answered {body}");
    body
}
