//! What a claimant may take.

use super::*;

fn campaign() -> Timeline {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Forever, t.start);
    t
}

/// Twenty seconds and what they are lengthened by for drift.
const EXPIRY: u64 = 20_020;

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
        "/apis/coordination.k8s.io/v1/namespaces/default/leases?fieldManager=lease-proto&timeout=5000ms"
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
    // Without another look: the write itself is refused if the record has changed.
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
        t.claim.observed.verdict(t.instant(EXPIRY)),
        observed::Verdict::Free
    );
    t.sleep().asks("GET").answer(200, foreign(9, "other", 1));
    let renewed = t.millis;
    assert_ne!(
        t.claim.observed.verdict(t.instant(renewed + EXPIRY - 1)),
        observed::Verdict::Free
    );
    assert_eq!(
        t.claim.observed.verdict(t.instant(renewed + EXPIRY)),
        observed::Verdict::Free
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
        t.claim.observed.verdict(t.instant(EXPIRY - 1)),
        observed::Verdict::Free
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
        until,
    }));
    while t.sleep().millis < EXPIRY {
        t.asks("GET").answer(404, json!({}));
    }
    t.asks("POST");
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
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.sleep().asks("GET");
    let mut again = foreign(10, "me", 0);
    again["spec"]["acquireTime"] = json!("2026-11-20T19:31:57.250000Z");
    again["spec"]["renewTime"] = json!("2026-11-20T19:31:57.250000Z");
    t.answer(200, again);
    assert!(!t.holds());
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
fn our_name_in_a_record_of_somebody_else_is_waited_for_like_any_other() {
    let mut t = campaign();
    t.asks("GET")
        .answer(200, foreign(7, "me", 0))
        .says(Event::IdentityCollision);
    assert!(matches!(t.event(), Event::Waiting(_)));
}

#[test]
fn an_identity_that_is_reclaimed_gets_its_lease_back_at_once() {
    let mut t = Timeline::new(|c| c.reclaim_own_identity(true));
    t.claim.acquire(Patience::Once, t.start);
    t.asks("GET").answer(200, foreign(7, "me", 0)).asks("PUT");
    assert_eq!(
        t.asked().body["spec"]["acquireTime"],
        "2026-11-20T19:00:00.000000Z"
    );
    assert_eq!(t.asked().body["spec"]["leaseTransitions"], 4);
    t.echo(200, 8);
    assert!(matches!(t.event(), Event::Acquired(_)));
}

#[test]
fn a_reclaimed_grant_counts_from_the_second_in_which_the_other_process_wrote() {
    let mut t = Timeline::new(|c| c.reclaim_own_identity(true));
    t.claim.acquire(Patience::Once, t.start);
    let mut record = foreign(7, "me", 0);
    record["spec"]["renewTime"] = json!("2026-11-20T19:31:57.000000Z");
    t.at(1_000);
    t.wall_error = -1_000;
    t.asks("GET").answer(200, record).asks("PUT").echo(200, 8);
    let Event::Acquired(grant) = t.event() else {
        panic!("not acquired");
    };
    assert_eq!(grant.valid_until, t.instant(10_000));
}

#[test]
fn resuming_takes_nothing_that_is_not_ours() {
    for (answer, holder) in [
        (Some(foreign(7, "other", 0)), Some("other")),
        (Some(foreign(7, "", 0)), None),
        (None, None),
    ] {
        let mut t = Timeline::new(|c| c.reclaim_own_identity(true));
        t.claim.resume(t.start);
        let code = if answer.is_some() { 200 } else { 404 };
        t.asks("GET").answer(code, answer.unwrap_or_default());
        let holder = holder.map(str::to_owned);
        t.says(Event::GaveUp(GaveUp::NotHeld { holder })).is_done();
    }
}

#[test]
fn acquiring_once_gives_up_on_what_is_held() {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Once, t.start);
    t.asks("GET").answer(200, foreign(7, "other", 0));
    let waiting = Waiting {
        holder: Some("other".to_owned()),
        until: t.instant(EXPIRY),
    };
    t.says(Event::GaveUp(GaveUp::Held(waiting))).is_done();
}

#[test]
fn acquiring_once_tries_lost_races_and_failures_as_often_as_configured() {
    for retries in [0, 2] {
        let mut t = Timeline::new(|c| c.acquire_retries(retries));
        t.claim.acquire(Patience::Once, t.start);
        for _ in 0..retries {
            t.asks("GET")
                .answer(404, json!({}))
                .asks("POST")
                .answer(409, json!({}))
                .sleep();
        }
        t.asks("GET")
            .answer(404, json!({}))
            .asks("POST")
            .answer(409, json!({}));
        t.says(Event::GaveUp(GaveUp::Outrun)).is_done();

        let mut t = Timeline::new(|c| c.acquire_retries(retries));
        t.claim.acquire(Patience::Once, t.start);
        for _ in 0..retries {
            t.asks("GET").fails();
            assert!(matches!(t.event(), Event::Retrying { .. }));
            t.sleep();
        }
        t.asks("GET")
            .fails()
            .says(Event::GaveUp(GaveUp::Trouble(Trouble::NoAnswer)))
            .is_done();
    }
}

