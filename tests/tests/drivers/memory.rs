//! The API server in memory that programs are tested against: what takes long, what never comes, and time that is paused.

use std::time::{Duration, Instant};

use http::{Method, Request, Response};
use lease_proto::{
    Config, Event, Loss,
    access::TransportError,
    server::Fault,
    wire::{Lease, LeaseSpec},
};
use tokio::time;

use crate::{SOON, await_that, driver::runtime};

const HOUR: Duration = Duration::from_secs(3_600);
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

fn config(identity: &str) -> Config {
    Config::builder("default", "leader", identity)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn hours_of_paused_time_are_held_and_renewed_and_the_lease_is_lost_in_time() {
    let server = lease_tokio::Memory::new();
    let guard = server.client().acquire(config("me")).await.unwrap();
    let first = record(&server);
    let begun = time::Instant::now();
    time::sleep(HOUR).await;
    assert!(guard.is_held() && guard.valid_until() > server.client().clock().now());
    let renewals = renewals(&guard).await;
    // Every five seconds, give or take the jitter.
    assert!((600..1_000).contains(&renewals), "{renewals}");
    let (first, last) = (first.spec, record(&server).spec);
    let written = |spec: LeaseSpec| spec.renew_time.and_then(|time| time.time()).unwrap();
    let moved = written(last).saturating_since(written(first));
    assert!(HOUR.abs_diff(moved) < Duration::from_secs(10), "{moved:?}");

    server.push(Fault::hang().times(u32::MAX));
    let cut = time::Instant::now();
    let ends = guard.remaining();
    assert_eq!(guard.lost().await, Loss::Expired);
    assert!(cut.elapsed().abs_diff(ends) < Duration::from_millis(10));
    assert!(!guard.is_held());
    assert!(begun.elapsed() < HOUR + Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_paused_time_takes_over_when_the_holder_has_vanished() {
    let server = lease_tokio::Memory::new();
    let mut first = server.client().claim(config("first"));
    first.acquire(lease_proto::Patience::Once);
    while !matches!(first.next_event().await, Some(Event::Acquired(_))) {}
    // Nobody renews it from here on.
    let begun = time::Instant::now();
    let second = server.client().acquire(config("second")).await.unwrap();
    assert_eq!(second.transitions(), 1);
    let waited = begun.elapsed();
    let (least, most) = (Duration::from_secs(15), Duration::from_secs(30));
    assert!(waited >= least && waited < most, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leap_of_paused_time_costs_the_lease_like_a_suspended_machine() {
    let server = lease_tokio::Memory::new();
    let guard = server.client().acquire(config("me")).await.unwrap();
    time::advance(HOUR).await;
    assert!(!guard.is_held());
    assert_eq!(guard.lost().await, Loss::Expired);
}

async fn renewals(guard: &lease_tokio::Guard) -> usize {
    let mut count = 0;
    while let Ok(event) = time::timeout(Duration::ZERO, guard.next_event()).await {
        count += usize::from(matches!(event, Some(Event::Renewed(_))));
    }
    count
}

fn record(server: &lease_tokio::Memory) -> Lease {
    let lease = server.with(|faults| faults.server().lease("default", "leader"));
    serde_json::from_value(lease.unwrap()).unwrap()
}

/// What takes long takes long for both drivers, and in real time.
macro_rules! late {
    ($name:ident, $driver:ident, |$future:ident| $wait:expr) => {
        #[test]
        fn $name() {
            let server = $driver::Memory::new();
            let send = |name: &str, timeout: Duration| -> Result<Response<_>, TransportError> {
                let client = server.client();
                let $future = client.send(create(name), timeout, false);
                $wait
            };
            let stored = |name: &str| {
                let lease = server.with(|faults| faults.server().lease("default", name));
                lease.is_some()
            };
            let (short, long) = (Duration::from_millis(50), Duration::from_millis(400));

            server.push(Fault::altered().delay_answer(long));
            let begun = Instant::now();
            assert_eq!(send("late-answer", SOON).unwrap().status(), 201);
            assert!(begun.elapsed() >= long);

            server.push(Fault::altered().delay_answer(2 * SOON));
            is_late(send("later-answer", short));
            assert!(stored("later-answer"));

            server.push(Fault::altered().delay_request(long));
            let begun = Instant::now();
            assert_eq!(send("late", SOON).unwrap().status(), 201);
            assert!(begun.elapsed() >= long);

            server.push(Fault::altered().delay_request(long));
            is_late(send("later", short));
            assert!(!stored("later"), "it is on its way");
            await_that(|| stored("later"), "the arrival of what nobody waits for");

            server.push(Fault::hang());
            server.push(Fault::hang().applied());
            let begun = Instant::now();
            is_late(send("never", long));
            is_late(send("never-answered", long));
            assert!(begun.elapsed() >= 2 * long);
            assert!(!stored("never") && stored("never-answered"));

            assert!(server.with(|faults| faults.pending()) == 0);
            assert_eq!(send("at-once", SOON).unwrap().status(), 201);
        }
    };
}

late!(blocking_waits_for_what_is_late, lease_blocking, |outcome| {
    outcome
});
late!(tokio_waits_for_what_is_late, lease_tokio, |future| {
    runtime().block_on(future)
});

fn create(name: &str) -> Request<Vec<u8>> {
    let lease = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
    Request::builder()
        .method(Method::POST)
        .uri(LEASES)
        .body(lease.into_bytes())
        .unwrap()
}

fn is_late(outcome: Result<Response<Vec<u8>>, TransportError>) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, TransportError::Timeout { .. }), "{error:?}");
}
