//! What a holder does when it is refused, kept waiting, or told something odd.

use super::*;

#[test]
fn credentials_are_read_again_after_a_401_and_nothing_is_said_if_that_helps() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    assert!(!t.asked().reload_credentials);
    t.answer(401, status(401, "Unauthorized", "Unauthorized"))
        .asks("PUT");
    assert!(t.asked().reload_credentials);
    t.echo(200, 11).renewed_until(15_000);
}

#[test]
fn a_second_401_puts_the_lease_at_risk() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000)
        .asks("PUT")
        .answer(401, json!({}))
        .asks("PUT")
        .answer(401, json!({}));
    assert!(matches!(t.at_risk(), Trouble::Refused(refusal) if refusal.is_permission_denied()));
    t.sleep().asks("PUT");
}

#[test]
fn a_refusal_is_tried_again_until_the_grant_ends() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000)
        .asks("PUT")
        .answer(403, status(403, "Forbidden", "no"));
    assert!(matches!(t.at_risk(), Trouble::Refused(_)));
    let mut tries = 1;
    loop {
        t.sleep();
        if t.millis == 10_000 {
            break;
        }
        t.asks("PUT").answer(403, status(403, "Forbidden", "no"));
        tries += 1;
    }
    t.says(Event::Lost(Loss::Expired));
    assert!((4..=9).contains(&tries), "{tries}");
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept_but_not_past_the_last_useful_try() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT").respond(&later(429, "3"));
    assert_eq!(t.at_risk(), Trouble::Busy);
    t.waits_until(8_000)
        .at(8_000)
        .asks("PUT")
        .respond(&later(429, "3600"));
    t.waits_until(9_500)
        .at(9_500)
        .asks("PUT")
        .respond(&later(429, "1"));
    t.waits_until(10_000)
        .at(10_000)
        .says(Event::Lost(Loss::Expired));
}

#[test]
fn a_frozen_wall_clock_does_not_stop_the_record_from_moving() {
    let mut t = Timeline::held(|c| c);
    let mut last = t.asked().body["spec"]["renewTime"]
        .as_str()
        .unwrap()
        .to_owned();
    for renewal in 1..=3 {
        let millis = renewal * 5_000;
        t.wall_error = -i64::try_from(millis).unwrap() - 3_600_000;
        t.at(millis)
            .asks("PUT")
            .echo(200, 10 + renewal)
            .renewed_until(millis + 10_000);
        let time = t.asked().body["spec"]["renewTime"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            last[..19] < time[..19],
            "{last} {time}: the whole second moves too"
        );
        last = time;
    }
}

#[test]
fn a_frozen_wall_clock_does_not_have_two_tenures_say_the_same() {
    let mut t = Timeline::held(|c| c);
    let mut said = vec![t.asked().body["spec"]["renewTime"].clone()];
    for (tenure, version) in [(1, 11), (2, 13)] {
        let millis = tenure * 2_000;
        t.wall_error = -i64::try_from(millis).unwrap();
        let now = t.at(millis).now();
        t.claim.release(now);
        t.says(Event::Lost(Loss::Released)).asks("PUT");
        let cleared = t.written(version);
        said.push(cleared["spec"]["renewTime"].clone());
        t.echo(200, version)
            .says(Event::Released(Released::Cleared));
        t.claim.acquire(Patience::Forever, now);
        t.asks("GET").answer(200, cleared).asks("PUT");
        said.push(t.asked().body["spec"]["renewTime"].clone());
        t.echo(200, version + 1);
        let acquired = t.event();
        assert!(matches!(acquired, Event::Acquired(_)), "{acquired:?}");
    }
    let mut distinct = said.clone();
    distinct.sort_by_key(Value::to_string);
    distinct.dedup();
    assert_eq!(distinct.len(), said.len(), "{said:?}");
}

#[test]
fn a_campaign_after_trouble_goes_on_with_its_pauses() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT").fails();
    assert_eq!(t.at_risk(), Trouble::NoAnswer);
    while t.millis < 9_500 {
        t.sleep().asks("GET").fails();
    }
    t.at(10_000).says(Event::Lost(Loss::Expired));
    t.claim.acquire(Patience::Forever, t.now());
    // The first try is made at once, and the next one as late as if the claim had gone on trying.
    t.asks("GET").fails();
    let retrying = t.event();
    let half = t.instant(10_000) + t.claim.config().retry_period() / 2;
    assert!(
        matches!(retrying, Event::Retrying { at, .. } if at >= half),
        "{retrying:?}"
    );
}

