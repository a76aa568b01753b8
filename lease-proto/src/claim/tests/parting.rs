//! What is left in the record beside its spec: work that is done, a successor, renewals, and that there are none.

use super::*;
use crate::{Done, Once, Parting};

fn annotations(t: &Timeline) -> Value {
    t.asked().body["metadata"]["annotations"].clone()
}

fn once(key: &str) -> Once {
    Once::new(key).unwrap()
}

fn left_to(successor: &str, seconds: u64) -> Parting {
    let successor = Identity::new(successor).unwrap();
    Parting::default().successor(successor, Duration::from_secs(seconds))
}

/// The record as `me` leaves it.
fn left(configure: fn(ConfigBuilder) -> ConfigBuilder, parting: Parting) -> Value {
    let mut t = Timeline::held(configure);
    let now = t.at(1_000).now();
    t.claim.release_with(parting, now);
    t.says(Event::Lost(Loss::Released));
    let output = t.poll();
    let Output::Request(request) = output else {
        panic!("expected a write, got {output:?}");
    };
    let body: Value = serde_json::from_slice(request.http.body()).unwrap();
    assert_eq!(body["spec"]["holderIdentity"], json!(""));
    let mut record = foreign(11, "", 0);
    record["spec"] = body["spec"].clone();
    record["metadata"]["annotations"] = body["metadata"]["annotations"].clone();
    record
}

#[test]
fn what_is_done_is_said_by_the_write_that_clears_the_holder() {
    let mut t = Timeline::held(|config| config);
    let now = t.at(1_000).now();
    t.claim
        .release_with(Parting::default().done(once("v2")), now);
    t.says(Event::Lost(Loss::Released));
    t.asks("PUT").echo(200, 11);
    t.says(Event::Released(Released::Cleared)).is_done();
    let lease = t.claim.observed().unwrap();
    let done = once("v2").done(lease).unwrap();
    assert_eq!((done.key.as_str(), done.by.as_str()), ("v2", "me"));
    assert_eq!(done.at, "2026-11-20T19:31:58.250000Z");
    assert_eq!(once("v3").done(lease), None);
    assert_eq!(Done::read(lease), Some(done));
}

#[test]
fn what_is_done_stays_whoever_holds_the_lease_later_and_however_it_is_written() {
    for method in [crate::WriteMethod::Put, crate::WriteMethod::Patch] {
        let mut t = Timeline::new(|config| config.write_method(method));
        let mut record = left(|config| config, Parting::default().done(once("v2")));
        record["metadata"]["annotations"]["theirs"] = json!("kept");
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET").answer(200, record.clone());
        match method {
            crate::WriteMethod::Put => {
                t.asks("PUT");
                assert_eq!(annotations(&t), record["metadata"]["annotations"]);
            }
            crate::WriteMethod::Patch => {
                t.asks("PATCH");
                // Nothing is said of them, so they stay.
                assert_eq!(annotations(&t), Value::Null);
            }
        }
    }
}

#[test]
fn whoever_does_not_hold_the_lease_any_more_leaves_nothing() {
    let mut t = Timeline::held(|config| config);
    t.at(10_000).says(Event::Lost(Loss::Expired)).is_done();
    t.claim
        .release_with(Parting::default().done(once("v2")), t.now());
    let record = t.written(10);
    t.asks("GET").answer(200, record);
    t.asks("PUT");
    assert_eq!(annotations(&t), Value::Null);
}

#[test]
fn a_command_that_gives_back_what_another_one_of_its_identity_has_leaves_something_too() {
    let mut t = Timeline::held(|config| config.reclaim_own_identity(true));
    let record = t.written(10);
    t = Timeline::new(|config| config.reclaim_own_identity(true));
    t.claim.release_with(left_to("next", 10), t.start);
    t.asks("GET").answer(200, record);
    t.asks("PUT").echo(200, 11);
    t.says(Event::Released(Released::Cleared)).is_done();
    let lease = t.claim.observed().unwrap();
    assert_eq!(crate::successor(lease).as_deref(), Some("next"));
}

