//! Tests of what happens after the machine was suspended: the clock has gone on, and no timer has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use lease_proto::{Config, Event, Patience};

use crate::clock::Clock;
use crate::shared::Shared;
use crate::{Claim, Client};

/// A clock, and what lets it leap.
fn leaping() -> (Clock, &'static AtomicU64) {
    let by: &'static AtomicU64 = Box::leak(Box::default());
    (Clock::leaping(by), by)
}

/// Lets it leap by an hour while `wait` waits, which has to notice: its timers take a quarter of an hour or more.
fn is_noticed(by: &'static AtomicU64, wait: impl FnOnce() + Send + 'static) {
    let (noticed, told) = mpsc::channel();
    thread::spawn(move || {
        wait();
        noticed.send(()).unwrap();
    });
    thread::sleep(Duration::from_millis(100));
    by.fetch_add(3_600_000, Ordering::SeqCst);
    told.recv_timeout(Duration::from_secs(60)).unwrap();
}

fn config() -> Config {
    let config = Config::builder("default", "leader", "me");
    let config = config.lease_duration(Duration::from_secs(2_700));
    config.build().unwrap()
}

fn await_event(claim: &mut Claim, is_it: fn(&Event) -> bool) {
    while !is_it(&claim.next_event().unwrap()) {}
}

#[test]
fn a_claim_notices_soon_that_its_grant_is_over() {
    let (clock, by) = leaping();
    let mut claim = Client::in_memory().claim(config()).with_clock(clock);
    claim.acquire(Patience::Once);
    await_event(&mut claim, |event| matches!(event, Event::Acquired(_)));
    is_noticed(by, move || {
        await_event(&mut claim, |event| matches!(event, Event::Lost(_)));
    });
}

#[test]
fn whoever_waits_until_some_time_notices_soon_that_it_has_come() {
    let (clock, by) = leaping();
    let shared = Shared::new(&config()).with_clock(clock);
    is_noticed(by, move || {
        let until = clock.now() + Duration::from_secs(1_800);
        assert_eq!(shared.wait(Some(until), |_| None::<()>), None);
    });
}
