//! Work that a thread does for as long as a Lease is held, and how long anybody's result is kept back.

use std::{
    thread,
    time::{Duration, Instant},
};

use http::Method;
use lease_blocking::Tenure;
use lease_proto::{Event, Loss};

use crate::{
    Fabric, SOON, await_that, config,
    driver::{Driver, runtime},
    fabric::Fault,
    taken_over,
};

const TAKE: &str =
    r#"{"spec":{"holderIdentity":"other","renewTime":"2026-11-20T19:31:57.250000Z"}}"#;
const NO_MARGIN: Duration = Duration::ZERO;

fn client(fabric: &Fabric) -> lease_blocking::Client {
    lease_blocking::Client::over(fabric)
}

#[test]
fn a_thread_works_with_the_grant_and_the_lease_is_free_afterwards() {
    let fabric = Fabric::new();
    let guard = client(&fabric).acquire(config("me", 3_000)).unwrap();
    let token = guard.token();
    let outcome = guard.run_while_held(NO_MARGIN, |tenure| {
        assert!(tenure.check().is_ok() && tenure.remaining() > Duration::ZERO);
        assert_eq!(tenure.wait_lost(Duration::from_millis(50)), None);
        assert_eq!(tenure.grant().token, tenure.token());
        tenure.token()
    });
    assert_eq!(outcome.unwrap(), token);
    // The release has been waited for.
    assert_eq!(fabric.holder(), None);
}

#[test]
fn a_thread_is_told_of_the_loss_and_gets_back_what_came_too_late() {
    let fabric = Fabric::new();
    let guard = client(&fabric).acquire(config("me", 3_000)).unwrap();
    let outcome = guard.run_while_held(NO_MARGIN, |tenure| {
        fabric.third_party(Method::PATCH, TAKE);
        assert_eq!(tenure.wait_lost(SOON), Some(taken_over()));
        assert_eq!(tenure.check().unwrap_err().loss(), &taken_over());
        assert_eq!(tenure.remaining(), Duration::ZERO);
        42
    });
    let lost = outcome.unwrap_err();
    assert_eq!(lost.loss(), &taken_over());
    assert!(
        lost.to_string().ends_with("does not count"),
        "it says {lost}"
    );
    assert_eq!(lost.into_output(), Some(42));
    assert_eq!(fabric.holder().as_deref(), Some("other"));
}

#[test]
fn a_thread_that_never_looks_gets_back_what_came_too_late() {
    let fabric = Fabric::new();
    let guard = client(&fabric).acquire(config("me", 3_000)).unwrap();
    fabric.always(Some(Fault::Fail));
    let outcome = guard.run_while_held(NO_MARGIN, |_| {
        thread::sleep(Duration::from_secs(3));
        42
    });
    let lost = outcome.unwrap_err();
    assert_eq!(lost.loss(), &Loss::Expired);
    assert_eq!(lost.into_output(), Some(42));
}

#[test]
fn a_thread_is_told_to_stop_a_margin_before_the_grant_ends_and_for_good() {
    let fabric = Fabric::new();
    let guard = client(&fabric).acquire(config("me", 9_000)).unwrap();
    // Wide enough for a loaded machine.
    let margin = Duration::from_secs(4);
    let clock = lease_blocking::Clock::new();
    let outcome = guard.run_while_held(margin, |tenure| {
        fabric.always(Some(Fault::Fail));
        let ends = tenure.valid_until();
        while tenure.check().is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        let told = clock.now();
        assert!(told < ends, "{:?} late", told - ends);
        assert!(told + margin + Duration::from_millis(100) >= ends);
        // Renewals succeed again; nobody but the work knows what it has left out by then.
        fabric.always(None);
        let before = fabric.count(&Method::PUT);
        await_that(|| fabric.count(&Method::PUT) >= before + 3, "renewals");
        tenure.check().unwrap_err();
        42
    });
    let lost = outcome.unwrap_err();
    assert_eq!(lost.loss(), &Loss::AtRisk);
    assert_eq!(lost.into_output(), Some(42));
    assert_eq!(fabric.holder(), None);
}

