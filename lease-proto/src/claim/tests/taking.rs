//! What a claimant may take.

use super::*;

pub(super) fn campaign() -> Timeline {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Forever, t.start);
    t
}

/// Twenty seconds and what they are lengthened by for drift.
pub(super) const EXPIRY: u64 = 20_020;

#[test]
fn a_lease_that_does_not_exist_is_made() {
    let mut t = campaign();
    t.asks("GET");
    assert_eq!(
        t.asked().path,
        "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader?timeout=5000ms"
    );
    t.answer(404, status(404, "NotFound", "")).asks("POST");
    assert_eq!(
        t.asked().path,
        "/apis/coordination.k8s.io/v1/namespaces/default/leases?fieldManager=lease-proto-untimed&timeout=5000ms"
    );
    assert_eq!(
        t.asked().body,
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "leader", "namespace": "default"},
            "spec": {
                "holderIdentity": "me",
                "leaseDurationSeconds": 15,
                "acquireTime": "2026-11-20T19:31:57.250000Z",
                "renewTime": "2026-11-20T19:31:57.250000Z",
                "leaseTransitions": 0,
            },
        })
    );
    t.at(300).echo(201, 10);
    let Event::Acquired(grant) = t.event() else {
        panic!("not acquired");
    };
    assert_eq!(grant.valid_until, t.instant(10_000));
    assert_eq!(grant.token.unwrap().get(), 10);
}

#[test]
fn a_released_lease_is_taken_at_once_in_each_form_that_a_release_leaves() {
    let forms: [fn(&mut Value); 4] = [
        |spec| spec["holderIdentity"] = json!(""),
        |spec| *spec = json!({"holderIdentity": null, "acquireTime": null, "renewTime": null, "leaseDurationSeconds": null}),
        |spec| *spec = json!({"holderIdentity": "", "leaseDurationSeconds": 300}),
        |spec| *spec = json!({}),
    ];
    for form in forms {
        let mut t = campaign();
        let mut free = foreign(7, "x", 0);
        free["metadata"]["managedFields"] = json!([{"manager": "m"}]);
        free["metadata"]["labels"] = json!({"app": "a"});
        form(&mut free["spec"]);
        let transitions = free["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        t.asks("GET").answer(200, free).asks("PUT");
        let body = &t.asked().body;
        assert_eq!(body["metadata"]["uid"], "u1");
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!(body["metadata"]["labels"]["app"], "a");
        assert!(body["metadata"].get("managedFields").is_none());
        assert_eq!(body["spec"]["leaseTransitions"], transitions + 1);
        t.echo(200, 8);
        assert!(matches!(t.event(), Event::Acquired(_)));
    }
}

#[test]
fn a_held_lease_is_taken_when_it_stayed_the_same_for_the_time_it_names() {
    let mut t = campaign();
    t.asks("GET").at(40).answer(200, foreign(7, "other", 0));
    let until = t.instant(EXPIRY + 40);
    t.says(Event::Waiting(Waiting {
        holder: Some("other".to_owned()),
        precedence: Precedence::Holds,
        until,
    }));
    let mut looks = 0;
    loop {
        let wait = t.waits();
        assert!(wait <= EXPIRY + 40, "{wait}");
        t.at(wait);
        if wait == EXPIRY + 40 {
            break;
        }
        looks += 1;
        t.asks("GET").answer(200, foreign(7, "other", 0));
    }
    assert!((8..=13).contains(&looks), "{looks}");
    // After another look: somebody else may have taken it.
    t.asks("GET").answer(200, foreign(7, "other", 0));
    t.asks("PUT").echo(200, 8);
    assert!(matches!(t.event(), Event::Acquired(_)));
}

#[test]
fn a_renewal_starts_the_wait_again_and_an_annotation_does_not() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    let mut annotated = foreign(8, "other", 0);
    annotated["metadata"]["annotations"] = json!({"a": "b"});
    t.sleep().asks("GET").answer(200, annotated);
    assert_eq!(
        t.claim.observed.verdict(t.instant(EXPIRY), None),
        Verdict::Free
    );
    t.sleep().asks("GET").answer(200, foreign(9, "other", 1));
    let renewed = t.millis;
    assert_ne!(
        t.claim
            .observed
            .verdict(t.instant(renewed + EXPIRY - 1), None),
        Verdict::Free
    );
    assert_eq!(
        t.claim.observed.verdict(t.instant(renewed + EXPIRY), None),
        Verdict::Free
    );
}

