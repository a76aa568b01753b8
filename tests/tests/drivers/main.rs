//! The drivers over an API server in memory that fails as it is told to: each scenario once for each driver.

#![expect(clippy::unwrap_used, reason = "test code")]

mod cancelling;
mod driver;
mod dropping;
mod edges;
mod fabric;
#[cfg(target_os = "linux")]
mod idling;
mod keeping;
mod memory;
mod parting;
mod priority;
#[path = "../clients/server.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod server;
mod sets;
mod sets_blocking;
mod threads;
mod working;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use http::Method;
use lease_proto::{AcquireError, Config, Event, Failure, Loss, Lost, Released, VerifyError};

use self::{
    driver::{Driver, Guard, Keeper},
    fabric::{Fabric, Fault},
    keeping::{
        a_keeper_begins_again_after_a_loss,
        a_keeper_stopped_after_a_loss_frees_what_it_may_have_written,
        a_keeper_that_is_stopped_tells_so_and_ends,
    },
    parting::{
        what_a_guard_leaves_stands_in_the_record,
        what_a_keeper_leaves_is_for_its_successor_and_others_hold_back,
        what_is_handed_over_is_for_its_successor_alone_for_a_while,
    },
    priority::the_most_important_of_those_that_wait_is_next,
    server::Server,
};

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(30);

fn config(identity: &str, millis: u64) -> Config {
    let config = Config::builder("default", "leader", identity).whole_second_observers(false);
    config
        .lease_duration(Duration::from_millis(millis))
        .build()
        .unwrap()
}

fn taken_over() -> Loss {
    Loss::TakenOver {
        by: "other".to_owned(),
    }
}

fn await_that(mut holds: impl FnMut() -> bool, what: &str) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Puts every scenario into a module for each driver.
macro_rules! scenarios {
    ($($name:ident)*) => {
        mod blocking {
            $(#[test] fn $name() { super::$name::<lease_blocking::Client>(); })*
        }

        mod tokio {
            $(#[test] fn $name() { super::$name::<lease_tokio::Client>(); })*
        }

        mod blocking_set {
            $(#[test] fn $name() { super::$name::<crate::driver::BlockingSet>(); })*
        }

        mod tokio_set {
            $(#[test] fn $name() { super::$name::<crate::driver::TokioSet>(); })*
        }
    };
}

scenarios! {
    a_guard_renews_and_its_release_clears_the_record
    a_guard_that_is_dropped_releases
    a_panic_releases
    a_waiter_gets_it_on_release
    trying_says_who_holds_it
    waiting_is_bounded_and_says_who_holds_it
    a_server_that_hangs_costs_the_lease_in_time
    a_release_is_bounded_while_a_request_hangs
    a_deletion_a_take_over_and_an_annotation_are_told_apart
    a_refusal_says_which_role_is_missing
    a_token_that_is_refused_is_read_again
    a_server_that_fails_is_said_to
    a_server_that_is_silent_is_said_to_be
    a_transport_that_panics_costs_one_answer
    a_lost_answer_to_the_acquiring_write_is_settled
    a_look_finds_a_successor
    a_look_is_not_answered_by_what_was_read_before
    a_release_that_is_refused_ends
    a_look_without_an_answer_is_bounded_and_costs_nothing
    a_keeper_stopped_after_a_loss_frees_what_it_may_have_written
    a_keeper_begins_again_after_a_loss
    a_keeper_that_is_stopped_tells_so_and_ends
    what_a_guard_leaves_stands_in_the_record
    what_a_keeper_leaves_is_for_its_successor_and_others_hold_back
    what_is_handed_over_is_for_its_successor_alone_for_a_while
    the_most_important_of_those_that_wait_is_next
}

fn a_guard_renews_and_its_release_clears_the_record<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 3_000)).unwrap();
    assert_eq!(fabric.holder(), Some(guard.identity()));
    assert!(guard.identity().starts_with("me_"));
    let first = fabric.record().unwrap();
    assert_eq!(
        guard.token(),
        first
            .metadata
            .resource_version
            .as_ref()
            .unwrap()
            .number()
            .unwrap()
    );
    await_that(|| fabric.count(&Method::PUT) >= 3, "three renewals");
    assert!(guard.is_held() && guard.check().is_ok() && guard.remaining() > Duration::ZERO);
    let later = fabric.record().unwrap();
    assert_eq!(later.spec.acquire_time, first.spec.acquire_time);
    assert_ne!(later.spec.renew_time, first.spec.renew_time);
    assert_eq!(fabric.count(&Method::GET), 1);
    assert_eq!(guard.release(), Some(Released::Cleared));
    assert_eq!(fabric.holder(), None);
}

fn a_guard_that_is_dropped_releases<D: Driver>() {
    let fabric = Fabric::new();
    drop(D::over(&fabric).acquire(config("me", 3_000)).unwrap());
    await_that(|| fabric.holder().is_none(), "the release");
    assert!(fabric.record().is_some());
}

fn a_panic_releases<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 3_000)).unwrap();
    let panics = thread::spawn(move || {
        assert!(!guard.is_held(), "as the test wants it");
    });
    panics.join().unwrap_err();
    await_that(|| fabric.holder().is_none(), "the release");
}

