//! What tasks that hold or wait take of a processor. That of threads is a test of lease-blocking, which has a process of its own.

use std::{fs, thread, time::Duration};

use lease_proto::SetLimits;
use lease_tokio::Client;

use crate::config;

#[test]
fn tasks_that_hold_or_wait_take_hardly_any_of_a_processor() {
    const NAME: &str = "idling";
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).thread_name(NAME).enable_all();
    let runtime = runtime.build().unwrap();
    let hour = 3_600_000;
    let kept = runtime.block_on(async {
        let client = Client::in_memory();
        let holder = client.keep(config("me", hour));
        holder.held().await.unwrap();
        let set = client.claim_set(SetLimits::default());
        let (waiter, asker) = (
            client.keep(config("other", hour)),
            set.keep(config("third", hour)),
        );
        let asking = tokio::spawn(async move { asker.held().await });
        (holder, waiter, set, asking)
    });
    thread::sleep(Duration::from_secs(1));
    let before = ticks(NAME).unwrap();
    thread::sleep(Duration::from_secs(2));
    let after = ticks(NAME).unwrap();
    // Who spins takes a hundred in a second, or half of that where others spin as well.
    assert!(after - before < 20, "{before} {after}");
    drop(kept);
}

/// What the thread of that name has taken of processors, in hundredths of a second.
fn ticks(name: &str) -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let of = stats.filter_map(|stat| {
        let (before, after) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = after.split(' ').collect();
        let taken = [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<u64>().unwrap());
        before.ends_with(&format!("({name}")).then(|| taken.sum())
    });
    of.reduce(|one, other: u64| one + other)
}
