//! Waiting by priority.

use super::{
    waiters::{ANNOUNCEMENTS, CANDIDATE, LISTS, PLAIN, Waiters},
    *,
};
use crate::server::Answer;

#[test]
fn the_most_important_goes_first_and_of_those_alike_who_came_first() {
    let mut t = Waiters::new(&[Some(0), Some(1), Some(5), Some(1), Some(-1), Some(5)]);
    t.acquire(0, Patience::Forever).run(100);
    assert!(t.holds(0));
    for node in 1..6 {
        t.acquire(node, Patience::Forever).run(2_500);
    }
    assert_eq!(t.take_turns(), [0, 2, 5, 1, 3, 4]);
    assert_eq!(t.announced(), 0, "each is withdrawn when its turn has come");
}

#[test]
fn nobody_who_holds_is_cut_short_for_somebody_more_important() {
    let mut t = Waiters::new(&[Some(0), Some(9)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(120_000);
    assert!(t.holds(0));
    assert_eq!(t.order(), [0]);
}

#[test]
fn whoever_is_alive_and_does_not_move_is_passed_over_after_a_while() {
    // Its announcements are renewed, and what it would write never gets to the server.
    let mut t = Waiters::new(&[None, Some(5), Some(1), Some(0)]);
    t.acquire(0, Patience::Forever).run(100);
    for node in 1..4 {
        t.acquire(node, Patience::Forever).run(500);
    }
    t.run(5_000);
    // One that renews what it has announced, and never takes.
    let mut stuck = t.claims[1].clone();
    t.stopped.push(1);
    t.release(0);
    let released = t.millis;
    while t.acquired_at(2).is_none() && t.millis < released + 60_000 {
        t.run(1_000);
        renew_in_place(&mut t, &mut stuck);
    }
    let waited = t.acquired_at(2).unwrap() - released;
    assert!((CANDIDATE..CANDIDATE + 3_000).contains(&waited), "{waited}");
    assert!(!t.order().contains(&3));
}

/// Renews an announcement as its waiter would.
fn renew_in_place(t: &mut Waiters, stuck: &mut Claim) {
    let name = crate::candidate::name(stuck.config(), stuck.identity(), 0);
    let mut lease = t.server.lease("default", name.as_str()).unwrap();
    let time = MicroTime::from(t.wall()).to_string();
    lease["spec"]["renewTime"] = json!(time);
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/default/leases/{name}");
    let request = http::Request::put(path)
        .header("content-type", "application/json")
        .body(lease.to_string().into_bytes());
    let Answer::Whole(answer) = t.server.handle(&request.unwrap(), t.wall()) else {
        panic!("a write has a whole answer");
    };
    assert_eq!(
        answer.status(),
        200,
        "{:?}",
        String::from_utf8_lossy(answer.body())
    );
}

#[test]
fn whoever_is_dead_is_not_waited_for() {
    let mut t = Waiters::new(&[Some(0), Some(9), Some(1)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(1_000);
    t.acquire(2, Patience::Forever).run(1_000);
    t.stopped.push(1);
    // It has been seen not to change for long enough.
    t.run(2 * CANDIDATE);
    t.release(0);
    let released = t.millis;
    t.run(4_000);
    let waited = t.acquired_at(2).unwrap() - released;
    assert!(waited < 3_000, "{waited}");
    // What it has left behind is tidied away.
    t.acquire(0, Patience::Forever).run(6 * CANDIDATE);
    assert_eq!(t.announced(), 1, "its own");
}

#[test]
fn whoever_was_taken_for_dead_and_comes_back_keeps_its_announcement() {
    let mut t = Waiters::new(&[None, Some(9), Some(1)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(1_000);
    t.stopped.push(1);
    t.run(12 * CANDIDATE);
    // It is renewed after the list was made, and before what is deleted by it.
    t.acquire(2, Patience::Forever);
    t.run_until(|t| !t.times_of(2, "GET", LISTS).is_empty());
    let mut back = t.claims[1].clone();
    renew_in_place(&mut t, &mut back);
    t.run(1_000);
    let buried = t.times_of(2, "DELETE", ANNOUNCEMENTS);
    assert_eq!((buried.len(), t.announced()), (1, 2));
}

#[test]
fn a_newcomer_holds_back_for_those_who_wait_and_gives_up_if_it_has_one_try() {
    let mut t = Waiters::new(&[None, Some(5), Some(1), Some(9)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(3_000);
    // The waiter looks every two seconds, and does not know yet that it is free.
    t.release(0).run(20);
    t.acquire(2, Patience::Once).run(50);
    let (_, _, event) = t
        .events
        .iter()
        .rev()
        .find(|(_, node, _)| *node == 2)
        .unwrap();
    let Event::GaveUp(GaveUp::Held(waiting)) = event else {
        panic!("{event:?}");
    };
    assert_eq!(
        waiting.to_string(),
        "is free, and \"node-1\" goes first of those that wait"
    );
    t.run(4_000);
    assert!(t.holds(1));
    // Whoever goes before all others takes what is free at once, with a single try as well.
    t.release(1).run(20);
    t.acquire(3, Patience::Once).run(50);
    assert!(t.holds(3));
}

#[test]
fn without_permission_it_says_so_and_waits_like_all_others() {
    for (forbids, verb) in [
        (
            (|method, path| method == "GET" && path.contains("labelSelector"))
                as fn(&str, &str) -> bool,
            "list",
        ),
        (
            |method, path| method == "POST" && path.contains("lease-plain"),
            "create",
        ),
    ] {
        let mut t = Waiters::new(&[None, Some(5), Some(1)]);
        t.forbids = forbids;
        t.acquire(0, Patience::Forever).run(100);
        for node in [1, 2] {
            t.acquire(node, Patience::Forever).run(100);
        }
        t.run(30_000);
        let told = t.events.iter().filter_map(|(_, node, event)| {
            let Event::Unranked(refusal) = event else {
                return None;
            };
            // An announcement is made under a name that nobody knows before.
            let role = refusal.role();
            assert!(role.contains("\"delete\"") && !role.contains("resourceNames"));
            Some((*node, refusal.verb().as_str()))
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [(1, verb), (2, verb)],
            "once each"
        );
        t.release(0);
        let released = t.millis;
        t.run(4_000);
        let order = t.order();
        let last = *order.last().unwrap();
        assert_eq!(order.len(), 2, "somebody has it");
        assert!(t.acquired_at(last).unwrap() - released < 3_000);
    }
}

#[test]
fn a_list_that_never_comes_does_not_keep_it_free_for_long() {
    let mut t = Waiters::new(&[None, Some(5)]);
    t.hangs = |_, path| path.contains("labelSelector");
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(10_000);
    t.release(0);
    let released = t.millis;
    t.run(20_000);
    let waited = t.acquired_at(1).unwrap() - released;
    assert!(waited < CANDIDATE + 3_000, "{waited}");
}

#[test]
fn a_request_for_the_lease_itself_goes_before_all_others() {
    // A waiter whose errands hang takes a Lease that ends as soon as it ends.
    let mut t = Waiters::new(&[None, Some(5)]);
    t.hangs = |_, path| path.contains("lease-plain") || path.contains("-candidate-");
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(10_000);
    t.stopped.push(0);
    t.run(16_000);
    assert!(t.holds(1));
}

#[test]
fn an_announcement_of_somebody_else_is_left_alone_and_its_own_is_found_again() {
    let mut t = Waiters::new(&[None, Some(5), Some(5)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(2_000);
    assert_eq!(t.announced(), 1);
    // The same identity after a restart.
    t.claims[2] = Claim::new(t.claims[1].config().clone(), 77, t.now());
    t.stopped.push(1);
    t.acquire(2, Patience::Forever).run(2_000);
    assert_eq!(t.announced(), 1, "it goes on with what it finds");
    // Deleted by somebody: made again.
    let name = crate::candidate::name(t.claims[2].config(), t.claims[2].identity(), 0);
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/default/leases/{name}");
    let delete = http::Request::delete(&path).body(Vec::new()).unwrap();
    let wall = t.wall();
    let _: Answer = t.server.handle(&delete, wall);
    assert_eq!(t.announced(), 0);
    t.run(4_000);
    assert_eq!(t.announced(), 1);
    // Edited by somebody: mended, and no other made beside it.
    let edit = http::Request::patch(path).header("content-type", "application/merge-patch+json");
    let edited = br#"{"metadata":{"annotations":{"lease-proto/priority":"x"}}}"#;
    let _: Answer = t.server.handle(&edit.body(edited.to_vec()).unwrap(), wall);
    t.run(6_000);
    assert_eq!((t.priorities(), t.announced()), (vec![json!("5")], 1));
}

#[test]
fn whoever_gives_up_withdraws() {
    let mut t = Waiters::new(&[None, Some(5)]);
    t.acquire(0, Patience::Forever).run(100);
    let until = t.now() + Duration::from_secs(3);
    t.acquire(1, Patience::Until(until)).run(1_000);
    assert_eq!(t.announced(), 1);
    t.run(3_000);
    assert_eq!(t.announced(), 0);
}

#[test]
fn whoever_cannot_withdraw_tries_three_times() {
    let mut t = Waiters::new(&[None, Some(5)]);
    t.acquire(0, Patience::Forever).run(100);
    let until = t.now() + Duration::from_secs(3);
    t.acquire(1, Patience::Until(until)).run(1_000);
    t.code = 500;
    t.forbids = |method, _| method == "DELETE";
    t.run(600_000);
    assert_eq!(t.times_of(1, "DELETE", ANNOUNCEMENTS).len(), 3);
}

#[test]
fn what_was_refused_is_asked_for_again_after_five_minutes() {
    for (forbids, method, part) in [
        (
            (|_, path| path.contains(LISTS)) as fn(&str, &str) -> bool,
            "GET",
            LISTS,
        ),
        (
            |method, path| method == "POST" && path.contains(PLAIN),
            "POST",
            PLAIN,
        ),
    ] {
        let mut t = Waiters::new(&[None, Some(5)]);
        t.acquire(0, Patience::Forever).run(100);
        t.forbids = forbids;
        t.acquire(1, Patience::Forever).run(10_000);
        let [refused] = t.times_of(1, method, part)[..] else {
            panic!("once");
        };
        // The Role is mended, which nobody tells it.
        t.forbids = |_, _| false;
        t.run(310_000);
        let again = t.times_of(1, method, part)[1] - refused;
        assert!((300_000..305_000).contains(&again), "{again}");
        assert_eq!(t.announced(), 1);
    }
}

#[test]
fn whoever_has_had_its_turn_and_waits_again_is_last_of_those_alike() {
    let mut t = Waiters::new(&[None, Some(5), Some(5)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(1_000);
    t.acquire(2, Patience::Forever).run(5_000);
    t.release(0).run_until(|t| t.holds(1));
    // It is so short that the announcement has not been withdrawn meanwhile.
    t.release(1)
        .run_until(|t| matches!(t.events.last(), Some((_, 1, Event::Released(_)))));
    t.acquire(1, Patience::Forever).run(8_000);
    assert_eq!(t.order(), [0, 1, 2]);
}

#[test]
fn waiting_costs_no_more_than_a_renewal_and_a_list_in_half_its_duration() {
    let mut t = Waiters::new(&[None, Some(5)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(10_000);
    let before = t.asked.len();
    t.run(60_000);
    let asked = t.asked[before..]
        .iter()
        .filter(|(_, node, what)| *node == 1 && !what.contains("leases/leader?"));
    let count = asked.count();
    assert!((40..=50).contains(&count), "{count}");
}

#[test]
fn a_waiter_renews_and_lists_twice_in_its_duration() {
    let mut t = Waiters::new(&[None, Some(5)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(60_000);
    for (method, part) in [("GET", LISTS), ("PUT", ANNOUNCEMENTS)] {
        let times = t.times_of(1, method, part);
        assert!(times.len() > 20, "{}", times.len());
        for pair in times.windows(2) {
            let between = pair[1] - pair[0];
            assert!(
                (CANDIDATE / 2..CANDIDATE / 2 + 100).contains(&between),
                "{method} {between}"
            );
        }
    }
}

#[test]
fn whoever_may_look_and_cannot_write_does_not_ask_ever_again_at_once() {
    let mut t = Waiters::new(&[None, Some(5)]);
    t.code = 500;
    t.acquire(0, Patience::Forever).run(100);
    t.forbids = |method, path| method != "GET" && !path.contains("leases/leader?");
    t.acquire(1, Patience::Forever).run(10_000);
    let before = t.asked.len();
    t.run(60_000);
    let asked = t.asked[before..].iter();
    let asked = asked.filter(|(_, node, what)| *node == 1 && !what.contains("leases/leader?"));
    let count = asked.count();
    // A look and a write in two seconds, and a list in two and a half.
    assert!((60..=90).contains(&count), "{count}");
}

#[test]
fn who_was_left_it_does_not_wait_for_those_who_hold_back_from_it() {
    let mut t = Waiters::new(&[None, Some(9), Some(1)]);
    t.acquire(0, Patience::Forever).run(100);
    for node in [1, 2] {
        t.acquire(node, Patience::Forever).run(500);
    }
    t.run(6_000);
    let successor = Identity::new("node-2").unwrap();
    let now = t.now();
    t.claims[0].hand_over(successor, Duration::from_secs(60), now);
    let released = t.millis;
    t.run(4_000);
    assert_eq!(t.order(), [0, 2]);
    let waited = t.acquired_at(2).unwrap() - released;
    assert!(waited < 3_000, "{waited}");
}

#[test]
fn who_may_not_list_announces_nothing_for_which_others_would_hold_back() {
    let mut t = Waiters::new(&[None, Some(9)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(6_000);
    assert_eq!(t.announced(), 1);
    t.forbids = |method, path| method == "GET" && path.contains("labelSelector");
    // Refusals of what was granted are doubted for some seconds.
    t.run(12_000);
    assert_eq!(t.announced(), 0);
    t.run(60_000);
    assert_eq!(t.announced(), 0);
}

#[test]
fn an_announcement_that_may_not_be_renewed_is_withdrawn_in_the_end() {
    let mut t = Waiters::new(&[None, Some(9)]);
    t.acquire(0, Patience::Forever).run(100);
    t.acquire(1, Patience::Forever).run(1_000);
    t.forbids = |method, path| method == "PUT" && path.contains("-candidate-");
    t.run(4_000);
    assert_eq!(t.announced(), 1);
    // Long before anybody would bury it.
    t.release(0).run(3_000);
    assert!(t.holds(1));
    assert_eq!(t.announced(), 0);
}

#[test]
fn who_may_not_withdraw_says_so_once_and_what_is_missing() {
    let mut t = Waiters::new(&[None, Some(5), Some(1)]);
    t.forbids = |method, path| method == "DELETE" && path.contains("-candidate-");
    t.acquire(0, Patience::Forever).run(100);
    let until = t.now() + Duration::from_secs(3);
    t.acquire(1, Patience::Forever)
        .acquire(2, Patience::Until(until))
        .run(5_000);
    t.release(0).run(60_000);
    assert!(t.holds(1));
    let told = t.events.iter().filter_map(|(_, node, event)| {
        let Event::Unranked(refusal) = event else {
            return None;
        };
        let told = event.to_string();
        assert!(
            told.starts_with("the announcement stays behind: "),
            "{told}"
        );
        let role = refusal.role();
        assert!(role.contains("\"delete\"") && !role.contains("resourceNames"));
        Some((*node, refusal.verb().as_str()))
    });
    // One has given up, and one has it.
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(2, "delete"), (1, "delete")]);
}
