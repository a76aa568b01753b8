//! How long nobody holds a Lease: after a release, after a crash, an hour after one, and at first.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use lease_tests::random::Random;

use crate::{
    cluster::Cluster,
    numbers::{Sorted, millis, table},
    plot,
    process::{Ears, Library, Process, Setup, now},
    requests,
};

/// Longer than anybody takes.
const PATIENCE: Duration = Duration::from_secs(90);
/// In seconds: of Leases that are left to expire.
const SHORT: u64 = 6;

/// What one library takes.
#[derive(Debug, Default)]
struct Times {
    after_release: Sorted,
    after_crash: Sorted,
    dead: Sorted,
    fresh: Sorted,
}

/// Measures all libraries beside each other, each with a Lease of its own.
pub(crate) fn run(cluster: &Cluster, libraries: &[Library], rounds: usize, svg: Option<&Path>) {
    let is_over = AtomicBool::new(false);
    let (all, least) = thread::scope(|scope| {
        let least = scope.spawn(|| least(cluster, &is_over));
        let handles: Vec<_> = libraries
            .iter()
            .map(|&library| {
                (
                    library,
                    scope.spawn(move || measure(cluster, library, rounds)),
                )
            })
            .collect();
        let joined = handles.into_iter();
        let all: Vec<(Library, Times)> = joined
            .map(|(library, it)| (library, it.join().unwrap()))
            .collect();
        is_over.store(true, Ordering::Relaxed);
        (all, least.join().unwrap())
    });
    // One after another: here a process that starts takes a processor.
    let all: Vec<(Library, Times)> = all
        .into_iter()
        .map(|(library, mut times)| {
            times.dead = firsts(cluster, library, rounds, true);
            times.fresh = firsts(cluster, library, rounds, false);
            (library, times)
        })
        .collect();
    let all_and_least = all
        .iter()
        .map(|(library, times)| (library.name(), times))
        .chain([("the API server alone", &least)]);
    let rows = all_and_least.map(|(name, times)| {
        let mut row = vec![name.to_owned()];
        let early = times.after_crash.0.iter().filter(|it| **it < 0.0).count();
        for (numbers, percents) in [
            (&times.after_release, &[50, 99][..]),
            (&times.after_crash, &[50, 99]),
        ] {
            row.extend(percents.iter().map(|it| millis(numbers.percentile(*it))));
        }
        row.push(early.to_string());
        row.push(millis(times.dead.percentile(50)));
        row.push(millis(times.fresh.percentile(50)));
        row
    });
    let head = [
        "milliseconds",
        "hand-over p50",
        "p99",
        "take-over p50",
        "p99",
        "before expiry",
        "dead an hour p50",
        "fresh p50",
    ];
    let title = format!(
        "Nobody holds it ({rounds} hand-overs, and half as many of each other kind; hand-over: from SIGTERM on; take-over: of a \
         holder killed by SIGKILL, from the instant at which what it wrote last expires, by when the API server was asked to \
         write it; dead an hour, and fresh: from the start of the process on; the API server alone: two writes one after \
         another, and one, over a connection that is open)"
    );
    table(&title, &head, &rows.collect::<Vec<_>>());
    if let Some(directory) = svg {
        let of = |pick: fn(&Times) -> &Sorted| {
            let series = all
                .iter()
                .map(|(library, times)| (library.name(), pick(times).clone()));
            series.collect::<Vec<_>>()
        };
        let file = |name: &str| directory.join(name);
        plot::draw(
            &file("hand-over.svg"),
            "from a release to the next holder",
            &of(|it| &it.after_release),
        );
        plot::draw(
            &file("take-over.svg"),
            "from expiry to the next holder",
            &of(|it| &it.after_crash),
        );
    }
}

fn measure(cluster: &Cluster, library: Library, rounds: usize) -> Times {
    Times {
        after_release: successions(cluster, library, rounds, false),
        after_crash: successions(cluster, library, rounds / 2, true),
        ..Times::default()
    }
}

