//! What waiting by priority asks for where that is refused, or changed by others.

use super::{
    waiters::{PLAIN, Waiters},
    *,
};

#[test]
fn what_is_refused_for_a_moment_by_a_server_that_was_just_started_is_asked_for_again_within_seconds()
 {
    let mut t = Waiters::new(&[None, Some(1), Some(9)]);
    t.acquire(0, Patience::Forever).run(100);
    for node in [1, 2] {
        t.acquire(node, Patience::Forever).run(6_000);
    }
    t.forbids = |_, path| path.contains("-candidate-") || path.contains("labelSelector");
    t.run(4_000);
    t.forbids = |_, _| false;
    t.run(10_000);
    t.release(0).run(5_000);
    assert_eq!(t.order(), [0, 2]);
    let told = t.events.iter();
    let told = told.filter(|(_, _, event)| matches!(event, Event::Unranked(_)));
    assert_eq!(told.count(), 0);
}

#[test]
fn whatever_becomes_of_its_announcement_it_asks_no_more_than_two_a_second() {
    for (code, forbids) in [
        (
            409,
            (|method, path| method == "POST" && path.contains(PLAIN)) as fn(&str, &str) -> bool,
        ),
        (409, |method, path| {
            method == "PUT" && path.contains("-candidate-")
        }),
        (404, |method, path| {
            method == "PUT" && path.contains("-candidate-")
        }),
    ] {
        let mut t = Waiters::new(&[None, Some(5)]);
        t.acquire(0, Patience::Forever).run(100);
        (t.code, t.forbids) = (code, forbids);
        t.acquire(1, Patience::Forever).run(60_000);
        let asked = t.asked.iter().filter(|(_, node, _)| *node == 1);
        let times: Vec<_> = asked.map(|(at, ..)| *at).collect();
        let within = |from: u64| {
            times
                .iter()
                .filter(move |at| (from..=from + 10_000).contains(at))
        };
        let most = times.iter().map(|at| within(*at).count()).max();
        assert!(most <= Some(26 + 10), "{most:?}");
        assert!(times.len() <= 150, "{}", times.len());
    }
}