#[test]
fn a_duration_that_a_third_party_shortened_does_not_count_against_the_holder() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    let mut shortened = foreign(8, "other", 0);
    shortened["spec"]["leaseDurationSeconds"] = json!(1);
    t.sleep().asks("GET").answer(200, shortened);
    assert_ne!(
        t.claim.observed.verdict(t.instant(EXPIRY - 1), None),
        Verdict::Free
    );
}

#[test]
fn odd_records_are_held_for_our_own_duration() {
    let odd: [fn(&mut Value); 4] = [
        |spec| spec["leaseDurationSeconds"] = json!(null),
        |spec| spec["leaseDurationSeconds"] = json!(0),
        |spec| spec["leaseDurationSeconds"] = json!(-5),
        |spec| *spec = json!({"holderIdentity": "other", "renewTime": "long ago"}),
    ];
    for change in odd {
        let mut t = campaign();
        let mut record = foreign(7, "other", 0);
        change(&mut record["spec"]);
        t.asks("GET").answer(200, record.clone());
        let Event::Waiting(waiting) = t.event() else {
            panic!("taken: {record}");
        };
        assert_eq!(waiting.until, t.instant(15_015), "{record}");
    }
}

#[test]
fn a_lease_deleted_before_its_holders_time_is_over_is_waited_out() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    t.sleep().asks("GET").answer(404, json!({}));
    let until = t.instant(EXPIRY);
    t.says(Event::HolderChanged(Waiting {
        holder: None,
        precedence: Precedence::Holds,
        until,
    }));
    while t.sleep().millis < EXPIRY {
        t.asks("GET").answer(404, json!({}));
    }
    t.asks("GET").answer(404, json!({})).asks("POST");
}

#[test]
fn a_lost_race_is_looked_at_and_tried_again() {
    let mut t = campaign();
    t.asks("GET")
        .answer(404, json!({}))
        .asks("POST")
        .answer(409, status(409, "AlreadyExists", ""));
    t.sleep().asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    assert!(t.millis <= 150, "{}", t.millis);
}

#[test]
fn an_acquiring_write_whose_answer_was_lost_is_found_again() {
    let mut t = campaign();
    t.asks("GET").answer(404, json!({})).asks("POST");
    let written = t.written(10);
    t.fails();
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.sleep().asks("GET").answer(200, written);
    let Event::Acquired(grant) = t.event() else {
        panic!("not acquired");
    };
    assert_eq!(grant.valid_until, t.instant(10_000));
}

#[test]
fn a_write_found_after_its_grant_would_have_ended_is_made_again() {
    let mut t = campaign();
    t.asks("GET").answer(404, json!({})).asks("POST");
    let written = t.written(10);
    t.fails();
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.at(10_000).asks("GET").answer(200, written);
    assert!(!t.holds());
    // The record is ours, so nobody has to be waited for; but only another write can earn a grant.
    t.asks("PUT");
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], "10");
    t.echo(200, 11);
    let Event::Acquired(grant) = t.event() else {
        panic!("not acquired");
    };
    assert_eq!(grant.valid_until, t.instant(20_000));
}

#[test]
fn a_creation_answered_with_200_and_a_rewrite_answered_with_201_prove_nothing() {
    let mut t = campaign();
    t.asks("GET")
        .answer(404, json!({}))
        .asks("POST")
        .echo(200, 10);
    assert!(matches!(t.event(), Event::Retrying { .. }));
    let mut t = campaign();
    t.asks("GET")
        .answer(200, foreign(7, "", 0))
        .asks("PUT")
        .echo(201, 10);
    assert!(matches!(t.event(), Event::Retrying { .. }));
    assert!(!t.holds());
}

#[test]
fn a_record_made_anew_is_waited_for_from_the_beginning_even_if_it_says_the_same() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    let mut again = foreign(9, "other", 0);
    again["metadata"]["uid"] = json!("u2");
    t.sleep().asks("GET").answer(200, again);
    assert_ne!(
        t.claim.observed.verdict(t.instant(EXPIRY), None),
        Verdict::Free
    );
}

#[test]
fn an_answer_that_is_too_long_counts_as_none() {
    let mut t = campaign();
    let mut free = foreign(7, "", 0);
    free["metadata"]["annotations"] = json!({"long": "x".repeat(crate::MAX_BODY)});
    t.asks("GET").answer(200, free);
    assert!(matches!(t.event(), Event::Retrying { .. }));
}

