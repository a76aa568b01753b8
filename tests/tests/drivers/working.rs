//! Work that is done for as long as a Lease is held, and what a health check is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use http::Method;
use lease_proto::{Event, Loss, State, Trouble, Unhealthy};
use lease_tokio::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Fabric, SOON, await_that, config,
    driver::{Driver, runtime},
    fabric::Fault,
    taken_over,
};

const TAKE: &str =
    r#"{"spec":{"holderIdentity":"other","renewTime":"2026-11-20T19:31:57.250000Z"}}"#;
const NO_MARGIN: Duration = Duration::ZERO;

/// Notes when it is dropped.
struct Dropped(watch::Sender<Option<Instant>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send_replace(Some(Clock::new().now()));
    }
}

fn client(fabric: &Fabric) -> lease_tokio::Client {
    lease_tokio::Client::over(fabric)
}

#[test]
fn work_is_done_with_the_grant_and_the_lease_is_free_afterwards() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let guard = client(&fabric).acquire(config("me", 3_000)).await.unwrap();
        let token = guard.token();
        let outcome = guard
            .run_while_held(NO_MARGIN, |grant| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                grant.token
            })
            .await;
        assert_eq!(outcome.unwrap(), token);
        // The release has been waited for.
        assert_eq!(fabric.holder(), None);
    });
}

#[test]
fn work_is_dropped_when_the_lease_is_taken() {
    let fabric = Fabric::new();
    let (dropped, when) = watch::channel(None);
    runtime().block_on(async {
        let guard = client(&fabric).acquire(config("me", 3_000)).await.unwrap();
        fabric.third_party(Method::PATCH, TAKE);
        let lost = guard
            .run_while_held(NO_MARGIN, |_| async move {
                let _dropped = Dropped(dropped);
                std::future::pending::<()>().await;
            })
            .await
            .unwrap_err();
        assert_eq!(lost.loss(), &taken_over());
    });
    assert!(when.borrow().is_some());
    assert_eq!(fabric.holder().as_deref(), Some("other"));
}

#[test]
fn work_is_dropped_a_margin_before_the_grant_ends() {
    let fabric = Fabric::new();
    let (dropped, when) = watch::channel(None);
    // Wide enough for a loaded machine.
    let margin = Duration::from_secs(4);
    let ends = runtime().block_on(async {
        let guard = client(&fabric).acquire(config("me", 9_000)).await.unwrap();
        fabric.always(Some(Fault::Fail));
        let ends = guard.valid_until();
        let outcome = guard.run_while_held(margin, |_| async move {
            let _dropped = Dropped(dropped);
            std::future::pending::<()>().await;
        });
        assert_eq!(outcome.await.unwrap_err().loss(), &Loss::AtRisk);
        ends
    });
    let dropped = when.borrow().unwrap();
    assert!(dropped < ends, "{:?} late", dropped - ends);
    // Not long before, either: the clock of a test cannot be late in that direction.
    assert!(dropped + margin + Duration::from_millis(100) >= ends);
}

#[test]
fn a_wide_margin_costs_nothing_while_renewals_succeed() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let guard = client(&fabric).acquire(config("me", 3_000)).await.unwrap();
        // Past several renewals, before each of which less is left than after it.
        let work = |_| tokio::time::sleep(Duration::from_secs(4));
        guard.run_while_held(Duration::MAX, work).await.unwrap();
    });
    assert!(fabric.holder().is_none());
}

#[test]
fn work_that_was_dropped_for_its_margin_is_not_begun_again_before_renewals_succeed() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let keeper = client(&fabric).keep(config("me", 9_000));
        let margin = Duration::from_secs(4);
        let work = |_| {
            fabric.always(Some(Fault::Fail));
            std::future::pending::<()>()
        };
        let lost = keeper
            .run_while_held(margin, work)
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(lost.loss(), &Loss::AtRisk);
        let again = keeper.run_while_held(margin, |_| async {});
        let soon = tokio::time::timeout(Duration::from_millis(300), again).await;
        assert!(soon.is_err(), "it was begun again at once: {soon:?}");
        fabric.always(None);
        let again = keeper.run_while_held(margin, |_| async { 42 }).await;
        assert_eq!(again.unwrap(), Ok(42));
    });
}

#[test]
fn what_work_comes_to_that_outlived_the_lease_does_not_count() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let guard = client(&fabric).acquire(config("me", 3_000)).await.unwrap();
        fabric.always(Some(Fault::Fail));
        let work = |_| async {
            thread::sleep(Duration::from_secs(3));
            42
        };
        let outcome = guard.run_while_held(NO_MARGIN, work).await;
        assert_eq!(outcome.unwrap_err().loss(), &Loss::Expired);
    });
}