#[test]
fn a_thread_has_a_wide_margin_for_nothing_while_renewals_succeed() {
    let fabric = Fabric::new();
    let guard = client(&fabric).acquire(config("me", 3_000)).unwrap();
    // Past several renewals, before each of which less is left than after it.
    let work = |tenure: &Tenure| tenure.wait_lost(Duration::from_secs(4));
    assert_eq!(guard.run_while_held(Duration::MAX, work).unwrap(), None);
}

#[test]
fn a_thread_does_not_begin_when_the_lease_is_lost_or_as_good_as_lost() {
    let fabric = Fabric::new();
    let never = |_: &Tenure| -> () { panic!("it has begun") };
    let guard = client(&fabric).acquire(config("me", 3_000)).unwrap();
    fabric.third_party(Method::DELETE, "");
    assert_eq!(guard.wait_lost(SOON), Some(Loss::Deleted));
    let lost = guard.run_while_held(NO_MARGIN, never).unwrap_err();
    assert_eq!(lost.loss(), &Loss::Deleted);
    assert_eq!(lost.into_output(), None);

    let guard = client(&fabric).acquire(config("me", 60_000)).unwrap();
    fabric.always(Some(Fault::Fail));
    // It is known to be at risk once a renewal has failed.
    let at_risk = || {
        let event = guard.next_event_timeout(SOON);
        matches!(event, Some(Event::AtRisk { .. }))
    };
    await_that(at_risk, "trouble");
    let lost = guard.run_while_held(Duration::MAX, never).unwrap_err();
    assert_eq!(lost.loss(), &Loss::AtRisk);
}

#[test]
fn a_blocking_keeper_does_the_work_of_each_tenure() {
    let fabric = Fabric::new();
    let keeper = client(&fabric).keep(config("me", 3_000)).unwrap();
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let work = |tenure: &Tenure| {
            tokens.push(tenure.token().unwrap());
            fabric.third_party(Method::DELETE, "");
            // Another tenure has begun by then, and is not taken for this one.
            let is_another = || {
                let grant = keeper.grant();
                grant.is_some_and(|grant| grant.token != tenure.token())
            };
            await_that(is_another, "another tenure");
            tenure.check().unwrap_err();
        };
        let lost = keeper.run_while_held(NO_MARGIN, work).unwrap();
        assert_eq!(lost.unwrap_err().loss(), &Loss::Deleted);
    }
    assert!(tokens.is_sorted() && tokens[0] != tokens[1], "{tokens:?}");
    assert_eq!(keeper.run_while_held(NO_MARGIN, |_| 42), Some(Ok(42)));
    assert!(keeper.is_held());
    keeper.stop();
    await_that(|| keeper.has_ended(), "the end");
    assert_eq!(keeper.run_while_held(NO_MARGIN, |_| ()), None);
}

/// What work comes to is not kept back by a server that never answers the release: that has 40 s.
macro_rules! released_in_time {
    ($name:ident, |$fabric:ident, $work:ident| $run:expr) => {
        #[test]
        fn $name() {
            let $fabric = Fabric::new();
            let begun = std::cell::Cell::new(None);
            let $work = || {
                $fabric.always(Some(Fault::Hang));
                begun.set(Some(Instant::now()));
                42
            };
            assert_eq!($run, 42);
            let took = begun.get().unwrap().elapsed();
            assert!(took >= Duration::from_secs(1), "not waited for: {took:?}");
            assert!(took < Duration::from_secs(20), "{took:?}");
            assert_eq!($fabric.count(&Method::PUT), 1, "the release");
            assert!($fabric.holder().is_some());
        }
    };
}

released_in_time!(
    the_release_after_work_is_waited_for_a_second_at_most,
    |fabric, work| runtime().block_on(async {
        let guard = lease_tokio::Client::over(&fabric)
            .acquire(config("me", 60_000))
            .await
            .unwrap();
        guard
            .run_while_held(NO_MARGIN, |_| async { work() })
            .await
            .unwrap()
    })
);
released_in_time!(
    the_release_after_a_threads_work_is_waited_for_a_second_at_most,
    |fabric, work| {
        let guard = client(&fabric).acquire(config("me", 60_000)).unwrap();
        guard.run_while_held(NO_MARGIN, |_| work()).unwrap()
    }
);