fn a_waiter_gets_it_on_release<D: Driver>() {
    let fabric = Fabric::new();
    let first = D::over(&fabric).acquire(config("first", 3_000)).unwrap();
    let waiter = D::over(&fabric).keep(config("second", 3_000));
    let waits = waiter.next_event();
    assert!(
        matches!(&waits, Some(Event::Waiting(waiting)) if waiting.holder == fabric.holder()),
        "{waits:?}"
    );
    assert!(waiter.grant().is_none());
    let token = first.token();
    first.release();
    let acquired = waiter.next_event();
    let Some(Event::Acquired(grant)) = acquired else {
        panic!("{acquired:?}");
    };
    assert!(token < grant.token.unwrap().get());
    assert_eq!(grant.transitions, 1);
}

fn trying_says_who_holds_it<D: Driver>() {
    let fabric = Fabric::new();
    let holder = D::over(&fabric)
        .try_acquire(config("holder", 3_000))
        .unwrap();
    let error = D::over(&fabric)
        .try_acquire(config("other", 3_000))
        .err()
        .unwrap();
    assert!(
        matches!(&error, AcquireError::Held(waiting) if waiting.holder == Some(holder.identity())),
        "{error}"
    );
    assert!(error.to_string().contains(&holder.identity()), "{error}");
}

fn waiting_is_bounded_and_says_who_holds_it<D: Driver>() {
    let fabric = Fabric::new();
    let holder = D::over(&fabric).acquire(config("holder", 3_000)).unwrap();
    let begun = Instant::now();
    let error = D::over(&fabric)
        .acquire_timeout(config("other", 3_000), Duration::from_millis(300))
        .err()
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < SOON);
    assert!(
        matches!(&error, AcquireError::TimedOut { holder: Some(name), .. } if *name == holder.identity()),
        "{error}"
    );
}

fn a_server_that_hangs_costs_the_lease_in_time<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 1_500)).unwrap();
    fabric.always(Some(Fault::Hang));
    assert_eq!(guard.wait_lost(SOON), Some(Loss::Expired));
    assert!(!guard.is_held() && guard.remaining() == Duration::ZERO);
    assert_eq!(guard.check().unwrap_err().loss(), &Loss::Expired);
    assert!(guard.verify().is_err());
    assert_eq!(guard.release(), None);
}

fn a_release_is_bounded_while_a_request_hangs<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 1_500)).unwrap();
    fabric.always(Some(Fault::Hang));
    await_that(|| fabric.asked().last() == Some(&Method::PUT), "a renewal");
    let begun = Instant::now();
    assert_eq!(guard.release(), Some(Released::Unconfirmed));
    // The renew deadline is one second; the rest is for a loaded machine.
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn a_deletion_a_take_over_and_an_annotation_are_told_apart<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 3_000)).unwrap();
    fabric.third_party(Method::PATCH, r#"{"metadata":{"annotations":{"a":"b"}}}"#);
    assert_eq!(guard.wait_lost(Duration::from_millis(1_500)), None);
    assert_eq!(fabric.record().unwrap().metadata.annotations().len(), 1);
    fabric.third_party(Method::DELETE, "");
    assert_eq!(guard.wait_lost(SOON), Some(Loss::Deleted));
    assert_eq!(fabric.holder(), None);

    let guard = D::over(&fabric).acquire(config("me", 3_000)).unwrap();
    fabric.third_party(Method::PATCH, r#"{"spec":{"holderIdentity":"other"}}"#);
    assert_eq!(guard.wait_lost(SOON), Some(taken_over()));
    drop(guard);
    assert_eq!(fabric.holder().as_deref(), Some("other"));
}

fn a_refusal_says_which_role_is_missing<D: Driver>() {
    let fabric = Fabric::new();
    fabric.always(Some(Fault::Answer(403)));
    for error in [
        D::over(&fabric).acquire(config("me", 3_000)).err().unwrap(),
        D::over(&fabric)
            .try_acquire(config("me", 3_000))
            .err()
            .unwrap(),
        D::over(&fabric)
            .acquire_timeout(config("me", 3_000), SOON)
            .err()
            .unwrap(),
    ] {
        assert!(
            matches!(error, AcquireError::Failed(Failure::Refused(_))),
            "{error}"
        );
        assert!(error.advice().unwrap().contains("kind: Role"), "{error}");
    }
}

fn a_token_that_is_refused_is_read_again<D: Driver>() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("token");
    fs::write(&file, "old").unwrap();
    let swapped = file.clone();
    let server = Server::start(move |seen| {
        if seen.header("authorization") != Some("Bearer old") {
            return server::Answer::Keep(server::answer("403 Forbidden", "{}"));
        }
        // Of the same length and time: nothing but the 401 tells that it has changed.
        let modified = fs::metadata(&swapped).unwrap().modified().unwrap();
        fs::write(&swapped, "new").unwrap();
        let file = fs::File::options().write(true).open(&swapped).unwrap();
        file.set_modified(modified).unwrap();
        server::Answer::Keep(server::answer("401 Unauthorized", "{}"))
    });
    let client = D::with_token_file(&server.url(), &file);
    let error = client.try_acquire(config("me", 30_000)).err().unwrap();
    assert!(matches!(error, AcquireError::Failed(_)), "{error}");
    let seen = server.seen();
    let tokens = seen.iter().map(|seen| seen.header("authorization"));
    let tokens: Vec<_> = tokens.flatten().collect();
    assert_eq!(tokens, ["Bearer old", "Bearer new"]);
}