#[test]
fn whoever_has_left_it_to_one_can_leave_it_to_another_and_nobody_else_can() {
    let record = left(|config| config, left_to("typo", 10));
    assert_eq!(record["spec"]["holderIdentity"], json!(""));
    let reclaiming = |identity: &'static str| {
        let mut t = Timeline::named(identity, |config| config.reclaim_own_identity(true));
        t.claim.release_with(left_to("next", 20), t.start);
        t.asks("GET").answer(200, record.clone());
        t
    };
    let mut t = reclaiming("me");
    // What was read is what is written over: if somebody takes it meanwhile it is theirs.
    t.asks("PUT");
    assert_eq!(t.asked().body["metadata"]["resourceVersion"], json!("11"));
    t.echo(200, 12);
    t.says(Event::Released(Released::Cleared)).is_done();
    let lease = t.claim.observed().unwrap();
    assert_eq!(crate::successor(lease).as_deref(), Some("next"));
    assert_eq!(crate::held_back(lease), Some(Duration::from_secs(20)));
    let mut t = reclaiming("another");
    t.says(Event::Released(Released::NotOurs)).is_done();
    // Nor is it given up twice by whoever only gives it up.
    let mut t = Timeline::new(|config| config.reclaim_own_identity(true));
    t.claim.release(t.start);
    t.asks("GET").answer(200, record);
    t.says(Event::Released(Released::NotOurs)).is_done();
}

#[test]
fn what_is_handed_over_is_cleared_and_names_its_successor_for_five_minutes_at_the_most() {
    for (asked, kept) in [(60, 60), (3_600, 300)] {
        let mut t = Timeline::held(|config| config);
        let (next, patience) = (Identity::new("next").unwrap(), Duration::from_secs(asked));
        t.claim.hand_over(next, patience, t.start);
        t.says(Event::Lost(Loss::Released));
        t.asks("PUT").echo(200, 11);
        t.says(Event::Released(Released::Cleared)).is_done();
        let lease = t.claim.observed().unwrap();
        assert_eq!(
            (lease.spec.holder(), crate::successor(lease)),
            (None, Some("next".to_owned()))
        );
        assert_eq!(crate::held_back(lease), Some(Duration::from_secs(kept)));
    }
}

#[test]
fn what_is_left_survives_an_answer_that_is_lost_and_what_was_stripped_is_told() {
    for is_stripped in [false, true] {
        let mut t = Timeline::held(|config| config.on_release(crate::OnRelease::Delete));
        t.at(1_000);
        t.claim
            .release_with(Parting::default().done(once("v2")), t.now());
        t.says(Event::Lost(Loss::Released));
        t.asks("PUT").fails();
        let mut record = t.written(11);
        if is_stripped {
            record["metadata"]["annotations"] = json!({});
        }
        t.sleep().asks("GET").answer(200, record);
        // It is not deleted, although that is configured.
        t.says(Event::Released(if is_stripped {
            Released::ClearedAlone
        } else {
            Released::Cleared
        }));
        t.is_done();
    }
}

#[test]
fn a_lease_that_would_be_left_to_expire_is_cleared_to_leave_something() {
    let record = left(
        |config| config.on_release(crate::OnRelease::Expire),
        left_to("next", 10),
    );
    assert!(record["metadata"]["annotations"]["lease-proto/successor"].is_string());
}

#[test]
fn the_successor_takes_what_is_left_to_it_at_once_and_others_hold_back_for_a_while() {
    for (identity, until) in [
        ("me", 10_000),
        ("next", 0),
        ("nex", 10_000),
        ("next_1", 10_000),
    ] {
        let record = left(|config| config, left_to("next", 10));
        let mut t = Timeline::new(|config| config);
        let config = Config::builder("default", "leader", identity);
        let config = config.unique_identity(false).watch(false).build().unwrap();
        t.claim = Claim::new(config, 7, t.start);
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET").answer(200, record.clone());
        if until > 0 {
            let waiting = Waiting {
                holder: Some("next".to_owned()),
                precedence: Precedence::IsLeftTo,
                until: t.instant(until),
            };
            assert_eq!(waiting.to_string(), "is free, and left to \"next\"");
            t.says(Event::Waiting(waiting));
        }
        while t.millis < until {
            t.sleep();
            t.asks("GET");
            // Somebody annotates it meanwhile.
            let mut record = record.clone();
            record["metadata"]["resourceVersion"] = json!((12 + t.millis).to_string());
            t.answer(200, record);
        }
        t.asks("PUT");
        // What was left to somebody is not left to anybody later.
        assert_eq!(annotations(&t), Value::Null, "{identity}");
    }
}