#[test]
fn a_keeper_does_the_work_of_each_tenure() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let keeper = client(&fabric).keep(config("me", 3_000));
        let mut tokens = Vec::new();
        for _ in 0..2 {
            let begun = Arc::new(AtomicBool::new(false));
            let work = |grant: lease_proto::Grant| {
                tokens.push(grant.token.unwrap());
                begun.store(true, Ordering::Relaxed);
                std::future::pending::<()>()
            };
            let delete = async {
                while !begun.load(Ordering::Relaxed) {
                    tokio::task::yield_now().await;
                }
                fabric.third_party(Method::DELETE, "");
            };
            let (outcome, ()) = tokio::join!(keeper.run_while_held(NO_MARGIN, work), delete);
            assert_eq!(outcome.unwrap().unwrap_err().loss(), &Loss::Deleted);
        }
        assert!(tokens.is_sorted() && tokens[0] != tokens[1], "{tokens:?}");
        let outcome = keeper.run_while_held(NO_MARGIN, |_| async { 42 }).await;
        assert_eq!(outcome, Some(Ok(42)));
        assert!(keeper.is_held());
        keeper.stop();
        assert!(keeper.lost().await == Loss::Released);
        await_that(|| keeper.has_ended(), "the end");
        assert_eq!(keeper.run_while_held(NO_MARGIN, |_| async {}).await, None);
    });
}

#[test]
fn a_tenure_that_begins_at_once_after_another_is_not_taken_for_it() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let keeper = client(&fabric).keep(config("me", 3_000));
        let first = keeper.held().await.unwrap();
        // The work hogs the task that waits for the loss, until another tenure has begun.
        let outcome = keeper
            .run_while_held(NO_MARGIN, |_| async {
                fabric.third_party(Method::DELETE, "");
                let begun = Instant::now();
                while keeper
                    .grant()
                    .is_none_or(|grant| grant.token == first.token)
                {
                    assert!(begun.elapsed() < SOON, "no other tenure");
                    thread::sleep(Duration::from_millis(5));
                }
                std::future::pending::<()>().await;
            })
            .await;
        assert_eq!(outcome.unwrap().unwrap_err().loss(), &Loss::Deleted);
    });
}

#[test]
fn a_cancellation_token_stops_the_work_and_frees_the_lease() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let guard = client(&fabric).acquire(config("me", 3_000)).await.unwrap();
        let token = CancellationToken::new();
        token.cancel();
        let work = guard.run_while_held(NO_MARGIN, |_| std::future::pending::<()>());
        assert_eq!(token.run_until_cancelled(work).await, None);
    });
    await_that(|| fabric.holder().is_none(), "the release");
}

#[test]
fn watchers_are_told_of_every_change() {
    let fabric = Fabric::new();
    runtime().block_on(async {
        let first = client(&fabric)
            .acquire(config("first", 3_000))
            .await
            .unwrap();
        let keeper = client(&fabric).keep(config("second", 3_000));
        let mut states = keeper.watch();
        let holder = fabric.holder();
        let waits = states.wait_for(|state| {
            *state
                == State::Waiting {
                    holder: holder.clone(),
                }
        });
        waits.await.unwrap();
        first.release().await;
        let held = states.wait_for(|state| matches!(state, State::Held(_)));
        held.await.unwrap();
        keeper.release().await;
        assert_eq!(*states.borrow(), State::Ended);
    });
}

/// What both drivers' keepers tell a health check.
macro_rules! health {
    ($name:ident, $keep:expr) => {
        #[test]
        fn $name() {
            let fabric = Fabric::new();
            let patience = Duration::from_millis(300);
            fabric.always(Some(Fault::Fail));
            let _context = runtime().enter();
            let keeper = $keep(&fabric);
            await_that(
                || {
                    matches!(
                        keeper.health(patience),
                        Err(Unhealthy::Trouble {
                            trouble: Trouble::NoAnswer,
                            ..
                        })
                    )
                },
                "trouble",
            );
            assert_eq!(keeper.health(Duration::from_secs(3_600)), Ok(()));
            fabric.always(Some(Fault::Answer(403)));
            await_that(
                || matches!(keeper.health(patience), Err(Unhealthy::Failing(_))),
                "a refusal",
            );
            assert!(matches!(keeper.state(), State::Failing(_)));
            fabric.always(None);
            await_that(|| keeper.health(Duration::ZERO).is_ok(), "the Lease");
            await_that(|| matches!(keeper.state(), State::Held(_)), "the Lease");
            keeper.stop();
            await_that(
                || keeper.health(patience) == Err(Unhealthy::Ended),
                "the end",
            );
        }
    };
}

health!(tokio_keepers_are_healthy_while_they_can_lead, |fabric| {
    client(fabric).keep(config("me", 3_000))
});
health!(blocking_keepers_are_healthy_while_they_can_lead, |fabric| {
    let client = lease_blocking::Client::over(fabric);
    client.keep(config("me", 3_000)).unwrap()
});

