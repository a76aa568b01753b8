//! How much is under way at once, and who has to wait for whom.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[test]
fn never_more_is_under_way_than_is_allowed() {
    for most in [2, 7, 64] {
        let mut w = World::new(SetLimits::default().requests(most));
        let ids = w.acquire(200);
        w.run(SECOND * 10);
        assert_eq!((w.held(&ids), w.losses(), w.most_open), (200, 0, most));
    }
}

#[test]
fn renewals_of_leases_that_were_acquired_at_once_are_spread() {
    let mut w = World::new(SetLimits::default());
    let ids = w.acquire(10_000);
    w.run(SECOND * 16);
    assert_eq!(w.held(&ids), 10_000);
    let acquired = w
        .sent
        .iter()
        .filter(|(_, method, _)| method == "POST")
        .map(|(at, _, _)| *at);
    let interval = SECOND * 5;
    let first = acquired.max().unwrap() + interval;
    w.sent.clear();
    w.run(SECOND * 15);
    let mut counts = vec![0_usize; 150];
    for (at, _, _) in w.sent.iter().filter(|(_, method, _)| method == "PUT") {
        let window = (*at - SECOND * 16).as_millis() / 100;
        if let Some(count) = counts.get_mut(usize::try_from(window).unwrap()) {
            *count += 1;
        }
    }
    let mean = 10_000 * 100 / 5_000;
    assert!(first < SECOND * 16, "{first:?}");
    let most = counts.iter().max().unwrap();
    assert!(
        *most <= 2 * mean,
        "{most} in one tenth of a second, {mean} in the mean"
    );
    assert_eq!(w.losses(), 0);
}

#[test]
fn renewals_due_one_after_another_are_begun_together_and_little_later() {
    let interval = SECOND * 5;
    for (claims, beats, latest) in [(200, 20, 250), (1_000, 63, 80), (2, 2, 250)] {
        let mut w = World::new(SetLimits::default());
        let ids = w.acquire(claims);
        w.run(SECOND * 20);
        w.sent.clear();
        w.run(interval * 2);
        let mut last = BTreeMap::new();
        let mut instants = BTreeSet::new();
        for (at, method, path) in &w.sent {
            assert_eq!(method, "PUT");
            instants.insert(*at);
            if let Some(before) = last.insert(path.clone(), *at) {
                let pause = *at - before;
                let most = interval + MILLI * latest;
                assert!(
                    (interval..=most).contains(&pause),
                    "{claims}: {pause:?} between renewals"
                );
            }
        }
        assert_eq!((last.len(), w.held(&ids)), (claims, claims));
        let most = 2 * beats + 1;
        assert!(instants.len() <= most, "{claims}: {} times", instants.len());
    }
}

/// How late renewals of those whose requests are answered came, of claims of which each fifth has every
/// request hang to its deadline after a while.
fn lateness_beside_those_that_hang(claims: usize) -> (Duration, World, Vec<ClaimId>) {
    let mut w = World::new(SetLimits::default());
    let ids = w.acquire(claims);
    w.run(SECOND * 20);
    assert_eq!(w.held(&ids), claims);
    w.sent.clear();
    w.insists = true;
    w.hang = Box::new(|_, path| hangs(path));
    w.run(SECOND * 40);
    let mut latest = Duration::ZERO;
    let mut last = BTreeMap::new();
    for (at, method, path) in &w.sent {
        if method == "PUT" && !hangs(path) {
            let path = path.split('?').next().unwrap().to_owned();
            if let Some(before) = last.insert(path, *at) {
                latest = latest.max(at.saturating_sub(before + SECOND * 5));
            }
        }
    }
    assert_eq!(last.len(), claims * 4 / 5);
    (latest, w, ids)
}

fn hangs(path: &str) -> bool {
    let name = path.split('?').next().unwrap();
    let number = name
        .rsplit('-')
        .next()
        .and_then(|number| number.parse().ok());
    number.is_some_and(|number: u32| number.is_multiple_of(5))
}

#[test]
fn claims_whose_requests_hang_delay_no_other_renewal() {
    let (latest, mut w, ids) = lateness_beside_those_that_hang(1_000);
    // Of 1,000 claims that renew every 5 s, those of 80 ms renew together.
    assert!(latest <= MILLI * (80 + 20), "{latest:?} late");
    assert_eq!((w.held(&ids), w.losses()), (800, 200));
    assert!(w.most_open <= 64);
    // They come back as soon as they are answered again.
    w.hang = Box::new(|_, _| false);
    w.run(SECOND * 30);
    assert_eq!(w.held(&ids), 1_000);
}

