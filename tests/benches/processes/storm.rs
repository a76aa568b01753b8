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

/// For how many seconds it is said what each one brought.
const SECONDS: usize = 10;

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
    each_second(&after, begun + back.unwrap_or(0.0));
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

/// Says what was asked in each second since the API server was back.
fn each_second(asked: &[&Line], back: f64) {
    let head: Vec<String> = ["requests in the second".to_owned()]
        .into_iter()
        .chain((1..=SECONDS).map(|second| second.to_string()))
        .collect();
    let rows = [("holders", "holder-a"), ("waiters", "holder-b")].map(|(name, user)| {
        let mut counts = [0_usize; SECONDS];
        for asked in asked.iter().filter(|it| it.user == user) {
            let since = Duration::try_from_secs_f64(requests::seconds(asked) - back);
            let second = since.map_or(usize::MAX, |since| since.as_secs() as usize);
            if let Some(count) = counts.get_mut(second) {
                *count += 1;
            }
        }
        let counts = counts.iter().map(usize::to_string);
        [name.to_owned()].into_iter().chain(counts).collect()
    });
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    table("Since it is back", &head, &rows);
}
