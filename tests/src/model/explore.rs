//! Explores a system until nothing is left of it, or enough was seen.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use stateright::{Checker, HasDiscoveries, Model};

use super::System;

/// When to explore no further.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is there to be filled in")]
pub struct Bounds {
    /// How many unique states are enough; a few more may be seen.
    pub states: usize,
    /// For how long to go on.
    pub time: Duration,
    /// How many threads there are. Only with one of them the path to what was broken is certainly a shortest one.
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

/// Explores the states nearest to the beginning first.
pub fn explore(system: System, bounds: Bounds) -> Found {
    let began = Instant::now();
    let mut checker = system
        .checker()
        .threads(bounds.threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs();
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
