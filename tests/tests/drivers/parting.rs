//! What is left in the record by whoever gives a Lease up: scenarios for each driver.

use std::time::Duration;

use lease_proto::{Event, Identity, Once, Parting, Released};

use crate::{
    Fabric, await_that, config,
    driver::{Driver, Guard, Keeper},
};

pub(crate) fn what_a_guard_leaves_stands_in_the_record<D: Driver>() {
    let fabric = Fabric::new();
    let client = D::over(&fabric);
    let guard = client.acquire(config("me", 3_000)).unwrap();
    let identity = guard.identity();
    let once = Once::new("schema-42").unwrap();
    let released = guard.release_with(Parting::default().done(once.clone()));
    assert_eq!(released, Some(Released::Cleared));
    let record = fabric.record().unwrap();
    assert_eq!(once.done(&record).unwrap().by, identity);
    assert_eq!(record.spec.holder(), None);
    // It stays when others have the Lease, and leave nothing.
    let guard = client.acquire(config("you", 3_000)).unwrap();
    assert!(once.done(&fabric.record().unwrap()).is_some());
    assert_eq!(guard.release(), Some(Released::Cleared));
    assert!(once.done(&fabric.record().unwrap()).is_some());
}

pub(crate) fn what_a_keeper_leaves_is_for_its_successor_and_others_hold_back<D: Driver>() {
    let fabric = Fabric::new();
    let client = D::over(&fabric);
    let keeper = client.keep(config("me", 9_000));
    await_that(|| fabric.holder().is_some(), "the first holder");
    // It waits for as long as it takes, and is there before the other.
    let other = client.keep(config("other", 9_000));
    while !matches!(other.next_event(), Some(Event::Waiting(_))) {}
    let successor = Identity::new("next").unwrap();
    let patience = Duration::from_secs(300);
    keeper.stop_with(Parting::default().successor(successor, patience));
    while let Some(event) = keeper.next_event() {
        let is_cleared = event == Event::Released(Released::Cleared);
        assert!(
            is_cleared || !matches!(event, Event::Released(_)),
            "{event}"
        );
    }
    while !matches!(other.next_event(), Some(Event::HolderChanged(_))) {}
    let next = client.acquire(config("next", 9_000)).unwrap();
    assert!(next.is_held() && other.grant().is_none());
    // Afterwards it is anybody's.
    assert_eq!(next.release(), Some(Released::Cleared));
    await_that(|| other.grant().is_some(), "whoever held back");
}

pub(crate) fn what_is_handed_over_is_for_its_successor_alone_for_a_while<D: Driver>() {
    for hands_over in [
        |client: &D| {
            let guard = client.acquire(config("me", 3_000)).unwrap();
            guard.hand_over(Identity::new("next").unwrap(), Duration::from_secs(60))
        },
        |client: &D| {
            let keeper = client.keep(config("me", 3_000));
            while !matches!(keeper.next_event(), Some(Event::Acquired(_))) {}
            keeper.hand_over(Identity::new("next").unwrap(), Duration::from_secs(60))
        },
    ] {
        let fabric = Fabric::new();
        let client = D::over(&fabric);
        assert_eq!(hands_over(&client), Some(Released::Cleared));
        let record = fabric.record().unwrap();
        assert_eq!(lease_proto::successor(&record).as_deref(), Some("next"));
        assert_eq!(
            lease_proto::held_back(&record),
            Some(Duration::from_secs(60))
        );
        let refused = client.try_acquire(config("other", 3_000));
        assert!(refused.is_err(), "it holds back");
        assert!(client.try_acquire(config("next", 3_000)).unwrap().is_held());
    }
}
