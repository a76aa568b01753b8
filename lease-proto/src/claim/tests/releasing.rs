//! How a Lease is given up.

use super::*;

#[test]
fn the_loss_is_said_before_the_record_is_cleared() {
    let mut t = Timeline::held(|c| c);
    let now = t.at(1_000).now();
    t.claim.release(now);
    assert!(!t.holds());
    t.says(Event::Lost(Loss::Released)).asks("PUT");
    let body = t.asked().body.clone();
    assert_eq!(body["metadata"]["uid"], "u1");
    assert_eq!(body["metadata"]["resourceVersion"], "10");
    assert_eq!(
        body["spec"],
        json!({
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": "2026-11-20T19:31:58.250000Z",
            "renewTime": "2026-11-20T19:31:58.250000Z",
            "leaseTransitions": 0,
        })
    );
    t.echo(200, 11)
        .says(Event::Released(Released::Cleared))
        .is_done();
}

#[test]
fn a_successors_record_is_left_alone() {
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released))
        .asks("PUT")
        .answer(409, status(409, "Conflict", ""));
    t.sleep().asks("GET").answer(200, foreign(12, "next", 0));
    t.says(Event::Released(Released::NotOurs)).is_done();
}

#[test]
fn an_annotated_record_is_cleared_on_its_new_version() {
    let mut t = Timeline::held(|c| c);
    let annotated = t.written(11);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released))
        .asks("PUT")
        .answer(409, json!({}));
    t.sleep().asks("GET").answer(200, annotated).asks("PUT");
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], "11");
    t.echo(200, 12)
        .says(Event::Released(Released::Cleared))
        .is_done();
}

#[test]
fn a_renewal_in_flight_tells_which_version_to_clear() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    let now = t.now();
    t.claim.release(now);
    t.says(Event::Lost(Loss::Released)).waits();
    t.echo(200, 11).asks("PUT");
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], "11");
    assert_eq!(t.asked().body["spec"]["holderIdentity"], "");
    t.echo(200, 12)
        .says(Event::Released(Released::Cleared))
        .is_done();
}

#[test]
fn a_renewal_in_flight_that_fails_is_looked_up_first() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    let applied = t.written(11);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released))
        .fails()
        .sleep()
        .asks("GET")
        .answer(200, applied)
        .asks("PUT");
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], "11");
}

#[test]
fn deleting_clears_first_and_names_what_it_deletes() {
    let mut t = Timeline::held(|c| c.on_release(crate::OnRelease::Delete));
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released)).asks("PUT");
    assert_eq!(t.asked().body["spec"]["holderIdentity"], "");
    t.echo(200, 11).asks("DELETE");
    assert_eq!(
        t.asked().body["preconditions"],
        json!({"uid": "u1", "resourceVersion": "11"})
    );
    t.answer(200, json!({"kind": "Status", "status": "Success"}));
    t.says(Event::Released(Released::Deleted)).is_done();
}

#[test]
fn a_record_that_was_taken_or_may_not_be_deleted_stays_cleared() {
    for code in [403, 409] {
        let mut t = Timeline::held(|c| c.on_release(crate::OnRelease::Delete));
        t.claim.release(t.now());
        t.says(Event::Lost(Loss::Released))
            .asks("PUT")
            .echo(200, 11);
        t.asks("DELETE").answer(code, json!({}));
        t.says(Event::Released(Released::Cleared)).is_done();
    }
}

#[test]
fn a_record_that_a_controller_runs_is_cleared_and_not_deleted() {
    let mut t = Timeline::held(|c| c.on_release(crate::OnRelease::Delete));
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released)).asks("PUT");
    let mut cleared = t.written(11);
    cleared["spec"]["strategy"] = json!("OldestEmulationVersion");
    t.answer(200, cleared)
        .says(Event::Released(Released::Cleared))
        .is_done();
}

#[test]
fn a_deletion_without_an_answer_is_looked_up() {
    let mut t = Timeline::held(|c| c.on_release(crate::OnRelease::Delete));
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released)).asks("PUT");
    let cleared = t.written(11);
    t.echo(200, 11)
        .asks("DELETE")
        .fails()
        .sleep()
        .asks("GET")
        .answer(200, cleared);
    t.asks("DELETE")
        .fails()
        .sleep()
        .asks("GET")
        .answer(404, json!({}));
    t.says(Event::Released(Released::Deleted)).is_done();
}

