//! Those who share a directory exclude each other.

use std::{
    collections::BTreeSet,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use lease_proto::{AcquireError, Config, Event};
use lease_tests::store::{self, Store};

use crate::{
    SOON, config,
    driver::{Driver, Guard, Keeper},
    place,
    system::writer,
};

pub(crate) fn the_second_waits_and_takes_over_on_release<D: Driver + Store + Sync>() {
    let (_folder, directory) = place();
    // Each opens the files for itself, as processes do.
    let (first, second) = (D::open(&directory).unwrap(), D::open(&directory).unwrap());
    let guard = Driver::acquire(&first, config("first", "a")).unwrap();
    let error = second.try_acquire(config("second", "a")).err().unwrap();
    assert!(
        matches!(&error, AcquireError::Held(waiting) if waiting.holder == Some(guard.identity())),
        "{error}"
    );
    let token = guard.token();
    let taken = thread::scope(|scope| {
        let waiter = scope.spawn(|| second.acquire_timeout(config("second", "a"), SOON).unwrap());
        assert!(guard.is_held());
        guard.release();
        waiter.join().unwrap()
    });
    assert!(taken.is_held() && taken.token() > token);
}

pub(crate) fn a_waiter_is_told_of_a_release_at_once<D: Driver + Store>() {
    let (_folder, directory) = place();
    let (first, second) = (D::open(&directory).unwrap(), D::open(&directory).unwrap());
    // Whoever looks from time to time looks after ten minutes.
    let rarely = |identity: &str| {
        let config = Config::builder("default", "a", identity).retry_period(10 * SOON);
        config.lease_duration(60 * SOON).build().unwrap()
    };
    let guard = Driver::acquire(&first, rarely("first")).unwrap();
    let waiter = second.keep(rarely("second"));
    assert!(matches!(waiter.next_event(), Some(Event::Waiting(_))));
    let begun = Instant::now();
    guard.release();
    while waiter.grant().is_none() {
        assert!(begun.elapsed() < SOON, "nobody tells it of the release");
        thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    waiter.stop();
    while !waiter.has_ended() {
        assert!(begun.elapsed() < SOON, "the stream keeps it");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn a_lease_outlives_the_client_that_took_it<D: Driver + Store>() {
    let (_folder, directory) = place();
    let status = writer::<D>(&directory)
        .args(["--writes", "2"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    // Its process has ended without a release.
    let error = D::open(&directory)
        .unwrap()
        .try_acquire(config("other", "lease"))
        .err()
        .unwrap();
    assert!(matches!(&error, AcquireError::Held(_)), "{error}");
}

pub(crate) fn no_count_of_several_processes_is_lost<D: Store>() {
    let (_folder, directory) = place();
    let (writers, each) = (4, 40);
    let counts = thread::scope(|scope| {
        let counting = || {
            let output = writer::<D>(&directory)
                .args(["--manner", "count", "--writes", &each.to_string()])
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            assert!(output.status.success());
            let lines = String::from_utf8(output.stdout).unwrap();
            lines.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..writers).map(|_| scope.spawn(counting)).collect();
        running
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect::<Vec<_>>()
    });
    // Each count was given once, and so was each version.
    let total = writers * each;
    assert_eq!(counts.len(), total);
    assert_eq!(counts.iter().collect::<BTreeSet<_>>().len(), total);
    let lease = D::open(&directory).unwrap().read("lease").unwrap();
    assert_eq!(store::count(lease.as_ref()), u64::try_from(total).unwrap());
    assert_eq!(
        store::version(lease.as_ref()),
        u64::try_from(total).unwrap() + 1
    );
}

pub(crate) fn several_claims_of_one_client_keep_each_other_out<D: Driver + Store + Sync>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    let held: Vec<_> = thread::scope(|scope| {
        let trying: Vec<_> = (0..8)
            .map(|me| {
                let client = &client;
                scope.spawn(move || client.try_acquire(config(&format!("c{me}"), "a")).ok())
            })
            .collect();
        trying
            .into_iter()
            .filter_map(|trial| trial.join().unwrap())
            .collect()
    });
    assert_eq!(held.len(), 1);
}
