//! `lease run`: a program that runs while the lease is held, and no longer.

use std::{thread, time::Duration};

use lease_blocking::Preconditions;

use crate::{Place, Ran, await_that, is_alive};

#[test]
fn the_program_gets_the_lease_and_its_code_is_passed_on() {
    let place = Place::new();
    let script = "echo $LEASE_NAME $LEASE_NAMESPACE $LEASE_HOLDER $LEASE_TOKEN $LEASE_TRANSITIONS; echo oops >&2; cat; exit 42";
    let ran = place
        .run(&[
            "run", "a", "--holder", "me", "-n", "jobs", "--", "sh", "-c", script,
        ])
        .with(42);
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert_eq!(words.first(), Some(&"a"));
    assert_eq!(words.get(1), Some(&"jobs"));
    assert!(words.get(2).unwrap().starts_with("me_"), "{ran:?}");
    assert!(words.get(3).unwrap().parse::<u64>().unwrap() > 0, "{ran:?}");
    assert_eq!(words.get(4), Some(&"0"));
    assert_eq!(ran.stderr, "oops\n");
    let record = place
        .client()
        .with_namespace("jobs")
        .get("a")
        .unwrap()
        .unwrap();
    assert_eq!(record.spec.holder(), None);
}

#[test]
fn a_signal_that_ends_the_program_is_told_by_the_code() {
    let place = Place::new();
    place
        .run(&["run", "a", "--", "sh", "-c", "kill -9 $$"])
        .with(137);
    place
        .run(&["run", "a", "--", "sh", "-c", "kill -15 $$"])
        .with(143);
}

#[test]
fn several_at_once_run_one_after_the_other() {
    let place = Place::new();
    let script = "echo begin >> log; sleep 0.3; echo end >> log";
    let started: Vec<_> = (0..3)
        .map(|_| place.start(&["run", "a", "--ttl", "10s", "--", "sh", "-c", script]))
        .collect();
    for started in started {
        started.end().with(0);
    }
    assert_eq!(place.text("log"), "begin\nend\n".repeat(3));
    assert_eq!(place.record("a").unwrap().spec.lease_transitions, Some(2));
}

#[test]
fn a_killed_command_takes_its_program_with_it_and_is_succeeded_when_its_time_is_over() {
    let place = Place::new();
    let script = "echo $$ > pid; echo held >> log; exec sleep 60";
    let holder = place.start(&["run", "a", "--ttl", "3s", "--", "sh", "-c", script]);
    place.await_text("log", "held");
    holder.signal("KILL");
    await_that(|| !is_alive(&place.text("pid")), "the end of the program");
    place
        .run(&["run", "a", "--ttl", "3s", "--no-wait", "--", "true"])
        .with(124)
        .saying(&["held by"]);
    place
        .run(&["run", "a", "--ttl", "3s", "--timeout", "30s", "--", "true"])
        .with(0);
}

#[test]
fn waiting_is_bounded_and_can_be_interrupted() {
    let place = Place::new();
    place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "1h"])
        .with(0);
    let before = place.record("a");
    for bound in [
        &["--timeout", "300ms"][..],
        &["--timeout", "0"],
        &["--no-wait"],
    ] {
        let arguments = [&["run", "a"], bound, &["--", "touch", "ran"]].concat();
        place.run(&arguments).with(124).saying(&["\"me\""]);
    }
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let waiter = place.start(&["run", "a", "-v", "--", "touch", "ran"]);
        thread::sleep(Duration::from_millis(300));
        waiter.signal(signal);
        waiter.end().with(code);
    }
    assert_eq!(place.record("a"), before);
    assert!(!place.file("ran").exists());
}

#[test]
fn signals_are_passed_on_and_the_lease_is_released_after_the_program_has_ended() {
    let place = Place::new();
    let script = "trap 'echo told >> log; sleep 0.3; echo done >> log; exit 7' TERM; echo held >> log; while :; do sleep 0.05; done";
    let holder = place.start(&["run", "a", "--ttl", "10s", "--", "sh", "-c", script]);
    place.await_text("log", "held");
    let next = place.start(&[
        "run",
        "a",
        "--ttl",
        "10s",
        "--",
        "sh",
        "-c",
        "echo next >> log",
    ]);
    holder.signal("TERM");
    holder.end().with(7);
    next.end().with(0);
    assert_eq!(place.text("log"), "held\ntold\ndone\nnext\n");
}

#[test]
fn a_lost_lease_kills_the_program_and_all_that_it_started() {
    let place = Place::new();
    let script =
        "trap '' TERM; (trap '' TERM; echo $$ > shell; exec sleep 61) & echo $! > grandchild; wait";
    let holder = place.start(&["run", "a", "--ttl", "6s", "--", "sh", "-c", script]);
    await_that(|| !place.text("grandchild").is_empty(), "the grandchild");
    place
        .client()
        .delete("a", &Preconditions::default())
        .unwrap();
    let ran = holder.end().with(123);
    assert!(ran.stderr.contains("deleted"), "{ran:?}");
    await_that(
        || !is_alive(&place.text("grandchild")),
        "the end of the grandchild",
    );
    assert_eq!(place.record("a"), None);
}

#[test]
fn what_the_program_leaves_behind_is_killed_before_the_lease_is_released() {
    let place = Place::new();
    let ran = place
        .run(&[
            "run",
            "a",
            "--",
            "sh",
            "-c",
            "sleep 62 > /dev/null 2>&1 & echo $! > left",
        ])
        .with(0);
    assert!(!is_alive(&place.text("left")), "{ran:?}");
}

#[test]
fn a_lease_that_cannot_be_renewed_ends_the_program_in_time() {
    let place = Place::new();
    let script = "trap 'echo told >> log' TERM; echo $$ > pid; echo held >> log; while :; do sleep 0.05; done";
    let holder = place.start(&[
        "run", "a", "--ttl", "3s", "--grace", "1s", "--", "sh", "-c", script,
    ]);
    place.await_text("log", "held");
    let since = std::time::Instant::now();
    // Whoever locks the directory keeps every request waiting, as a server does that hangs.
    let directory = place.file("leases");
    let lock = std::fs::OpenOptions::new()
        .write(true)
        .open(directory.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let ran: Ran = holder.end().with(123);
    assert!(!is_alive(&place.text("pid")));
    // Its record names 3 s, and may have been renewed just before it was locked.
    assert!(since.elapsed() < Duration::from_secs(20), "{ran:?}");
    assert!(place.text("log").contains("told"), "{ran:?}");
    assert!(ran.stderr.contains("cannot be renewed"), "{ran:?}");
    drop(lock);
    place
        .run(&["run", "a", "--ttl", "3s", "--", "true"])
        .with(0);
}
