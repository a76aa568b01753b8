//! Waiting by priority.

use lease_blocking::{
    Client,
    proto::{Candidate, candidates_of, wire::Lease},
};

use serde_json::{Value, json};

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
        let waiting = place.start_heeding(&[&waits[..3], &["them"], &waits[4..]].concat());
        await_that(|| announced(&place).len() == 1, "its announcement");
        waiting.signal(signal);
        waiting.end().with(code).saying(&["interrupted"]);
        assert_eq!(announced(&place), [], "after {signal}");
    }
    let selector = candidates_of(&"a".parse().unwrap());
    assert_eq!(selector, "lease-proto/candidate-for=a");
}

/// Announces somebody who waits for `a`, and lives for long.
pub(crate) fn announce(place: &Place, identity: &str, priority: i32) {
    let announcement = json!({
        "metadata": {
            "name": format!("a-candidate-{identity}"),
            "labels": {"lease-proto/candidate-for": "a"},
            "annotations": {
                "lease-proto/priority": priority.to_string(),
                "lease-proto/since": "2026-01-01T00:00:00.000000Z",
            },
        },
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": 15,
            "renewTime": "2126-01-01T00:00:00.000000Z",
        },
    });
    let announcement: Lease = serde_json::from_value(announcement).unwrap();
    place.client().create(&announcement).unwrap();
}

#[test]
fn the_status_says_who_waits_by_priority_and_who_goes_first() {
    let place = Place::new();
    place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "1h"])
        .with(0);
    let status = |rest: &[&str]| place.run(&[&["status", "a"], rest].concat()).stdout;
    assert_eq!(json_of(&status(&["-o", "json"]))["candidates"], json!([]));
    announce(&place, "low", -1);
    announce(&place, "high", 7);
    // It has it, and has not yet taken that back.
    announce(&place, "me", 9);
    let text = status(&[]);
    assert!(
        text.contains("Waiting:     high, with priority 7, and 1 other after that\n"),
        "{text}"
    );
    let wide = status(&["-o", "wide"]);
    for line in [
        "Waiting:     high, with priority 7, since ",
        "low, with priority -1, since ",
    ] {
        assert!(wide.contains(line), "{line} is not in {wide}");
    }
    let candidates = json_of(&status(&["-o", "json"]))["candidates"].clone();
    assert_eq!(candidates[0]["identity"], "high");
    assert_eq!(
        (&candidates[1]["priority"], candidates.get(2)),
        (&json!(-1), None)
    );
    assert!(candidates[0]["since"].is_string());

    place.run(&["release", "a", "--holder", "me"]).with(0);
    place
        .client()
        .delete("a-candidate-me", &lease_blocking::Preconditions::none())
        .unwrap();
    let text = status(&[]);
    assert!(text.contains("high, at once: it goes first"), "{text}");
    assert!(!text.contains("anybody"), "{text}");
}

#[test]
fn announcements_are_no_leases_to_whoever_lists_them_unless_they_are_asked_for() {
    let place = Place::new();
    place
        .run(&["acquire", "a", "--holder", "me", "--ttl", "1h"])
        .with(0);
    announce(&place, "high", 7);
    let text = place.run(&["list"]).with(0).stdout;
    assert!(!text.contains("candidate"), "{text}");
    let text = place.run(&["list", "--candidates"]).with(0).stdout;
    let row = text
        .lines()
        .find(|line| line.starts_with("a-candidate-high "));
    assert!(row.is_some_and(|row| row.contains(" Candidate ")), "{text}");
    let list = |rest: &[&str]| {
        let text = place
            .run(&[&["list", "-o", "json"], rest].concat())
            .with(0)
            .stdout;
        json_of(&text)["items"].clone()
    };
    let leases = list(&[]);
    assert_eq!((&leases[0]["name"], leases.get(1)), (&json!("a"), None));
    assert_eq!(leases[0]["candidates"][0]["identity"], "high");
    assert_eq!(leases[0]["candidateFor"], Value::Null);
    assert_eq!(list(&["--candidates"])[1]["candidateFor"], "a");
    let text = place.run(&["status", "a-candidate-high"]).with(0).stdout;
    assert!(text.contains("waits for a\n"), "{text}");
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
