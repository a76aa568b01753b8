//! A lease that is held from one command to the next.

use std::process::Stdio;

use serde_json::Value;

use crate::{Place, Ran};

#[test]
fn a_holder_acquires_renews_and_releases_and_nobody_else_does() {
    let place = Place::new();
    let token: u64 = place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "60s"])
        .with(0)
        .stdout
        .trim()
        .parse()
        .unwrap();
    let first = place.record("a").unwrap();
    assert_eq!(first.spec.holder(), Some("me"));
    assert_eq!(first.spec.lease_duration_seconds, Some(60));

    for command in ["acquire", "renew", "release"] {
        place
            .run(&[command, "a", "--holder", "you"])
            .with(5)
            .saying(&["\"me\""]);
        assert_eq!(place.record("a").unwrap(), first);
    }

    place.run(&["renew", "a", "--holder", "me"]).with(0);
    let renewed = place.record("a").unwrap();
    assert_eq!(renewed.spec.acquire_time, first.spec.acquire_time);
    assert_ne!(renewed.spec.renew_time, first.spec.renew_time);
    assert_eq!(renewed.spec.lease_duration_seconds, Some(60));
    let again: u64 = place
        .run(&["acquire", "a", "--holder", "me"])
        .with(0)
        .stdout
        .trim()
        .parse()
        .unwrap();
    assert!(token < again, "{token} {again}");
    assert_eq!(place.record("a").unwrap().spec.lease_transitions, Some(0));

    place.run(&["release", "a", "--holder", "me"]).with(0);
    let released = place.record("a").unwrap();
    assert_eq!(released.spec.holder_identity.as_deref(), Some(""));
    assert_eq!(released.spec.lease_duration_seconds, Some(1));
    for command in ["renew", "release"] {
        place
            .run(&[command, "a", "--holder", "me"])
            .with(5)
            .saying(&["nobody"]);
    }
    place.run(&["acquire", "a", "--holder", "you"]).with(0);
    let taken = place.record("a").unwrap();
    // The second that a release leaves behind is nobody's duration.
    assert_eq!(taken.spec.lease_duration_seconds, Some(15));
    assert_eq!(taken.spec.lease_transitions, Some(1));
}

#[test]
fn what_does_not_exist_is_not_found() {
    let place = Place::new();
    for command in ["renew", "release"] {
        place
            .run(&[command, "a", "--holder", "me"])
            .with(2)
            .saying(&["no lease a", "default"]);
    }
    place
        .run(&["status", "a", "-n", "other"])
        .with(2)
        .saying(&["no lease a", "other"]);
    assert_eq!(place.record("a"), None);
}

#[test]
fn waiting_ends_with_the_release_or_with_the_timeout() {
    let place = Place::new();
    place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "60s"])
        .with(0);
    place
        .run(&["acquire", "a", "--holder", "you", "--timeout", "0"])
        .with(5)
        .saying(&["\"me\""]);
    place
        .run(&["acquire", "a", "--holder", "you", "--timeout", "300ms"])
        .with(3)
        .saying(&["\"me\"", "timed out"]);
    let waiter = place.start(&["acquire", "a", "--holder", "you", "--wait", "--ttl", "5s"]);
    place.run(&["release", "a", "--holder", "me"]).with(0);
    waiter.end().with(0);
    assert_eq!(place.record("a").unwrap().spec.holder(), Some("you"));
}

#[test]
fn the_status_can_be_asked_of_one_holder() {
    let place = Place::new();
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    assert!(
        place
            .run(&["status", "a", "--holder", "me"])
            .with(0)
            .stdout
            .contains("me")
    );
    assert!(
        place
            .run(&["status", "a", "--holder", "you"])
            .with(5)
            .stdout
            .contains("me")
    );
}

#[test]
fn the_holder_can_be_said_by_the_environment() {
    let place = Place::new();
    let output = place
        .lease(&["acquire", "a"])
        .env("LEASE_HOLDER", "me")
        .output()
        .unwrap();
    Ran::from(output).with(0);
    assert_eq!(place.record("a").unwrap().spec.holder(), Some("me"));
}

#[test]
fn the_json_object_has_the_members_that_are_promised() {
    let place = Place::new();
    let members = [
        "acquireTime",
        "expires",
        "holder",
        "leaseDurationSeconds",
        "name",
        "namespace",
        "phase",
        "renewTime",
        "resourceVersion",
        "transitions",
    ];
    let read = |ran: Ran| -> Value { serde_json::from_str(&ran.with(0).stdout).unwrap() };
    let names =
        |object: &Value| -> Vec<String> { object.as_object().unwrap().keys().cloned().collect() };

    let acquired = read(place.run(&[
        "acquire", "a", "--holder", "me", "--ttl", "60s", "-o", "json",
    ]));
    assert!(acquired["token"].is_string());
    let held = read(place.run(&["status", "a", "-o", "json"]));
    assert_eq!(names(&held), members);
    assert_eq!(
        (&held["phase"], &held["holder"]),
        (&"Held".into(), &"me".into())
    );
    assert_eq!(held["resourceVersion"], acquired["token"]);
    let free = read(place.run(&["release", "a", "--holder", "me", "-o", "json"]));
    assert_eq!(names(&free), members);
    assert_eq!(
        (&free["phase"], &free["holder"], &free["expires"]),
        (&"Available".into(), &Value::Null, &Value::Null)
    );
}

#[test]
fn a_pipe_that_closes_is_no_failure_and_a_full_disk_is() {
    let place = Place::new();
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = place
        .lease(&["status", "a"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    Ran::from(output).with(1).saying(&["standard output"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place
        .lease(&["status", "a"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    Ran::from(output).with(0);
}
