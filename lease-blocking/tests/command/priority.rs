//! Waiting by priority.

use lease_blocking::{
    Client,
    proto::{Candidate, candidates_of, wire::Lease},
};

use crate::{Place, await_that};

/// Those that have announced themselves in the directory.
fn announced(place: &Place) -> Vec<Candidate> {
    let client = Client::embedded(place.file("leases")).unwrap();
    let leases: Vec<Lease> = client.list().unwrap();
    leases.iter().filter_map(Candidate::read).collect()
}

#[test]
fn of_those_that_wait_the_most_important_runs_first() {
    let place = Place::new();
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    let start = |name: &str, priority: &str| {
        let script = format!("echo {name} >> log");
        let arguments = [
            "run",
            "a",
            "--ttl",
            "30s",
            "--priority",
            priority,
            "--",
            "sh",
            "-c",
            &script,
        ];
        place.start(&arguments)
    };
    let mut all = Vec::new();
    for (count, (name, priority)) in [
        ("low", "-1"),
        ("first", "3"),
        ("second", "3"),
        ("high", "7"),
    ]
    .into_iter()
    .enumerate()
    {
        all.push(start(name, priority));
        await_that(|| announced(&place).len() == count + 1, "its announcement");
    }
    place.run(&["release", "a", "--holder", "me"]).with(0);
    for started in all {
        started.end().with(0);
    }
    assert_eq!(place.text("log"), "high\nfirst\nsecond\nlow\n");
    assert_eq!(announced(&place), []);
}

#[test]
fn whoever_acquires_with_a_priority_leaves_no_announcement() {
    let place = Place::new();
    place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "3s"])
        .with(0);
    let waits = [
        "acquire",
        "a",
        "--holder",
        "you",
        "--ttl",
        "3s",
        "--priority",
        "1",
        "--wait",
    ];
    let waiting = place.start(&waits);
    await_that(|| announced(&place).len() == 1, "its announcement");
    waiting.end().with(0);
    assert_eq!(announced(&place), []);
    place
        .run(&["acquire", "a", "--holder", "you", "--ttl", "1h"])
        .with(0);
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let waiting = place.start(&[&waits[..3], &["them"], &waits[4..]].concat());
        await_that(|| announced(&place).len() == 1, "its announcement");
        waiting.signal(signal);
        waiting.end().with(code).saying(&["interrupted"]);
        assert_eq!(announced(&place), [], "after {signal}");
    }
    let selector = candidates_of(&"a".parse().unwrap());
    assert_eq!(selector, "lease-proto/candidate-for=a");
}
