//! `lease run` in a terminal, as a person uses it: typed into a shell that runs in tmux.
//!
//! Without tmux nothing of this runs, and a line says so; with `LEASE_TERMINAL_REQUIRED` that is a failure.

use std::{
    fs,
    io::{Write, stderr},
    process::{Command, Stdio},
};

use crate::{Place, await_that, is_alive};

/// A window with a shell, which has the variable LEASE and stands in the place.
struct Window {
    place: Place,
}

impl Window {
    /// `None` if there is no tmux.
    fn open() -> Option<Self> {
        let place = Place::new();
        let is_there = Command::new("tmux")
            .arg("-V")
            .stdout(Stdio::null())
            .status();
        if !is_there.is_ok_and(|status| status.success()) {
            let required = std::env::var_os("LEASE_TERMINAL_REQUIRED").is_some();
            assert!(
                !required,
                "there is no tmux, and LEASE_TERMINAL_REQUIRED is set"
            );
            // Past what captures the output of tests.
            let line = "SKIPPED: no test in a terminal ran, since there is no tmux
";
            stderr().write_all(line.as_bytes()).unwrap();
            return None;
        }
        fs::write(place.file("rc"), "PS1='ready> '\nset +o history\n").unwrap();
        let window = Self { place };
        window.tmux(
            &[
                "-f",
                "/dev/null",
                "new-session",
                "-d",
                "-x",
                "120",
                "-y",
                "30",
            ],
            |tmux| {
                tmux.arg("bash --noprofile --rcfile rc -i");
            },
        );
        await_that(|| window.shows("ready>"), "the prompt");
        Some(window)
    }

    fn tmux(&self, arguments: &[&str], add: impl FnOnce(&mut Command)) -> String {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S")
            .arg(self.place.file("tmux"))
            .args(arguments)
            .current_dir(self.place.folder.path())
            .env_remove("TMUX")
            .env("LEASE", env!("CARGO_BIN_EXE_lease"))
            .env(
                "STORE",
                format!("--embedded={}", self.place.file("leases").display()),
            )
            .env("TERM", "screen")
            .stdin(Stdio::null());
        add(&mut tmux);
        let output = tmux.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn shows(&self, text: &str) -> bool {
        self.tmux(&["capture-pane", "-p"], |_| {}).contains(text)
    }

    fn await_text(&self, text: &str) {
        let shown = || self.tmux(&["capture-pane", "-p"], |_| {});
        await_that(|| self.shows(text), &format!("{text:?} in {}", shown()));
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key], |_| {});
    }

    fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line], |_| {});
        self.press("Enter");
    }

    fn is_alive(&self, file: &str) -> bool {
        let pid = self.place.text(file);
        pid.ends_with('\n') && is_alive(&pid)
    }

    fn await_free(&self) {
        let is_free = || {
            let record = self.place.record("a");
            record.is_some_and(|record| record.spec.holder().is_none())
        };
        await_that(is_free, "the release");
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.tmux(&["kill-server"], |_| {});
    }
}

/// Runs until it is told to end, and says so every now and then.
const TICKING: &str = "'echo $$ > program; while :; do echo >> ticks; sleep 0.05; done'";

#[test]
fn control_c_interrupts_the_program_and_the_script_around_it() {
    let Some(window) = Window::open() else { return };
    fs::write(
        window.place.file("script"),
        format!("while :; do echo round >> log; \"$LEASE\" run a $STORE -- sh -c {TICKING}; done"),
    )
    .unwrap();
    for shell in ["sh", "bash"] {
        window.enter(&format!("{shell} ./script"));
        await_that(|| window.is_alive("program"), "the program");
        window.press("C-c");
        await_that(|| !window.is_alive("program"), "its end");
        window.await_free();
        window.enter("echo back $? >> log");
        window.place.await_text("log", "back");
        assert_eq!(window.place.text("log"), "round\nback 130\n", "{shell}");
        fs::remove_file(window.place.file("log")).unwrap();
    }
    // While it waits there is no program yet.
    window
        .place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "1h"])
        .with(0);
    window.enter("sh ./script");
    window.place.await_text("log", "round");
    window.enter("");
    std::thread::sleep(std::time::Duration::from_millis(300));
    window.press("C-c");
    window.enter("echo back $? >> log");
    window.place.await_text("log", "back");
    assert_eq!(window.place.text("log"), "round\nback 130\n");
}

#[test]
fn the_program_reads_what_is_typed() {
    let Some(window) = Window::open() else { return };
    let script = r#""$LEASE" run a $STORE -- sh -c 'echo $$ > program; read -r word; echo "got $word" >> log'"#;
    window.enter(script);
    await_that(|| window.is_alive("program"), "the program");
    window.enter("hello");
    window.place.await_text("log", "got hello");
    window.await_free();
    // And afterwards the shell does.
    window.enter("echo back >> log");
    window.place.await_text("log", "back");

    // In the background it waits until it is in the foreground.
    window.enter(&format!("{script} &"));
    let is_stopped = || {
        window.enter("jobs");
        window.shows("Stopped")
    };
    await_that(is_stopped, "its stop");
    window.enter("fg");
    await_that(
        || window.place.text("log").lines().count() == 2,
        "the first two",
    );
    window.enter("again");
    window.place.await_text("log", "got again");
}