#[test]
fn a_waiter_is_healthy_again_once_the_server_is() {
    let fabric = Fabric::new();
    let client = lease_blocking::Client::over(&fabric);
    let _holder = client.acquire(config("holder", 3_000)).unwrap();
    let waiter = client.keep(config("waiter", 3_000)).unwrap();
    let waits = || matches!(waiter.state(), State::Waiting { holder: Some(_) });
    await_that(waits, "the holder's name");
    fabric.once(Method::GET, Fault::Fail);
    await_that(|| waiter.health(Duration::ZERO).is_err(), "trouble");
    await_that(|| waiter.health(Duration::ZERO).is_ok(), "the end of it");
    let mut events = Vec::new();
    while let Some(event) = waiter.next_event_timeout(Duration::from_millis(10)) {
        events.push(event);
    }
    assert!(
        matches!(
            &events[..],
            [
                Event::Waiting(_),
                Event::Retrying { .. },
                Event::Waiting(_),
                ..
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn a_blocking_keeper_can_be_waited_for() {
    let fabric = Fabric::new();
    let client = lease_blocking::Client::over(&fabric);
    let keeper = client.keep(config("me", 3_000)).unwrap();
    let grant = keeper.wait_held(SOON).unwrap();
    assert!(grant.token.is_some());
    assert_eq!(keeper.wait_lost(Duration::from_millis(10)), None);
    fabric.third_party(Method::DELETE, "");
    assert_eq!(keeper.wait_lost(SOON), Some(Loss::Deleted));
    keeper.stop();
    await_that(|| keeper.has_ended(), "the end");
    assert_eq!(keeper.wait_held(SOON), None);
}

#[test]
fn whoever_waits_for_a_loss_is_told_in_time_that_the_grant_was_shortened() {
    let fabric = Fabric::new();
    let client = lease_blocking::Client::over(&fabric);
    let guard = client.acquire(config("me", 60_000)).unwrap();
    fabric.third_party(Method::PATCH, r#"{"spec":{"leaseDurationSeconds":1}}"#);
    // The look shows it. What the renewals that follow would mend is kept from being written.
    fabric.once(Method::PUT, Fault::Hang);
    let _verified = guard.verify();
    assert_eq!(guard.wait_lost(SOON), Some(Loss::Expired));
}

/// Notes who holds the Lease when it is dropped, which takes a while.
struct Slow<'a>(&'a Fabric, watch::Sender<Option<Option<String>>>);

impl Drop for Slow<'_> {
    fn drop(&mut self) {
        thread::sleep(Duration::from_millis(300));
        self.1.send_replace(Some(self.0.holder()));
    }
}

#[test]
fn a_keeper_that_is_stopped_keeps_the_lease_until_its_work_is_dropped() {
    let fabric = Fabric::new();
    let (dropped, when) = watch::channel(None);
    runtime().block_on(async {
        let keeper = client(&fabric).keep(config("me", 9_000));
        let working = keeper.run_while_held(NO_MARGIN, |_| {
            let slow = Slow(&fabric, dropped);
            // As another task of a program that ends.
            keeper.stop();
            async move {
                let _slow = slow;
                std::future::pending::<()>().await;
            }
        });
        let outcome = working.await.unwrap();
        assert_eq!(outcome.unwrap_err().loss(), &Loss::Released);
        // Nothing is begun any more, and the Lease is given up.
        let again = keeper.run_while_held(NO_MARGIN, |_| async {}).await;
        assert!(again.is_none());
        while keeper.next_event().await.is_some() {}
    });
    let holder = when.borrow().clone().unwrap();
    assert!(holder.is_some_and(|holder| holder.starts_with("me")));
    assert_eq!(fabric.holder(), None);
}

#[test]
fn a_blocking_keeper_that_is_stopped_keeps_the_lease_until_its_work_is_over() {
    let fabric = Fabric::new();
    let client = lease_blocking::Client::over(&fabric);
    let keeper = client.keep(config("me", 9_000)).unwrap();
    let holder = thread::scope(|scope| {
        let work = scope.spawn(|| {
            keeper.run_while_held(NO_MARGIN, |tenure| {
                // Asleep for longer than it takes to be told.
                let told = tenure.wait_lost(SOON);
                assert_eq!(told, Some(Loss::Released));
                assert!(tenure.check().is_err() && tenure.remaining().is_zero());
                thread::sleep(Duration::from_millis(300));
                fabric.holder()
            })
        });
        assert!(keeper.wait_held(SOON).is_some());
        thread::sleep(Duration::from_millis(50));
        keeper.stop();
        work.join().unwrap()
    });
    let lost = holder.unwrap().unwrap_err();
    assert_eq!(lost.loss(), &Loss::Released);
    assert!(lost.into_output().unwrap().is_some());
    await_that(|| fabric.holder().is_none(), "the release");
    assert!(keeper.run_while_held(NO_MARGIN, |_| ()).is_none());
}
