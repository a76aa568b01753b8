//! Tests of what happens after the machine was suspended: the clock has gone on, and no timer has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lease_proto::{Config, Deadline, Event, Patience, SetLimits, Unhealthy};
use tokio::time::{Instant, sleep, timeout};

use crate::clock::Clock;
use crate::shared::Shared;
use crate::{Client, Keeper};

/// A clock, and what lets it leap.
fn leaping() -> (Clock, &'static AtomicU64) {
    let by: &'static AtomicU64 = Box::leak(Box::default());
    (Clock::leaping(by), by)
}

/// Lets it leap by an hour, after a while.
async fn suspend(by: &AtomicU64) {
    sleep(Duration::from_millis(500)).await;
    by.fetch_add(3_600_000, Ordering::SeqCst);
}

/// One that has nothing to do for a quarter of an hour at a time.
fn config() -> Config {
    let config = Config::builder("default", "leader", "me");
    let config = config.lease_duration(Duration::from_secs(2_700));
    config.build().unwrap()
}

/// Time is paused, so that this is the same on any machine.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn a_claim_notices_within_a_second_that_its_grant_is_over() {
    let (clock, by) = leaping();
    let mut claim = Client::in_memory().with_clock(clock).claim(config());
    claim.acquire(Patience::Once);
    while !matches!(claim.next_event().await.unwrap(), Event::Acquired(_)) {}
    let noticed = async { while !matches!(claim.next_event().await.unwrap(), Event::Lost(_)) {} };
    let noticed = timeout(AT_ONCE, noticed);
    let (noticed, ()) = tokio::join!(noticed, suspend(by));
    noticed.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_set_notices_within_a_second_that_a_grant_is_over() {
    let (clock, by) = leaping();
    let client = Client::in_memory().with_clock(clock);
    let set = client.claim_set(SetLimits::default());
    let keeper: Keeper = set.keep(config());
    keeper.held().await.unwrap();
    let noticed = async { while !matches!(keeper.next_event().await.unwrap(), Event::Lost(_)) {} };
    let noticed = timeout(AT_ONCE, noticed);
    let (noticed, ()) = tokio::join!(noticed, suspend(by));
    noticed.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_until_some_time_notices_within_a_second_that_it_has_come() {
    let (clock, by) = leaping();
    let shared = Arc::new(Shared::new(
        &config(),
        clock,
        Arc::new(Deadline::new(clock.now())),
    ));
    let until = Some(clock.now() + Duration::from_secs(1_800));
    let began = Instant::now();
    let (found, ()) = tokio::join!(shared.wait(until, |_| None::<()>), suspend(by));
    assert_eq!(found, None);
    assert!(began.elapsed() <= AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_unhealthy_while_its_task_does_not_run_and_whoever_holds_when_its_grant_is_over()
 {
    let (clock, by) = leaping();
    let client = Client::in_memory().with_clock(clock);
    let set = client.claim_set(SetLimits::default());
    let other = |name: &str| {
        let config = Config::builder("default", name, "other");
        let config = config.lease_duration(Duration::from_secs(2_700));
        config.build().unwrap()
    };
    let holder = client.keep(config());
    holder.held().await.unwrap();
    let waiters = [client.keep(other("leader")), set.keep(other("leader"))];
    let member = set.keep(other("another"));
    member.held().await.unwrap();
    sleep(AT_ONCE).await;
    let health = |keeper: &Keeper| keeper.health(Duration::from_secs(30));
    let all = || waiters.iter().chain([&holder, &member]).map(health);
    assert!(all().all(|health| health.is_ok()));

    // Nothing is awaited, so no task runs.
    let leap = |seconds: u64| by.fetch_add(seconds * 1_000, Ordering::SeqCst);
    leap(30);
    assert!(all().all(|health| health.is_ok()));
    leap(30);
    for waiter in &waiters {
        assert_eq!(health(waiter), Err(Unhealthy::Stuck));
    }
    assert_eq!((health(&holder), health(&member)), (Ok(()), Ok(())));
    leap(3_600);
    assert!(all().all(|health| health == Err(Unhealthy::Stuck)));

    sleep(AT_ONCE).await;
    assert!(all().all(|health| health.is_ok()));
}
