//! Worlds from many seeds, and planted bugs that must not go unnoticed.

#![expect(clippy::print_stdout, reason = "the figures are part of the result")]

use lease_tests::{
    faults::Bug,
    world::{Counts, World},
};

/// Ten minutes.
const LENGTH: u64 = 600_000_000;

/// Replays one seed with its trace if `LEASE_SEED` names one, else runs those given.
fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("LEASE_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("LEASE_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}

fn run(seed: u64, bug: Option<Bug>, traced: bool) -> (World, Result<(), String>) {
    let size = 2 + usize::try_from(seed % 3).expect("small");
    let mut world = World::new(seed, size, bug);
    if traced {
        world = world.traced();
    }
    let result = world.run(LENGTH).map_err(|violation| violation.to_string());
    (world, result)
}

#[test]
fn no_two_ever_hold_the_lease_at_once() {
    let mut total = Counts::default();
    let seeds = seeds(600);
    for seed in seeds.clone() {
        let (world, result) = run(seed, None, false);
        if let Err(violation) = result {
            let (world, _) = run(seed, None, true);
            panic!("LEASE_SEED={seed}: {violation}\n{}", world.trace());
        }
        if seeds.end - seeds.start == 1 {
            println!("{}", run(seed, None, true).0.trace());
        }
        let counts = world.counts();
        total.requests += counts.requests;
        total.conflicts += counts.conflicts;
        total.acquired += counts.acquired;
        total.renewed += counts.renewed;
        total.lost += counts.lost;
        total.dropped += counts.dropped;
    }
    println!("{total:?}");
    let worlds = seeds.end - seeds.start;
    if worlds > 1 {
        assert!(total.acquired > worlds * 10, "{total:?}");
        assert!(total.renewed > worlds * 20, "{total:?}");
        assert!(total.lost > worlds * 8, "{total:?}");
        assert!(total.conflicts > worlds, "{total:?}");
        assert!(total.dropped > worlds * 10, "{total:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..20 {
        let (first, _) = run(seed, None, true);
        let (second, _) = run(seed, None, true);
        assert_eq!(first.trace(), second.trace(), "seed {seed}");
    }
}

#[test]
fn planted_bugs_are_found() {
    for bug in [
        Bug::GrantFromAnswer,
        Bug::NoCompareAndSwap,
        Bug::SlowClock,
        Bug::HalfTheWait,
    ] {
        let found = (0..600).find(|seed| run(*seed, Some(bug), false).1.is_err());
        println!("{bug:?} is found by seed {found:?}");
        assert!(found.is_some(), "{bug:?} was not noticed");
    }
}
