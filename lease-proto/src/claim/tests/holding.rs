//! What a holder may believe.

use super::*;

#[test]
fn a_grant_counts_from_when_the_write_was_handed_out() {
    let mut t = Timeline::held(|c| c);
    assert!(t.holds());
    t.waits_until(5_000).at(5_000).asks("PUT");
    assert!(
        t.asked()
            .path
            .contains("fieldManager=lease-proto-untimed&timeout=2500ms"),
        "{}",
        t.asked().path
    );
    t.at(7_400).echo(200, 11).renewed_until(15_000);
    t.waits_until(10_000);
    assert!(t.claim.is_held(t.instant(14_999)) && !t.claim.is_held(t.instant(15_000)));
}

#[test]
fn a_renewal_moves_the_renew_time_and_nothing_else() {
    let mut t = Timeline::held(|c| c);
    let first = t.asked().body.clone();
    t.at(5_000).asks("PUT").echo(200, 11).renewed_until(15_000);
    let second = t.asked().body.clone();
    assert_eq!(first["spec"]["acquireTime"], "2026-11-20T19:31:57.250000Z");
    assert_eq!(second["spec"]["renewTime"], "2026-11-20T19:32:02.250000Z");
    let mut expected = first;
    expected["metadata"]["uid"] = json!("u1");
    expected["metadata"]["resourceVersion"] = json!("10");
    expected["spec"]["renewTime"] = second["spec"]["renewTime"].clone();
    assert_eq!(second, expected);
}

#[test]
fn a_late_answer_belongs_to_nobody() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT").at(10_000).echo(200, 11);
    assert!(!t.holds());
    t.says(Event::Lost(Loss::Expired)).cancels();
    t.is_done();
}

#[test]
fn after_a_long_pause_the_first_output_is_the_loss() {
    let mut t = Timeline::held(|c| c);
    t.at(3_600_000).says(Event::Lost(Loss::Expired)).is_done();
}

#[test]
fn nothing_is_held_past_the_deadline_even_if_no_timer_has_fired() {
    let t = Timeline::held(|c| c);
    assert!(t.claim.is_held(t.instant(9_999)));
    assert!(!t.claim.is_held(t.instant(10_000)));
    assert!(t.claim.grant(t.instant(10_000)).is_none());
}

#[test]
fn a_clock_that_goes_back_brings_nothing_back() {
    let mut t = Timeline::held(|c| c);
    t.at(10_000).says(Event::Lost(Loss::Expired));
    assert!(!t.claim.is_held(t.instant(0)));
    let mut t = Timeline::held(|c| c);
    t.at(9_000).asks("PUT");
    let now = t.instant(1_000);
    t.claim.handle_failure(t.asked().id, now);
    assert_eq!(t.claim.now, t.instant(9_000));
}

#[test]
fn an_answer_that_proves_nothing_is_not_a_renewal() {
    let untouched = |_: &mut Value| {};
    type Change = fn(&mut Value);
    let cases: [(u16, Change); 9] = [
        (201, untouched),
        (200, |body| body["spec"]["holderIdentity"] = json!("other")),
        (200, |body| {
            body["spec"]["renewTime"] = json!("2026-11-20T19:32:02.250001Z")
        }),
        (200, |body| {
            body["spec"]["acquireTime"] = json!("2026-11-20T19:31:57.250001Z")
        }),
        (200, |body| body["spec"]["leaseDurationSeconds"] = json!(14)),
        (200, |body| body["metadata"]["uid"] = json!("u2")),
        (200, |body| {
            body["metadata"]["resourceVersion"] = json!("10")
        }),
        (200, |body| body["metadata"]["name"] = json!("follower")),
        (200, |body| *body = json!("<html>welcome</html>")),
    ];
    for (status, change) in cases {
        let mut t = Timeline::held(|c| c);
        t.at(5_000).asks("PUT");
        let mut body = t.written(11);
        change(&mut body);
        t.answer(status, body.clone());
        assert!(matches!(t.at_risk(), Trouble::Unclear(_)), "{body}");
        t.sleep().asks("GET");
        assert!(!t.claim.is_held(t.instant(10_000)), "{body}");
    }
}

