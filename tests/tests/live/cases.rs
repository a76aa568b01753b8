//! What must be so on a real API server.

#![expect(clippy::print_stdout, reason = "the figures are part of the result")]

use std::{
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;

use crate::{
    Case,
    audit::{more, tally},
    check,
    claimant::{Kind, Start},
    cluster::Cluster,
    load,
};

pub(crate) const ALL: &[(&str, Case)] = &[
    (
        "it_is_acquired_renewed_and_waited_for",
        it_is_acquired_renewed_and_waited_for,
    ),
    ("a_release_hands_over", a_release_hands_over),
    ("a_killed_holder_is_succeeded", a_killed_holder_is_succeeded),
    (
        "what_died_an_hour_ago_is_taken_at_once_if_both_clocks_say_so",
        what_died_an_hour_ago_is_taken_at_once_if_both_clocks_say_so,
    ),
    ("an_annotation_costs_nothing", an_annotation_costs_nothing),
    ("a_deletion_is_noticed", a_deletion_is_noticed),
    (
        "an_identity_without_the_role_is_told_what_it_lacks",
        an_identity_without_the_role_is_told_what_it_lacks,
    ),
    (
        "a_rotated_token_is_read_again",
        a_rotated_token_is_read_again,
    ),
    (
        "a_server_of_another_ca_is_refused",
        a_server_of_another_ca_is_refused,
    ),
    (
        "a_role_for_leader_election_is_enough",
        a_role_for_leader_election_is_enough,
    ),
    (
        "a_holder_costs_one_write_for_each_interval",
        a_holder_costs_one_write_for_each_interval,
    ),
    (
        "who_is_refused_asks_ever_less_often",
        load::who_is_refused_asks_ever_less_often,
    ),
];

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(20);

fn it_is_acquired_renewed_and_waited_for(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "renewed", "holder-a");
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    let first = cluster.record(&a.lease)?;
    let mut waiter = Start::new(cluster, kind, "renewed", "holder-b").run()?;
    // Three renewals take a whole ttl: whoever looked at the clock alone would take it now.
    waiter.expect_nothing(Duration::from_secs(a.ttl + 2))?;
    let later = cluster.record(&a.lease)?;
    check(
        later.spec.holder_identity == first.spec.holder_identity,
        "the holder changed",
    )?;
    check(
        later.spec.acquire_time == first.spec.acquire_time,
        "a renewal moved acquireTime",
    )?;
    check(
        later.spec.lease_transitions == first.spec.lease_transitions,
        "a renewal counted as a transition",
    )?;
    let renewals = |lease: &lease_proto::wire::Lease| {
        lease.spec.renew_time.as_ref().and_then(|time| time.time())
    };
    let (Some(first), Some(later)) = (renewals(&first), renewals(&later)) else {
        return Err("renewTime cannot be read".into());
    };
    check(
        later.saturating_since(first) >= Duration::from_secs(a.ttl),
        "there were not three renewals",
    )?;
    holder.expect_nothing(Duration::from_millis(1))
}

fn a_release_hands_over(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "release", "holder-a");
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    let mut waiter = Start::new(cluster, kind, "release", "holder-b").run()?;
    waiter.expect_nothing(Duration::from_secs(1))?;
    holder.terminate()?;
    waiter.expect("acquired", SOON)?;
    let record = cluster.record(&a.lease)?;
    check(
        record.spec.lease_transitions == Some(1),
        "one hand-over is one transition",
    )?;
    check(holder.wait(SOON)?.success(), "the holder did not end well")
}

fn a_killed_holder_is_succeeded(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "killed", "holder-a");
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    let mut waiter = Start::new(cluster, kind, "killed", "holder-b").run()?;
    waiter.expect_nothing(Duration::from_secs(1))?;
    let killed = Instant::now();
    holder.kill()?;
    waiter.expect("acquired", SOON)?;
    // Its last renewal was at most one interval before.
    let least = Duration::from_secs(a.ttl - a.ttl / 3 - 1);
    check(
        killed.elapsed() >= least,
        "it was succeeded before its time was over",
    )
}

fn an_annotation_costs_nothing(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "annotated", "holder-a");
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    for round in 0..40 {
        cluster.annotate(&a.lease, &round.to_string())?;
        thread::sleep(Duration::from_millis(200));
    }
    holder.expect_nothing(Duration::from_millis(1))?;
    let annotations = cluster.record(&a.lease)?.metadata.annotations();
    check(
        annotations.get("noted").is_some_and(|noted| noted == "39"),
        "the annotation was lost",
    )
}

fn a_deletion_is_noticed(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "deleted", "holder-a");
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    let before = cluster.record(&a.lease)?.metadata.uid;
    cluster.delete(&a.lease)?;
    holder.expect_lost(SOON)?;
    if kind == Kind::Command {
        return check(
            cluster.holder(&a.lease)?.is_none(),
            "the deleted record came back",
        );
    }
    // It begins again, with a record of its own.
    holder.expect("acquired", SOON)?;
    check(
        cluster.record(&a.lease)?.metadata.uid != before,
        "the deleted record came back",
    )
}

