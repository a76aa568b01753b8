//! What a held Lease and whoever waits for it ask of the API server, by its audit log.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    cluster::Cluster,
    numbers::table,
    process::{Ears, Library, Process, Setup, now},
};

/// A line of the audit log, once for each request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Unix time in seconds.
    pub(crate) at: f64,
    pub(crate) user: String,
    pub(crate) verb: String,
    pub(crate) uri: String,
    pub(crate) code: u64,
}

impl Asked {
    pub(crate) fn is_write(&self) -> bool {
        ["create", "update", "patch"].contains(&self.verb.as_str())
    }
}

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

/// Reads what was asked between two moments, each request once.
pub(crate) fn read(log: &Path, begun: f64, ended: f64) -> Vec<Asked> {
    // A line may come a moment after the answer.
    thread::sleep(Duration::from_secs(2));
    let mut seen = HashSet::new();
    let lines = BufReader::new(File::open(log).unwrap()).lines();
    let lines = lines.map_while(Result::ok);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let asked = events.filter_map(|event| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let received: jiff::Timestamp = event["requestReceivedTimestamp"].as_str()?.parse().ok()?;
        #[expect(clippy::cast_precision_loss, reason = "microseconds are good enough")]
        let at = received.as_microsecond() as f64 / 1e6;
        // A stream has a line when it begins, and one when it ends.
        let is_new = (begun..ended).contains(&at) && seen.insert(text(&event["auditID"]));
        is_new.then(|| Asked {
            at,
            user: text(&event["user"]["username"]),
            verb: text(&event["verb"]),
            uri: text(&event["requestURI"]),
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        })
    });
    asked.collect()
}