#[test]
fn a_write_without_an_answer_is_looked_up_and_counts_from_when_it_was_handed_out() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    let applied = t.written(11);
    t.fails();
    assert_eq!(t.at_risk(), Trouble::NoAnswer);
    t.sleep().asks("GET").at(6_000).answer(200, applied);
    t.says(Event::Recovered)
        .renewed_until(15_000)
        .waits_until(10_000);
}

#[test]
fn a_write_that_was_not_carried_out_is_made_again_with_another_time() {
    let mut t = Timeline::held(|c| c);
    let before = t.written(10);
    t.at(5_000)
        .asks("PUT")
        .answer(500, status(500, "InternalError", "etcd"));
    let first = t.asked().body["spec"]["renewTime"].clone();
    assert!(matches!(t.at_risk(), Trouble::Unclear(_)));
    t.sleep().asks("GET").answer(200, before).asks("PUT");
    assert_ne!(t.asked().body["spec"]["renewTime"], first);
    // The second write is in the same second of the wall clock as the first: observers may count from that one.
    t.echo(200, 11).says(Event::Recovered).renewed_until(15_000);
}

#[test]
fn a_request_that_hangs_is_given_up_in_time_for_another() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    assert_eq!(t.asked().deadline, 7_500);
    t.waits_until(7_500).at(7_500);
    assert_eq!(t.at_risk(), Trouble::NoAnswer);
    t.cancels().sleep().asks("GET");
    let late = t.asked().clone();
    assert!(late.deadline <= 9_000, "{}", late.deadline);
}

#[test]
fn an_annotation_by_somebody_else_costs_nothing() {
    let mut t = Timeline::held(|c| c);
    let mut annotated = t.written(11);
    annotated["metadata"]["annotations"] = json!({"note": "by hand"});
    annotated["spec"]["future"] = json!({"kept": 1.50});
    t.at(5_000)
        .asks("PUT")
        .answer(409, status(409, "Conflict", "the object has been modified"));
    t.asks("GET").answer(200, annotated).asks("PUT");
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], "11");
    assert_eq!(t.asked().body["metadata"]["annotations"]["note"], "by hand");
    assert_eq!(t.asked().body["spec"]["future"]["kept"], 1.5);
    t.echo(200, 12).renewed_until(15_000);
}

#[test]
fn another_holder_ends_it_at_once() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000)
        .asks("PUT")
        .answer(409, status(409, "Conflict", ""));
    t.asks("GET").answer(200, foreign(12, "other", 0));
    t.says(Event::Lost(Loss::TakenOver {
        by: "other".to_owned(),
    }))
    .is_done();
}

#[test]
fn a_deletion_ends_it_and_is_not_undone() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    assert_eq!(t.asked().body["metadata"]["uid"], "u1");
    t.answer(
        409,
        status(409, "Conflict", "Precondition failed: UID in precondition"),
    );
    t.asks("GET").answer(404, status(404, "NotFound", ""));
    t.says(Event::Lost(Loss::Deleted)).is_done();
}

#[test]
fn a_record_made_anew_is_another_one_even_if_it_looks_the_same() {
    let mut t = Timeline::held(|c| c);
    let mut again = t.written(13);
    again["metadata"]["uid"] = json!("u2");
    t.at(5_000)
        .asks("PUT")
        .answer(409, json!({}))
        .asks("GET")
        .answer(200, again);
    t.says(Event::Lost(Loss::Deleted)).is_done();
}

#[test]
fn our_name_on_a_record_that_we_did_not_write_is_somebody_elses() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000)
        .asks("PUT")
        .answer(409, json!({}))
        .asks("GET")
        .answer(200, foreign(12, "me", 0));
    t.says(Event::Lost(Loss::IdentityCollision)).is_done();
}

#[test]
fn whoever_was_robbed_writes_nothing_over_what_another_one_has_held_since_and_released() {
    let mut left = wiped(12, 0);
    left["metadata"]["annotations"] = json!({"lease-proto/successor": json!({
        "to": "next",
        "seconds": 10,
        "at": left["spec"]["renewTime"],
    }).to_string()});
    let mut counted = wiped(12, 0);
    counted["spec"]["leaseTransitions"] = json!(1);
    for record in [left, counted] {
        let mut t = Timeline::held(|c| c);
        t.at(5_000).asks("PUT").answer(409, json!({}));
        t.asks("GET").answer(200, record);
        t.says(Event::Lost(Loss::Cleared)).is_done();
    }
}

