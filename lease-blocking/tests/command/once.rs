//! Work that is done once, Leases that are not renewed, and whom a Lease is left to.

use std::{
    fs::File,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use lease_blocking::proto::{self, Once, renewals};
use serde_json::Value;

use crate::{Place, Ran, await_that};

#[test]
fn what_has_succeeded_with_a_key_is_not_done_again_and_is_with_another() {
    let place = Place::new();
    let run = |key, code: &str| {
        let script = format!("echo {key} >> log; exit {code}");
        place.run(&["run", "a", "--once", key, "--", "sh", "-c", &script])
    };
    // Failure records nothing.
    run("v1", "3").with(3);
    run("v1", "0").with(0);
    let again = run("v1", "0").with(0);
    assert!(again.stderr.contains("\"v1\" was done by"), "{again:?}");
    run("v2", "0").with(0);
    run("v2", "0").with(0);
    assert_eq!(place.text("log"), "v1\nv1\nv2\n");
    let status = place.run(&["status", "a", "-o", "json"]).with(1);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["done"]["key"], "v2");
    let text = place.run(&["status", "a"]).with(1).stdout;
    assert!(text.contains("Done:        v2 by "), "{text}");
}

#[test]
fn of_several_at_once_one_does_it_and_the_others_find_it_done() {
    let place = Place::new();
    let script = "echo ran >> log; sleep 0.5";
    let arguments = ["run", "a", "--once", "v1", "--", "sh", "-c", script];
    let started: Vec<_> = (0..4).map(|_| place.start(&arguments)).collect();
    for started in started {
        started.end().with(0);
    }
    assert_eq!(place.text("log"), "ran\n");
}

#[test]
fn whoever_loses_the_lease_records_nothing() {
    let place = Place::new();
    let script = "echo ran >> log; sleep 60";
    let running = place.start(&["run", "a", "--once", "v1", "--", "sh", "-c", script]);
    place.await_text("log", "ran");
    place.run(&["release", "a", "--force", "--yes"]).with(0);
    place.run(&["acquire", "a", "--holder", "thief"]).with(0);
    running.end().with(123);
    let once = Once::new("v1").unwrap();
    assert_eq!(once.done(&place.record("a").unwrap()), None);
}

/// Runs a program that heeds no SIGTERM while nobody can write to the directory, until that is over and the lease renewed.
fn told_and_spared(end: &str) -> (Place, Ran) {
    let place = Place::new();
    let script = format!(
        "trap 'echo told > told' TERM; echo ran > log; while [ ! -e end ]; do sleep 0.05; done; {end}"
    );
    // To a file, so that it can be read meanwhile.
    let mut command = Command::new("sh");
    let lease = place.lease(&[
        "run", "a", "--once", "v1", "--ttl", "12s", "--grace", "6s", "--", "sh", "-c", &script,
    ]);
    command
        .current_dir(place.folder.path())
        .args(["-c", "exec \"$@\" 2> said", "sh"])
        .arg(lease.get_program())
        .args(lease.get_args())
        .stdin(Stdio::null());
    let running = Place::spawn(command);
    place.await_text("log", "ran");
    let lock = File::open(place.file("leases").join("lock")).unwrap();
    lock.lock().unwrap();
    place.await_text("told", "told");
    drop(lock);
    place.await_text("said", "renewed again");
    place.keep("end", "");
    let ran = running.end();
    (place, ran)
}

#[test]
fn whoever_was_told_to_stop_and_is_renewed_again_ends_as_it_ends() {
    let once = Once::new("v1").unwrap();
    let is_done = |place: &Place| once.done(&place.record("a").unwrap()).is_some();
    let (place, ran) = told_and_spared("exit 0");
    ran.with(0);
    assert!(is_done(&place));
    let (place, ran) = told_and_spared("exit 7");
    ran.with(7);
    assert!(!is_done(&place));
    // It was stopped by us, though late.
    let (place, ran) = told_and_spared("exit 143");
    ran.with(123);
    assert!(!is_done(&place));
}

