//! What is done to people's scripts, and what must come of it.

use std::{path::Path, thread, time::Duration};

use lease_tests::{chaos::proxy::Mode, processes::Signal};
use libtest_mimic::Failed;

use crate::{Case, place::Place};

pub(crate) const ALL: [(&str, Case); 9] = [
    ("three_at_once_migrate_one_after_the_other", three_at_once),
    ("a_killed_command_is_succeeded_and_never_overlapped", killed),
    (
        "a_stopped_command_is_succeeded_and_never_overlapped",
        stopped,
    ),
    (
        "a_command_that_is_cut_off_is_succeeded_and_never_overlapped",
        cut_off,
    ),
    ("one_lost_connection_kills_nothing", one_lost_connection),
    (
        "a_run_of_a_cronjob_is_left_out_while_the_last_one_goes_on",
        cronjob,
    ),
    ("a_leader_that_is_killed_is_replaced", leader),
    ("a_lease_is_handed_over_between_commands", hand_over),
    (
        "a_server_that_is_slower_than_the_ttl_allows_is_told_of",
        slow_server,
    ),
];

const PODS: [&str; 3] = ["pod-a", "pod-b", "pod-c"];

fn three_at_once(place: &Place) -> Result<(), Failed> {
    let pods = PODS.map(|pod| place.script("migration.sh", pod).start());
    for pod in pods {
        pod?.end_with(0)?;
    }
    let journal = place.journal();
    journal.check()?;
    let ran = (
        journal.count("begin"),
        journal.count("end"),
        journal.count("told"),
    );
    if ran == (3, 3, 0) {
        Ok(())
    } else {
        Err(format!("begun, ended and told: {ran:?}").into())
    }
}

/// Starts one that holds the lease for three seconds at a time, and works until it is killed; then two that wait.
fn one_and_two(
    place: &Place,
    kubeconfig: Option<&Path>,
) -> Result<[crate::script::Running; 3], Failed> {
    let mut first = place
        .script("migration.sh", "first")
        .set("STEPS", "1000000")
        .set("TTL", "3s");
    if let Some(kubeconfig) = kubeconfig {
        first = first.set("KUBECONFIG", kubeconfig);
    }
    let first = first.start()?;
    place.wait_for("the first", |place| place.journal().has("goes-on", "first"))?;
    let waiting = |pod| place.script("migration.sh", pod).set("TTL", "3s").start();
    let (second, third) = (waiting("second")?, waiting("third")?);
    // So that they have looked.
    thread::sleep(Duration::from_millis(500));
    Ok([first, second, third])
}

fn check_two_after_one(place: &Place) -> Result<(), Failed> {
    let journal = place.journal();
    journal.check()?;
    let ran = (journal.count("begin"), journal.count("end"));
    if ran == (3, 2) && !journal.has("end", "first") {
        Ok(())
    } else {
        Err(format!("begun and ended: {ran:?}").into())
    }
}

fn killed(place: &Place) -> Result<(), Failed> {
    let [first, second, third] = one_and_two(place, None)?;
    first.signal(Signal::KILL)?;
    second.end_with(0)?;
    third.end_with(0)?;
    check_two_after_one(place)
}

fn stopped(place: &Place) -> Result<(), Failed> {
    let [first, second, third] = one_and_two(place, None)?;
    first.signal(Signal::STOP)?;
    second.end_with(0)?;
    third.end_with(0)?;
    first.signal(Signal::CONT)?;
    first.end_with(123)?;
    check_two_after_one(place)
}

fn cut_off(place: &Place) -> Result<(), Failed> {
    let (proxy, kubeconfig) = place.proxy()?;
    let [first, second, third] = one_and_two(place, Some(&kubeconfig))?;
    proxy.set(Mode::BlackHole);
    // It gives up by itself: nobody tells it that others are there.
    first.end_with(123)?;
    second.end_with(0)?;
    third.end_with(0)?;
    if !place.journal().has("told", "first") {
        return Err("it was not told to stop".into());
    }
    check_two_after_one(place)
}

fn one_lost_connection(place: &Place) -> Result<(), Failed> {
    let (proxy, kubeconfig) = place.proxy()?;
    let steps = place
        .script("migration.sh", "first")
        .set("STEPS", "120")
        .set("TTL", "15s");
    let first = steps.set("KUBECONFIG", kubeconfig).start()?;
    place.wait_for("the first", |place| place.journal().has("goes-on", "first"))?;
    // What has been opened stands still for ever, as after a change of the network; what is opened anew works.
    proxy.set(Mode::Hang);
    first.end_with(0)?;
    if place.journal().has("told", "first") {
        return Err("it was told to stop".into());
    }
    place.journal().check()
}

fn cronjob(place: &Place) -> Result<(), Failed> {
    let long = place
        .script("cronjob.sh", "first")
        .set("STEPS", "1000000")
        .start()?;
    place.wait_for("the first", |place| place.journal().has("goes-on", "first"))?;
    place.script("cronjob.sh", "second").start()?.end_with(0)?;
    if place.text("left-out") != "left-out second\n" {
        return Err("it was not left out".into());
    }
    kill_program(place, "first")?;
    // Its program's own code.
    long.end_with(137)?;
    place.script("cronjob.sh", "third").start()?.end_with(0)?;
    if !place.journal().has("end", "third") {
        return Err("the next did not run".into());
    }
    place.journal().check()
}

fn leader(place: &Place) -> Result<(), Failed> {
    let leader = |pod| {
        place
            .script("leader.sh", pod)
            .set("STEPS", "1000000")
            .set("TTL", "3s")
            .start()
    };
    let (first, second) = (leader("first")?, leader("second")?);
    for round in 1..=3 {
        place.wait_for("a leader", |place| place.journal().count("begin") == round)?;
        let Some(pod) = place.journal().last_to_begin().map(str::to_owned) else {
            return Err("nobody leads".into());
        };
        place.wait_for("its work", |place| {
            !place.text(&format!("{pod}.program")).is_empty()
        })?;
        kill_program(place, &pod)?;
    }
    place.wait_for("a leader", |place| place.journal().count("begin") >= 4)?;
    drop((first, second));
    place.journal().check()
}

fn hand_over(place: &Place) -> Result<(), Failed> {
    place.script("hand-over.sh", "first").start()?.end_with(0)
}

fn slow_server(place: &Place) -> Result<(), Failed> {
    let (proxy, kubeconfig) = place.proxy()?;
    proxy.set(Mode::DelayAnswers(Duration::from_secs(5)));
    let script = place.script("cronjob.sh", "first").set("TTL", "3s");
    script
        .set("KUBECONFIG", kubeconfig)
        .start()?
        .end_with(125)?;
    let said = place.text("first.stderr");
    if !said.contains("in the time that --ttl 3s leaves") {
        return Err(format!("it said: {said}").into());
    }
    if place.text("journal").is_empty() {
        Ok(())
    } else {
        Err("it ran".into())
    }
}

/// Kills the program of a pod, and not what runs it.
fn kill_program(place: &Place, pod: &str) -> Result<(), Failed> {
    let file = format!("{pod}.program");
    let pid = place.text(&file);
    std::fs::remove_file(place.path(&file))?;
    let status = std::process::Command::new("kill")
        .args(["-9", pid.trim()])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{pod} has no program {pid}").into())
    }
}
