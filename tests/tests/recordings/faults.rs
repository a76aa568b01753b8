//! `faults.json`: overload, a stalled store, versions that are gone, a server that is gone.

use std::time::SystemTime;

use lease_proto::server::{Answer, Fault, Faults, Reply, WatchOutput};
use serde_json::{Value, json};

use crate::{ask_at, header_differences, recorded_headers, recorded_server, request, wall};

const RECORDED: &str = include_str!("../../recordings/faults.json");

/// What was done to the real server before a request, and is done here by script.
const SCRIPT: &[(&str, Before)] = &[
    ("too-many-requests", Before::Fault(Fault::too_many_requests)),
    ("etcd-stalled-get", Before::Fault(Fault::timeout)),
    ("etcd-stalled-put", Before::Fault(Fault::timeout)),
    (
        "etcd-stalled-put-timeout-param",
        Before::Fault(Fault::timeout),
    ),
    ("after-stall-get", Before::Nothing),
    ("watch-expired-410", Before::Compaction),
    ("list-expired-410", Before::Nothing),
    ("during-shutdown", Before::Fault(Fault::lose_request)),
];

#[derive(Clone, Copy)]
enum Before {
    Compaction,
    Fault(fn() -> Fault),
    Nothing,
}

#[test]
fn every_recorded_fault_can_be_had() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let names: Vec<_> = cases
        .iter()
        .map(|it| it["case"].as_str().unwrap())
        .collect();
    let scripted: Vec<_> = SCRIPT.iter().map(|it| it.0).collect();
    assert_eq!(names, scripted);

    // The Lease that the requests are about, as one of the answers shows it.
    let shown = cases
        .iter()
        .find(|it| it["case"] == "after-stall-get")
        .unwrap();
    let shown: Value = serde_json::from_str(shown["response"]["body"].as_str().unwrap()).unwrap();
    let mut server = recorded_server(186).build();
    let created = shown["metadata"]["creationTimestamp"].as_str().unwrap();
    let created = SystemTime::from(created.parse::<jiff::Timestamp>().unwrap());
    let object = json!({"metadata": {"name": "f"}, "spec": shown["spec"]});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let answer = ask_at(&mut server, "POST", leases, &object, created);
    let ours: Value = serde_json::from_slice(answer.body()).unwrap();
    let uid = |it: &Value| it["metadata"]["uid"].as_str().unwrap().to_owned();
    let (recorded_uid, our_uid) = (uid(&shown), uid(&ours));

    let mut server = Faults::new(server);
    for (case, (name, before)) in cases.iter().zip(SCRIPT) {
        match before {
            Before::Compaction => server.server_mut().compact(187),
            Before::Fault(fault) => {
                server.push(fault());
            }
            Before::Nothing => {}
        }
        let asked = &case["request"];
        let identity = asked["identity"].as_str().unwrap_or("admin");
        let body = asked["body"].as_str().unwrap_or_default();
        let request = request(
            asked,
            identity,
            body.replace(&recorded_uid, &our_uid).into(),
        );
        let recorded = &case["response"];
        let date = recorded["headers"]["Date"].as_str();
        let now = wall(date.unwrap_or("Fri, 20 Nov 2026 19:40:43 GMT"));
        let reply = server.handle(&request, now);
        assert_eq!(server.pending(), 0, "{name}");
        if case.get("transport_error").is_some() {
            assert!(matches!(reply, Reply::NoAnswer), "{name}");
            continue;
        }
        let headers = recorded_headers(&recorded["headers"]);
        let text = recorded["body"].as_str().unwrap();
        let (status, found, body) = match reply {
            Reply::Answer(Answer::Whole(answer)) => {
                let found = header_differences(&headers, &answer);
                (answer.status(), found, answer.into_body())
            }
            Reply::Answer(Answer::Watch(head, id)) => {
                let found = header_differences(&headers, &head);
                let WatchOutput::Chunk(body) = server.server_mut().poll_watch(id, now) else {
                    panic!("{name}: nothing said");
                };
                let next = server.server_mut().poll_watch(id, now);
                assert_eq!(next, WatchOutput::End, "{name}");
                (head.status(), found, body)
            }
            Reply::NoAnswer => panic!("{name}: no answer"),
        };
        assert_eq!(status.as_u16(), recorded["status"], "{name}");
        assert!(found.is_empty(), "{name}: {found:?}");
        let text = text.replace(&recorded_uid, &our_uid);
        assert_eq!(String::from_utf8(body).unwrap(), text, "{name}");
    }
}
