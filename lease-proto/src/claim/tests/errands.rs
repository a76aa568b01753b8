//! What waiting by priority asks for where that is refused, or changed by others.

use super::{
    waiters::{PLAIN, Waiters},
    *,
};

#[test]
fn what_is_refused_for_a_moment_by_a_server_that_was_just_started_is_asked_for_again_within_seconds()
 {
    let mut t = Waiters::new(&[None, Some(1), Some(9)]);
    t.acquire(0, Patience::Forever).run(100);
    for node in [1, 2] {
        t.acquire(node, Patience::Forever).run(6_000);
    }
    t.forbids = |_, path| path.contains("-candidate-") || path.contains("labelSelector");
    t.run(4_000);
    t.forbids = |_, _| false;
    t.run(10_000);
    t.release(0).run(5_000);
    assert_eq!(t.order(), [0, 2]);
    let told = t.events.iter();
    let told = told.filter(|(_, _, event)| matches!(event, Event::Unranked(_)));
    assert_eq!(told.count(), 0);
}

#[test]
fn whatever_becomes_of_its_announcement_it_asks_no_more_than_two_a_second() {
    for (code, forbids) in [
        (
            409,
            (|method, path| method == "POST" && path.contains(PLAIN)) as fn(&str, &str) -> bool,
        ),
        (409, |method, path| {
            method == "PUT" && path.contains("-candidate-")
        }),
        (404, |method, path| {
            method == "PUT" && path.contains("-candidate-")
        }),
    ] {
        let mut t = Waiters::new(&[None, Some(5)]);
        t.acquire(0, Patience::Forever).run(100);
        (t.code, t.forbids) = (code, forbids);
        t.acquire(1, Patience::Forever).run(60_000);
        let asked = t.asked.iter().filter(|(_, node, _)| *node == 1);
        let times: Vec<_> = asked.map(|(at, ..)| *at).collect();
        let within = |from: u64| {
            times
                .iter()
                .filter(move |at| (from..=from + 10_000).contains(at))
        };
        let most = times.iter().map(|at| within(*at).count()).max();
        assert!(most <= Some(26 + 10), "{most:?}");
        assert!(times.len() <= 150, "{}", times.len());
    }
}

#[test]
fn whoever_frees_the_lease_again_and_again_has_no_list_asked_for_each_time() {
    let mut t = Timeline::new(|config| config.watch(true).priority(Some(5)));
    t.claim.acquire(Patience::Forever, t.start);
    let (mut version, mut first, mut lists, mut flips_at) = (10, Value::Null, 0, 0);
    while t.millis < 10_000 {
        match t.poll() {
            Output::Request(request) if request.is_stream => {
                t.stream = Some(request.id);
                t.begins();
            }
            Output::Request(request) => {
                let (code, body) = if request.http.method() != "GET" {
                    let mut own: Value = serde_json::from_slice(request.http.body()).unwrap();
                    own["metadata"]["uid"] = json!("u2");
                    own["metadata"]["resourceVersion"] = json!("11");
                    // Somebody else, who is more important, and alive.
                    first.clone_from(&own);
                    first["metadata"]["name"] = json!("leader-candidate-first");
                    first["metadata"]["annotations"]["lease-proto/priority"] = json!("9");
                    first["spec"]["holderIdentity"] = json!("first");
                    first["spec"]["renewTime"] =
                        json!(format!("2026-11-20T19:32:{:02}.000000Z", t.millis / 1_000));
                    let created = request.http.method() == "POST";
                    (if created { 201 } else { 200 }, own)
                } else if request.http.uri().to_string().contains("labelSelector") {
                    lists += 1;
                    let list = json!({
                        "apiVersion": "coordination.k8s.io/v1",
                        "kind": "LeaseList",
                        "metadata": {"resourceVersion": "11"},
                        "items": [first],
                    });
                    (200, list)
                } else {
                    (200, foreign(version, "them", version))
                };
                let answer = Response::builder().status(code);
                let answer = answer.body(body.to_string().into_bytes()).unwrap();
                let now = t.now();
                t.claim.handle_response(request.id, &answer, now);
            }
            Output::Wait(until) => {
                let until = until.duration_since(t.start).as_micros().div_ceil(1_000);
                let until = u64::try_from(until)
                    .unwrap()
                    .min(flips_at.max(t.millis + 1));
                t.at(until);
                if t.claim.stream().is_some() && flips_at <= t.millis {
                    flips_at = t.millis + 50;
                    version += 1;
                    let holder = if version % 2 == 0 { "" } else { "them" };
                    t.tells("MODIFIED", foreign(version, holder, version));
                }
            }
            Output::Event(_) | Output::Cancel(_) => {}
            Output::Done => panic!("it waits for ever"),
        }
    }
    assert!((5..=26).contains(&lists), "{lists} lists");
}
