//! `lease run`: a program that runs while the lease is held, and no longer.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use lease_blocking::Preconditions;

use crate::{Place, Ran, await_that, is_alive, server::Server};

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
fn without_proc_nothing_is_acquired_and_it_says_why() {
    let place = Place::new();
    let hidden = |words: &[&std::ffi::OsStr]| {
        let mount = "mount -t tmpfs none /proc && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", mount, "sh"]).args(words);
        command.current_dir(place.folder.path()).output()
    };
    if !hidden(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        return crate::skip("LEASE_UNSHARE_REQUIRED", "/proc cannot be hidden here");
    }
    let lease = place.lease(&["run", "a", "--", "true"]);
    let words: Vec<_> = [lease.get_program()]
        .into_iter()
        .chain(lease.get_args())
        .collect();
    Ran::from(hidden(&words).unwrap())
        .with(125)
        .saying(&["lease run needs /proc"]);
    assert!(!place.file("leases").exists());
}

#[test]
fn the_program_inherits_no_file_of_ours() {
    let place = Place::new();
    let server = Server::start("canary", None);
    let token = place.keep("token", "canary");
    let certificate = place.keep("ca.crt", &server.certificate);
    let there = [
        &["run", "a", "--server", &server.url],
        &["--token-file", &token, "--certificate-authority"][..],
        &[certificate.as_str(), "--"],
    ]
    .concat();
    let listing = ["sh", "-c", "ls -1 /proc/$$/fd"];
    let mut alone = Command::new("sh");
    // What the tests themselves pass on is no matter.
    let alone = Ran::from(
        alone
            .args(&listing[1..])
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    );
    assert!(alone.stdout.lines().count() >= 3, "{alone:?}");
    let embedded = place.run(&[&["run", "a", "--"], &listing[..]].concat());
    assert_eq!(embedded.with(0).stdout, alone.stdout);
    let mut there = place.bare(&[&there[..], &listing[..]].concat());
    let there = Ran::from(there.output().unwrap()).with(0);
    assert_eq!(there.stdout, alone.stdout);
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
    let chosen = ["--no-wait", "--conflict-exit-code", "75"];
    let arguments = [&["run", "a"], &chosen[..], &["--", "touch", "ran"]].concat();
    place.run(&arguments).with(75).saying(&["\"me\""]);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let waiter = place.start_heeding(&["run", "a", "-v", "--", "touch", "ran"]);
        thread::sleep(Duration::from_millis(300));
        waiter.signal(signal);
        waiter.end().with(code);
    }
    assert_eq!(place.record("a"), before);
    assert!(!place.file("ran").exists());
}

#[test]
fn signals_that_few_programs_know_are_passed_on_as_well() {
    let place = Place::new();
    for (name, code) in [("ALRM", 11), ("XCPU", 12), ("PROF", 13)] {
        let script =
            format!("trap 'exit {code}' {name}; echo held >> {name}; while :; do sleep 0.05; done");
        let holder = place.start(&["run", "a", "--", "sh", "-c", &script]);
        place.await_text(name, "held");
        holder.signal(name);
        holder.end().with(code);
    }
}

#[test]
fn a_lease_that_cannot_be_given_back_is_not_passed_over_in_silence() {
    let place = Place::new();
    let script = "mv leases gone; echo > leases";
    place
        .run(&["run", "a", "--ttl", "3s", "--", "sh", "-c", script])
        .with(0)
        .saying(&["not known whether lease a was released", "within 3s"]);
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

#[test]
fn it_is_quiet_unless_it_is_asked_to_say_what_happens() {
    let place = Place::new();
    let ran = place.run(&["run", "a", "--", "true"]).with(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = place
        .run(&["run", "a", "-v", "--ttl", "10s", "--", "sh", "-c", "exit 3"])
        .with(3);
    assert_eq!(ran.stdout, "");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let beginnings = [
        "lease: a: the lease is held for ",
        "lease: a: the program runs, as process ",
        "lease: a: the program has ended with code 3",
        "lease: a: the lease is not held any more: it was released",
        "lease: a: the release has ended: ",
    ];
    assert_eq!(lines.len(), beginnings.len(), "{lines:?}");
    for (line, beginning) in lines.iter().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line:?}");
    }
    assert!(
        lines.first().unwrap().contains(", with token "),
        "{lines:?}"
    );
}

#[test]
fn what_nobody_reads_any_more_ends_nothing() {
    let place = Place::new();
    let closed = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.lease(arguments);
        command.stderr(writer);
        Ran::from(command.output().unwrap())
    };
    closed(&["run", "a", "-v", "--", "sh", "-c", "exit 5"]).with(5);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = place.lease(&["run", "a", "-v", "--", "sh", "-c", "exit 6"]);
    Ran::from(command.stderr(full).output().unwrap()).with(6);
    // The program itself learns of it as it would without us.
    let mut shell = Command::new("sh");
    let script = "{ \"$@\"; echo $? > code; } | head -n 1";
    let lease = place.lease(&["run", "a", "--", "yes"]);
    shell
        .current_dir(place.file("."))
        .args(["-c", script, "sh"])
        .arg(lease.get_program())
        .args(lease.get_args());
    let ran = Ran::from(shell.output().unwrap()).with(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("y\n", ""));
    assert_eq!(place.text("code"), "141\n");
}