#[test]
fn renewals_in_one_second_count_from_the_first_of_them() {
    let mut t = Timeline::held(|c| c.lease_duration(Duration::from_secs(3)));
    // Version 10 was written at x.250 s. A renewal that is tried within that second earns nothing.
    t.waits_until(1_000).at(1_000).asks("PUT");
    t.wall_error = -1_000;
    t.echo(200, 11).renewed_until(3_000);
}

#[test]
fn no_renewal_is_due_in_the_second_of_the_last_one() {
    let short = |c: ConfigBuilder| {
        c.lease_duration(Duration::from_secs(3))
            .renew_interval(Duration::from_millis(300))
    };
    let mut t = Timeline::held(short);
    t.waits_until(750);
    let mut t = Timeline::held(|c| short(c).whole_second_observers(false));
    t.waits_until(300);
}

#[test]
fn a_store_that_went_back_in_time_ends_it() {
    let mut t = Timeline::held(|c| c);
    let older = t.written(9);
    t.at(5_000)
        .asks("PUT")
        .answer(409, json!({}))
        .asks("GET")
        .answer(200, older);
    t.says(Event::Lost(Loss::StoreRegressed)).is_done();
}

#[test]
fn verifying_reads_the_record_and_changes_no_schedule() {
    let mut t = Timeline::held(|c| c);
    let record = t.written(10);
    let now = t.at(1_000).now();
    t.claim.verify(now);
    t.asks("GET").answer(200, record);
    let verified = t.event();
    assert!(matches!(verified, Event::Verified(grant) if grant.valid_until == t.instant(10_000)));
    t.waits_until(5_000);
}

#[test]
fn verifying_finds_a_successor_and_a_deletion() {
    let mut t = Timeline::held(|c| c);
    t.claim.verify(t.now());
    t.asks("GET").answer(200, foreign(12, "other", 0));
    t.says(Event::Lost(Loss::TakenOver {
        by: "other".to_owned(),
    }));
    let mut t = Timeline::held(|c| c);
    t.claim.verify(t.now());
    t.asks("GET")
        .answer(404, json!({}))
        .says(Event::Lost(Loss::Deleted));
}

#[test]
fn a_look_that_fails_does_not_keep_a_renewal_from_being_made() {
    let mut t = Timeline::held(|c| c);
    let now = t.at(4_900).now();
    t.claim.verify(now);
    t.asks("GET")
        .answer(403, status(403, "Forbidden", "no get"));
    assert!(matches!(t.at_risk(), Trouble::Refused(_)));
    t.waits_until(5_000)
        .at(5_000)
        .asks("PUT")
        .echo(200, 11)
        .says(Event::Recovered)
        .renewed_until(15_000);
    t.sleep().asks("GET");
    let record = t.written(11);
    let mut renewed = Timeline::held(|c| c).written(11);
    renewed["spec"]["renewTime"] = json!("2026-11-20T19:32:02.250000Z");
    t.answer(
        200,
        if record["spec"].is_null() {
            renewed
        } else {
            record
        },
    );
    assert!(matches!(t.event(), Event::Verified(_)));
}

#[test]
fn a_look_asked_for_in_doubt_waits_for_the_one_that_is_due_anyway() {
    let mut t = Timeline::held(|c| c);
    let record = t.written(10);
    t.at(5_000).asks("PUT").fails();
    assert_eq!(t.at_risk(), Trouble::NoAnswer);
    let now = t.now();
    t.claim.verify(now);
    t.sleep().asks("GET").answer(200, record);
    assert!(matches!(t.event(), Event::Verified(_)));
    t.asks("PUT");
}

#[test]
fn a_look_asked_for_waits_for_the_pause_that_the_server_asked_for() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT").respond(&later(429, "3"));
    assert_eq!(t.at_risk(), Trouble::Busy);
    let now = t.at(6_000).now();
    t.claim.verify(now);
    t.waits_until(8_000).at(8_000).asks("PUT");
}

