//! Servers that answer one request after another, so that each that is sent has all others wait, given up or not.

use super::{world::World, *};

/// Has so many claims held on a server that answers so many requests a second from then on.
fn world(limit: usize, claims: usize, a_second: u32) -> (World, Vec<ClaimId>) {
    let mut w = World::new(SetLimits::default().requests(limit));
    w.insists = true;
    let ids = w.acquire(claims);
    w.run(SECOND * 30);
    assert_eq!(w.held(&ids), claims);
    w.serial = SECOND / a_second;
    (w, ids)
}

#[test]
fn a_server_that_stops_for_some_seconds_costs_few_leases() {
    // How many are lost, of 100, at the most: almost all of them if what cannot be answered in time were sent.
    for (limit, a_second, stops, most) in [
        (8, 40, 3, 0),
        (16, 40, 3, 0),
        (64, 30, 2, 0),
        (64, 40, 2, 0),
        (64, 30, 3, 25),
        (64, 40, 4, 45),
        (64, 60, 4, 20),
    ] {
        let (mut w, ids) = world(limit, 100, a_second);
        w.run(SECOND * 12);
        assert_eq!(w.losses(), 0);
        w.busy_until = w.busy_until.max(w.now) + SECOND * stops;
        w.run(SECOND * 60);
        let lost = w.losses();
        assert!(lost <= most, "{limit}, {a_second}/s, {stops} s: {lost}");
        assert_eq!(w.held(&ids), 100);
    }
}

#[test]
fn a_server_that_cannot_keep_up_serves_many_and_not_nobody() {
    // A claim is to be renewed twice in the ten seconds of a grant, and once is enough.
    for (limit, claims, a_second, least) in [
        (8, 100, 11, 90),
        (16, 100, 11, 80),
        (64, 100, 11, 50),
        (64, 100, 15, 100),
        (64, 200, 21, 110),
    ] {
        let (mut w, ids) = world(limit, claims, a_second);
        w.run(SECOND * 52);
        for _ in 0..10 {
            w.run(SECOND * 4);
            let held = w.held(&ids);
            assert!(held >= least, "{limit}, {claims}, {a_second}/s: {held}");
        }
    }
}
