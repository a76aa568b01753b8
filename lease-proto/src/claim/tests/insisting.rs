//! How long a claimant goes on, and when it gives up.

use super::{
    taking::{EXPIRY, campaign},
    *,
};

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
fn reclaiming_after_the_wall_clock_was_set_back_begins_another_second() {
    let mut t = Timeline::new(|c| c.reclaim_own_identity(true));
    t.claim.acquire(Patience::Once, t.start);
    let mut record = foreign(7, "me", 0);
    record["spec"]["renewTime"] = json!("2026-11-20T20:00:00.000000Z");
    t.asks("GET").answer(200, record).asks("PUT");
    assert_eq!(
        t.asked().body["spec"]["renewTime"],
        "2026-11-20T20:00:01.000000Z"
    );
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
        precedence: Precedence::Holds,
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
        .says(Event::GaveUp(GaveUp::TimedOut {
            holder: None,
            trouble: None,
        }))
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
        failure
            .advice()
            .contains("verbs: [\"get\", \"watch\", \"update\"]"),
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
fn a_lease_that_a_controller_has_taken_over_is_not_taken_back_by_whoever_held_it() {
    for reclaims in [false, true] {
        let mut t = Timeline::held(|c| c.reclaim_own_identity(reclaims));
        let mut own = t.written(10);
        own["spec"]["strategy"] = json!("OldestEmulationVersion");
        if reclaims {
            own["spec"]["renewTime"] = json!("2026-11-20T19:00:00.000000Z");
        }
        t.at(10_000).says(Event::Lost(Loss::Expired)).is_done();
        t.claim.acquire(Patience::Forever, t.now());
        t.asks("GET").answer(200, own);
        let event = t.event();
        assert!(
            matches!(event, Event::Failed(Failure::Controlled { .. })),
            "{event:?}"
        );
    }
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
        t.claim.observed.verdict(t.instant(seen + EXPIRY - 1), None),
        Verdict::Free
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
            Output::Event(event) => assert!(matches!(event, Event::Retrying { .. })),
            output @ (Output::Cancel(_) | Output::Done) => panic!("{output:?}"),
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

#[test]
fn an_acquiring_write_read_back_with_a_shorter_duration_is_made_again() {
    let mut t = campaign();
    t.asks("GET").answer(404, json!({})).asks("POST");
    let mut shortened = t.written(10);
    shortened["spec"]["leaseDurationSeconds"] = json!(1);
    t.fails();
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.sleep().asks("GET").answer(200, shortened).asks("PUT");
    assert!(!t.holds());
}

#[test]
fn a_frozen_wall_clock_does_not_keep_a_lost_lease_from_being_acquired_again() {
    let mut t = Timeline::held(|c| c);
    let own = t.written(10);
    t.at(10_000).says(Event::Lost(Loss::Expired));
    t.wall_error = -10_000;
    t.claim.acquire(Patience::Forever, t.now());
    t.asks("GET").answer(200, own).asks("PUT").echo(200, 11);
    let Event::Acquired(grant) = t.event() else {
        panic!("not acquired");
    };
    assert_eq!(grant.valid_until, t.instant(20_000));
}

#[test]
fn what_is_wanted_after_a_release_is_not_begun_when_its_time_is_over() {
    let mut t = campaign();
    t.asks("GET").answer(404, json!({})).asks("POST");
    t.claim.release(t.now());
    t.says(Event::GaveUp(GaveUp::Stopped))
        .cancels()
        .asks("GET")
        .fails();
    t.claim.acquire(Patience::Until(t.instant(5_000)), t.now());
    t.at(5_000)
        .says(Event::GaveUp(GaveUp::TimedOut {
            holder: None,
            trouble: None,
        }))
        .is_done();
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept_while_acquiring_and_releasing() {
    let busy = Response::builder().status(429).header("Retry-After", "3");
    let busy = busy.body(Vec::new()).unwrap();
    let mut t = campaign();
    t.asks("GET").respond(&busy);
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.waits_until(3_000);
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released))
        .asks("PUT")
        .respond(&busy);
    t.waits_until(3_000).at(3_000).asks("PUT");
}

#[test]
fn a_renewal_of_a_tenure_that_is_over_earns_nothing_in_the_next_campaign() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    let renewed = t.written(11);
    t.fails();
    t.at_risk();
    t.at(10_000).says(Event::Lost(Loss::Expired)).is_done();
    t.claim.acquire(Patience::Forever, t.now());
    t.asks("GET").answer(200, renewed).asks("PUT");
    assert!(!t.holds());
}

#[test]
fn whoever_loses_race_after_race_makes_room() {
    let mut t = Timeline::new(|c| c.acquire_retry_delay(Duration::ZERO));
    t.claim.acquire(Patience::Forever, t.start);
    let mut races = 0;
    while t.millis < 10_000 {
        t.in_time().asks("GET").answer(404, json!({}));
        t.asks("POST").answer(409, json!({}));
        races += 1;
    }
    assert!((5..=15).contains(&races), "{races}");
}

#[test]
fn no_pause_that_the_server_asks_for_is_longer_than_a_lease() {
    let busy = Response::builder()
        .status(429)
        .header("Retry-After", "86400");
    let busy = busy.body(Vec::new()).unwrap();
    let mut t = campaign();
    t.asks("GET").respond(&busy);
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.waits_until(15_000);
}

#[test]
fn a_version_that_is_given_a_second_time_is_no_token() {
    let mut t = Timeline::held(|c| c);
    t.claim.release(t.now());
    t.says(Event::Lost(Loss::Released));
    t.asks("PUT").echo(200, 11);
    t.says(Event::Released(Released::Cleared));
    t.claim.acquire(Patience::Forever, t.now());
    // A backup from before the record was made.
    t.asks("GET").answer(404, json!({}));
    t.asks("POST").echo(201, 11).says(Event::StoreRegressed);
    let acquired = t.event();
    assert!(matches!(acquired, Event::Acquired(grant) if grant.token.is_none()));
}

#[test]
fn versions_that_have_only_caught_up_are_no_tokens() {
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Forever, t.now());
    t.asks("GET").answer(200, foreign(10, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    t.sleep().asks("GET").answer(200, foreign(8, "", 0));
    t.says(Event::StoreRegressed);
    t.asks("PUT").echo(200, 10);
    let acquired = t.event();
    assert!(matches!(acquired, Event::Acquired(grant) if grant.token.is_none()));
}
