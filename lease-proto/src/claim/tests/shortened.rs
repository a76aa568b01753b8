//! A holder whose record somebody made to name a shorter time than it had written (hazard H15).

use super::*;

#[test]
fn a_renewal_read_back_with_a_shorter_duration_ends_the_grant_earlier_and_is_made_again() {
    // Else a renewal within the same second would count from the first of that second.
    let mut t = Timeline::held(|c| c.whole_second_observers(false));
    t.at(5_000).asks("PUT");
    let mut shortened = t.written(11);
    shortened["spec"]["leaseDurationSeconds"] = json!(4);
    t.fails();
    t.at_risk();
    t.sleep().asks("GET").answer(200, shortened);
    t.shortened_to(4, 8_992).asks("PUT");
    assert_eq!(t.asked().body["spec"]["leaseDurationSeconds"], 15);
    assert!(t.claim.is_held(t.instant(8_991)) && !t.claim.is_held(t.instant(8_992)));
    let from = t.now();
    t.echo(200, 12).says(Event::Recovered);
    let until = t.claim.grant(from).map(|grant| grant.valid_until);
    assert_eq!(until, Some(from + Duration::from_secs(10)));
}

#[test]
fn a_renewal_answered_with_a_shorter_duration_ends_the_grant_earlier() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT");
    let mut shortened = t.written(11);
    shortened["spec"]["leaseDurationSeconds"] = json!(4);
    t.answer(200, shortened).shortened_to(4, 8_992);
    assert!(!t.claim.is_held(t.instant(8_992)));
}

#[test]
fn a_record_that_somebody_shortened_to_less_than_has_passed_is_lost_at_once() {
    let mut t = Timeline::held(|c| c);
    let mut shortened = t.written(11);
    shortened["spec"]["leaseDurationSeconds"] = json!(5);
    t.at(5_000).asks("PUT").answer(409, json!({}));
    t.asks("GET").answer(200, shortened);
    assert!(!t.holds());
    t.says(Event::Lost(Loss::Expired));
}

#[test]
fn what_a_record_that_was_shortened_says_is_seen_before_all_is_lost_by_it() {
    let mut t = Timeline::held(|c| c);
    let mut shortened = t.written(11);
    shortened["spec"]["leaseDurationSeconds"] = json!(5);
    t.at(5_000).asks("PUT").answer(409, json!({}));
    t.asks("GET").answer(200, shortened);
    t.says(Event::Lost(Loss::Expired));
    let now = t.now();
    t.claim.acquire(Patience::Forever, now);
    t.asks("GET").answer(200, foreign(10, "other", 1));
    t.says(Event::StoreRegressed);
}

#[test]
fn a_look_that_shows_a_shorter_duration_brings_the_renewal_forward() {
    let mut t = Timeline::held(|c| c.whole_second_observers(false));
    let mut shortened = t.written(11);
    shortened["spec"]["leaseDurationSeconds"] = json!(5);
    let now = t.at(1_000).now();
    t.claim.verify(now);
    t.asks("GET").answer(200, shortened).shortened_to(5, 4_990);
    assert!(
        matches!(t.poll(), Output::Event(Event::Verified(grant)) if grant.valid_until == t.instant(4_990))
    );
    t.asks("PUT").echo(200, 12).says(Event::Recovered);
    t.renewed_until(11_000);
}

#[test]
fn a_record_that_somebody_lengthened_changes_nothing() {
    let mut t = Timeline::held(|c| c);
    let mut longer = t.written(11);
    longer["spec"]["leaseDurationSeconds"] = json!(60);
    t.at(5_000).asks("PUT").answer(409, json!({}));
    t.asks("GET").answer(200, longer).asks("PUT");
    assert!(t.claim.is_held(t.instant(9_999)) && !t.claim.is_held(t.instant(10_000)));
}
