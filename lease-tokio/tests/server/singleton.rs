//! The example of a task that runs on exactly one of several processes.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, SOON, Server, text};

/// A process, and the file that it prints to.
struct Process {
    process: Child,
    output: PathBuf,
}

impl Process {
    fn start(folder: &Path, name: &str, settings: &[(&str, &str)]) -> Result<Self> {
        // Cargo builds examples before it runs all tests, and puts them next to these.
        let test = std::env::current_exe()?;
        let built = test.parent().and_then(Path::parent);
        let example = built
            .ok_or("it is built somewhere")?
            .join("examples/cluster_singleton");
        assert!(
            example.exists(),
            "build it first: cargo build -p lease-tokio --example cluster_singleton"
        );
        let output = folder.join(name);
        let process = Command::new(example)
            .env("KUBECONFIG", folder.join("config"))
            .env("POD_NAME", name)
            .env("LEASE_SECONDS", "3")
            .envs(settings.iter().copied())
            .stdout(File::create(&output)?)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, output })
    }

    /// The lines that it has printed: when, and what.
    fn said(&self) -> Result<Vec<(f64, String)>> {
        let text = fs::read_to_string(&self.output)?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines
            .filter_map(|(at, what)| Some((at.parse().ok()?, what.to_owned())))
            .collect())
    }

    fn works(&self) -> Result<bool> {
        Ok(self.said()?.iter().any(|(_, what)| what == "works"))
    }

    /// When it first and last worked.
    fn span(&self) -> Result<(f64, f64)> {
        let said = self.said()?;
        let works = || {
            said.iter()
                .filter(|(_, what)| what == "works" || what.starts_with("begins"))
        };
        let (first, last) = (works().next(), works().next_back());
        let (first, last) = first.zip(last).ok_or("it has worked")?;
        Ok((first.0, last.0))
    }

    fn signal(&self, signal: Signal) -> Result {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _over = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn await_that(mut holds: impl FnMut() -> Result<bool>) -> Result {
    let until = Instant::now() + SOON;
    while !holds()? {
        assert!(Instant::now() < until, "waited in vain");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Returns the only one of them that works, once one does.
fn worker(of: &[&Process]) -> Result<usize> {
    let mut works = Vec::new();
    await_that(|| {
        works.clear();
        for process in of {
            works.push(process.works()?);
        }
        Ok(works.contains(&true))
    })?;
    Ok(works.iter().position(|works| *works).unwrap_or(0))
}

#[test]
fn one_works_at_a_time_also_where_it_is_killed_or_stopped() -> Result {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config");
    let _server = Server::start(&["--kubeconfig", text(&config)])?;
    let names = ["one", "two", "three"];
    let all: Result<Vec<_>> = names
        .iter()
        .map(|name| Process::start(folder.path(), name, &[]))
        .collect();
    let mut left: Vec<Process> = all?;
    let mut over = Vec::new();
    for signal in [Signal::KILL, Signal::TERM] {
        let first = worker(&left.iter().collect::<Vec<_>>())?;
        let first = left.remove(first);
        first.signal(signal)?;
        over.push(first);
    }
    worker(&[&left[0]])?;
    // Who has only waited has nothing to give back.
    let mut waits = Process::start(folder.path(), "four", &[])?;
    await_that(|| Ok(!waits.said()?.is_empty()))?;
    waits.signal(Signal::TERM)?;
    await_that(|| Ok(waits.process.try_wait()?.is_some()))?;
    let (_, last) = waits.said()?.pop().ok_or("it has said something")?;
    assert_eq!(last, "nothing to release");
    // As Ctrl-C does it.
    left[0].signal(Signal::INT)?;
    await_that(|| Ok(left[0].process.try_wait()?.is_some()))?;
    over.append(&mut left);
    // One after the other, and those that were not killed gave it back.
    for pair in over.windows(2) {
        let [(_, end), (begin, _)] = [pair[0].span()?, pair[1].span()?];
        assert!(end < begin, "{end} and then {begin}");
    }
    for process in &over[1..] {
        let said = process.said()?;
        assert!(
            said.iter().any(|(_, what)| what.starts_with("released")),
            "{said:?}"
        );
    }
    Ok(())
}

#[test]
fn what_fails_is_begun_again_by_the_same_process() -> Result {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config");
    let _server = Server::start(&["--kubeconfig", text(&config)])?;
    let fails = Process::start(folder.path(), "fails", &[("SINGLETON_FAILS", "1")])?;
    await_that(|| {
        let said = fails.said()?;
        let begins: Vec<_> = said
            .iter()
            .filter(|(_, what)| what.starts_with("begins"))
            .collect();
        let is_same = begins.windows(2).all(|pair| pair[0].1 == pair[1].1);
        assert!(is_same, "{said:?}");
        Ok(begins.len() >= 2)
    })
}
