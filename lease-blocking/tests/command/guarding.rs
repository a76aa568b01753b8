//! `lease run`: whatever becomes of `lease`, of its guard and of the program's children, nothing outlives the lease.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use lease_blocking::Preconditions;

use crate::{Place, Started, await_that, is_alive};

/// Starts children that leave the process group, the session and their parent, and waits.
const FAMILY: &str = "
    echo $PPID > guard
    trap 'echo told >> log' TERM
    setsid sh -c 'trap \"\" TERM; echo $$ > far; exec sleep 600' > /dev/null 2>&1 &
    (setsid sh -c 'trap \"\" TERM; sh -c \"echo \\$\\$ > daemon; exec sleep 600\" &' > /dev/null 2>&1 &)
    echo $$ > program
    while :; do sleep 0.05; done";

/// The program, and what it has started.
const MEMBERS: [&str; 3] = ["program", "far", "daemon"];

fn start_family(place: &Place, options: &[&str]) -> Started {
    let arguments = [&["run", "a"], options, &["--", "sh", "-c", FAMILY]].concat();
    let started = place.start(&arguments);
    for member in MEMBERS {
        await_that(|| is_alive_in(place, member), member);
    }
    started
}

fn is_alive_in(place: &Place, file: &str) -> bool {
    let pid = place.text(file);
    pid.ends_with('\n') && is_alive(&pid)
}

#[track_caller]
fn await_death(place: &Place) {
    for member in MEMBERS {
        await_that(
            || !is_alive_in(place, member),
            &format!("the end of {member}"),
        );
    }
}

#[track_caller]
fn assert_dead(place: &Place) {
    for member in MEMBERS {
        assert!(!is_alive_in(place, member), "{member} is alive");
    }
}

fn signal(place: &Place, file: &str, name: &str) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(place.text(file).trim());
    assert!(kill.status().unwrap().success());
}

/// Has a shell become the command, which is `"$@"` in its script.
fn start_by(place: &Place, script: &str, arguments: &[&str]) -> Started {
    let lease = place.lease(arguments);
    let mut shell = Command::new("sh");
    shell
        .current_dir(place.folder.path())
        .args(["-c", script, "sh"])
        .arg(lease.get_program())
        .args(lease.get_args())
        .stdin(Stdio::null());
    Place::spawn(shell)
}

#[test]
fn a_killed_command_takes_with_it_all_that_its_program_has_started() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "1h"]);
    holder.signal("KILL");
    await_death(&place);
    assert!(!place.text("log").contains("told"));
}

#[test]
fn what_has_left_the_program_ends_with_it_before_the_lease_is_released() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "1h"]);
    signal(&place, "program", "KILL");
    holder.end().with(137);
    assert_dead(&place);
    assert_eq!(place.record("a").unwrap().spec.holder(), None);
}

#[test]
fn a_stopped_command_keeps_nothing_alive_for_longer_than_the_lease() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "3s", "--grace", "1s"]);
    holder.signal("STOP");
    let next = place.start(&[
        "run",
        "a",
        "--ttl",
        "3s",
        "--",
        "sh",
        "-c",
        "echo next >> log; cat",
    ]);
    place.await_text("log", "next");
    assert_dead(&place);
    assert_eq!(place.text("log"), "told\nnext\n");
    next.end().with(0);
    holder.signal("CONT");
    let ran = holder.end().with(123);
    assert!(ran.stderr.contains("the program is killed"), "{ran:?}");
}

/// Goes `$1` sessions deep, of which none heeds SIGTERM; the last of them says what time it is, again and again.
const CHAIN: &str = "
    trap '' TERM
    if [ $1 -gt 0 ]; then setsid sh chain $(($1 - 1)) & wait; fi
    while :; do date +%s.%N >> log; sleep 0.02; done";

#[test]
fn however_deep_its_children_are_all_are_dead_before_the_next_begins() {
    let place = Place::new();
    place.keep("chain", CHAIN);
    let arguments = [
        "run",
        "a",
        "--ttl",
        "8s",
        "--not-renewable",
        "--",
        "sh",
        "chain",
        "80",
    ];
    let holder = place.start(&arguments);
    await_that(|| !place.text("log").is_empty(), "the deepest");
    let next = place.run(&["run", "a", "--", "date", "+%s.%N"]).with(0);
    holder.end().with(123);
    let log = place.text("log");
    // Both have as many digits.
    let last = log.lines().last();
    assert!(last < Some(next.stdout.trim()), "{last:?} and {next:?}");
}