#[test]
fn whoever_comes_after_the_others_have_held_back_gets_what_was_left_to_somebody() {
    // It was released after a second.
    for (millis, is_over) in [(10_000, false), (11_000, true), (1_000_000, true)] {
        let record = left(|config| config, left_to("next", 10));
        let mut t = Timeline::new(|config| config);
        let now = t.at(millis).now();
        t.claim.acquire(Patience::Once, now);
        t.asks("GET").answer(200, record);
        if is_over {
            t.asks("PUT");
        } else {
            let Event::GaveUp(GaveUp::Held(waiting)) = t.event() else {
                panic!("it is left to somebody else");
            };
            assert_eq!(waiting.until, t.instant(11_000));
        }
    }
}

#[test]
fn the_suffix_that_makes_an_identity_unique_does_not_keep_it_from_what_is_left_to_it() {
    let mut t = Timeline::new(|config| config.unique_identity(true));
    let record = left(|config| config, left_to("me", 10));
    t.claim.acquire(Patience::Once, t.start);
    t.asks("GET").answer(200, record);
    t.asks("PUT");
}

#[test]
fn what_is_left_to_one_process_is_left_to_no_other_that_is_called_alike() {
    for (unique, to) in [(true, "me_0123456789abcdef"), (false, "me_1"), (true, "m")] {
        let mut t = Timeline::new(|config| config.unique_identity(unique));
        let record = left(|config| config, left_to(to, 10));
        t.claim.acquire(Patience::Once, t.start);
        t.asks("GET").answer(200, record);
        assert!(matches!(t.event(), Event::GaveUp(GaveUp::Held(_))), "{to}");
    }
    let mut t = Timeline::new(|config| config.unique_identity(true));
    let record = left(|config| config, left_to(t.claim.identity().as_str(), 10));
    t.claim.acquire(Patience::Once, t.start);
    t.asks("GET").answer(200, record);
    t.asks("PUT");
}

#[test]
fn what_a_foreign_holder_has_carried_on_is_left_to_nobody() {
    let mut record = left(|config| config, left_to("next", 10));
    record["spec"]["renewTime"] = json!("2026-11-20T19:40:00.000000Z");
    let mut t = Timeline::new(|config| config);
    t.claim.acquire(Patience::Once, t.start);
    t.asks("GET").answer(200, record);
    t.asks("PUT");
}

