//! Explores a system until nothing is left of it, or enough was seen.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use stateright::{Checker, CheckerBuilder, HasDiscoveries, Model};

use super::System;

/// When to explore no further.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is there to be filled in")]
pub struct Bounds {
    /// How many unique states are enough; a few more may be seen.
    pub states: usize,
    /// For how long to go on.
    pub time: Duration,
    /// How many threads there are.
    pub threads: usize,
}

/// What was found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// How many states there are, or were seen.
    pub unique: usize,
    /// How many transitions between them.
    pub transitions: usize,
    /// How many actions away from the beginning the farthest of them is.
    pub depth: usize,
    /// Whether there are no more.
    pub is_all: bool,
    /// How long it took.
    pub took: Duration,
    /// What has happened, and how often.
    pub facts: Vec<(&'static str, u64)>,
    /// Which promise was broken, and what led to that.
    pub broken: Option<(&'static str, Vec<String>)>,
}

/// How many states are looked at to find a shorter way to what was broken.
const NEAR: usize = 300_000;

/// Explores, deep first: so only few states that are still to come have to be kept.
pub fn explore(system: System, bounds: Bounds) -> Found {
    let began = Instant::now();
    let mut again = System::new(system.claimants, system.misfortunes, system.plant);
    again.watches = system.watches;
    let checker = builder(system, bounds.threads).spawn_dfs();
    let mut found = finish(checker, bounds, began);
    if found.broken.is_some() {
        // A way that goes deep first is a long one.
        let bounds = Bounds {
            states: NEAR,
            ..bounds
        };
        let checker = builder(again, bounds.threads).spawn_bfs();
        let shorter = finish(checker, bounds, began).broken;
        found.broken = shorter.or(found.broken);
    }
    found
}

fn builder(system: System, threads: usize) -> CheckerBuilder<System> {
    let builder = system.checker().threads(threads);
    builder.finish_when(HasDiscoveries::AnyFailures)
}

fn finish(mut checker: impl Checker<System>, bounds: Bounds, began: Instant) -> Found {
    let workers = checker.handles();
    let mut is_all = true;
    let mut pause = Duration::from_millis(1);
    while workers.iter().any(|worker| !worker.is_finished()) {
        if checker.unique_state_count() >= bounds.states || began.elapsed() >= bounds.time {
            checker.model().stop.store(true, Ordering::Relaxed);
            is_all = false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    let took = began.elapsed();
    for worker in workers {
        worker
            .join()
            .expect("neither claims nor servers panic, and neither does what explores them");
    }
    // The path is walked again, so nothing may stop it.
    let system = checker.model();
    let facts = system.facts.counts();
    system.stop.store(false, Ordering::Relaxed);
    let path = checker.discoveries().into_values().next();
    let broken = path.map(|path| {
        let broken = path.last_state().broken().unwrap_or("a promise was broken");
        let steps = path.into_vec().into_iter();
        let steps = steps.filter_map(|(state, action)| Some(system.describe(&state, action?)));
        (broken, steps.collect())
    });
    Found {
        unique: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth(),
        is_all: is_all && broken.is_none(),
        took,
        facts,
        broken,
    }
}