#[test]
fn a_killed_guard_takes_the_program_with_it_and_the_lease_is_released() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "1h"]);
    signal(&place, "guard", "KILL");
    let ran = holder.end().with(125);
    assert!(ran.stderr.contains("guards the program"), "{ran:?}");
    assert_dead(&place);
    assert_eq!(place.record("a").unwrap().spec.holder(), None);
}

#[test]
fn a_program_dies_even_if_its_command_and_its_guard_are_killed_at_once() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "1h"]);
    let both = format!("kill -9 {} {}", holder.0.id(), place.text("guard").trim());
    let status = Command::new("sh").args(["-c", &both]).status();
    assert!(status.unwrap().success());
    await_that(|| !is_alive_in(&place, "program"), "the end of the program");
    // This is not promised of the others.
    for member in MEMBERS {
        if is_alive_in(&place, member) {
            signal(&place, member, "KILL");
        }
    }
}

#[test]
fn a_stopped_guard_does_not_save_the_program() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "3s"]);
    signal(&place, "guard", "STOP");
    place
        .client()
        .delete("a", &Preconditions::default())
        .unwrap();
    let ran = holder.end().with(123);
    assert!(ran.stderr.contains("deleted"), "{ran:?}");
    assert_dead(&place);
}

#[test]
fn a_guard_that_was_stopped_goes_by_the_last_renewal_however_much_it_has_not_heard() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "4s", "--grace", "1s"]);
    signal(&place, "guard", "STOP");
    // More than can be kept for it to hear.
    for _ in 0..400 {
        holder.signal("WINCH");
    }
    // Beyond the end that it has seen last.
    thread::sleep(Duration::from_secs(5));
    signal(&place, "guard", "CONT");
    thread::sleep(Duration::from_millis(500));
    for member in MEMBERS {
        assert!(is_alive_in(&place, member), "{member} is dead");
    }
    assert_eq!(place.text("log"), "");
    holder.signal("KILL");
    await_death(&place);
}

#[test]
fn signals_that_all_processes_of_a_service_get_leave_the_guard_alone() {
    let place = Place::new();
    let holder = start_family(&place, &["--ttl", "1h"]);
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "ALRM"] {
        signal(&place, "guard", name);
    }
    thread::sleep(Duration::from_millis(300));
    for member in MEMBERS {
        assert!(is_alive_in(&place, member), "{member} is dead");
    }
    // And the guard still guards.
    holder.signal("KILL");
    await_death(&place);
}

#[test]
fn a_program_that_is_only_warned_about_outlives_its_lease() {
    let place = Place::new();
    let script = "echo $$ > program; while [ ! -e end ]; do sleep 0.05; done; exit 9";
    let arguments = [
        "run",
        "a",
        "--ttl",
        "6s",
        "--on-lost",
        "warn",
        "--",
        "sh",
        "-c",
        script,
    ];
    let holder = start_by(&place, "exec \"$@\" 2> said", &arguments);
    await_that(|| is_alive_in(&place, "program"), "the program");
    place
        .client()
        .delete("a", &Preconditions::default())
        .unwrap();
    // Somebody else gets it, and meets the program of the first.
    place
        .run(&[
            "run",
            "a",
            "--timeout",
            "30s",
            "--",
            "sh",
            "-c",
            "kill -0 $(cat program)",
        ])
        .with(0);
    place.await_text("said", "is lost, and the program goes on");
    assert!(is_alive_in(&place, "program"));
    fs::write(place.file("end"), "").unwrap();
    holder.end().with(9);

    fs::remove_file(place.file("end")).unwrap();
    let holder = place.start(&arguments);
    await_that(|| is_alive_in(&place, "program"), "the program");
    holder.signal("KILL");
    thread::sleep(Duration::from_millis(300));
    assert!(is_alive_in(&place, "program"));
    fs::write(place.file("end"), "").unwrap();
    await_that(|| !is_alive_in(&place, "program"), "its end");
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_ignored() {
    let place = Place::new();
    let script = "echo $$ > program; while [ ! -e end ]; do sleep 0.05; done; exit 9";
    let holder = start_by(
        &place,
        "trap '' HUP; exec \"$@\"",
        &["run", "a", "--", "sh", "-c", script],
    );
    await_that(|| is_alive_in(&place, "program"), "the program");
    holder.signal("HUP");
    signal(&place, "program", "HUP");
    thread::sleep(Duration::from_millis(300));
    assert!(is_alive_in(&place, "program"));
    fs::write(place.file("end"), "").unwrap();
    holder.end().with(9);
    // Whoever ignores the end of children loses their codes, unless that is undone.
    let holder = start_by(
        &place,
        "trap '' CHLD; exec \"$@\"",
        &["run", "a", "--", "sh", "-c", "exit 7"],
    );
    holder.end().with(7);
}
