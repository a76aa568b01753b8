//! The model checker: a small run of it, what it must find, and whether it takes different states for the same.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    time::Duration,
};

use lease_tests::model::{Action, Bounds, Found, Plant, State, System, explore};
use stateright::Model;

fn explored(system: System, states: usize) -> Found {
    let bounds = Bounds {
        states,
        time: Duration::MAX,
        threads: 2,
    };
    explore(system, bounds)
}

/// Two claimants who look, or who are told.
fn system(misfortunes: u8, plant: Option<Plant>, watches: bool) -> System {
    let mut system = System::new(2, misfortunes, plant);
    system.watches = watches;
    system
}

/// What is said of streams, which there are none of unless claimants are told by them.
fn is_of_streams(what: &str) -> bool {
    what.contains("stream")
}

#[test]
fn without_misfortunes_everything_is_seen_and_no_promise_broken() {
    for watches in [false, true] {
        let found = explored(system(0, None, watches), usize::MAX);
        assert_eq!(found.broken, None);
        assert!(found.is_all);
        assert!(found.unique > 10 && found.depth > 10, "{found:?}");
    }
}

#[test]
fn with_one_misfortune_no_promise_is_broken() {
    for watches in [false, true] {
        let found = explored(system(1, None, watches), 20_000);
        assert_eq!(found.broken, None);
        assert!(found.unique >= 20_000, "{found:?}");
        let facts = found.facts.iter();
        let never: Vec<_> = facts
            .filter(|(what, count)| *count == 0 && (watches || !is_of_streams(what)))
            .collect();
        assert!(never.is_empty(), "{never:?}");
    }
}

/// The others need two misfortunes, which takes too long here: the command runs them.
#[test]
fn planted_bugs_are_found() {
    for &plant in Plant::ALL {
        if plant.least_misfortunes() > 1 {
            continue;
        }
        let found = explored(system(1, Some(plant), false), usize::MAX);
        let (_, steps) = found
            .broken
            .unwrap_or_else(|| panic!("{plant:?} went unnoticed"));
        assert!(!steps.is_empty(), "{plant:?}");
    }
}

/// What the checker tells a state apart by.
fn key(state: &State) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(state)
}

/// What comes of a state: each thing that can happen, and which state that leads to.
fn future(system: &System, state: &State) -> Vec<(Action, Option<u64>)> {
    let mut actions = Vec::new();
    system.actions(state, &mut actions);
    let leads_to = |action| {
        let next = system.next_state(state, action);
        (action, next.map(|next| key(&next)))
    };
    actions.into_iter().map(leads_to).collect()
}

/// Otherwise the checker would pass over states that it has never seen.
#[test]
fn states_that_are_taken_for_the_same_have_the_same_future() {
    for watches in [false, true] {
        compare(&system(1, None, watches));
    }
}

fn compare(system: &System) {
    let mut known = HashMap::new();
    // Deep first, for that is where time has passed and nothing else is different.
    let mut stack = system.init_states();
    let (mut compared, mut later) = (0, 0);
    while let Some(state) = stack.pop().filter(|_| later < 2_000) {
        let future = future(system, &state);
        let key = key(&state);
        if let Some((tick, first)) = known.get(&key) {
            compared += 1;
            later += usize::from(*tick != state.tick());
            assert_eq!(*first, future, "{state:?}, and the same at tick {tick}");
            continue;
        }
        let actions = future.iter().map(|(action, _)| *action);
        let next = actions.filter_map(|action| system.next_state(&state, action));
        stack.extend(next);
        known.insert(key, (state.tick(), future));
    }
    assert!(later >= 2_000, "{later} of {compared}");
}
