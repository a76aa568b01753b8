//! Names that are over name nothing.

use super::*;
use crate::wire::{Identity, Lease};

#[test]
fn claims_acquire_renew_and_release_side_by_side() {
    let mut w = World::new(SetLimits::default());
    let ids = w.acquire(3);
    w.run(SECOND);
    assert_eq!(w.held(&ids), 3);
    w.run(SECOND * 20);
    assert_eq!((w.held(&ids), w.losses()), (3, 0));
    let now = w.instant();
    w.set.release(ids[1], now);
    assert_eq!(w.held(&ids), 2, "it is given up at once");
    w.run(SECOND);
    let record = w.server.lease("default", "lease-1").unwrap();
    assert_eq!(record["spec"]["holderIdentity"], "");
    let now = w.instant();
    let next = Identity::new("next").unwrap();
    w.set.hand_over(ids[0], next, SECOND * 20, now);
    w.set.release(ids[2], now);
    w.run(SECOND);
    assert_eq!(w.wait, None, "all are at rest");
    let record = w.server.lease("default", "lease-0").unwrap();
    let record: Lease = serde_json::from_value(record).unwrap();
    assert_eq!(crate::successor(&record).as_deref(), Some("next"));
    assert_eq!(crate::held_back(&record), Some(SECOND * 20));
}

#[test]
fn a_claim_that_is_removed_is_forgotten_with_its_requests() {
    let mut w = World::new(SetLimits::default());
    let ids = w.acquire(2);
    let now = w.instant();
    let SetOutput::Request(tag, request) = w.output() else {
        panic!("a claim reads");
    };
    assert_eq!(tag.claim(), Some(ids[0]));
    assert!(w.set.remove(ids[0]));
    assert!(!w.set.remove(ids[0]));
    assert!(matches!(w.output(), SetOutput::Cancel(cancelled) if cancelled == tag));
    // Its place is taken by another one, which has nothing to do with what was asked before.
    let other = w.add("other");
    assert_eq!((other.slot, w.set.len()), (ids[0].slot, 2));
    assert_ne!(other, ids[0]);
    w.set.acquire(ids[0], Patience::Forever, now);
    let answer = http::Response::builder()
        .status(404)
        .body(Vec::new())
        .unwrap();
    w.set.handle_response(tag, &answer, now);
    w.set.handle_failure(tag, now);
    w.set.handle_chunk(tag, b"{}", now);
    assert!(w.set.get(ids[0]).is_none());
    assert!(request.deadline > now);
    w.run(SECOND);
    assert_eq!(w.held(&[other]), 0, "nobody asked for that");
    assert_eq!(w.held(&ids), 1);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let play = || {
        let mut w = World::new(SetLimits::default().requests(4));
        w.acquire(20);
        w.run(SECOND * 30);
        let events: Vec<_> = w
            .events
            .iter()
            .map(|(at, id, event)| (*at, *id, event.to_string()))
            .collect();
        (w.sent, events)
    };
    assert_eq!(play(), play());
}
