//! Waiting by priority for longer than anybody is to be passed over.

use super::{waiters::Waiters, *};

/// How long that is with leases of three seconds, in milliseconds.
const PATIENCE: u64 = 720 * 1_000;

/// Has somebody wait who is less important than two others, which take turns for so long, each coming back at once.
fn between_two_that_keep_coming(millis: u64) -> Waiters {
    let mut t = Waiters::with(&[Some(0), Some(9), Some(9)], |config| {
        config.lease_duration(Duration::from_secs(3))
    });
    t.acquire(1, Patience::Forever).run(500);
    t.acquire(0, Patience::Forever)
        .acquire(2, Patience::Forever);
    while t.millis < millis && !t.holds(0) {
        t.run(8_000);
        for node in [1, 2] {
            if t.holds(node) {
                t.release(node).acquire(node, Patience::Forever);
            }
        }
    }
    t
}

#[test]
fn whoever_is_less_important_is_passed_over_for_as_long_as_it_has_patience() {
    let t = between_two_that_keep_coming(PATIENCE - 20_000);
    assert!(t.acquired_at(0).is_none());
    let turns = t.order().len();
    assert!(turns > 60, "{turns}");
}

#[test]
fn whoever_has_waited_for_long_goes_before_all_that_came_later() {
    let t = between_two_that_keep_coming(2 * PATIENCE);
    let acquired = t.acquired_at(0).expect("it does not starve");
    // Whoever has the lease then keeps it for eight seconds, and one of the others may have come before that.
    let late = PATIENCE..PATIENCE + 30_000;
    assert!(late.contains(&acquired), "{acquired}");
}

#[test]
fn whoever_comes_when_it_is_free_holds_back_for_one_that_has_waited_for_long() {
    let mut t = Waiters::with(&[None, Some(0), Some(9)], |config| {
        config.lease_duration(Duration::from_secs(3))
    });
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(PATIENCE + 10_000);
    // It looks every two seconds, and does not know yet that it is free.
    t.release(0).run(20);
    t.acquire(2, Patience::Once).run(50);
    let (_, node, event) = t.events.last().unwrap();
    assert!(
        matches!((node, event), (2, Event::GaveUp(GaveUp::Held(_)))),
        "{event:?}"
    );
    t.run(3_000);
    assert!(t.holds(1));
}
