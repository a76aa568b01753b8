//! What comes when the API server is restarted under 1,000 holders, and as many that wait for the same Leases.

use std::{collections::BTreeMap, collections::HashSet, thread, time::Duration};

use lease_tests::audit::Line;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cluster::Cluster,
    numbers::table,
    process::{Ears, Library, Process, Setup, now},
    requests,
};

const COUNT: usize = 1_000;

pub(crate) fn run(cluster: &Cluster) {
    let ears = Ears::new();
    let start = |number: usize, user| {
        let setup = Setup {
            count: COUNT,
            user,
            ..Setup::new(Library::LeaseTokio, "storm", user)
        };
        Process::start(cluster, setup, number, &ears)
    };
    let holders = start(0, "holder-a");
    let mut held = HashSet::new();
    while held.len() < COUNT {
        let said = ears.hear(Duration::from_secs(60), |said| said.event == "acquired");
        held.insert(
            said.expect("a Lease that nobody else wants is not acquired")
                .lease,
        );
    }
    let waiters = start(1, "holder-b");
    thread::sleep(Duration::from_secs(30));
    ears.take();
    let begun = now();
    kill_process(Pid::from_raw(cluster.script).unwrap(), Signal::USR1).unwrap();
    thread::sleep(Duration::from_secs(60));
    let ended = now();
    let said = ears.take();
    let count = |process: usize, event: &str| {
        let said = said
            .iter()
            .filter(|it| it.process == process && it.event == event);
        said.count()
    };
    let (lost, taken) = (count(0, "lost"), count(1, "acquired"));
    let asked = requests::read(&cluster.audit_log, begun - 20.0, ended);
    let (before, after): (Vec<_>, Vec<_>) =
        asked.iter().partition(|it| requests::seconds(it) < begun);
    let peak = |asked: &[&Line], user: &str| {
        let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
        for asked in asked.iter().filter(|it| it.user == user) {
            *seconds.entry(asked.came / 1_000_000).or_default() += 1;
        }
        seconds.values().max().copied().unwrap_or(0).to_string()
    };
    let refused = after
        .iter()
        .filter(|it| it.code == 429 || it.code >= 500)
        .count();
    let back = after
        .iter()
        .map(|it| requests::seconds(it) - begun)
        .find(|at| *at > 0.5);
    let rows = [("holders", "holder-a"), ("waiters", "holder-b")]
        .map(|(name, user)| vec![name.to_owned(), peak(&before, user), peak(&after, user)]);
    let head = ["requests in the busiest second", "before", "after"];
    let title = format!(
        "The API server is killed under {COUNT} holders and as many waiters, and started again"
    );
    table(&title, &head, &rows);
    println!(
        "back after {:.1} s; {lost} Leases lost, {taken} taken over; {refused} requests answered with 429 or 5xx",
        back.unwrap_or(f64::NAN)
    );
    for process in [&holders, &waiters] {
        process.terminate();
    }
    holders.wait();
    waiters.wait();
}