#[test]
fn whose_answers_are_late_now_and_then_does_not_wait_for_those_that_hang() {
    for (limit, seconds) in [(4, 15), (4, 4), (16, 15)] {
        let mut w = World::new(SetLimits::default().requests(limit));
        let good: Vec<_> = (0..100).map(|number| number * 5 + 1).collect();
        let bad: Vec<_> = (0..20).map(|number| number * 5).collect();
        let mut add = |numbers: &[u32]| -> Vec<_> {
            let ids = numbers.iter().map(|number| {
                let name = format!("shard-{number}");
                let (namespace, name) = world::place(&name);
                let config = Config::builder(namespace, name, "me");
                let config = config.lease_duration(SECOND * seconds);
                w.set.add(config.build().unwrap(), w.instant())
            });
            ids.collect()
        };
        let (good, bad) = (add(&good), add(&bad));
        w.insists = true;
        w.hang = Box::new(|_, path| hangs(path));
        let asked = std::cell::Cell::new(0_u32);
        w.delay = Box::new(move |_, _| {
            asked.set(asked.get() + 1);
            MILLI
                * if asked.get().is_multiple_of(50) {
                    150
                } else {
                    0
                }
        });
        for id in good.iter().chain(&bad) {
            w.set.acquire(*id, Patience::Forever, w.instant());
        }
        w.run(SECOND * 60);
        assert_eq!(w.held(&good), 100, "{limit}, {seconds} s");
        w.run(SECOND * 240);
        assert_eq!(
            (w.held(&good), w.losses()),
            (100, 0),
            "{limit}, {seconds} s"
        );
    }
}

#[test]
fn many_that_begin_to_hang_at_once_cost_no_other_its_lease() {
    for (limit, good, bad) in [
        (4, 50, 150),
        (8, 100, 250),
        (16, 200, 600),
        (64, 400, 1_200),
    ] {
        let mut w = World::new(SetLimits::default().requests(limit));
        let good: Vec<_> = (0..good).map(|n| w.add(&format!("good-{n}"))).collect();
        let bad: Vec<_> = (0..bad).map(|n| w.add(&format!("bad-{n}"))).collect();
        for id in good.iter().chain(&bad) {
            w.set.acquire(*id, Patience::Forever, w.instant());
        }
        w.run(SECOND * 60);
        assert_eq!((w.held(&good), w.held(&bad)), (good.len(), bad.len()));
        w.hang = Box::new(|_, path| path.contains("/leases/bad-"));
        w.run(SECOND * 100);
        assert_eq!(
            (w.held(&good), w.losses()),
            (good.len(), bad.len()),
            "{limit}"
        );
    }
}

#[test]
fn answers_of_a_server_that_takes_long_for_all_are_waited_for() {
    for (limit, claims, seconds, answer) in [(40, 1_000, 300, 6), (64, 300, 120, 8)] {
        let mut w = World::new(SetLimits::default().requests(limit));
        for n in 0..claims {
            let config = Config::builder("default", format!("lease-{n}"), "me");
            let config = config.lease_duration(SECOND * seconds);
            let id = w.set.add(config.build().unwrap(), w.instant());
            w.set.acquire(id, Patience::Forever, w.instant());
        }
        w.run(SECOND * seconds);
        w.delay = Box::new(move |_, _| SECOND * answer);
        w.run(SECOND * seconds * 4);
        assert_eq!(w.losses(), 0, "{limit}");
        let acquired = |event: &Event| matches!(event, Event::Acquired(_));
        let acquired = w.events.iter().filter(|(_, _, event)| acquired(event));
        assert_eq!(acquired.count(), claims, "{limit}");
    }
}

#[test]
fn nothing_is_given_up_where_nobody_waits_for_its_room() {
    for (limit, claims) in [(2, 2), (8, 8), (16, 17)] {
        let mut w = World::new(SetLimits::default().requests(limit));
        let ids = w.acquire(claims);
        w.run(SECOND * 60);
        w.delay = Box::new(|_, _| SECOND * 2);
        w.run(SECOND * 60);
        assert_eq!((w.held(&ids), w.losses()), (claims, 0), "{limit}");
    }
}

