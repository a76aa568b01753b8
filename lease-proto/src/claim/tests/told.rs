//! What holders are told by a stream, and whoever has given up.

use super::*;

#[test]
fn a_holder_that_is_told_loses_at_once_what_was_deleted_or_taken() {
    for deleted in [false, true] {
        let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
        t.opens("&resourceVersion=10").begins();
        t.at(1_000);
        let loss = if deleted {
            t.tells("DELETED", foreign(11, "me", 1));
            Loss::Deleted
        } else {
            t.tells("MODIFIED", foreign(11, "them", 1));
            Loss::TakenOver {
                by: "them".to_owned(),
            }
        };
        t.says(Event::Lost(loss)).closes().is_done();
    }
}

#[test]
fn a_holder_that_is_told_of_its_own_record_goes_on_and_learns_no_more_than_its_version() {
    let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
    t.opens("").begins();
    let mut annotated = t.written(11);
    annotated["metadata"]["annotations"] = json!({"a": "b"});
    t.at(1_000).tells("MODIFIED", annotated);
    t.waits_until(5_000);
    t.at(5_000).asks("PUT");
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], "11");
    assert_eq!(t.asked().body["metadata"]["annotations"]["a"], "b");
    // Its own renewal, before the answer comes.
    let written = t.written(12);
    t.tells("MODIFIED", written);
    t.at(5_010).echo(200, 12);
    t.renewed_until(14_970 + 30);
}

#[test]
fn a_holder_that_is_told_that_its_record_was_cleared_or_shortened_writes_itself_back() {
    let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
    t.opens("").begins();
    let record = t.written(10);
    t.at(1_000).tells("MODIFIED", wiped(11, 1));
    t.asks("PUT").echo(200, 12);
    t.renewed_until(11_000);
    let mut short = t.written(13);
    short["spec"]["leaseDurationSeconds"] = json!(5);
    assert_ne!(record, short);
    t.at(2_000).tells("MODIFIED", short);
    t.shortened_to(5, 1_000 + 4_990).asks("PUT");
}

#[test]
fn a_pause_that_the_server_has_asked_for_is_kept_whatever_a_holder_is_told() {
    for cleared in [false, true] {
        let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
        t.opens("").begins();
        let mut told = t.written(11);
        t.at(5_000).asks("PUT").respond(&later(429, "2"));
        assert_eq!(t.at_risk(), Trouble::Busy);
        if cleared {
            told = wiped(11, 1);
        } else {
            told["spec"]["leaseDurationSeconds"] = json!(8);
        }
        t.at(5_100).tells("MODIFIED", told);
        if !cleared {
            t.shortened_to(8, 7_984);
        }
        t.sleeps_until(7_000, 7_000).asks("PUT");
    }
}

#[test]
fn a_pause_that_was_asked_for_beside_the_renewals_is_kept_whatever_a_holder_is_told() {
    for (pause, kept_until) in [(3, 4_000), (60, 9_500)] {
        let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
        t.opens("").begins();
        t.at(1_000).waits();
        // As the answer to an announcement does.
        let pause = Some(Duration::from_secs(pause));
        t.claim.spare_the_server(pause);
        t.claim.put_off_renewal(pause);
        t.at(1_500).tells("MODIFIED", wiped(11, 1));
        // Whatever was asked for, the last instant at which it is of use is not put off.
        t.sleeps_until(kept_until, kept_until).asks("PUT");
    }
}

#[test]
fn what_was_told_while_a_write_is_undone_is_remembered_by_whoever_tries_again() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Until(t.instant(21_000)), t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    t.is_told_to_wait();
    t.opens("").begins();
    t.sleeps_until(20_020, 20_030).asks("PUT");
    // Somebody else was faster, for twenty seconds; it is not heard of before the time is over.
    t.at(20_500).tells("MODIFIED", foreign(11, "others", 2));
    t.at(21_000);
    t.says(Event::GaveUp(GaveUp::TimedOut {
        holder: Some("them".to_owned()),
        trouble: None,
    }));
    t.closes().cancels();
    // It is seen whether the write was carried out. By now somebody has shortened what the others wrote.
    let mut shortened = foreign(12, "others", 2);
    shortened["spec"]["leaseDurationSeconds"] = json!(1);
    t.asks("GET").answer(200, shortened);
    t.is_done();
    t.claim.acquire(Patience::Forever, t.now());
    let mut shortened = foreign(12, "others", 2);
    shortened["spec"]["leaseDurationSeconds"] = json!(1);
    t.asks("GET").answer(200, shortened);
    let Event::Waiting(waiting) = t.event() else {
        panic!("the others are waited for");
    };
    assert!(waiting.until >= t.instant(40_500));
}