fn an_identity_without_the_role_is_told_what_it_lacks(
    cluster: &Cluster,
    kind: Kind,
) -> Result<(), Failed> {
    let mut claimant = Start::new(cluster, kind, "forbidden", "nobody").run()?;
    if kind == Kind::Command {
        check(
            claimant.wait(SOON)?.code() == Some(125),
            "the exit code is not 125",
        )?;
    } else {
        claimant.expect_nothing(Duration::from_secs(3))?;
    }
    let said = claimant.end();
    // The command tells it as kubectl does, and the libraries with the code.
    let refusal = match kind {
        Kind::Command => "Error from server (Forbidden): ",
        Kind::Tokio | Kind::Blocking => "403",
    };
    check(
        said.contains("verbs: [\"get\", \"watch\", \"update\"]") && said.contains(refusal),
        &said,
    )
}

fn a_rotated_token_is_read_again(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "rotated", "holder-a");
    let file = cluster.own_token_file(&a.lease, "holder-a");
    let a = a.token_file(file.clone());
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    // A token that the server does not know, until the next one comes.
    cluster.rotate(&file, "bad");
    thread::sleep(Duration::from_millis(2_500));
    cluster.rotate(&file, "holder-b");
    holder.expect_nothing(Duration::from_secs(a.ttl + 2))?;
    let seen = tally(cluster, &a.lease)?;
    check(
        more(&Default::default(), &seen, "holder-b", "update") > 0,
        "the new token was not used",
    )?;
    std::fs::remove_file(file)?;
    Ok(())
}

fn a_server_of_another_ca_is_refused(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "wrong-ca", "holder-a").ca(&cluster.wrong_ca);
    let mut claimant = a.run()?;
    thread::sleep(Duration::from_secs(2));
    let said = claimant.end();
    check(said.contains("certificate"), &said)?;
    check(
        tally(cluster, &a.lease)?.is_empty(),
        "something was sent to a server that was not verified",
    )
}

fn a_role_for_leader_election_is_enough(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "minimal", "minimal");
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    holder.expect_nothing(Duration::from_secs(3))?;
    holder.terminate()?;
    check(holder.wait(SOON)?.success(), "the holder did not end well")?;
    check(
        cluster.holder(&a.lease)?.is_none(),
        "the record was not cleared",
    )?;
    let refused = tally(cluster, &a.lease)?;
    check(
        refused.keys().all(|(_, _, code)| *code != 403),
        &format!("{refused:?}"),
    )
}

fn what_died_an_hour_ago_is_taken_at_once_if_both_clocks_say_so(
    cluster: &Cluster,
    kind: Kind,
) -> Result<(), Failed> {
    // Whoever watched it for as long as it names would take it after a minute and more.
    let dead = Start::new(cluster, kind, "dead", "holder-a");
    cluster.write_dead(&dead.lease, "lease-proto", 3 * SOON)?;
    let mut holder = dead.run()?;
    holder.expect("acquired", SOON)?;
    check(
        cluster.record(&dead.lease)?.spec.lease_transitions == Some(4),
        "a take-over is a transition",
    )?;
    // Nobody knows by which clock others write.
    let other = Start::new(cluster, kind, "dead-by-one-clock", "holder-a");
    cluster.write_dead(&other.lease, "kubectl", 3 * SOON)?;
    let mut waiter = other.run()?;
    waiter.expect_nothing(Duration::from_secs(8))
}

fn a_holder_costs_one_write_for_each_interval(cluster: &Cluster, kind: Kind) -> Result<(), Failed> {
    let a = Start::new(cluster, kind, "audited", "holder-a");
    let mut holder = a.run()?;
    holder.expect("acquired", SOON)?;
    let mut waiter = Start::new(cluster, kind, "audited", "holder-b").run()?;
    let (before, begun) = (tally(cluster, &a.lease)?, Instant::now());
    waiter.expect_nothing(Duration::from_secs(10 * a.ttl / 3))?;
    let (after, took) = (tally(cluster, &a.lease)?, begun.elapsed());
    let interval = a.ttl / 3;
    let due = took.as_secs() / interval;
    let writes = more(&before, &after, "holder-a", "update");
    let reads = more(&before, &after, "holder-a", "get");
    let others =
        more(&before, &after, "holder-b", "update") + more(&before, &after, "holder-b", "create");
    println!(
        "{kind}: {writes} writes and {reads} reads by the holder in {took:.1?}, at one each {interval} s"
    );
    check(
        u64::try_from(writes)?.abs_diff(due) <= 1,
        &format!("{writes} writes where {due} were due"),
    )?;
    check(reads == 0, &format!("{reads} reads by the holder"))?;
    check(others == 0, &format!("{others} writes by the waiter"))?;
    holder.expect_nothing(Duration::from_millis(1))
}