#[test]
fn a_holder_wiped_by_somebody_elses_late_release_writes_itself_back() {
    let mut t = Timeline::held(|c| c);
    let acquire_time = t.asked().body["spec"]["acquireTime"].clone();
    t.at(5_000)
        .asks("PUT")
        .answer(409, json!({}))
        .asks("GET")
        .answer(200, wiped(12, 0))
        .asks("PUT");
    let body = &t.asked().body;
    assert_eq!(body["metadata"]["resourceVersion"], "12");
    assert_eq!(body["spec"]["holderIdentity"], "me");
    assert_eq!(body["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(body["spec"]["leaseTransitions"], 0);
    assert_eq!(body["spec"]["acquireTime"], acquire_time);
    t.echo(200, 13).renewed_until(15_000);
}

#[test]
fn a_wiped_holder_that_a_successor_replaced_is_lost() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000)
        .asks("PUT")
        .answer(409, json!({}))
        .asks("GET")
        .answer(200, wiped(12, 0));
    t.asks("PUT")
        .answer(409, json!({}))
        .sleep()
        .asks("GET")
        .answer(200, foreign(13, "next", 1));
    t.says(Event::Lost(Loss::TakenOver {
        by: "next".to_owned(),
    }));
}

#[test]
fn at_the_end_of_the_calendar_times_still_differ() {
    let mut t = Timeline::held(|c| c);
    // The year 9999, in milliseconds.
    t.wall_error = 253_402_300_000_000 - i64::try_from(WALL).unwrap();
    let mut last = t.asked().body["spec"]["renewTime"].clone();
    for (millis, version) in [(5_000, 11), (10_000, 12)] {
        t.at(millis).asks("PUT").echo(200, version);
        assert_ne!(t.asked().body["spec"]["renewTime"], last);
        last = t.asked().body["spec"]["renewTime"].clone();
        while let Output::Event(_) = t.poll() {}
    }
}

#[test]
fn many_writes_without_an_answer_do_not_make_the_record_somebody_elses() {
    let mut t = Timeline::held(|c| c.retry_period(Duration::from_millis(20)));
    let record = t.written(10);
    t.at(5_000);
    for attempt in 0..40 {
        t.asks("PUT").answer(500, json!({}));
        if attempt == 0 {
            t.at_risk();
        }
        t.sleep().asks("GET").answer(200, record.clone());
    }
    assert!(t.holds());
    t.asks("PUT").echo(200, 11).says(Event::Recovered);
}

#[test]
fn many_writes_without_an_answer_do_not_make_an_unanswered_one_somebody_elses() {
    let mut t = Timeline::held(|c| c.retry_period(Duration::from_millis(20)));
    t.at(5_000).asks("PUT");
    // It was carried out, and nobody said so before the tenure was over.
    let record = t.written(11);
    t.at(10_000).says(Event::Lost(Loss::Expired)).cancels();
    t.claim.acquire(Patience::Forever, t.now());
    for _ in 0..40 {
        t.asks("GET").answer(200, record.clone());
        t.asks("PUT").answer(500, json!({}));
        let retrying = t.event();
        assert!(matches!(retrying, Event::Retrying { .. }), "{retrying:?}");
        t.sleep();
    }
}

#[test]
fn a_look_that_shows_a_cleared_record_verifies_nothing_before_it_is_written_back() {
    let mut t = Timeline::held(|c| c);
    let mut cleared = t.written(11);
    cleared["spec"]["holderIdentity"] = json!("");
    let now = t.at(1_000).now();
    t.claim.verify(now);
    // Until the write is carried out anybody may take it.
    t.asks("GET").answer(200, cleared).asks("PUT");
    assert_eq!(t.asked().body["spec"]["holderIdentity"], "me");
    let written = t.written(12);
    t.echo(200, 12);
    assert!(matches!(t.event(), Event::Renewed(_)));
    t.sleep().asks("GET").answer(200, written);
    assert!(matches!(t.event(), Event::Verified(_)));
}