#[test]
fn whose_answers_become_slow_keeps_its_lease_beside_those_that_are_answered_at_once() {
    let mut w = World::new(SetLimits::default());
    let ids = w.acquire(300);
    w.run(SECOND * 60);
    w.delay = Box::new(|_, path| if hangs(path) { SECOND } else { Duration::ZERO });
    w.run(SECOND * 60);
    assert_eq!((w.held(&ids), w.losses()), (300, 0));
}

#[test]
fn a_server_that_is_slow_for_all_is_usual_and_nobody_is_given_up() {
    let mut w = World::new(SetLimits::default());
    let ids = w.acquire(60);
    w.run(SECOND * 30);
    w.delay = Box::new(|_, _| SECOND * 2);
    w.run(SECOND * 120);
    assert_eq!((w.held(&ids), w.losses()), (60, 0));
}

#[test]
fn whoever_holds_goes_before_whoever_waits_and_nobody_waits_for_ever() {
    let mut w = World::new(SetLimits::default().requests(2));
    let holders = w.acquire(100);
    w.run(SECOND * 20);
    assert_eq!(w.held(&holders), 100);
    // Far more than there is room for: two at a time, a fifth of a second each, are ten a second.
    w.way = MILLI * 20;
    let now = w.instant();
    let waiters: Vec<_> = (0..300).map(|n| w.add(&format!("other-{n}"))).collect();
    for id in &waiters {
        w.set.acquire(*id, Patience::Forever, now);
    }
    w.run(SECOND * 12);
    assert_eq!((w.held(&holders), w.losses()), (100, 0));
    assert!(w.held(&waiters) > 20, "{}", w.held(&waiters));
}

#[test]
fn whoever_waits_for_room_still_hears_that_its_lease_is_lost_in_time() {
    let mut w = World::new(SetLimits::default().requests(2));
    let ids = w.acquire(30);
    w.run(SECOND * 10);
    assert_eq!(w.held(&ids), 30);
    w.hang = Box::new(|_, _| true);
    w.run(SECOND * 20);
    assert_eq!(w.losses(), 30);
    let mut ends = BTreeMap::new();
    for (at, id, event) in &w.events {
        if let Event::Acquired(grant) | Event::Renewed(grant) = event {
            ends.insert(*id, w.since_start(grant.valid_until));
        } else if let Event::Lost(loss) = event {
            assert_eq!((loss, Some(at)), (&Loss::Expired, ends.get(id)));
        }
    }
}

#[test]
fn a_set_keeps_all_that_its_room_allows_for_when_the_server_gets_slow() {
    // Two seconds each, 64 at once, are 32 a second, for 200 that have a grant of ten seconds.
    let mut w = World::new(SetLimits::default());
    let ids = w.acquire(200);
    w.run(SECOND * 30);
    w.delay = Box::new(|_, _| SECOND * 2);
    w.run(SECOND * 180);
    assert_eq!((w.held(&ids), w.losses()), (200, 0));
}

#[test]
fn a_set_that_begins_while_the_server_is_slow_loses_few_to_those_that_it_still_acquires() {
    let mut w = World::new(SetLimits::default());
    w.insists = true;
    w.delay = Box::new(|_, _| SECOND * 2);
    let ids = w.acquire(200);
    w.run(SECOND * 30);
    for _ in 0..10 {
        w.run(SECOND * 10);
        assert!(w.held(&ids) > 170, "{} at {:?}", w.held(&ids), w.now);
    }
}

#[test]
fn a_set_that_has_more_than_room_for_keeps_as_many_as_it_can() {
    let mut w = World::new(SetLimits::default());
    w.insists = true;
    let ids = w.acquire(400);
    w.run(SECOND * 30);
    w.delay = Box::new(|_, _| SECOND * 2);
    let mut best = 0;
    for _ in 0..12 {
        w.run(SECOND * 10);
        // Else all of them would be helped too late, one after the other. Fewer for some seconds show that it is no load.
        assert!(w.held(&ids) > 130, "{} at {:?}", w.held(&ids), w.now);
        best += usize::from(w.held(&ids) > 180);
    }
    assert!(best >= 5, "{best}");
}
