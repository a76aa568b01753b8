//! Servers that answer one request after another, so that each that is sent has all others wait, given up or not, and ways that
//! lose what is under way.

use super::{world::World, *};

/// Has so many claims held.
fn world(limit: usize, claims: usize) -> (World, Vec<ClaimId>) {
    let mut w = World::new(SetLimits::default().requests(limit));
    w.insists = true;
    let ids = w.acquire(claims);
    w.run(SECOND * 30);
    assert_eq!(w.held(&ids), claims);
    (w, ids)
}

#[test]
fn a_server_that_stops_for_some_seconds_costs_few_leases() {
    // How many are lost at the most: almost all of them if what cannot be answered in time were sent.
    for (limit, claims, a_second, stops, most) in [
        (8, 100, 40, 3, 0),
        (16, 100, 40, 3, 0),
        (64, 100, 30, 2, 0),
        (64, 100, 40, 2, 0),
        (64, 100, 30, 3, 10),
        (64, 100, 40, 4, 15),
        (64, 100, 60, 4, 10),
        (64, 1_000, 400, 4, 0),
    ] {
        let (mut w, ids) = world(limit, claims);
        w.serial = SECOND / a_second;
        w.run(SECOND * 12);
        assert_eq!(w.losses(), 0);
        w.busy_until = w.busy_until.max(w.now) + SECOND * stops;
        w.run(SECOND * 60);
        let lost = w.losses();
        assert!(
            lost <= most,
            "{limit}, {claims}, {a_second}/s, {stops} s: {lost}"
        );
        assert_eq!(w.held(&ids), claims);
    }
}

#[test]
fn a_server_that_cannot_keep_up_serves_many_and_not_nobody() {
    // A claim is to be renewed twice in the ten seconds of a grant, and once is enough: at the most ten seconds' answers can be held.
    // Some begin with a stop.
    for (limit, claims, a_second, stops, least) in [
        (8, 100, 11, 0, 100),
        (16, 100, 11, 0, 90),
        (64, 100, 11, 0, 100),
        (64, 100, 11, 4, 95),
        (64, 100, 15, 4, 100),
        (64, 100, 9, 0, 70),
        (64, 100, 8, 0, 60),
        (64, 60, 5, 0, 33),
        (64, 50, 4, 0, 25),
        (64, 40, 3, 0, 20),
        (64, 200, 21, 0, 165),
        (64, 1_000, 120, 0, 1_000),
    ] {
        let (mut w, ids) = world(limit, claims);
        w.serial = SECOND / a_second;
        w.busy_until = w.now + SECOND * stops;
        w.run(SECOND * 80);
        for _ in 0..5 {
            w.run(SECOND * 4);
            let held = w.held(&ids);
            assert!(
                held >= least,
                "{limit}, {claims}, {a_second}/s, {stops} s: {held}"
            );
        }
    }
}

#[test]
fn a_server_that_takes_long_for_each_by_itself_is_not_taken_for_one_with_too_much_to_do() {
    for (limit, claims, seconds) in [(64, 60, 8), (64, 100, 12), (16, 50, 28)] {
        let mut w = World::new(SetLimits::default().requests(limit));
        let drawn = std::cell::RefCell::new(Random::new(7));
        w.delay = Box::new(move |_, _| drawn.borrow_mut().between(SECOND, SECOND * 3));
        let ids = w.acquire(claims);
        w.run(SECOND * seconds);
        assert_eq!(w.held(&ids), claims, "{limit}");
        w.run(SECOND * 100);
        assert_eq!((w.held(&ids), w.losses()), (claims, 0), "{limit}");
    }
}

#[test]
fn what_is_lost_on_its_way_for_some_seconds_is_sent_again_in_time() {
    // As where a balancer forgets a connection: nobody answers, until another is opened.
    for (limit, claims, seconds) in [
        (64, 60, 1),
        (64, 60, 4),
        (64, 100, 1),
        (64, 100, 4),
        (8, 100, 1),
        (8, 100, 3),
        (64, 1_000, 1),
        (64, 1_000, 3),
    ] {
        let (mut w, ids) = world(limit, claims);
        w.hang = Box::new(|_, _| true);
        w.run(SECOND * seconds);
        w.hang = Box::new(|_, _| false);
        w.run(SECOND * 20);
        let all = (w.held(&ids), w.losses());
        assert_eq!(all, (claims, 0), "{limit}, {claims}, {seconds} s");
    }
}