#[test]
fn a_grant_that_is_over_when_its_answer_comes_is_none() {
    // Both writes are within one second, so a grant counts from the first.
    let millis = Duration::from_millis;
    let mut t = Timeline::new(|c| {
        c.lease_duration(millis(4_000))
            .renew_deadline(millis(2_000))
            .renew_interval(millis(1_000))
            .retry_period(millis(100))
            .request_timeout(millis(1_990))
    });
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET")
        .answer(404, json!({}))
        .asks("POST")
        .at(300)
        .fails();
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.sleep().asks("GET").answer(404, json!({})).asks("POST");
    assert!(t.millis < 700 && t.asked().deadline > 2_001, "{}", t.millis);
    t.at(2_001).echo(201, 10);
    assert!(!t.holds());
    assert!(matches!(t.event(), Event::Retrying { .. }));
}

#[test]
fn a_record_that_names_no_duration_any_more_is_no_grant() {
    let mut t = campaign();
    t.asks("GET").answer(404, json!({})).asks("POST");
    let mut stripped = t.written(10);
    stripped["spec"]
        .as_object_mut()
        .unwrap()
        .remove("leaseDurationSeconds");
    t.answer(201, stripped);
    assert!(!t.holds());
    assert!(matches!(t.event(), Event::Retrying { .. }));
}

#[test]
fn a_tenure_that_only_its_count_tells_from_the_last_is_waited_for_anew() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    t.at(15_000).asks("GET");
    let mut next = foreign(8, "other", 0);
    next["spec"]["leaseTransitions"] = json!(5);
    t.answer(200, next.clone());
    t.at(EXPIRY + 1_000).asks("GET").answer(200, next);
    assert!(t.waits() > EXPIRY + 1_000);
}

#[test]
fn whom_it_waits_for_is_told_again_once_trouble_is_over() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    t.sleep()
        .asks("GET")
        .answer(403, status(403, "Forbidden", "no"));
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.sleep().asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    t.sleep().asks("GET").fails();
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.sleep().asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
}

#[test]
fn a_store_that_went_back_does_not_shorten_what_a_holder_has_once_named() {
    let mut t = campaign();
    for (version, seconds) in [(70, 20), (71, 1), (50, 1)] {
        let mut record = foreign(version, "other", 0);
        record["spec"]["leaseDurationSeconds"] = json!(seconds);
        t.asks("GET").answer(200, record);
        match version {
            70 => assert!(matches!(t.event(), Event::Waiting(_))),
            50 => drop(t.says(Event::StoreRegressed)),
            _ => {}
        }
        if version != 50 {
            t.sleep();
        }
    }
    let until = t.instant(t.millis + EXPIRY - 1);
    assert_ne!(t.claim.observed.verdict(until, None), Verdict::Free);
}

#[test]
fn renewing_again_and_again_in_processes_of_their_own_never_writes_a_time_that_runs_away() {
    let mut t = Timeline::held(|config| config.reclaim_own_identity(true));
    let mut record = t.written(10);
    let mut last = record["spec"]["renewTime"].clone();
    for version in 11..30 {
        let at = t.millis + 20;
        t = Timeline::new(|config| config.reclaim_own_identity(true));
        t.at(at);
        t.claim.resume(t.now());
        t.asks("GET");
        // The server's clock is known by its `Date`, so what is written is up to a second ahead.
        let second = i64::try_from((WALL + t.millis) / 1_000).unwrap();
        let date = jiff::Timestamp::from_second(second).unwrap();
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let answer = Response::builder().header("Date", date);
        let body = serde_json::to_vec(&record).unwrap();
        t.respond(&answer.body(body).unwrap());
        if version > 11 {
            let asked_at = t.millis;
            t.sleep();
            assert!(t.millis - asked_at <= 1_100, "{} ms", t.millis - asked_at);
        }
        t.asks("PUT");
        record = t.written(version);
        let renewed = record["spec"]["renewTime"].clone();
        assert_ne!(renewed, last);
        last = renewed;
    }
    let last: MicroTime = last.as_str().unwrap().parse().unwrap();
    let now = i64::try_from((WALL + t.millis) * 1_000).unwrap();
    let ahead = last.as_micros() - now;
    assert!(ahead <= 1_100_000, "{ahead} µs");
}
