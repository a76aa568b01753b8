//! The checker must be able to fail: logs written by hand, each with one thing wrong, beside one with nothing wrong.

use crate::{
    boot::Micros,
    chaos::{
        check::{Findings, check},
        fenced::Write,
        log::{Entry, Log, Process, Program, Version, What},
    },
};

const MS: Micros = 1_000;

fn process(name: &str) -> Process {
    Process {
        lease: "arena".to_owned(),
        name: name.to_owned(),
        program: if name == "rival" {
            Program::Rival
        } else {
            Program::Tokio
        },
    }
}

fn entry(at: Micros, name: &str, what: What) -> Entry {
    Entry {
        at: at * MS,
        process: process(name),
        what,
    }
}

fn acquired(at: Micros, name: &str, token: u128, until: Micros) -> Entry {
    let until = (name != "rival").then_some(until * MS);
    let token = until.map(|_| token);
    entry(at, name, What::Acquired { token, until })
}

fn renewed(at: Micros, name: &str, until: Micros) -> Entry {
    let until = until * MS;
    entry(at, name, What::Renewed { until })
}

fn lost(at: Micros, name: &str) -> Entry {
    entry(at, name, What::Lost)
}

fn write(name: &str, token: u128, looked: Micros) -> Write {
    Write {
        lease: "arena".to_owned(),
        writer: format!("{name}_suffix"),
        token,
        looked_from: looked * MS,
        looked_until: looked * MS + 1,
        came: looked * MS + 2,
        accepted: true,
    }
}

fn version(number: u128, holder: &str, renewed: Micros, duration: Micros) -> Version {
    Version {
        lease: "arena".to_owned(),
        number,
        is_deletion: false,
        follows_gap: false,
        holder: Some(holder.to_owned()),
        renewed: Some(renewed * MS),
        duration: duration * MS,
    }
}

fn look(entries: Vec<Entry>, versions: Vec<Version>, writes: Vec<Write>) -> Findings {
    let log = Log {
        entries,
        versions,
        writes,
    };
    check(&log, 100_000 * MS)
}

fn fails(findings: &Findings, with: &str) {
    let said: Vec<String> = findings
        .violations
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        said.iter().any(|said| said.contains(with)),
        "{said:?} do not say {with:?}"
    );
}

fn passes(findings: &Findings) {
    assert_eq!(findings.violations, [], "{:?}", findings.tenures);
}

#[test]
fn one_after_the_other_passes() {
    let findings = look(
        vec![
            acquired(1_000, "a", 1, 3_000),
            renewed(2_000, "a", 4_000),
            lost(4_001, "a"),
            acquired(4_500, "b", 2, 6_500),
            lost(5_000, "b"),
        ],
        vec![],
        vec![write("a", 1, 3_990), write("b", 2, 4_600)],
    );
    passes(&findings);
    assert_eq!(findings.tenures.len(), 2);
    let first = findings.tenures.first().expect("there are two");
    assert_eq!((first.to, first.late), (4_000 * MS, MS));
}

#[test]
fn two_at_once_are_a_violation() {
    let findings = look(
        vec![
            acquired(1_000, "a", 1, 4_000),
            acquired(3_900, "b", 2, 6_000),
            lost(4_000, "a"),
            lost(6_000, "b"),
        ],
        vec![],
        vec![],
    );
    fails(&findings, "b began to hold what a held for 100 ms more");
    assert_eq!((findings.violations.len(), findings.overlaps), (1, 1));
}

#[test]
fn one_that_keeps_believing_is_a_violation() {
    let findings = look(
        vec![
            acquired(1_000, "a", 1, 4_000),
            acquired(5_000, "b", 2, 8_000),
            lost(8_000, "b"),
        ],
        vec![],
        vec![],
    );
    fails(&findings, "a went on for 96000 ms after its grant");
    fails(&findings, "b began to hold what a held");
}

#[test]
fn one_that_acquires_without_having_lost_is_a_violation() {
    let findings = look(
        vec![
            acquired(1_000, "a", 1, 4_000),
            acquired(5_000, "a", 2, 8_000),
            lost(8_000, "a"),
        ],
        vec![],
        vec![],
    );
    fails(&findings, "acquired twice");
}

#[test]
fn what_was_killed_does_not_believe_any_more() {
    let findings = look(
        vec![
            acquired(1_000, "a", 1, 9_000),
            entry(2_000, "a", What::Ended),
            acquired(3_000, "b", 2, 6_000),
            lost(6_000, "b"),
        ],
        vec![],
        vec![],
    );
    passes(&findings);
}

