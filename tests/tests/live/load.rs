//! What claimants ask of a real API server when things go wrong, or when there are many of them, by its own account.

#![expect(clippy::print_stdout, reason = "the figures are part of the result")]

use std::{
    thread,
    time::{Duration, Instant},
};

use lease_proto::Config;
use lease_tests::audit::Line;
use lease_tokio::Client;
use libtest_mimic::Failed;
use tokio::{runtime, task::JoinSet};

use crate::{
    audit::{more, requests, tally},
    check,
    claimant::{Kind, Start},
    cluster::Cluster,
};

/// Enough for a herd to show; more streams than that are not let through at once on one connection.
const CANDIDATES: usize = 100;

/// Rule R2 of load: whoever is refused asks a few times and then ever less often.
pub(crate) fn who_is_refused_asks_ever_less_often(
    cluster: &Cluster,
    kind: Kind,
) -> Result<(), Failed> {
    let mut claimant = Start::new(cluster, kind, "refused", "nobody").run()?;
    thread::sleep(Duration::from_secs(25));
    let lease = format!("refused-{kind}");
    let seen = requests(cluster, &lease)?;
    let said = claimant.end();
    check(
        seen.iter().all(|it| it.user == "nobody" && it.code == 403),
        &format!("{seen:?}"),
    )?;
    let busiest = busiest(&seen, Duration::from_secs(10));
    println!(
        "{kind}: {} requests, {busiest} at the most in 10 s",
        seen.len()
    );
    if kind == Kind::Command {
        // It gives up at once.
        return check(seen.len() <= 3, &format!("{seen:?}; {said}"));
    }
    check(
        seen.len() >= 3,
        &format!("it does not try again: {seen:?}; {said}"),
    )?;
    check(busiest <= 20, &format!("{busiest} in 10 s: {seen:?}"))?;
    let (first, last) = (seen.iter(), seen.iter().rev());
    let half = Duration::from_millis(12_500).as_micros();
    let middle = seen.first().map_or(0, |it| it.came) + i64::try_from(half)?;
    let (early, late) = (
        first.filter(|it| it.came < middle).count(),
        last.filter(|it| it.came >= middle).count(),
    );
    check(
        late <= early,
        &format!("{early} at first, and {late} later: {seen:?}"),
    )
}

/// Rule R4 of load: however many wait, they ask for nothing, and a hand-over costs each of them one write at most.
pub(crate) fn many_candidates_are_no_herd(cluster: &Cluster) -> Result<(), Failed> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::builder(&cluster.server)
            .certificate_authority(cluster.ca.clone())
            .token_file(cluster.token_file("holder-a"))
            .namespace(&cluster.namespace)
            .build()?;
        let lease = "crowd";
        let mut waiting = JoinSet::new();
        for number in 0..CANDIDATES {
            let config = Config::builder(&cluster.namespace, lease, format!("candidate-{number}"));
            let (client, config) = (client.clone(), config.build()?);
            waiting.spawn(async move { client.acquire(config).await });
        }
        let mut holder = next(&mut waiting).await?;
        let seen = |verb: &'static str| {
            let all = tally(cluster, lease)?;
            Ok::<_, Failed>(more(&Default::default(), &all, "holder-a", verb))
        };
        // All have opened their streams by then.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (reads, begun) = (seen("get")?, Instant::now());
        tokio::time::sleep(Duration::from_secs(10)).await;
        check(
            seen("get")? == reads,
            "those who are told of changes look all the same",
        )?;
        let mut costs = Vec::new();
        for _ in 0..6 {
            let before = seen("update")?;
            let released = Instant::now();
            check(holder.release().await.is_some(), "it was not released")?;
            holder = next(&mut waiting).await?;
            let took = released.elapsed();
            // Whoever was too late has heard of it by then, and the first renewal is not due.
            tokio::time::sleep(Duration::from_secs(1)).await;
            // One of them is the release.
            costs.push((seen("update")? - before - 1, took));
        }
        println!(
            "{CANDIDATES} candidates, writes and time from release to acquired: {costs:?}, in {:?}",
            begun.elapsed()
        );
        let left = CANDIDATES - 1;
        check(
            costs.iter().all(|(writes, _)| *writes <= left),
            &format!("more than a write each: {costs:?}"),
        )?;
        let reads_later = seen("get")? - reads;
        check(
            reads_later <= costs.len(),
            &format!("{reads_later} reads for {} hand-overs", costs.len()),
        )?;
        waiting.shutdown().await;
        check(holder.release().await.is_some(), "it was not released")
    })
}

async fn next(
    waiting: &mut JoinSet<Result<lease_tokio::Guard, lease_tokio::AcquireError>>,
) -> Result<lease_tokio::Guard, Failed> {
    let first = tokio::time::timeout(Duration::from_secs(30), waiting.join_next()).await?;
    Ok(first.ok_or("nobody is left")???)
}

/// The most requests in any time that is so long.
fn busiest(seen: &[Line], long: Duration) -> usize {
    let long = i64::try_from(long.as_micros()).unwrap_or(i64::MAX);
    let within = |from: &Line| {
        let times = seen.iter().map(|it| it.came);
        times
            .filter(|at| (from.came..from.came + long).contains(at))
            .count()
    };
    seen.iter().map(within).max().unwrap_or(0)
}