#[test]
fn what_is_not_renewable_is_not_renewed_and_says_why() {
    let place = Place::new();
    place
        .run(&[
            "acquire",
            "a",
            "--holder",
            "me",
            "--ttl",
            "60s",
            "--not-renewable",
        ])
        .with(0);
    let first = place.record("a").unwrap();
    place
        .run(&["renew", "a", "--holder", "me"])
        .with(1)
        .saying(&["lease a is not renewable", "ends with its duration"]);
    for (patience, code) in [("0", 5), ("300ms", 3)] {
        let ran = place
            .run(&["acquire", "a", "--holder", "me", "--timeout", patience])
            .with(code)
            .saying(&["\"me\" holds lease a already", "ends with its duration"]);
        assert!(!ran.stderr.contains("held by"), "{ran:?}");
    }
    assert_eq!(place.record("a").unwrap(), first);
    let text = place.run(&["status", "a"]).with(0).stdout;
    assert!(text.contains("Renewable:   no"), "{text}");
    assert!(!text.contains("unless it is renewed"), "{text}");
    let help = place.bare(&["acquire", "--help"]).output().unwrap();
    assert!(!Ran::from(help).with(0).stdout.contains("the program"));
    // It can be given back, and is renewable for whoever has it next.
    place.run(&["release", "a", "--holder", "me"]).with(0);
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    place.run(&["renew", "a", "--holder", "me"]).with(0);
}

#[test]
fn a_program_ends_with_a_lease_that_is_not_renewed() {
    let place = Place::new();
    let ran = place
        .run(&[
            "run",
            "a",
            "--ttl",
            "2s",
            "--not-renewable",
            "--",
            "sleep",
            "60",
        ])
        .with(123);
    assert!(ran.stderr.contains("the program has"), "{ran:?}");
}

#[test]
fn renewals_are_counted_and_shown_where_that_is_asked_for() {
    let place = Place::new();
    place
        .run(&[
            "acquire",
            "a",
            "--holder",
            "me",
            "--ttl",
            "60s",
            "--count-renewals",
        ])
        .with(0);
    for _ in 0..3 {
        place.run(&["renew", "a", "--holder", "me"]).with(0);
    }
    let text = place.run(&["status", "a"]).with(0).stdout;
    assert!(text.contains("Renewals:    3\n"), "{text}");
    // A program's are counted by itself.
    let running = place.start(&[
        "run",
        "b",
        "--ttl",
        "3s",
        "--count-renewals",
        "--",
        "sleep",
        "60",
    ]);
    await_that(
        || {
            place
                .record("b")
                .is_some_and(|lease| renewals(&lease) >= Some(2))
        },
        "two renewals",
    );
    running.signal("TERM");
    running.end().with(143);
}

#[test]
fn a_lease_is_left_to_its_successor_and_others_hold_back() {
    let place = Place::new();
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    place
        .run(&[
            "release", "a", "--holder", "me", "--to", "next", "--for", "5m",
        ])
        .with(0);
    let status = place.run(&["status", "a", "-o", "json"]).with(1);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["successor"], "next");
    for others in ["waiterSeconds", "newcomerSeconds"] {
        let others = status[others].as_u64().unwrap();
        assert!((1..=300).contains(&others), "{status}");
    }
    let text = place.run(&["status", "a"]).with(1).stdout;
    for line in ["next, at once", "others, in "] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("anybody"), "{text}");
    for others in [
        &["acquire", "a", "--holder", "other"][..],
        &["acquire", "a", "--holder", "other", "--timeout", "300ms"],
        &["run", "a", "--no-wait", "--", "true"],
    ] {
        let ran = place.run(others).saying(&["left to \"next\""]);
        assert!(!ran.stderr.contains("held by"), "{ran:?}");
    }
    place.run(&["acquire", "a", "--holder", "other"]).with(5);
    let waits = [
        "acquire",
        "a",
        "--holder",
        "other",
        "--timeout",
        "300ms",
        "-v",
    ];
    place
        .run(&waits)
        .with(3)
        .saying(&["lease: a: the lease is free, and left to \"next\"; others hold back for "]);
    place.run(&["acquire", "a", "--holder", "next"]).with(0);
    // A successor that does not come is not waited for.
    place
        .run(&[
            "release", "a", "--holder", "next", "--to", "gone", "--for", "1s",
        ])
        .with(0);
    place
        .run(&[
            "acquire",
            "a",
            "--holder",
            "other",
            "--wait",
            "--timeout",
            "5m",
        ])
        .with(0);
    // And neither is it by who comes later, and does not wait at all.
    place
        .run(&[
            "release", "a", "--holder", "other", "--to", "gone", "--for", "1s",
        ])
        .with(0);
    thread::sleep(Duration::from_millis(1_500));
    let text = place.run(&["status", "a"]).with(1).stdout;
    assert!(text.contains("anybody, at once"), "{text}");
    place.run(&["run", "a", "--no-wait", "--", "true"]).with(0);
}

