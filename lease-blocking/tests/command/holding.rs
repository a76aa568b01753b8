//! A lease that is held from one command to the next.

use std::process::Stdio;

use lease_blocking::proto::wire::Lease;
use serde_json::{Value, json};

use crate::{Place, Ran};

#[test]
fn without_a_ttl_it_is_what_the_object_names_though_nobody_has_held_it() {
    let place = Place::new();
    let lease = json!({"metadata": {"name": "a"}, "spec": {"leaseDurationSeconds": 77}});
    let lease: Lease = serde_json::from_value(lease).unwrap();
    place.client().create(&lease).unwrap();
    let named = || place.record("a").unwrap().spec.lease_duration_seconds;
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    assert_eq!(named(), Some(77));
    // What a release leaves behind says nothing.
    place.run(&["release", "a", "--holder", "me"]).with(0);
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    assert_eq!(named(), Some(15));
}

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
    let again_held = place.record("a").unwrap();
    assert_eq!(again_held.spec.lease_transitions, Some(0));
    assert_eq!(again_held.spec.acquire_time, first.spec.acquire_time);
    assert_eq!(again_held.spec.lease_duration_seconds, Some(60));

    place.run(&["release", "a", "--holder", "me"]).with(0);
    let released = place.record("a").unwrap();
    assert_eq!(released.spec.holder_identity.as_deref(), Some(""));
    assert_eq!(released.spec.lease_duration_seconds, Some(1));
    place
        .run(&["renew", "a", "--holder", "me"])
        .with(5)
        .saying(&["nobody"]);
    // What is free already is as a release leaves it, and nothing is written.
    place.run(&["release", "a", "--holder", "me"]).with(0);
    assert_eq!(place.record("a").unwrap(), released);
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
    place
        .run(&[
            "acquire",
            "a",
            "--holder",
            "you",
            "--wait",
            "--timeout=300ms",
        ])
        .with(3)
        .saying(&["\"me\"", "timed out"]);
    place
        .run(&["acquire", "a", "--holder", "you", "--wait", "--timeout=0"])
        .with(64)
        .saying(&["--wait", "--timeout 0"]);
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
        "candidateFor",
        "candidates",
        "done",
        "expires",
        "holder",
        "leaseDurationSeconds",
        "name",
        "namespace",
        "newcomerSeconds",
        "phase",
        "renewTime",
        "renewable",
        "renewals",
        "resourceVersion",
        "successor",
        "transitions",
        "waiterSeconds",
    ];
    let help = place.bare(&["status", "--help"]).output().unwrap();
    let help = Ran::from(help).with(0).stdout;
    for member in members {
        assert!(help.contains(member), "{member} is not in {help}");
    }
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
    // By this machine's clock, some of the minute is over for those who have waited.
    let wait = |name: &str| held[name].as_u64().unwrap();
    assert!((1..=60).contains(&wait("waiterSeconds")), "{held}");
    assert_eq!(wait("newcomerSeconds"), 60);
    let free = read(place.run(&["release", "a", "--holder", "me", "-o", "json"]));
    assert_eq!(names(&free), members);
    assert_eq!(
        (&free["phase"], &free["holder"], &free["expires"]),
        (&"Available".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(
        (&free["waiterSeconds"], &free["newcomerSeconds"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn a_pipe_that_closes_is_no_failure_and_a_full_disk_is() {
    let place = Place::new();
    for (arguments, words) in [
        (
            &["acquire", "a", "--holder", "me"][..],
            &["lease a is acquired, but"][..],
        ),
        (&["acquire", "a", "--holder", "me", "-o", "json"], &["but"]),
        (&["renew", "a", "--holder", "me", "-o", "json"], &[]),
        (&["status", "a"], &[]),
        (&["status", "a", "-o", "yaml"], &[]),
        (&["list"], &[]),
        (&["watch", "a"], &[]),
        (&["release", "a", "--holder", "me", "-o", "json"], &[]),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = place.lease(arguments).stdout(full.unwrap()).output();
        let words = [words, &["cannot write to standard output", "No space left"]].concat();
        let code = if arguments[0] == "status" { 6 } else { 1 };
        Ran::from(output.unwrap()).with(code).saying(&words);
    }
    for arguments in [&["--help"][..], &["man"], &["completion", "bash"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = place.bare(arguments).stdout(full.unwrap()).output();
        Ran::from(output.unwrap())
            .with(1)
            .saying(&["cannot write to standard output"]);
    }
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
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

#[test]
fn what_a_dead_holder_has_can_be_taken_from_it_and_nothing_else() {
    let place = Place::new();
    let acquire = ["acquire", "a", "--holder", "dead", "--ttl", "1h"];
    place.run(&acquire).with(0);
    let before = place.record("a").unwrap();
    // Nobody is there to be asked.
    place
        .run(&["release", "a", "--force"])
        .with(64)
        .saying(&["--yes"]);
    place
        .run(&["release", "a", "--yes", "--holder", "dead"])
        .with(64)
        .saying(&["--force"]);
    place.run(&["release", "a"]).with(64).saying(&["--holder"]);
    assert_eq!(place.record("a").unwrap(), before);
    place.run(&["release", "a", "--force", "--yes"]).with(0);
    let after = place.record("a").unwrap();
    assert_eq!(
        (after.spec.holder(), &after.metadata.uid),
        (None, &before.metadata.uid)
    );
    assert_eq!(after.spec.lease_transitions, before.spec.lease_transitions);
    place
        .run(&["release", "a", "--force", "-y"])
        .with(5)
        .saying(&["nobody holds lease a"]);
    place
        .run(&["release", "b", "--force", "-y"])
        .with(2)
        .saying(&["no lease b"]);
    place.run(&["acquire", "a", "--holder", "next"]).with(0);
}
