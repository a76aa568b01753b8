//! `watch.json`: streams, with what happened while they were open.

use std::time::SystemTime;

use http::{Method, Response};
use lease_proto::server::{Answer, ApiServer, WatchId, WatchOutput};
use serde_json::{Value, json};

use crate::{
    ask_at, header_differences, later,
    likeness::{Likeness, differences},
    recorded_server, request, wall,
};

const RECORDED: &str = include_str!("../../recordings/watch.json");

/// How many cases there are.
const CASES: usize = 8;

/// Who asked, where it was not the holder.
const IDENTITIES: &[(&str, &str)] = &[
    ("watch-forbidden", "nobody"),
    ("watch-unauthorized", "invalid"),
];

// What is not compared, in all cases alike:
// - how many BOOKMARK events there are, and when: the real server sends them by a jittered timer of its
//   own (one here, two there in four seconds, none in 75) and promises nothing. Their form is compared;
// - where chunks end, which the host decides.

/// A recorded answer, put together from its pieces.
struct Recorded {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// Events by the second in which they were complete.
    events: Vec<(Value, Vec<Value>)>,
    /// When the last chunk came.
    end: Value,
}

#[test]
fn every_recorded_stream_runs_as_recorded() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(cases.len(), CASES);
    let mut server = recorded_server(270).build();
    let mut likeness = Likeness::default();
    // The version that the first stream starts from is shown by a later one only.
    let all: Vec<_> = cases.iter().map(|it| recorded(&it["wire"])).collect();
    let events = all.iter().flat_map(|it| &it.events).flat_map(|it| &it.1);
    let first = events.clone().find(|it| version(it) == 271).unwrap();
    let start = all.first().unwrap().start();
    write(&mut server, first, start);
    for (case, recorded) in cases.iter().zip(&all) {
        let name = case["case"].as_str().unwrap();
        let identity = IDENTITIES.iter().find(|it| it.0 == name);
        let identity = identity.map_or("holder", |it| it.1);
        let request = request(&case["request"], identity, Vec::new());
        assert_eq!(request.method(), Method::GET);
        match server.handle(&request, recorded.start()) {
            Answer::Whole(answer) => {
                head(name, recorded, &answer);
                assert_eq!(recorded.body.as_bytes(), answer.body(), "{name}");
            }
            Answer::Watch(answer, id) => {
                head(name, recorded, &answer);
                stream(name, recorded, (&mut server, id), &mut likeness);
            }
        }
    }
    assert_eq!(server.watches().count(), 0);
    assert_eq!(
        server.resource_version(),
        278,
        "a write has not been replayed"
    );
}

fn head<T>(name: &str, recorded: &Recorded, answer: &Response<T>) {
    assert_eq!(recorded.status, answer.status().as_u16(), "{name}");
    let found = header_differences(&recorded.headers, answer);
    assert!(found.is_empty(), "{name}: {found:?}");
}

/// Compares a stream second by second, doing what happened in between.
fn stream(
    name: &str,
    recorded: &Recorded,
    (server, id): (&mut ApiServer, WatchId),
    likeness: &mut Likeness,
) {
    let mut bookmarks = Vec::new();
    for (second, events) in &recorded.events {
        let now = later(recorded.start(), second);
        let (marks, expected): (Vec<Value>, Vec<Value>) =
            events.iter().cloned().partition(is_bookmark);
        bookmarks.extend(marks);
        for event in &expected {
            if version(event) > server.resource_version() {
                write(server, event, now);
            }
        }
        let (marks, ours): (Vec<Value>, Vec<Value>) =
            poll(server, id, now).into_iter().partition(is_bookmark);
        bookmarks.extend(marks);
        let (expected, ours) = (Value::from(expected), Value::from(ours));
        likeness.learn(&expected, &ours);
        let expected = likeness.translated(&expected.to_string());
        let found = differences(&serde_json::from_str(&expected).unwrap(), &ours);
        assert!(found.is_empty(), "{name} at {second}: {found:?}");
    }
    // Nothing more comes, and it ends when the recorded one did and not before.
    let end = later(recorded.start(), &recorded.end);
    let before = end - std::time::Duration::from_millis(500);
    let late = poll(server, id, before);
    assert!(late.iter().all(is_bookmark), "{name}: {late:?}");
    bookmarks.extend(late);
    assert!(
        matches!(server.poll_watch(id, before), WatchOutput::Wait { .. }),
        "{name}"
    );
    assert_eq!(server.poll_watch(id, end), WatchOutput::End, "{name}");
    for bookmark in bookmarks {
        let position = version(&bookmark).to_string();
        let form = json!({"type": "BOOKMARK", "object": {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"resourceVersion": position, "creationTimestamp": null},
            "spec": {},
        }});
        assert_eq!(bookmark, form, "{name}");
    }
}