#[test]
fn to_whom_a_lease_is_left_can_be_changed_and_taken_back() {
    let place = Place::new();
    let left_to = || proto::successor(&place.record("a").unwrap());
    let release = |rest: &[&str]| place.run(&[&["release", "a"], rest].concat());
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    release(&["--holder", "me", "--to", "typo", "--for", "5m"]).with(0);
    let before = place.record("a").unwrap();
    // A script's last command may come after that, and takes nothing back.
    release(&["--holder", "me"]).with(0);
    release(&["--holder", "another", "--to", "next"])
        .with(5)
        .saying(&["left to \"typo\" by \"me\"", "--force"]);
    assert_eq!(place.record("a").unwrap(), before);
    release(&["--holder", "me", "--to", "next", "--for", "5m"]).with(0);
    assert_eq!(left_to().as_deref(), Some("next"));
    // Anybody may, who says that it is meant.
    release(&["--force", "--yes", "--holder", "typo"])
        .with(5)
        .saying(&["left to \"next\", not \"typo\""]);
    release(&["--force", "--yes", "--to", "third", "--for", "5m"]).with(0);
    assert_eq!(left_to().as_deref(), Some("third"));
    release(&["--force", "--yes"]).with(0);
    assert_eq!(left_to(), None);
    // There is nobody left whose it would be to say so.
    let before = place.record("a").unwrap();
    release(&["--holder", "me", "--to", "next"])
        .with(5)
        .saying(&["nobody holds lease a", "nothing was changed"]);
    assert_eq!(place.record("a").unwrap(), before);
    place.run(&["acquire", "a", "--holder", "other"]).with(0);
}

#[test]
fn the_help_says_how_many_keys_are_kept_and_how_a_lease_is_handed_over() {
    let place = Place::new();
    let help = |words: &[&str]| {
        Ran::from(place.bare(words).output().unwrap())
            .with(0)
            .stdout
    };
    let of_run = help(&["run", "--help"]);
    assert!(of_run.contains("the last KEY"), "{of_run}");
    for words in [&["--help"][..], &["release", "--help"]] {
        assert!(help(words).contains("--to report --for 1m"), "{words:?}");
    }
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    let place = Place::new();
    for (arguments, word) in [
        (&["run", "a", "--once", "", "--", "true"][..], "--once"),
        (
            &[
                "run",
                "a",
                "--not-renewable",
                "--count-renewals",
                "--",
                "true",
            ],
            "--count-renewals",
        ),
        (&["release", "a", "--holder", "me", "--for", "5s"], "--to"),
        (
            &[
                "release", "a", "--holder", "me", "--to", "you", "--for", "6m",
            ],
            "five minutes",
        ),
        (
            &[
                "release", "a", "--holder", "me", "--to", "you", "--for", "0",
            ],
            "--for",
        ),
    ] {
        place.run(arguments).with(64).saying(&[word]);
    }
}
