//! Who goes first of those that wait by priority: scenarios for each driver.

use std::time::Duration;

use http::Method;
use lease_proto::{Config, Event};

use crate::{
    Fabric, await_that, config,
    driver::{Driver, Guard, Keeper},
};

fn ranked(identity: &str, priority: i32) -> Config {
    Config::builder("default", "leader", identity)
        .lease_duration(Duration::from_secs(30))
        .priority(priority)
        .build()
        .unwrap()
}

pub(crate) fn the_most_important_of_those_that_wait_is_next<D: Driver>() {
    let fabric = Fabric::new();
    let client = D::over(&fabric);
    let guard = client.acquire(config("me", 30_000)).unwrap();
    // The one that was there first, and the one that goes before it.
    let low = client.keep(ranked("low", 1));
    while !matches!(low.next_event(), Some(Event::Waiting(_))) {}
    // The Lease was created, and then this.
    let announced = |count| fabric.count(&Method::POST) > count;
    await_that(|| announced(1), "its announcement");
    let high = client.keep(ranked("high", 2));
    while !matches!(high.next_event(), Some(Event::Waiting(_))) {}
    await_that(|| announced(2), "that of whoever goes first");
    guard.release();
    await_that(|| high.grant().is_some(), "the most important");
    assert!(low.grant().is_none());
    high.stop();
    while high.next_event().is_some() {}
    await_that(|| low.grant().is_some(), "the other");
    await_that(
        || fabric.count(&Method::DELETE) >= 2,
        "that both announcements are withdrawn",
    );
}