/// Measures what nobody can be faster than, as long as others are measured: a hand-over is two writes, a take-over one.
fn least(cluster: &Cluster, is_over: &AtomicBool) -> Times {
    let mut random = Random::new(11);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    cluster.write_dead("least");
    let mut lease = cluster.lease("least").unwrap();
    let mut write = || {
        // Of what is not changed nothing is written.
        let transitions = lease.spec.lease_transitions.unwrap();
        lease.spec.lease_transitions = Some(transitions + 1);
        lease = cluster.update(&lease);
    };
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        write();
        one.push(begun.elapsed().as_secs_f64());
        write();
        two.push(begun.elapsed().as_secs_f64());
        thread::sleep(Duration::from_millis(random.between(500, 1_500)));
    }
    Times {
        after_release: two.into(),
        after_crash: one.into(),
        ..Times::default()
    }
}

/// Has the holder end, again and again, and measures until there is another.
fn successions(cluster: &Cluster, library: Library, rounds: usize, crash: bool) -> Sorted {
    let kind = if crash { "crash" } else { "release" };
    let lease = format!("{kind}-{}", library.name());
    let ids = ["a", "b", "c"];
    let ears = Ears::new();
    let start = |number: usize| {
        let mut setup = Setup::new(library, &lease, ids[number]);
        setup.ttl = if crash { SHORT } else { setup.ttl };
        Process::start(cluster, setup, number, &ears)
    };
    // Whoever asks every so often must not be asked about in step with that.
    let mut random = Random::new(7);
    let mut pause = |least: u64, most: u64| {
        thread::sleep(Duration::from_millis(random.between(least, most)));
    };
    let mut processes: Vec<Process> = Vec::new();
    for number in 0..ids.len() {
        processes.push(start(number));
        pause(100, 5_000);
    }
    let first = ears.hear(PATIENCE, |said| said.event == "acquired");
    let mut holder = first.expect("nobody acquires it").process;
    let mut took = Vec::new();
    for _ in 0..rounds {
        pause(5_000, 10_000);
        ears.take();
        let begun = if crash {
            processes[holder].kill();
            expiry(cluster, &lease)
        } else {
            processes[holder].terminate()
        };
        let next = ears.hear(PATIENCE, |said| {
            said.event == "acquired" && said.process != holder
        });
        let Some(next) = next else {
            println!("{}: nobody took over in {PATIENCE:?}", library.name());
            break;
        };
        took.push(next.at - begun);
        let gone = std::mem::replace(&mut processes[holder], start(holder));
        gone.wait();
        holder = next.process;
    }
    took.into()
}

/// When what was written last expires, in Unix time: so long after the API server was asked to write it.
///
/// Not by `renewTime`: ours may be a second ahead, since it is the later of two clocks of which one tells whole seconds.
fn expiry(cluster: &Cluster, lease: &str) -> f64 {
    let asked = requests::read(&cluster.audit_log, now() - 60.0, now());
    let writes = asked.iter().filter(|it| it.is_write() && it.code < 300);
    let writes = writes
        .filter(|it| it.uri.contains(lease))
        .map(requests::seconds);
    let spec = cluster.lease(lease).expect("it was held").spec;
    let seconds = u32::try_from(spec.lease_duration_seconds.unwrap()).unwrap();
    writes.fold(0.0, f64::max) + f64::from(seconds)
}

/// Measures from the start of a process until it holds a Lease that nobody else wants.
fn firsts(cluster: &Cluster, library: Library, rounds: usize, dead: bool) -> Sorted {
    let kind = if dead { "dead" } else { "fresh" };
    let mut took = Vec::new();
    for round in 0..rounds / 2 {
        let lease = format!("{kind}-{}-{round}", library.name());
        if dead {
            cluster.write_dead(&lease);
        }
        let ears = Ears::new();
        let process = Process::start(cluster, Setup::new(library, &lease, "a"), 0, &ears);
        let Some(said) = ears.hear(PATIENCE, |said| said.event == "acquired") else {
            println!(
                "{}: {lease} was not acquired in {PATIENCE:?}",
                library.name()
            );
            break;
        };
        took.push(said.at - process.begun);
        debug_assert!(now() >= said.at);
        process.terminate();
        process.wait();
    }
    took.into()
}
