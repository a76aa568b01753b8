//! What is left when something is dropped in the middle.

use std::{fs, time::Duration};

use http::Method;
use lease_proto::{Event, Patience};

use crate::{
    Fabric, await_that, config,
    driver::{Driver, runtime},
    fabric::Fault,
};

#[test]
fn an_acquisition_that_is_dropped_at_any_point_leaves_nothing_held() {
    for polls in 0..40 {
        let fabric = Fabric::new();
        let client = lease_tokio::Client::over(&fabric);
        runtime().block_on(async {
            let acquire = client.acquire(config("me", 30_000));
            tokio::select! {
                biased;
                guard = acquire => drop(guard),
                () = yields(polls) => {}
            }
        });
        // Whatever was written by then is undone in the background.
        await_that(
            || fabric.holder().is_none() && !is_between(&fabric),
            "the release",
        );
    }
}

/// Whether a write may still come: the record was looked at, and nothing else was asked.
fn is_between(fabric: &Fabric) -> bool {
    fabric.asked() == [Method::GET] && fabric.record().is_some()
}

async fn yields(count: u32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[test]
fn waiting_for_an_event_can_be_given_up_at_any_point() {
    let fabric = Fabric::new();
    fabric.once(Method::POST, Fault::LoseAnswer);
    runtime().block_on(async {
        let mut claim = lease_tokio::Client::over(&fabric).claim(config("me", 3_000));
        claim.acquire(Patience::Forever);
        let mut events = Vec::new();
        while events.len() < 4 {
            // Never longer than one step at a time.
            tokio::select! {
                biased;
                event = claim.next_event() => events.push(event),
                () = tokio::task::yield_now() => {}
            }
        }
        let [first, second, third, fourth] = &events[..] else {
            panic!("{events:?}");
        };
        assert!(matches!(first, Some(Event::Retrying { .. })), "{events:?}");
        assert!(matches!(second, Some(Event::Acquired(_))), "{events:?}");
        assert!(matches!(third, Some(Event::Renewed(_))), "{events:?}");
        assert!(matches!(fourth, Some(Event::Renewed(_))), "{events:?}");
    });
    assert_eq!(fabric.count(&Method::POST), 1);
}

#[test]
fn no_task_is_left_after_a_drop() {
    let fabric = Fabric::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let keeper = {
        let _context = runtime.enter();
        lease_tokio::Client::over(&fabric).keep(config("me", 3_000))
    };
    await_that(|| keeper.is_held(), "the lease");
    assert_eq!(runtime.metrics().num_alive_tasks(), 1);
    drop(keeper);
    await_that(
        || runtime.metrics().num_alive_tasks() == 0,
        "the end of the task",
    );
    assert_eq!(fabric.holder(), None);
}

#[test]
fn a_runtime_that_is_gone_holds_nothing() {
    let fabric = Fabric::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let keeper = {
        let _context = runtime.enter();
        lease_tokio::Client::over(&fabric).keep(config("me", 30_000))
    };
    await_that(|| keeper.is_held(), "the lease");
    runtime.shutdown_timeout(Duration::from_secs(10));
    assert!(!keeper.is_held() && keeper.grant().is_none());
}

#[test]
fn no_thread_is_left_after_a_drop() {
    // Other tests have threads of their own, so this one's are told by the name of its Lease's claimant.
    let fabric = Fabric::new();
    let before = threads();
    let keeper = lease_blocking::Client::over(&fabric)
        .keep(config("me", 3_000))
        .unwrap();
    await_that(|| keeper.is_held(), "the lease");
    drop(keeper);
    assert_eq!(fabric.holder(), None);
    await_that(|| threads() <= before.max(1), "the end of the threads");
}

/// How many threads of the blocking driver there are.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lease-")).count()
}
