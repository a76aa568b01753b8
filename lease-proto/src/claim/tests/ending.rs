//! How tries end that nothing comes of: what is said then, and after how long.

use super::*;

#[test]
fn whose_time_is_over_is_told_what_was_wrong_unless_somebody_is_known_to_hold_it() {
    let wrong = Trouble::Unclear(http::StatusCode::INTERNAL_SERVER_ERROR.into());
    for is_held in [false, true] {
        let mut t = Timeline::new(|c| c);
        t.claim.acquire(Patience::Until(t.instant(3_000)), t.start);
        if is_held {
            t.asks("GET").answer(200, foreign(7, "other", 0));
            t.event();
            t.sleep();
        }
        t.asks("GET").answer(500, json!({}));
        assert!(matches!(t.event(), Event::Retrying { .. }));
        let holder = is_held.then(|| "other".to_owned());
        let trouble = (!is_held).then(|| Box::new(wrong.clone()));
        let end = GaveUp::TimedOut { holder, trouble };
        assert_eq!(end.to_string().contains("500"), !is_held, "{end}");
        t.at(3_000).says(Event::GaveUp(end)).is_done();
    }
    // What has gone well since is wrong no more.
    let mut t = Timeline::new(|c| c);
    t.claim.acquire(Patience::Until(t.instant(3_000)), t.start);
    t.asks("GET").answer(500, json!({}));
    t.event();
    t.sleep().asks("GET").answer(404, json!({})).asks("POST");
    let (holder, trouble) = (None, None);
    t.at(3_000)
        .says(Event::GaveUp(GaveUp::TimedOut { holder, trouble }));
}

#[test]
fn a_lease_of_hours_is_asked_for_again_soon_after_a_failure_and_not_given_back_for_hours() {
    let mut t = Timeline::held(|c| c.lease_duration(Duration::from_secs(7_200)));
    let now = t.at(1_000).now();
    t.claim.release(now);
    t.says(Event::Lost(Loss::Released));
    t.asks("PUT").answer(500, json!({}));
    assert!(t.waits() <= 1_000 + 1_250);
    for _ in 0..100 {
        match t.poll() {
            Output::Wait(_) => t.sleep(),
            Output::Event(event) => {
                assert_eq!(event, Event::Released(Released::Unconfirmed));
                assert_eq!(t.millis, 61_000);
                return;
            }
            Output::Request(_) | Output::Cancel(_) | Output::Done => continue,
        };
    }
    panic!("it is given back for ever");
}
