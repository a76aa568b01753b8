//! How long a holder waits before it tries again, and how long a try may take then.

use super::*;

/// Refuses what was asked for, and sees the Lease kept by a try that takes 600 ms, and a look where one is due.
fn is_kept_after(mut t: Timeline, code: u16, record: Value) {
    t.respond(&later(code, "30"));
    t.at_risk();
    t.sleep();
    if code == 503 {
        // It may have been carried out all the same.
        t.asks("GET");
        t.at(t.millis + 600).answer(200, record);
    }
    t.asks("PUT");
    t.at(t.millis + 600).echo(200, 12).says(Event::Recovered);
    assert!(t.holds(), "{code}");
}

#[test]
fn a_pause_that_is_asked_for_leaves_time_for_an_answer_as_slow_as_the_last_one() {
    for code in [429, 503] {
        let mut t = Timeline::held(|c| c);
        let created = t.written(10);
        t.sleep().asks("PUT");
        t.at(t.millis + 600);
        is_kept_after(t, code, created);
    }
}

#[test]
fn one_try_is_made_before_a_pause_is_over_and_has_all_the_time_that_is_left() {
    let mut t = Timeline::held(|c| c);
    t.sleep().asks("PUT");
    t.at(7_000).respond(&later(429, "30"));
    t.at_risk();
    // As slow as the last one it could not come any later.
    t.sleep().asks("PUT");
    assert!(t.millis < 7_300, "{}", t.millis);
    assert_eq!(t.asked().deadline, 10_000);
    t.at(8_000).fails();
    t.waits_until(10_000);
}

#[test]
fn the_try_after_the_look_before_a_pause_is_over_has_all_the_time_that_is_left() {
    let mut t = Timeline::held(|c| c);
    let created = t.written(10);
    t.sleep().asks("PUT");
    t.at(t.millis + 600).respond(&later(503, "30"));
    t.at_risk();
    t.sleep().asks("GET").answer(200, created).asks("PUT");
    // There would be time for another try, were it not for the pause.
    assert!(t.millis < 8_500, "{}", t.millis);
    assert_eq!(t.asked().deadline, 10_000);
}

#[test]
fn the_last_useful_try_is_not_put_off_though_too_much_has_been_asked() {
    let mut t = Timeline::held(|c| c);
    t.at(5_000).asks("PUT").respond(&later(429, "3600"));
    t.at_risk();
    t.waits_until(9_500).at(9_400).waits_until(9_500);
    for _ in 0..6 {
        t.claim.budget.spend(Budget::interval(t.claim.config()));
    }
    t.waits_until(9_500).at(9_500).asks("PUT");
}

/// Renews once, as slowly as the server answers, and begins the next renewal; and what the record says.
fn held_slowly(answer: u64) -> (Timeline, Value) {
    let mut t = Timeline::held(|c| c);
    t.sleep().asks("PUT");
    t.at(t.millis + answer).echo(200, 11);
    let renewed = t.written(11);
    assert!(matches!(t.event(), Event::Renewed(_)));
    t.sleep().asks("PUT");
    (t, renewed)
}

#[test]
fn a_refusal_that_comes_at_once_does_not_say_that_answers_do() {
    for code in [429, 503] {
        let (mut t, renewed) = held_slowly(600);
        t.at(t.millis + 5);
        is_kept_after(t, code, renewed);
    }
}

/// SAFETY.md, L4: whoever can renew in the time that is left does.
#[test]
fn own_pauses_leave_time_for_a_look_and_a_write_as_slow_as_those_of_late() {
    for (answer, back) in [(100, 700), (300, 700), (600, 1_400), (900, 2_100)] {
        let (mut t, renewed) = held_slowly(answer);
        t.at(t.millis + 5).answer(503, json!({}));
        t.at_risk();
        t.sleep().asks("GET");
        while t.millis < 15_000 - back {
            t.at(t.millis + 5).answer(503, json!({}));
            t.sleep().asks("GET");
        }
        t.at(t.millis + answer).answer(200, renewed).asks("PUT");
        t.at(t.millis + answer).echo(200, 12).says(Event::Recovered);
        assert!(t.holds(), "{answer}");
    }
}

#[test]
fn a_look_that_is_answered_at_once_does_not_say_that_writes_are() {
    let (mut t, renewed) = held_slowly(600);
    t.at(t.millis + 600).echo(200, 12);
    let written = t.written(12);
    assert_ne!(written, renewed);
    assert!(matches!(t.event(), Event::Renewed(_)));
    t.claim.verify(t.now());
    t.asks("GET").answer(200, written);
    assert!(matches!(t.event(), Event::Verified(_)));
    t.sleep().asks("PUT").respond(&later(429, "30"));
    t.at_risk();
    t.sleep().asks("PUT");
    t.at(t.millis + 600).echo(200, 13).says(Event::Recovered);
    assert!(t.holds());
}

#[test]
fn one_try_is_made_before_the_pause_that_a_look_was_asked_for_is_over() {
    let (mut t, _) = held_slowly(600);
    t.at(t.millis + 600).echo(200, 12);
    assert!(matches!(t.event(), Event::Renewed(_)));
    t.claim.verify(t.now());
    t.asks("GET").respond(&later(429, "30"));
    t.at_risk();
    t.sleep().asks("PUT").respond(&later(429, "30"));
    t.sleep();
    assert!(matches!(t.event(), Event::Lost(_)));
}
