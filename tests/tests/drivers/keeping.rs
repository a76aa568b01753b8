//! What a keeper does after a loss, and when it is stopped: scenarios for each driver.

use http::Method;
use lease_proto::{Event, Loss, Released};

use crate::{
    Fabric, Fault, config,
    driver::{Driver, Keeper},
};

pub(crate) fn a_keeper_stopped_after_a_loss_frees_what_it_may_have_written<D: Driver>() {
    let fabric = Fabric::new();
    let keeper = D::over(&fabric).keep(config("me", 3_000));
    assert!(matches!(keeper.next_event(), Some(Event::Acquired(_))));
    fabric.always(Some(Fault::LoseAnswer));
    while !matches!(keeper.next_event(), Some(Event::Lost(Loss::Expired))) {}
    assert!(fabric.holder().is_some());
    fabric.always(None);
    assert_eq!(keeper.release(), Some(Released::Cleared));
    assert_eq!(fabric.holder(), None);
}

pub(crate) fn a_keeper_begins_again_after_a_loss<D: Driver>() {
    let fabric = Fabric::new();
    let keeper = D::over(&fabric).keep(config("me", 3_000));
    assert!(matches!(keeper.next_event(), Some(Event::Acquired(_))));
    fabric.third_party(Method::DELETE, "");
    loop {
        match keeper.next_event() {
            Some(Event::Lost(loss)) => {
                assert_eq!(loss, Loss::Deleted);
                break;
            }
            event => assert!(matches!(event, Some(Event::Renewed(_))), "{event:?}"),
        }
    }
    assert!(matches!(keeper.next_event(), Some(Event::Acquired(_))));
    assert_eq!(keeper.release(), Some(Released::Cleared));
    assert_eq!(fabric.holder(), None);
}

pub(crate) fn a_keeper_that_is_stopped_tells_so_and_ends<D: Driver>() {
    let fabric = Fabric::new();
    let keeper = D::over(&fabric).keep(config("me", 3_000));
    assert!(matches!(keeper.next_event(), Some(Event::Acquired(_))));
    assert!(!keeper.has_ended());
    keeper.stop();
    assert_eq!(keeper.next_event(), Some(Event::Lost(Loss::Released)));
    assert!(keeper.grant().is_none());
    assert_eq!(
        keeper.next_event(),
        Some(Event::Released(Released::Cleared))
    );
    assert_eq!(keeper.next_event(), None);
    assert!(keeper.has_ended());
    assert_eq!(fabric.holder(), None);
}