#[test]
fn a_renewal_waits_for_the_pause_that_a_look_was_asked_for() {
    let mut t = Timeline::held(|c| c);
    let now = t.at(4_000).now();
    t.claim.verify(now);
    t.asks("GET").respond(&later(429, "3"));
    assert_eq!(t.at_risk(), Trouble::Busy);
    t.waits_until(7_000).at(7_000).asks("PUT").echo(200, 11);
    // As long as the server asks for, and not longer than is of use.
    let mut t = Timeline::held(|c| c);
    let now = t.at(4_000).now();
    t.claim.verify(now);
    t.asks("GET").respond(&later(429, "60"));
    assert_eq!(t.at_risk(), Trouble::Busy);
    t.waits_until(9_500).at(9_500).asks("PUT").echo(200, 11);
}

#[test]
fn looks_that_fail_do_not_starve_a_renewal_that_is_due() {
    let mut t = Timeline::held(|c| c);
    let now = t.at(4_000).now();
    t.claim.verify(now);
    t.asks("GET");
    t.at(5_000).answer(403, status(403, "Forbidden", "no get"));
    assert!(matches!(t.at_risk(), Trouble::Refused(_)));
    t.asks("PUT").echo(200, 11);
    assert_eq!(t.event(), Event::Recovered);
    let mut t = Timeline::held(|c| c);
    let now = t.at(5_000).now();
    t.claim.verify(now);
    t.asks("PUT");
}

#[test]
fn a_holder_yields_to_the_one_that_the_controller_prefers() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    let mut body = t.written(11);
    body["spec"]["strategy"] = json!("OldestEmulationVersion");
    body["spec"]["preferredHolder"] = json!("elder");
    t.answer(200, body).renewed_until(15_000);
    t.says(Event::Lost(Loss::Yielded {
        to: "elder".to_owned(),
    }))
    .asks("PUT");
    assert_eq!(t.asked().body["spec"]["holderIdentity"], "");
    assert_eq!(t.asked().body["spec"]["strategy"], "OldestEmulationVersion");
    assert_eq!(t.asked().body["spec"]["preferredHolder"], "elder");
}

#[test]
fn a_patch_names_the_version_and_only_the_fields_that_are_ours() {
    let mut t = Timeline::held(|c| c.write_method(crate::WriteMethod::Patch));
    t.at(5_000).asks("PATCH");
    assert_eq!(t.asked().body["metadata"], json!({"resourceVersion": "10"}));
    let fields: Vec<_> = t.asked().body["spec"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(fields.len(), 5, "{fields:?}");
    t.echo(200, 11).renewed_until(15_000);
    t.at(10_000)
        .asks("PATCH")
        .answer(404, json!({}))
        .asks("GET")
        .answer(404, json!({}));
    t.says(Event::Lost(Loss::Deleted));
}

#[test]
fn the_id_of_a_request_that_is_over_is_ignored() {
    let mut t = Timeline::held(|c| c);
    let stale = t.asked().id;
    t.at(5_000).asks("PUT");
    let now = t.now();
    t.claim.handle_failure(stale, now);
    t.waits_until(7_500).echo(200, 11).renewed_until(15_000);
    t.echo(200, 12).waits_until(10_000);
}

#[test]
fn a_record_that_can_be_read_and_not_written_is_not_asked_for_without_a_pause() {
    let mut t = Timeline::held(|c| c);
    let record = t.written(10);
    t.at(5_000);
    t.asks("PUT").answer(404, json!({})).asks("GET");
    t.answer(200, record).asks("PUT").answer(404, json!({}));
    assert!(t.waits() > 5_000);
}

#[test]
fn a_renewal_that_a_proxy_sent_twice_is_still_ours() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    let applied = t.written(11);
    t.answer(409, status(409, "Conflict", "the object has been modified"));
    t.asks("GET").answer(200, applied).renewed_until(15_000);
}

#[test]
fn a_renewal_that_was_refused_and_whose_double_came_later_is_still_ours() {
    let mut t = Timeline::held(|config| config.watch(true).watch_while_held(true));
    t.opens("").begins();
    t.at(5_000).asks("PUT");
    let first = t.written(11);
    t.respond(&later(429, "1"));
    assert_eq!(t.at_risk(), Trouble::Busy);
    // It had been carried out, so that the next one is bound to its version.
    t.tells("MODIFIED", first.clone());
    t.sleep().asks("PUT");
    let second = t.written(12);
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], "11");
    t.answer(409, status(409, "Conflict", "a webhook says so"));
    t.asks("GET").answer(200, first);
    t.says(Event::Recovered).renewed_until(15_000);
    t.tells("MODIFIED", second);
    t.waits();
    assert!(t.holds());
}