#[test]
fn nobody_is_held_back_for_longer_than_five_minutes() {
    let mut record = left(|config| config, left_to("next", 100_000));
    let left: Value = serde_json::from_str(
        record["metadata"]["annotations"]["lease-proto/successor"]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(left["seconds"], json!(300));
    let longer = json!({"to": "next", "seconds": 100_000, "at": left["at"]});
    record["metadata"]["annotations"]["lease-proto/successor"] = json!(longer.to_string());
    let mut t = Timeline::new(|config| config);
    t.claim.acquire(Patience::Once, t.start);
    t.asks("GET").answer(200, record);
    let Event::GaveUp(GaveUp::Held(waiting)) = t.event() else {
        panic!("it is left to somebody else");
    };
    assert_eq!(waiting.until, t.instant(300_000));
}

#[test]
fn what_is_not_renewable_is_never_written_again_and_ends_with_its_duration() {
    let mut t = Timeline::held(|config| {
        config
            .renewable(false)
            .renew_deadline(Duration::from_secs(15))
    });
    assert_eq!(annotations(&t), json!({"lease-proto/renewable": "false"}));
    let record = t.written(10);
    t.waits_until(14_970);
    // It may be looked at.
    let now = t.at(7_000).now();
    t.claim.verify(now);
    t.asks("GET").answer(200, record.clone());
    assert!(matches!(t.event(), Event::Verified(_)));
    t.waits_until(14_970);
    t.at(14_970).says(Event::Lost(Loss::Expired)).is_done();
}

#[test]
fn what_is_not_renewable_is_lost_when_somebody_clears_it_and_not_taken_back() {
    let mut t = Timeline::held(|config| config.renewable(false));
    let mut record = t.written(11);
    record["spec"]["holderIdentity"] = json!("");
    let now = t.at(1_000).now();
    t.claim.verify(now);
    t.asks("GET").answer(200, record);
    t.says(Event::Lost(Loss::Cleared)).is_done();
}

#[test]
fn whoever_resumes_does_not_renew_what_is_not_renewable() {
    let mut t = Timeline::held(|config| config.renewable(false));
    let record = t.written(10);
    t = Timeline::new(|config| config.reclaim_own_identity(true));
    t.claim.resume(t.start);
    t.asks("GET").answer(200, record.clone());
    t.says(Event::GaveUp(GaveUp::NotRenewable)).is_done();
    // Whoever acquires it when it is over makes it renewable again.
    let mut over = record;
    over["spec"]["holderIdentity"] = json!("");
    t.claim.acquire(Patience::Once, t.now());
    t.asks("GET").answer(200, over);
    t.asks("PUT");
    assert_eq!(annotations(&t), Value::Null);
}

#[test]
fn whoever_has_again_what_was_not_renewable_has_acquired_it_anew() {
    for renewable in [true, false] {
        let mut t = Timeline::held(|config| config.renewable(renewable));
        let record = t.written(10);
        t = Timeline::new(|config| config.reclaim_own_identity(true));
        t.claim.acquire(Patience::Forever, t.start);
        let written = loop {
            match t.poll() {
                Output::Request(request) if request.http.method() == "GET" => {
                    let answer = Response::new(serde_json::to_vec(&record).unwrap());
                    t.claim.handle_response(request.id, &answer, t.now());
                }
                Output::Request(request) => break request.http.into_body(),
                Output::Event(_) => {}
                Output::Wait(until) => {
                    let until = until.duration_since(t.start).as_millis() + 1;
                    t.at(u64::try_from(until).unwrap());
                }
                Output::Cancel(_) | Output::Done => panic!("it waits as long as it takes"),
            }
        };
        let written: Value = serde_json::from_slice(&written).unwrap();
        let begins_anew = written["spec"]["acquireTime"] != record["spec"]["acquireTime"];
        assert_eq!(begins_anew, !renewable);
        assert_eq!(t.millis > 15_000, !renewable, "{}", t.millis);
    }
}

#[test]
fn renewals_are_counted_where_that_is_asked_for() {
    let mut t = Timeline::held(|config| config.count_renewals(true));
    for count in 0..3 {
        let said = json!({"lease-proto/renewals": count.to_string()});
        assert_eq!(annotations(&t), said);
        let at = t.millis + 5_000;
        t.at(at).asks("PUT").echo(200, 11 + count);
        t.renewed_until(at + 10_000);
    }
    assert_eq!(crate::renewals(t.claim.observed().unwrap()), Some(3));
    // Another process of the same identity goes on counting, and another holder begins anew.
    let record = t.written(20);
    for (reclaims, count) in [(true, "4"), (false, "0")] {
        let mut t =
            Timeline::new(|config| config.count_renewals(true).reclaim_own_identity(reclaims));
        let mut record = record.clone();
        if reclaims {
            t.claim.resume(t.start);
        } else {
            record["spec"]["holderIdentity"] = json!("");
            t.claim.acquire(Patience::Once, t.start);
        }
        t.asks("GET").answer(200, record);
        t.asks("PUT");
        assert_eq!(annotations(&t), json!({"lease-proto/renewals": count}));
    }
}

#[test]
fn what_a_tenure_said_of_itself_does_not_count_once_another_client_has_renewed() {
    let mut record = left(|config| config, Parting::default());
    record["metadata"]["annotations"] =
        json!({"lease-proto/renewable": "false", "lease-proto/renewals": "3"});
    let says = |record: &Value| {
        let lease: Lease = serde_json::from_value(record.clone()).unwrap();
        (crate::is_renewable(&lease), crate::renewals(&lease))
    };
    assert_eq!(says(&record), (false, Some(3)));
    for (manager, said) in [
        ("lease-proto", (false, Some(3))),
        ("lease-proto-untimed", (false, Some(3))),
        ("controller-manager", (true, None)),
    ] {
        record["metadata"]["managedFields"] = json!([
            {"manager": manager, "fieldsV1": {"f:spec": {"f:renewTime": {}}}},
            {"manager": "kubectl", "fieldsV1": {"f:metadata": {}}},
        ]);
        assert_eq!(says(&record), said, "{manager}");
    }
}
