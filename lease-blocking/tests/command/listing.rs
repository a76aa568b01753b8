//! What is shown of leases, and what `status` says by its exit code.

use serde_json::Value;

use crate::{Place, Ran};

/// A lease that is held for a minute, one that is held for long by another namespace's holder, and one that is free.
fn some() -> Place {
    let place = Place::new();
    let acquire = |name: &str, namespace: &str, ttl: &str| {
        let arguments = [
            "acquire", name, "--holder", "me", "-n", namespace, "--ttl", ttl,
        ];
        place.run(&arguments).with(0);
    };
    acquire("held", "default", "60s");
    acquire("free", "default", "60s");
    acquire("other", "far", "1h");
    place.run(&["release", "free", "--holder", "me"]).with(0);
    place
}

fn columns(ran: &Ran) -> Vec<Vec<&str>> {
    ran.stdout
        .lines()
        .map(|line| {
            line.split("   ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect()
}

#[test]
fn the_leases_of_a_namespace_are_a_table_without_colours_in_a_pipe() {
    let place = some();
    let ran = place.run(&["list"]).with(0);
    let rows = columns(&ran);
    let [head, free, held] = rows.as_slice() else {
        panic!("{ran:?}");
    };
    assert_eq!(
        *head,
        ["NAME", "PHASE", "HOLDER", "SINCE", "RENEWED", "EXPIRES"]
    );
    assert_eq!(free.get(..3), Some(&["free", "Available", "<none>"][..]));
    assert_eq!(held.get(..3), Some(&["held", "Held", "me"][..]));
    assert!(
        held.last().is_some_and(|it| it.starts_with("in ")),
        "{held:?}"
    );
    assert!(!ran.stdout.contains('\u{1b}') && ran.stderr.is_empty());
    // All columns begin where their heads do.
    let at = ran.stdout.find("HOLDER").unwrap();
    for (line, holder) in ran.stdout.lines().zip(["HOLDER", "<none>", "me"]) {
        assert!(line[at..].starts_with(holder), "{line:?}");
    }
}

#[test]
fn those_of_all_namespaces_say_which_and_wide_says_more() {
    let place = some();
    let ran = place.run(&["list", "-A", "-o", "wide"]).with(0);
    let rows = columns(&ran);
    let heads = rows.first().unwrap();
    assert_eq!(
        (heads.first(), heads.last()),
        (Some(&"NAMESPACE"), Some(&"VERSION"))
    );
    let other = rows.last().unwrap();
    assert_eq!(other.get(..4), Some(&["far", "other", "Held", "me"][..]));
    assert_eq!(other.get(7..9), Some(&["1h", "0"][..]));
    assert_eq!(rows.len(), 4);
    place
        .run(&["list", "-A", "-n", "far"])
        .with(64)
        .saying(&["--namespace"]);
}

#[test]
fn programs_get_the_same_objects_as_json_and_as_yaml_and_names_that_kubectl_takes() {
    let place = some();
    let json: Value =
        serde_json::from_str(&place.run(&["list", "-o", "json"]).with(0).stdout).unwrap();
    let names: Vec<_> = json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["free", "held"]);
    assert_eq!(json["items"][1]["phase"], "Held");
    let one: Value =
        serde_json::from_str(&place.run(&["status", "held", "-o", "json"]).with(0).stdout).unwrap();
    assert_eq!(one, json["items"][1]);
    let yaml = place.run(&["status", "held", "-o", "yaml"]).with(0).stdout;
    assert!(
        yaml.contains("\nphase: Held\n") && yaml.contains("\nleaseDurationSeconds: 60\n"),
        "{yaml}"
    );
    let names = place.run(&["list", "-o", "name"]).with(0).stdout;
    assert_eq!(
        names,
        "lease.coordination.k8s.io/free\nlease.coordination.k8s.io/held\n"
    );
}

#[test]
fn where_there_are_none_people_are_told_and_programs_get_an_empty_list() {
    let place = Place::new();
    place.client();
    place
        .run(&["list"])
        .with(0)
        .saying(&["no leases", "default"]);
    place.run(&["list", "-A"]).with(0).saying(&["no leases"]);
    let json: Value =
        serde_json::from_str(&place.run(&["list", "-o", "json"]).with(0).stdout).unwrap();
    assert_eq!(json, serde_json::json!({"items": []}));
    assert_eq!(place.run(&["list", "-o", "name"]).with(0).stdout, "");
}

#[test]
fn status_ends_with_0_while_somebody_holds_it_and_with_1_while_nobody_does() {
    let place = some();
    assert_eq!(place.run(&["status", "held", "--quiet"]).with(0).stdout, "");
    assert_eq!(place.run(&["status", "free", "-q"]).with(1).stdout, "");
    assert!(
        place
            .run(&["status", "free"])
            .with(1)
            .stdout
            .contains("Available")
    );
    place
        .run(&["acquire", "short", "--holder", "me", "--ttl", "1s"])
        .with(0);
    crate::await_that(
        || place.run(&["status", "short", "-q"]).code == Some(1),
        "the end of a lease that nobody renews",
    );
    assert!(
        place
            .run(&["status", "short"])
            .with(1)
            .stdout
            .contains("Expired")
    );
    place
        .run(&["status", "nothing", "-q"])
        .with(2)
        .saying(&["no lease nothing"]);
    place
        .run(&["status", "held", "-q", "-o", "json"])
        .with(64)
        .saying(&["--quiet"]);
}

#[test]
fn status_says_since_when_until_when_and_who_can_have_it_next() {
    let place = some();
    let row = |text: &str, name: &str| {
        let rows = text.lines().filter_map(|line| line.split_once(':'));
        let value = rows.filter(|(key, _)| *key == name).map(|(_, value)| value);
        value.map(str::trim).next().unwrap_or_default().to_owned()
    };
    let held = place.run(&["status", "held"]).with(0).stdout;
    for (name, words) in [
        ("Name", "default/held"),
        ("Phase", "Held"),
        ("Holder", "me"),
        ("Since", "s ago)"),
        ("Renewed", "s ago)"),
        ("Duration", "1m"),
        ("Expires", "in "),
        ("Transitions", "0"),
    ] {
        let value = row(&held, name);
        assert!(value.contains(words), "{name}: {value:?}");
    }
    assert!(
        row(&held, "Next").starts_with("those who wait already, in ")
            && held.contains("those who begin now, in 1m: they have to see for themselves"),
        "{held}"
    );
    assert!(!held.contains("Uid:"));
    assert_eq!(
        row(&place.run(&["status", "free"]).stdout, "Next"),
        "anybody, at once"
    );
    let wide = place.run(&["status", "held", "-o", "wide"]).with(0).stdout;
    let uid = place.record("held").unwrap().metadata.uid.unwrap();
    assert_eq!(row(&wide, "Uid"), uid);
    let name = place.run(&["status", "held", "-o", "name"]).with(0).stdout;
    assert_eq!(name, "lease.coordination.k8s.io/held\n");
}