fn a_server_that_fails_is_said_to<D: Driver>() {
    let fabric = Fabric::new();
    fabric.always(Some(Fault::Fail));
    let error = D::over(&fabric)
        .try_acquire(config("me", 3_000))
        .err()
        .unwrap();
    assert!(matches!(error, AcquireError::Trouble { .. }), "{error}");
    let source = std::error::Error::source(&error).and_then(|source| source.source());
    assert_eq!(source.unwrap().to_string(), "as the test wants it");
}

fn a_server_that_is_silent_is_said_to_be<D: Driver>() {
    let fabric = Fabric::new();
    let hasty = Config::builder("default", "leader", "me")
        .request_timeout(Duration::from_millis(200))
        .acquire_retries(1)
        .build()
        .unwrap();
    // What failed before is not the reason.
    fabric.once(Method::GET, Fault::Fail);
    fabric.always(Some(Fault::Hang));
    let error = D::over(&fabric).try_acquire(hasty).err().unwrap();
    assert!(matches!(error, AcquireError::Trouble { .. }), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.starts_with("no answer from the API server within "),
        "{source}"
    );
}

fn a_transport_that_panics_costs_one_answer<D: Driver>() {
    let fabric = Fabric::new();
    fabric.once(Method::GET, Fault::Panic);
    fabric.once(Method::PUT, Fault::Panic);
    // Each request has longer than the test.
    let slow = Config::builder("default", "leader", "me")
        .lease_duration(3 * SOON)
        .renew_interval(Duration::from_secs(1))
        .build()
        .unwrap();
    let begun = Instant::now();
    let guard = D::over(&fabric).acquire(slow).unwrap();
    await_that(
        || fabric.count(&Method::PUT) >= 2,
        "a renewal after the one that panicked",
    );
    assert!(begun.elapsed() < SOON && guard.is_held());
    assert_eq!(guard.release(), Some(Released::Cleared));
}

fn a_lost_answer_to_the_acquiring_write_is_settled<D: Driver>() {
    let fabric = Fabric::new();
    fabric.once(Method::POST, Fault::LoseAnswer);
    let guard = D::over(&fabric).try_acquire(config("me", 3_000)).unwrap();
    let asked = fabric.asked();
    // A set may renew at once: it spreads renewals.
    assert!(
        asked.starts_with(&[Method::GET, Method::POST, Method::GET]),
        "{asked:?}"
    );
    assert_eq!(fabric.count(&Method::POST), 1);
    assert_eq!(fabric.holder(), Some(guard.identity()));
}

fn a_look_finds_a_successor<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 30_000)).unwrap();
    assert_eq!(guard.verify(), Ok(()));
    fabric.third_party(Method::PATCH, r#"{"spec":{"holderIdentity":"other"}}"#);
    assert!(guard.is_held(), "nobody has looked yet");
    let lost = Lost::new(taken_over());
    assert_eq!(guard.verify(), Err(VerifyError::Lost(lost)));
    assert!(!guard.is_held());
}

fn a_look_is_not_answered_by_what_was_read_before<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 60_000)).unwrap();
    fabric.once(Method::GET, Fault::Late(Duration::from_secs(1)));
    let reads = fabric.count(&Method::GET);
    thread::scope(|scope| {
        let earlier = scope.spawn(|| guard.verify());
        await_that(|| fabric.count(&Method::GET) > reads, "the earlier look");
        fabric.third_party(Method::PATCH, r#"{"spec":{"holderIdentity":"other"}}"#);
        let lost = Lost::new(taken_over());
        assert_eq!(guard.verify(), Err(VerifyError::Lost(lost)));
        // It may have been told of the one or of the other.
        let _either = earlier.join().unwrap();
    });
}

fn a_release_that_is_refused_ends<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 3_000)).unwrap();
    fabric.always(Some(Fault::Answer(403)));
    assert_eq!(guard.release(), Some(Released::Unconfirmed));
    let asked = fabric.asked().len();
    assert!(asked < 10, "{asked} requests");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(fabric.asked().len(), asked, "it goes on");
}

fn a_look_without_an_answer_is_bounded_and_costs_nothing<D: Driver>() {
    let fabric = Fabric::new();
    let guard = D::over(&fabric).acquire(config("me", 3_000)).unwrap();
    for _ in 0..20 {
        fabric.once(Method::GET, Fault::Answer(403));
    }
    assert_eq!(guard.verify(), Err(VerifyError::NoAnswer));
    assert!(guard.is_held(), "it was renewed meanwhile");
}