#[test]
fn streams_that_last_as_long_as_they_were_asked_to_are_opened_again_soon_however_long_the_lease_is()
{
    let mut t = Timeline::new(|config| {
        let config = config
            .watch(true)
            .lease_duration(Duration::from_secs(7_200));
        config.renew_deadline(Duration::from_secs(4_800))
    });
    t.claim.acquire(Patience::Forever, t.start);
    let mut record = foreign(10, "them", 1);
    record["spec"]["leaseDurationSeconds"] = json!(7_200);
    t.asks("GET").answer(200, record);
    t.is_told_to_wait();
    t.opens("&resourceVersion=10").begins();
    for _ in 0..3 {
        let ended = t.millis + 240_000;
        t.at(ended);
        t.ends().sleep();
        assert!(t.millis <= ended + 250, "{} ms later", t.millis - ended);
        t.opens("&resourceVersion=10").begins();
    }
    // One that breaks is opened again within seconds, and one that is refused for good within minutes.
    t.ends().sleep();
    let broken = t.millis;
    t.opens("&resourceVersion=10");
    assert!(t.millis <= 720_000 + 5_000, "{broken}");
    for _ in 0..3 {
        let refused = t.millis;
        t.refuses(403, "").sleep();
        assert!(t.millis <= refused + 2_400, "{refused}");
        t.opens("&resourceVersion=10");
    }
    t.refuses(403, "");
    let refused = t.millis;
    assert!(matches!(
        t.event(),
        Event::Polling { .. } | Event::Waiting(_) | Event::Retrying { .. }
    ));
    let _next = t.sleep();
    assert!(
        t.millis <= refused + 400_000,
        "{} ms later",
        t.millis - refused
    );
}

#[test]
fn whoever_deletes_again_and_again_is_not_fought() {
    let mut t = Timeline::new(|config| config.watch(true).watch_while_held(true));
    t.claim.acquire(Patience::Forever, t.start);
    let mut version = 10;
    let mut taken = Vec::new();
    // Deleted within 100 ms, whenever it is held.
    while t.millis < 30_000 {
        t.in_time().asks("GET").answer(404, json!({}));
        t.asks("POST").echo(201, version);
        assert!(matches!(t.event(), Event::Acquired(_)));
        taken.push(t.millis);
        let record = t.written(version + 1);
        t.in_time().opens("").begins();
        t.at(t.millis + 100).tells("DELETED", record);
        t.says(Event::Lost(Loss::Deleted)).closes().is_done();
        version += 2;
        t.claim.acquire(Patience::Forever, t.now());
    }
    // At once after the first time, in case that it was a person.
    assert_eq!(taken[..2], [0, 100]);
    let most = taken.iter().map(|from| {
        let span = *from..*from + 10_000;
        taken.iter().filter(|at| span.contains(at)).count()
    });
    // Each time is three requests, of which there are 20 in ten seconds at the most, and three tries at once.
    assert!(most.max() <= Some(7), "{taken:?}");
    assert!(taken.len() >= 7, "{taken:?}");
}

#[test]
fn a_holder_whose_writes_are_raced_again_and_again_makes_room_whatever_it_is_told() {
    let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
    t.opens("").begins();
    // Cleared by somebody, and annotated ever since.
    t.at(1_000).tells("MODIFIED", wiped(11, 1));
    let mut pauses = Vec::new();
    for version in 12..18 {
        t.asks("PUT").tells("MODIFIED", wiped(version, 1));
        t.at(t.millis + 50).answer(409, json!({}));
        let raced = t.millis;
        // At once after the first, for whoever wrote that will hardly write again.
        if version > 12 {
            t.sleep();
        }
        pauses.push(t.millis - raced);
    }
    assert!(pauses[1] >= 100, "{pauses:?}");
    assert!(pauses[4] >= 1_000, "{pauses:?}");
    t.asks("PUT").echo(200, 18);
    t.renewed_until(t.millis + 10_000);
}