/// All that a watch has to say.
fn poll(server: &mut ApiServer, id: WatchId, now: SystemTime) -> Vec<Value> {
    let mut events = Vec::new();
    while let WatchOutput::Chunk(chunk) = server.poll_watch(id, now) {
        let text = String::from_utf8(chunk).unwrap();
        assert!(text.ends_with('\n'));
        events.extend(
            text.lines()
                .map(|it| serde_json::from_str::<Value>(it).unwrap()),
        );
    }
    events
}

/// Makes the write that an event tells of.
fn write(server: &mut ApiServer, event: &Value, now: SystemTime) {
    while server.resource_version() + 1 < version(event) {
        // Something happened elsewhere, for a version is missing.
        let name = format!("elsewhere-{}", server.resource_version());
        let object = json!({"metadata": {"name": name}});
        ask_at(server, "POST", "/api/v1/namespaces", &object, now);
    }
    let leases = "/apis/coordination.k8s.io/v1/namespaces/demo/leases";
    let name = event["object"]["metadata"]["name"].as_str().unwrap();
    let path = format!("{leases}/{name}");
    let spec = &event["object"]["spec"];
    let answer = match event["type"].as_str().unwrap() {
        "ADDED" => {
            let object = json!({"metadata": {"name": name}, "spec": spec});
            ask_at(server, "POST", leases, &object, now)
        }
        "MODIFIED" => ask_at(server, "PATCH", &path, &json!({"spec": spec}), now),
        "DELETED" => ask_at(server, "DELETE", &path, &Value::Null, now),
        other => panic!("no write makes {other}"),
    };
    assert!(answer.status().is_success(), "{:?}", answer.status());
    assert_eq!(server.resource_version(), version(event));
}

fn version(event: &Value) -> u64 {
    let version = event["object"]["metadata"]["resourceVersion"].as_str();
    version.unwrap().parse().unwrap()
}

fn is_bookmark(event: &Value) -> bool {
    event["type"] == "BOOKMARK"
}

impl Recorded {
    fn start(&self) -> SystemTime {
        let date = self.headers.iter().find(|it| it.0 == "date");
        wall(&date.unwrap().1)
    }
}

/// Takes a recorded answer apart: head, chunks, lines.
fn recorded(wire: &Value) -> Recorded {
    let mut pieces = wire.as_array().unwrap().iter();
    let head = pieces.next().unwrap();
    let text = head[1].as_str().unwrap();
    let (head_text, rest) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head_text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers: Vec<_> = lines
        .map(|it| it.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let is_chunked = headers.iter().any(|it| it.0 == "transfer-encoding");
    let mut recorded = Recorded {
        status: status.parse().unwrap(),
        headers,
        body: String::new(),
        events: Vec::new(),
        end: head[0].clone(),
    };
    if !is_chunked {
        recorded.body = rest.to_owned();
        return recorded;
    }
    let (mut wire, mut line) = (rest.to_owned(), String::new());
    for piece in pieces {
        wire.push_str(piece[1].as_str().unwrap());
        recorded.end = piece[0].clone();
        let mut events = Vec::new();
        while let Some(data) = chunk(&mut wire) {
            for character in data.chars() {
                line.push(character);
                if character == '\n' {
                    events.push(serde_json::from_str(&line).unwrap());
                    line.clear();
                }
            }
        }
        match recorded.events.last_mut() {
            Some(last) if last.0 == piece[0] => last.1.extend(events),
            _ if events.is_empty() => {}
            _ => recorded.events.push((piece[0].clone(), events)),
        }
    }
    assert!(wire.is_empty() && line.is_empty(), "the recording is whole");
    recorded
}

/// Takes a chunk off the front, if it is whole.
fn chunk(wire: &mut String) -> Option<String> {
    let (size, rest) = wire.split_once("\r\n")?;
    let size = usize::from_str_radix(size, 16).unwrap();
    let data = rest.get(..size)?.to_owned();
    let rest = rest.get(size..)?.strip_prefix("\r\n")?.to_owned();
    *wire = rest;
    Some(data)
}