#[test]
fn one_that_was_stopped_past_its_grant_must_say_first_that_it_is_lost() {
    let story = |first: Entry| {
        vec![
            acquired(1_000, "a", 1, 4_000),
            entry(2_000, "a", What::Stopped),
            acquired(7_000, "b", 2, 10_000),
            entry(9_000, "a", What::Continued),
            first,
            lost(9_050, "a"),
            lost(10_000, "b"),
        ]
    };
    passes(&look(story(renewed(9_001, "a", 3_999)), vec![], vec![]));
    let mut at_once = story(lost(9_001, "a"));
    at_once.retain(|entry| entry.at != 9_050 * MS);
    passes(&look(at_once, vec![], vec![]));
    let findings = look(story(renewed(9_001, "a", 12_000)), vec![], vec![]);
    fails(&findings, "was continued after its grant and said Renewed");
    fails(&findings, "b began to hold what a held");
}

#[test]
fn one_that_was_stopped_may_go_on_within_its_grant() {
    let findings = look(
        vec![
            acquired(1_000, "a", 1, 4_000),
            entry(2_000, "a", What::Stopped),
            entry(3_000, "a", What::Continued),
            renewed(3_010, "a", 6_000),
            lost(5_000, "a"),
        ],
        vec![],
        vec![],
    );
    passes(&findings);
}

#[test]
fn a_token_that_is_not_higher_is_a_violation() {
    let findings = look(
        vec![
            acquired(1_000, "a", 7, 2_000),
            lost(2_000, "a"),
            acquired(3_000, "b", 7, 4_000),
            lost(4_000, "b"),
        ],
        vec![],
        vec![],
    );
    fails(&findings, "b was given the token 7, and 7 was given before");
}

#[test]
fn a_write_that_the_fence_should_have_refused_is_a_violation() {
    let findings = look(
        vec![],
        vec![],
        vec![write("b", 2, 1_000), write("a", 1, 2_000)],
    );
    assert!(
        findings.violations.is_empty(),
        "a lease without tenures has no writers"
    );
    let entries = || {
        vec![
            acquired(500, "a", 1, 900),
            lost(901, "a"),
            acquired(950, "b", 2, 1_500),
            lost(1_500, "b"),
        ]
    };
    let findings = look(
        entries(),
        vec![],
        vec![write("b", 2, 1_000), write("a", 1, 890)],
    );
    fails(&findings, "a write of a_suffix went in with 1 after 2");
    let mut refused = write("a", 1, 890);
    refused.accepted = false;
    passes(&look(
        entries(),
        vec![],
        vec![write("b", 2, 1_000), refused],
    ));
}

#[test]
fn a_write_that_was_begun_while_another_one_held_it_is_a_violation() {
    let entries = vec![
        acquired(500, "a", 1, 900),
        lost(3_000, "a"),
        acquired(950, "b", 2, 4_000),
        lost(4_000, "b"),
    ];
    // Its grant had ended, so it must have looked at nothing.
    let findings = look(entries, vec![], vec![write("a", 1, 1_000)]);
    fails(&findings, "a_suffix wrote with 1 while b held it");
    let entries = vec![acquired(500, "a", 1, 900), lost(901, "a")];
    let findings = look(entries, vec![], vec![write("a", 1, 950)]);
    fails(&findings, "a_suffix looked after its loss");
}

#[test]
fn a_rival_that_is_late_is_not_ours() {
    let findings = look(
        vec![
            acquired(1_000, "rival", 0, 0),
            acquired(5_000, "a", 9, 8_000),
            lost(5_700, "rival"),
            lost(8_000, "a"),
        ],
        vec![
            version(8, "rival", 1_900, 3_000),
            version(9, "a", 4_950, 3_000),
        ],
        vec![],
    );
    passes(&findings);
    let late = findings.rival_was_late.first().expect("it was");
    assert_eq!((late.at, late.both), (5_000 * MS, 700 * MS));
    assert_eq!(findings.taken_from_rival, 1);
}

#[test]
fn taking_from_a_rival_before_its_time_is_a_violation() {
    let findings = look(
        vec![
            acquired(1_000, "rival", 0, 0),
            acquired(5_000, "a", 9, 8_000),
            lost(5_700, "rival"),
            lost(8_000, "a"),
        ],
        vec![
            version(8, "rival", 2_000, 3_000),
            version(9, "a", 4_950, 3_000),
        ],
        vec![],
    );
    fails(&findings, "a took over from rival 50 ms early");
}

#[test]
fn holding_on_while_a_rival_takes_over_is_a_violation() {
    let entries = || {
        vec![
            acquired(1_000, "a", 1, 6_000),
            acquired(5_000, "rival", 0, 0),
            lost(6_000, "a"),
            lost(9_000, "rival"),
        ]
    };
    let versions = |is_deletion| {
        let mut last = version(4, "a", 2_000, 3_000);
        last.is_deletion = is_deletion;
        vec![last, version(5, "rival", 4_990, 3_000)]
    };
    let findings = look(entries(), versions(false), vec![]);
    fails(
        &findings,
        "rival began to hold what a held for 1000 ms more",
    );
    // A deletion is no release, and only client-go takes it for one.
    let findings = look(entries(), versions(true), vec![]);
    passes(&findings);
    assert_eq!(findings.rival_after_deletion.len(), 1);
}