#[test]
fn a_release_waits_for_the_pause_that_the_server_asked_for() {
    for code in [429, 503] {
        let mut t = Timeline::held(|c| c);
        // Asked for in an answer to the release itself.
        let now = t.at(1_000).now();
        t.claim.release(now);
        t.says(Event::Lost(Loss::Released));
        t.asks("PUT").respond(&later(code, "5"));
        t.waits_until(6_000);
        // And in the answer to the renewal that was under way when the release began.
        let mut t = Timeline::held(|c| c);
        t.at(5_000).asks("PUT");
        t.claim.release(t.now());
        t.says(Event::Lost(Loss::Released))
            .respond(&later(code, "3"));
        t.waits_until(8_000);
    }
}

#[test]
fn a_campaign_after_a_release_waits_for_the_pause_that_the_server_asked_for() {
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released)).asks("PUT");
    t.claim.acquire(Patience::Forever, t.now());
    t.at(4_000).respond(&later(503, "60"));
    t.waits_until(10_000).at(10_000);
    t.says(Event::Released(Released::Unconfirmed));
    // No longer than a lease lasts.
    t.waits_until(19_000).at(19_000).asks("GET");
}

#[test]
fn a_lease_left_to_expire_costs_no_request() {
    let mut t = Timeline::held(|c| c.on_release(crate::OnRelease::Expire));
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released))
        .says(Event::Released(Released::LeftToExpire))
        .is_done();
}

#[test]
fn a_release_without_an_answer_ends_some_time() {
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released));
    let mut requests = 0;
    loop {
        match t.poll() {
            Output::Request(request) => {
                requests += 1;
                t.claim.handle_failure(request.id, t.now());
            }
            Output::Wait(until) => {
                let millis = until.duration_since(t.start).as_millis();
                t.at(u64::try_from(millis).unwrap() + 1);
            }
            Output::Event(event) => {
                assert_eq!(event, Event::Released(Released::Unconfirmed));
                break;
            }
            output @ (Output::Cancel(_) | Output::Done) => panic!("{output:?}"),
        }
    }
    assert!((10_000..10_010).contains(&t.millis), "{}", t.millis);
    assert!((4..=15).contains(&requests), "{requests}");
    t.is_done();
}

#[test]
fn a_release_that_is_refused_says_why() {
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released));
    // Whoever held it was let in, so the server may have only just been started.
    while t.millis < 5_000 {
        t.asks("PUT").answer(403, status(403, "Forbidden", "no"));
        t.in_time();
    }
    t.asks("PUT").answer(403, status(403, "Forbidden", "no"));
    assert!(matches!(t.event(), Event::Failed(Failure::Refused(_))));
    assert!(t.millis < 8_000, "{} ms", t.millis);
    t.says(Event::Released(Released::Unconfirmed)).is_done();
}

#[test]
fn a_release_that_is_refused_for_a_moment_is_made_after_all() {
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released));
    for code in [403, 401, 401, 403] {
        let refused = status(code, "no", "the Roles were not read yet");
        t.asks("PUT").answer(code, refused).in_time();
    }
    t.asks("PUT").echo(200, 11);
    t.says(Event::Released(Released::Cleared)).is_done();
}

#[test]
fn another_process_with_the_identity_can_release() {
    let mut t = Timeline::new(|c| c.reclaim_own_identity(true));
    t.claim.release(t.start);
    t.asks("GET").answer(200, foreign(7, "me", 0)).asks("PUT");
    assert_eq!(t.asked().body["spec"]["holderIdentity"], "");
    assert_eq!(t.asked().body["spec"]["leaseTransitions"], 4);
    t.echo(200, 8)
        .says(Event::Released(Released::Cleared))
        .is_done();

    let mut t = Timeline::new(|c| c.reclaim_own_identity(true));
    t.claim.release(t.start);
    t.asks("GET")
        .answer(200, foreign(7, "other", 0))
        .says(Event::Released(Released::NotOurs))
        .is_done();
}

