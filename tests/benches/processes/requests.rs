//! What a held Lease and whoever waits for it ask of the API server, by its audit log.

use std::{collections::HashSet, fs, path::Path, thread, time::Duration};

use lease_tests::audit::{self, Line};

use crate::{
    cluster::Cluster,
    numbers::table,
    process::{Ears, Library, Process, Setup, now},
};

/// Measures all libraries beside each other, each with a Lease of its own.
pub(crate) fn run(cluster: &Cluster, libraries: &[Library]) {
    let ears = Ears::new();
    let names: Vec<String> = libraries
        .iter()
        .map(|it| format!("asks-{}", it.name()))
        .collect();
    let start = |(&library, lease): (&Library, &String), user| {
        let setup = Setup {
            user,
            ..Setup::new(library, lease, user)
        };
        Process::start(cluster, setup, 0, &ears)
    };
    let holders: Vec<_> = libraries
        .iter()
        .zip(&names)
        .map(|it| start(it, "holder-a"))
        .collect();
    for _ in &holders {
        let held = ears.hear(Duration::from_secs(30), |said| said.event == "acquired");
        held.expect("a Lease that nobody else wants is not acquired");
    }
    let waiters: Vec<_> = libraries
        .iter()
        .zip(&names)
        .map(|it| start(it, "holder-b"))
        .collect();
    thread::sleep(Duration::from_secs(10));
    let begun = now();
    thread::sleep(Duration::from_secs(60));
    let ended = now();
    let asked = read(&cluster.audit_log, begun, ended);
    let rows = libraries.iter().zip(&names).map(|(library, lease)| {
        // No name is the beginning of another.
        let of = |user: &str, is_write: bool| {
            let asked = asked.iter().filter(|it| it.uri.contains(lease.as_str()));
            let asked = asked.filter(|it| it.user == user);
            asked
                .filter(|it| it.is_write() == is_write)
                .count()
                .to_string()
        };
        vec![
            library.name().to_owned(),
            of("holder-a", true),
            of("holder-a", false),
            of("holder-b", true),
            of("holder-b", false),
        ]
    });
    let head = [
        "requests a minute",
        "holder writes",
        "reads",
        "waiter writes",
        "reads",
    ];
    let title = "Asked of the API server in a minute, for a Lease of 15 s that one holds and one waits for (reads: streams of \
                 changes too, when they are opened)";
    table(title, &head, &rows.collect::<Vec<_>>());
    for process in holders.iter().chain(&waiters) {
        process.terminate();
    }
    for process in holders.into_iter().chain(waiters) {
        process.wait();
    }
}

/// Reads what was asked between two moments, in seconds since 1970, each request once.
pub(crate) fn read(log: &Path, begun: f64, ended: f64) -> Vec<Line> {
    // A line may come a moment after the answer.
    thread::sleep(Duration::from_secs(2));
    let log = fs::read_to_string(log).unwrap();
    let mut seen = HashSet::new();
    // A stream has a line when it begins, and one when it ends.
    let lines = audit::lines(&log).filter(|line| (begun..ended).contains(&seconds(line)));
    lines.filter(|line| seen.insert(line.id.clone())).collect()
}

/// When a request came, in seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "microseconds are good enough")]
pub(crate) fn seconds(line: &Line) -> f64 {
    line.came as f64 / 1e6
}