#[test]
fn a_holder_that_was_raced_makes_room_however_often_it_is_told() {
    let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
    t.opens("").begins();
    t.at(1_000).tells("MODIFIED", wiped(11, 1));
    let (mut version, mut longest) = (12, 0);
    for _ in 0..6 {
        t.asks("PUT").tells("MODIFIED", wiped(version, 1));
        t.at(t.millis + 50).answer(409, json!({}));
        let raced = t.millis;
        let mut until = t.millis;
        if version > 12 {
            until = t.waits();
        }
        // Annotated again, ten times a second.
        while t.millis + 100 < until {
            version += 1;
            t.at(t.millis + 100).tells("MODIFIED", wiped(version, 1));
            t.waits_until(until);
        }
        longest = longest.max(until - raced);
        version += 1;
        t.at(until);
    }
    assert!(longest >= 400, "{longest}");
}

/// A list of announcements, of one waiter that goes before all.
fn list_of_one() -> Value {
    let candidate = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "leader-candidate-x",
            "namespace": "default",
            "uid": "u9",
            "resourceVersion": "5",
            "labels": {"lease-proto/candidate-for": "leader"},
            "annotations": {"lease-proto/priority": "9", "lease-proto/since": "2026-11-20T19:00:00.000000Z"},
        },
        "spec": {
            "holderIdentity": "them",
            "leaseDurationSeconds": 5,
            "renewTime": "2026-11-20T19:00:00.000000Z",
        },
    });
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "LeaseList",
        "metadata": {"resourceVersion": "5"},
        "items": [candidate],
    })
}

#[test]
fn a_record_of_ones_own_is_not_looked_at_again_each_time_that_it_is_annotated() {
    // Both have held the Lease. One holds back for somebody now, the other must not renew it.
    for renewable in [true, false] {
        let mut t = Timeline::new(|config| {
            let config = config.watch(true).renewable(renewable);
            config.priority(renewable.then_some(5))
        });
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET").answer(404, json!({}));
        if renewable {
            let mut nobody = list_of_one();
            nobody["items"] = json!([]);
            t.asks("GET").answer(200, nobody);
        }
        t.asks("POST").echo(201, 10);
        let mut record = t.written(10);
        t.event();
        t.at(5_000);
        if renewable {
            t.asks("PUT").fails();
        }
        t.at(15_000);
        while !matches!(t.event(), Event::Lost(_)) {}
        let now = t.now();
        t.claim.acquire(Patience::Forever, now);
        let mut looks = 0;
        for step in 0..20 {
            t.at(15_000 + step * 50);
            loop {
                let request = match t.poll() {
                    Output::Request(request) => request,
                    Output::Wait(_) => break,
                    Output::Done => panic!("it waits for ever"),
                    Output::Event(_) | Output::Cancel(_) => continue,
                };
                let path = request.http.uri().to_string();
                let (id, now) = (request.id, t.now());
                if request.is_stream {
                    t.stream = Some(id);
                    t.begins();
                    continue;
                }
                let body = if path.contains("labelSelector") {
                    list_of_one()
                } else if path.contains("/leases/leader?") {
                    looks += 1;
                    record.clone()
                } else {
                    t.claim.handle_failure(id, now);
                    continue;
                };
                let answer = Response::new(serde_json::to_vec(&body).unwrap());
                t.claim.handle_response(id, &answer, now);
            }
            record["metadata"]["resourceVersion"] = json!((20 + step).to_string());
            record["metadata"]["annotations"]["at"] = json!(step.to_string());
            if t.stream.is_some() {
                t.tells("MODIFIED", record.clone());
            }
        }
        assert!(t.stream.is_some(), "nobody watches");
        assert!(looks <= 2, "{looks} looks");
    }
}