#[test]
fn stopping_a_campaign_undoes_a_write_that_may_have_been_carried_out() {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(404, json!({})).asks("POST");
    let written = t.written(10);
    t.claim.release(t.now());
    t.says(Event::GaveUp(GaveUp::Stopped))
        .cancels()
        .asks("GET")
        .answer(200, written)
        .asks("PUT");
    assert_eq!(t.asked().body["spec"]["holderIdentity"], "");
    t.echo(200, 11).is_done();
}

#[test]
fn a_release_during_an_undo_tells_how_it_ends() {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(404, json!({})).asks("POST");
    t.claim.release(t.now());
    t.says(Event::GaveUp(GaveUp::Stopped)).cancels().asks("GET");
    t.claim.release(t.now());
    t.answer(404, json!({}))
        .says(Event::Released(Released::Deleted))
        .is_done();
}

#[test]
fn stopping_a_campaign_that_wrote_nothing_asks_for_nothing() {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    t.claim.release(t.now());
    t.says(Event::GaveUp(GaveUp::Stopped)).is_done();
}

#[test]
fn acquiring_during_a_release_begins_when_that_is_over() {
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released)).asks("PUT");
    t.claim.acquire(Patience::Once, t.now());
    let mut free = t.written(11);
    t.echo(200, 11)
        .says(Event::Released(Released::Cleared))
        .asks("GET");
    free["spec"]["holderIdentity"] = json!("");
    t.answer(200, free).asks("PUT").echo(200, 12);
    assert!(matches!(t.event(), Event::Acquired(_)));
}

#[test]
fn a_record_with_our_name_that_we_did_not_write_is_not_released() {
    let mut t = Timeline::held(|c| c);
    let now = t.now();
    t.claim.release(now);
    t.says(Event::Lost(Loss::Released)).asks("PUT");
    t.answer(409, json!({}));
    t.sleep().asks("GET").answer(200, foreign(11, "me", 0));
    t.says(Event::Released(Released::NotOurs)).is_done();
}

#[test]
fn undoing_a_renewal_that_may_have_been_written_never_clears_what_another_process_wrote() {
    let mut t = Timeline::new(|c| c.reclaim_own_identity(true).acquire_retries(0));
    t.claim.resume(t.start);
    let held = foreign(7, "me", 0);
    t.asks("GET").answer(200, held.clone()).asks("PUT").fails();
    t.says(Event::GaveUp(GaveUp::Trouble(Trouble::NoAnswer)));
    // It was not carried out, so the record is the other process's, which believes in it for its whole duration.
    t.asks("GET").answer(200, held).is_done();
}

#[test]
fn nothing_is_asked_for_beside_a_release_that_has_not_come_to_its_end() {
    let mut t = Timeline::new(|config| config.watch(false).priority(Some(5)));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 0));
    t.event();
    t.asks("POST");
    let mut announced = t.asked().body.clone();
    announced["metadata"]["uid"] = json!("u2");
    announced["metadata"]["resourceVersion"] = json!("11");
    t.answer(201, announced);
    let nobody = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "LeaseList",
        "metadata": {"resourceVersion": "11"},
        "items": [],
    });
    t.asks("GET").answer(200, nobody.clone());
    t.sleep().asks("GET").answer(200, foreign(12, "", 1));
    t.asks("GET").answer(200, nobody);
    t.asks("PUT").echo(200, 13);
    let acquired = t.event();
    assert!(matches!(acquired, Event::Acquired(_)), "{acquired:?}");
    t.asks("DELETE").fails();
    // What has become of the announcement is looked at only after the release: another pause would put that off.
    let now = t.now();
    t.claim.release(now);
    t.says(Event::Lost(Loss::Released));
    for _ in 0..4 {
        t.in_time().asks("PUT").answer(429, json!({}));
    }
    t.in_time().asks("PUT").echo(200, 14);
    t.says(Event::Released(Released::Cleared));
    t.in_time().asks("GET").answer(404, json!({}));
    t.is_done();
}