#[test]
fn acquiring_until_an_instant_ends_there_and_undoes_what_may_have_been_written() {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Until(t.instant(3_000)), t.start);
    t.asks("GET").answer(404, json!({})).at(2_000).asks("POST");
    assert_eq!(t.asked().deadline, 3_000);
    let written = t.written(10);
    t.at(3_000)
        .says(Event::GaveUp(GaveUp::TimedOut { holder: None }))
        .cancels();
    t.asks("GET").answer(200, written).asks("PUT");
    assert_eq!(t.asked().body["spec"]["holderIdentity"], "");
    t.echo(200, 11).is_done();
}

#[test]
fn a_refusal_says_what_is_missing_and_is_said_once() {
    let mut t = campaign();
    let refused = status(
        403,
        "Forbidden",
        "leases.coordination.k8s.io \"leader\" is forbidden",
    );
    t.asks("GET").answer(403, refused.clone());
    let Event::Failed(failure) = t.event() else {
        panic!("no failure");
    };
    assert!(
        failure
            .to_string()
            .contains("refused to get lease default/leader (403 Forbidden): leases"),
        "{failure}"
    );
    assert!(
        failure.advice().contains("verbs: [\"get\", \"update\"]"),
        "{}",
        failure.advice()
    );
    t.sleep().asks("GET").answer(403, refused).sleep();
}

#[test]
fn a_namespace_that_does_not_exist_is_said_to_be_missing() {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Once, t.start);
    let mut missing = status(404, "NotFound", "namespaces \"default\" not found");
    missing["details"] = json!({"name": "default", "kind": "namespaces"});
    t.asks("GET")
        .answer(404, json!({}))
        .asks("POST")
        .answer(404, missing);
    let Event::GaveUp(GaveUp::Failed(failure)) = t.event() else {
        panic!("not given up");
    };
    assert!(matches!(&failure, Failure::Refused(refusal) if refusal.is_namespace_missing()));
    assert!(
        failure
            .advice()
            .contains("kubectl create namespace default")
    );
}

#[test]
fn a_lease_that_a_controller_runs_is_not_contested() {
    let mut t = campaign();
    let mut record = foreign(7, "", 0);
    record["spec"]["strategy"] = json!("OldestEmulationVersion");
    t.asks("GET").answer(200, record);
    assert!(matches!(
        t.event(),
        Event::Failed(Failure::Controlled { .. })
    ));
    t.sleep().asks("GET");
}

#[test]
fn credentials_are_read_again_once_and_then_it_is_a_failure() {
    let mut t = campaign();
    t.asks("GET")
        .answer(401, status(401, "Unauthorized", "Unauthorized"))
        .asks("GET");
    assert!(t.asked().reload_credentials);
    t.answer(401, status(401, "Unauthorized", "Unauthorized"));
    assert!(matches!(t.event(), Event::Failed(Failure::Refused(_))));
}

#[test]
fn after_a_loss_the_same_claim_can_begin_again() {
    let mut t = Timeline::held(|c| c);
    let own = t.written(10);
    t.at(10_000).says(Event::Lost(Loss::Expired)).is_done();
    t.claim.acquire(Patience::Forever, t.now());
    // What the record says was for the tenure that is over: a new one needs a write of its own.
    t.asks("GET").answer(200, own).asks("PUT");
    assert_ne!(
        t.asked().body["spec"]["acquireTime"],
        "2026-11-20T19:31:57.250000Z"
    );
    assert_eq!(t.asked().body["spec"]["leaseTransitions"], 0);
    t.echo(200, 11);
    let Event::Acquired(grant) = t.event() else {
        panic!("not acquired");
    };
    assert_eq!(grant.token.unwrap().get(), 11);
}

#[test]
fn a_store_that_went_back_restarts_the_wait_and_gives_no_tokens() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(70, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    t.sleep()
        .asks("GET")
        .answer(200, foreign(50, "other", 0))
        .says(Event::StoreRegressed);
    let seen = t.millis;
    assert_ne!(
        t.claim.observed.verdict(t.instant(seen + EXPIRY - 1)),
        observed::Verdict::Free
    );
    t.sleep()
        .asks("GET")
        .answer(200, foreign(51, "", 0))
        .asks("PUT")
        .echo(200, 52);
    let Event::Acquired(grant) = t.event() else {
        panic!("not acquired");
    };
    assert_eq!(grant.token, None);
}

#[test]
fn tries_after_failures_stay_under_two_a_second() {
    let mut t = campaign();
    let mut requests = 0;
    while t.millis < 60_000 {
        match t.poll() {
            Output::Request(request) => {
                requests += 1;
                t.claim.handle_failure(request.id, t.now());
            }
            Output::Wait(until) => {
                let millis = until.duration_since(t.start).as_millis();
                t.at(u64::try_from(millis).unwrap() + 1);
            }
            Output::Event(Event::Retrying { .. }) => {}
            output => panic!("{output:?}"),
        }
    }
    assert!((25..=60).contains(&requests), "{requests} in a minute");
}

#[test]
fn an_identity_is_made_unique_from_the_seed() {
    let config = Config::builder("default", "leader", "me").build().unwrap();
    let identity = |seed| {
        Claim::new(config.clone(), seed, some_instant())
            .identity()
            .to_string()
    };
    assert_eq!(identity(1), identity(1));
    assert_ne!(identity(1), identity(2));
    assert!(
        identity(1).starts_with("me_") && identity(1).len() == 19,
        "{}",
        identity(1)
    );
}
