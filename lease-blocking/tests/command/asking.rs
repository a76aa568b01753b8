//! What is seen and answered at a terminal: a real one, which script(1) makes.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::{Place, SOON, Started, await_that};

/// A command at a terminal.
struct Seated {
    command: Started,
    seen: Arc<Mutex<String>>,
}

impl Seated {
    fn start(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let lease = place.lease(arguments);
        let words = std::iter::once(lease.get_program()).chain(lease.get_args());
        let line: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--flush", "--command"])
            .arg(line.join(" "))
            .arg("/dev/null")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child: Child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let screen = Arc::clone(&seen);
        thread::spawn(move || {
            let mut piece = [0; 1_024];
            while let Ok(length @ 1..) = stdout.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..length]);
                screen.lock().unwrap().push_str(&text);
            }
        });
        Self {
            command: Started(child),
            seen,
        }
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    fn awaits(&self, words: &str) {
        await_that(|| self.seen().contains(words), words);
    }

    fn types(&mut self, words: &str) {
        let stdin = self.command.0.stdin.as_mut().unwrap();
        stdin.write_all(words.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Its exit code.
    fn ends(&mut self) -> Option<i32> {
        let until = std::time::Instant::now() + SOON;
        loop {
            if let Some(status) = self.command.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(std::time::Instant::now() < until, "{}", self.seen());
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

const FORCE: [&str; 3] = ["release", "a", "--force"];

#[test]
fn what_is_taken_by_force_is_shown_first_and_nothing_happens_without_a_yes() {
    let place = Place::new();
    let acquire = ["acquire", "a", "--holder", "dead", "--ttl", "1h"];
    place.run(&acquire).with(0);
    let before = place.record("a");
    for answer in ["\n", "n\n", "yess\n", "\u{4}"] {
        let mut seated = Seated::start(&place, &FORCE, &[]);
        seated.awaits("[y/N]");
        let seen = seated.seen();
        assert!(
            seen.contains("Holder:      dead") && seen.contains("\"dead\"?"),
            "{seen}"
        );
        seated.types(answer);
        assert_eq!(seated.ends(), Some(1), "{answer:?}: {}", seated.seen());
        assert_eq!(place.record("a"), before, "{answer:?}");
    }
    let mut seated = Seated::start(&place, &FORCE, &[]);
    seated.awaits("[y/N]");
    seated.types("y\n");
    assert_eq!(seated.ends(), Some(0), "{}", seated.seen());
    assert_eq!(place.record("a").unwrap().spec.holder(), None);
}

#[test]
fn what_was_written_between_showing_and_answering_is_left_alone() {
    let place = Place::new();
    let acquire = ["acquire", "a", "--holder", "slow", "--ttl", "1h"];
    place.run(&acquire).with(0);
    let mut seated = Seated::start(&place, &FORCE, &[]);
    seated.awaits("[y/N]");
    // It lives after all.
    place.run(&["renew", "a", "--holder", "slow"]).with(0);
    let renewed = place.record("a");
    seated.types("y\n");
    assert_eq!(seated.ends(), Some(5), "{}", seated.seen());
    assert!(
        seated.seen().contains("nothing was changed"),
        "{}",
        seated.seen()
    );
    assert_eq!(place.record("a"), renewed);
}

#[test]
fn another_holder_than_the_one_that_was_named_keeps_it() {
    let place = Place::new();
    let acquire = ["acquire", "a", "--holder", "alive", "--ttl", "1h"];
    place.run(&acquire).with(0);
    let before = place.record("a");
    let force = ["release", "a", "--force", "--yes", "--holder", "dead"];
    place
        .run(&force)
        .with(5)
        .saying(&["\"alive\"", "\"dead\"", "nothing was changed"]);
    assert_eq!(place.record("a"), before);
}

#[test]
fn there_are_colours_on_a_terminal_unless_it_is_asked_for_none() {
    let place = Place::new();
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    for arguments in [&["status", "a"][..], &["list"]] {
        for (environment, has_colours) in [
            (&[][..], true),
            (&[("NO_COLOR", "1")], false),
            (&[("TERM", "dumb")], false),
        ] {
            let mut seated = Seated::start(&place, arguments, environment);
            seated.awaits("Held");
            assert_eq!(seated.ends(), Some(0));
            let seen = seated.seen();
            assert_eq!(
                seen.contains("\u{1b}[32mHeld"),
                has_colours,
                "{arguments:?} {environment:?}: {seen:?}"
            );
        }
        let piped = place.run(arguments).with(0).stdout;
        assert!(!piped.contains('\u{1b}'), "{piped:?}");
    }
}
