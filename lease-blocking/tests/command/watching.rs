//! `lease watch`: a line for each change, while it happens.

use std::{
    io::{BufRead, BufReader},
    process::{ChildStdout, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::Value;

use crate::{Place, SOON, Started, await_that, priority::announce};

/// A command that watches, and its lines as they come.
struct Watching {
    _command: Started,
    lines: mpsc::Receiver<String>,
}

impl Watching {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = place.lease(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = Started(command.spawn().unwrap());
        let stdout: ChildStdout = command.0.stdout.take().unwrap();
        let (outbox, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if outbox.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            _command: command,
            lines,
        }
    }

    /// The next line, without its time.
    fn next(&self) -> String {
        let line = self.lines.recv_timeout(SOON).unwrap();
        line.split_once("  ").unwrap().1.to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(SOON).unwrap()).unwrap()
    }
}

#[test]
fn each_change_is_a_line_in_words() {
    let place = Place::new();
    let act = |command: &str, holder: &str| place.run(&[command, "a", "--holder", holder]).with(0);
    act("acquire", "me");
    let watch = Watching::start(&place, &["watch"]);
    assert_eq!(watch.next(), "a  is held by me");
    act("renew", "me");
    assert!(watch.next().starts_with("a  renewed by me after "));
    act("release", "me");
    assert_eq!(watch.next(), "a  released by me");
    act("acquire", "you");
    assert_eq!(watch.next(), "a  acquired by you");
    // One that was not there at the beginning.
    place
        .run(&["acquire", "b", "--holder", "me", "--ttl", "3s"])
        .with(0);
    assert_eq!(watch.next(), "b  acquired by me");
    assert_eq!(watch.next(), "b  expired: me has not renewed it in time");
    place
        .run(&["acquire", "b", "--holder", "you", "--wait"])
        .with(0);
    assert_eq!(watch.next(), "b  taken over by you from me");
    place
        .client()
        .delete("b", &lease_blocking::proto::plain::Preconditions::none())
        .unwrap();
    assert_eq!(watch.next(), "b  deleted; you held it");
}

#[test]
fn whoever_has_again_what_could_not_be_renewed_has_acquired_it_anew() {
    let place = Place::new();
    let acquire = |rest: &[&str]| {
        let words = ["acquire", "a", "--holder", "me", "--ttl", "3s"];
        place.run(&[&words, rest].concat()).with(0);
    };
    acquire(&["--not-renewable"]);
    let watch = Watching::start(&place, &["watch"]);
    assert_eq!(watch.next(), "a  is held by me");
    assert_eq!(watch.next(), "a  expired: me has not renewed it in time");
    acquire(&["--not-renewable", "--wait"]);
    assert_eq!(watch.next(), "a  acquired by me");
}

#[test]
fn a_watch_ends_once_nobody_reads_it_though_nothing_changes() {
    let place = Place::new();
    place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "1h"])
        .with(0);
    let mut watch = place.start(&["watch"]);
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.ends_with("a  is held by me\n"), "{line}");
    assert!(watch.0.try_wait().unwrap().is_none());
    drop(lines);
    await_that(|| watch.0.try_wait().unwrap().is_some(), "its end");
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

#[test]
fn one_lease_is_watched_alone_and_those_of_all_namespaces_are_named_with_them() {
    let place = Place::new();
    place.client();
    let one = Watching::start(&place, &["status", "a", "--watch"]);
    let all = Watching::start(&place, &["list", "-A", "-w", "-o", "json"]);
    // Both are ready once they have told of this.
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    assert!(one.next().ends_with(" me"));
    let first = all.json();
    assert_eq!(first["lease"]["name"], "a");
    place
        .run(&["acquire", "b", "--holder", "me", "-n", "far"])
        .with(0);
    let news = all.json();
    assert_eq!(
        (&news["change"], &news["lease"]["namespace"]),
        (&"acquired".into(), &"far".into())
    );
    assert_eq!(news["lease"]["holder"], "me");
    assert!(
        news["time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    place.run(&["release", "a", "--holder", "me"]).with(0);
    assert_eq!(one.next(), "a  released by me");
    assert_eq!(all.json()["change"], "released");
}

#[test]
fn what_cannot_be_printed_line_by_line_is_refused() {
    let place = Place::new();
    for output in ["wide", "yaml", "name"] {
        place
            .run(&["list", "-w", "-o", output])
            .with(64)
            .saying(&["--watch"]);
    }
    place
        .run(&["status", "a", "-w", "-q"])
        .with(64)
        .saying(&["--quiet"]);
    place
        .run(&["watch", "a", "-A", "-n", "b"])
        .with(64)
        .saying(&["--namespace"]);
}

#[test]
fn what_waiters_announce_is_no_change_of_a_lease_unless_it_is_asked_for() {
    let place = Place::new();
    announce(&place, "first", 1);
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    let watch = Watching::start(&place, &["watch"]);
    let all = Watching::start(&place, &["watch", "--candidates", "-o", "json"]);
    assert_eq!(watch.next(), "a  is held by me");
    let found: Vec<_> = (0..2)
        .map(|_| all.json()["lease"]["candidateFor"].clone())
        .collect();
    assert_eq!(found, [Value::Null, "a".into()]);
    announce(&place, "second", 2);
    assert_eq!(all.json()["lease"]["candidateFor"], "a");
    place.run(&["release", "a", "--holder", "me"]).with(0);
    assert_eq!(watch.next(), "a  released by me");
}