#[test]
fn who_reads_the_pipe_reads_what_is_typed_as_well() {
    let Some(window) = Window::open() else { return };
    window.enter(
        r#""$LEASE" run a $STORE -- sh -c 'seq 3; while [ ! -e log ]; do sleep 0.1; done' | { head -n 3 > piped; read -r word < /dev/tty; echo "got $word" > log; }"#,
    );
    window.place.await_text("piped", "3");
    window.enter("hello");
    window.place.await_text("log", "got hello");
    assert_eq!(window.place.text("piped"), "1\n2\n3\n");
}

#[test]
fn control_z_suspends_the_program_and_fg_brings_it_back() {
    let Some(window) = Window::open() else { return };
    for pipe in ["", " | cat"] {
        window.enter(&format!(
            "\"$LEASE\" run a $STORE --ttl 1h -- sh -c {TICKING}{pipe}"
        ));
        await_that(|| window.is_alive("program"), "the program");
        window.press("C-z");
        window.enter("echo suspended >> log");
        window.place.await_text("log", "suspended");
        let ticks = window.place.text("ticks");
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(window.place.text("ticks"), ticks);
        assert!(window.is_alive("program"));
        window.enter("fg");
        await_that(|| window.place.text("ticks") > ticks, "more");
        window.press("C-c");
        await_that(|| !window.is_alive("program"), "its end");
        window.await_free();
        fs::remove_file(window.place.file("log")).unwrap();
    }
}

#[test]
fn who_does_not_come_back_in_time_finds_the_program_killed() {
    let Some(window) = Window::open() else { return };
    window.enter(&format!(
        "\"$LEASE\" run a $STORE --ttl 3s -- sh -c {TICKING}"
    ));
    await_that(|| window.is_alive("program"), "the program");
    window.press("C-z");
    window.await_text("is not renewed");
    let ran = window.place.run(&["run", "a", "--ttl", "3s", "--", "true"]);
    ran.with(0);
    assert!(!window.is_alive("program"));
    window.enter("fg");
    window.enter("echo back $? >> log");
    window.place.await_text("log", "back 123");
}

#[test]
fn a_terminal_is_set_as_before_when_a_program_is_killed_that_has_changed_it() {
    let Some(window) = Window::open() else { return };
    let changing = "'echo $$ > program; stty raw -echo; echo > changed; exec sleep 600'";
    for kill in ["the lease is lost", "the program is killed"] {
        window.enter(&format!("\"$LEASE\" run a $STORE -- sh -c {changing}"));
        window.place.await_text("changed", "\n");
        if kill == "the lease is lost" {
            let anyhow = lease_blocking::Preconditions::default();
            window.place.client().delete("a", &anyhow).unwrap();
        } else {
            let pid = window.place.text("program");
            Command::new("kill")
                .args(["-9", pid.trim()])
                .status()
                .unwrap();
        }
        await_that(|| !window.is_alive("program"), "its end");
        window.enter("stty -a > settings; echo done >> settings");
        window.place.await_text("settings", "done");
        let settings = window.place.text("settings");
        for wanted in ["icanon", "opost", "echo"] {
            let is_set = settings.split_whitespace().any(|word| word == wanted);
            assert!(is_set, "{kill}: {wanted} in {settings}");
        }
        for file in ["settings", "changed", "program"] {
            fs::remove_file(window.place.file(file)).unwrap();
        }
    }
}

#[test]
fn who_takes_a_lease_by_force_is_shown_it_and_asked() {
    let Some(window) = Window::open() else { return };
    window
        .place
        .run(&["acquire", "a", "--holder", "dead", "--ttl", "1h"])
        .with(0);
    let holder = || {
        let record = window.place.record("a").unwrap();
        record.spec.holder().map(ToOwned::to_owned)
    };
    for (key, code, is_kept) in [
        ("n", "1", true),
        ("C-c", "130", true),
        ("C-d", "1", true),
        ("y", "0", false),
    ] {
        window.enter("clear; \"$LEASE\" release a --force $STORE; echo $? > code");
        window.await_text("Take it from \"dead\"?");
        window.await_text("[y/N]");
        // It was shown what it is about.
        assert!(window.shows("Holder:      dead"));
        window.press(key);
        if !key.starts_with("C-") {
            window.press("Enter");
        } else if key == "C-c" {
            // A shell leaves out the rest of a line that was interrupted.
            window.enter("echo $? > code");
        }
        window.place.await_text("code", &format!("{code}\n"));
        assert_eq!(holder().is_some(), is_kept, "{key}");
        fs::remove_file(window.place.file("code")).unwrap();
    }
}

#[test]
fn a_window_that_is_closed_ends_the_program_and_releases_the_lease() {
    let Some(window) = Window::open() else { return };
    for background in ["", " &"] {
        window.tmux(&["new-window", "bash --noprofile --rcfile rc -i"], |_| {});
        await_that(|| window.shows("ready>"), "the prompt");
        window.enter(&format!(
            "\"$LEASE\" run a $STORE --ttl 1h -v -- sh -c {TICKING}{background}"
        ));
        await_that(|| window.is_alive("program"), "the program");
        window.tmux(&["kill-window"], |_| {});
        await_that(|| !window.is_alive("program"), "its end");
        window.await_free();
    }
}
