//! One lease, as people read it.

use std::time::{Duration, SystemTime};

use lease_blocking::proto::{
    self, Candidate, Done,
    wire::{Lease, MicroTime, RawTime},
};

use super::{
    candidates::Candidates,
    duration, escape,
    output::{self, Phase},
    view,
    waits::Waits,
};

/// What most want to know.
pub(crate) fn table(lease: &Lease, candidates: &Candidates) -> String {
    let mut rows = rows(lease, candidates);
    if let Some([first, others @ ..]) = candidates.as_deref() {
        let identity = &first.identity;
        let others = match others.len() {
            0 => String::new(),
            1 => ", and 1 other after that".to_owned(),
            more => format!(", and {more} others after that"),
        };
        let line = format!("{identity}, with priority {}{others}", first.priority);
        rows.push(("Waiting:", line));
    }
    show(&rows, output::phase(lease))
}

/// All that is known.
pub(crate) fn wide(lease: &Lease, candidates: &Candidates) -> String {
    let mut rows = rows(lease, candidates);
    rows.extend(candidates.iter().flatten().map(|it| {
        let Candidate {
            identity,
            priority,
            since,
            ..
        } = it;
        (
            "Waiting:",
            format!("{identity}, with priority {priority}, since {since}"),
        )
    }));
    let meta = &lease.metadata;
    let uid = meta.uid.clone().unwrap_or_else(unknown);
    rows.push(("Uid:", uid));
    for (name, entries) in [
        ("Labels:", meta.labels()),
        ("Annotations:", meta.annotations()),
    ] {
        let entries = entries
            .iter()
            .map(|(key, value)| (name, format!("{key}={value}")));
        rows.extend(entries);
    }
    show(&rows, output::phase(lease))
}

fn rows(lease: &Lease, candidates: &Candidates) -> Vec<(&'static str, String)> {
    let (meta, spec) = (&lease.metadata, &lease.spec);
    let now = MicroTime::from(SystemTime::now());
    let phase = output::phase(lease);
    let mut rows = vec![
        ("Name:", format!("{}/{}", meta.namespace, meta.name)),
        (PHASE, String::new()),
        ("Holder:", spec.holder().unwrap_or("none").to_owned()),
    ];
    if spec.holder().is_some() {
        rows.push(("Since:", ago(spec.acquire_time.as_ref(), now)));
        rows.push(("Renewed:", ago(spec.renew_time.as_ref(), now)));
        let named = spec.lease_duration_seconds;
        let named = named.and_then(|seconds| u64::try_from(seconds).ok());
        let named = named.map_or_else(unknown, |named| duration::show(Duration::from_secs(named)));
        rows.push(("Duration:", named));
        let expires = output::expires(lease).map_or_else(unknown, |expires| {
            format!("{}, by this machine's clock", view::until(expires, now))
        });
        rows.push(("Expires:", expires));
    }
    let first = candidates.as_ref().and_then(|all| all.first());
    if let Some(contested) = proto::candidate_for(lease) {
        rows.push((
            "Announces:",
            format!("that its holder waits for {contested}"),
        ));
    } else {
        let next = Waits::of(lease, now).lines(phase, first);
        rows.extend(next.into_iter().map(|line| ("Next:", line)));
    }
    if let Some(count) = proto::renewals(lease) {
        rows.push(("Renewals:", count.to_string()));
    }
    if spec.holder().is_some() && !proto::is_renewable(lease) {
        rows.push(("Renewable:", "no, it ends with its duration".to_owned()));
    }
    if let Some(to) = proto::successor(lease) {
        rows.push(("Left to:", to));
    }
    if let Some(Done { key, by, at, .. }) = Done::read(lease) {
        rows.push(("Done:", format!("{key} by {by} at {at}")));
    }
    let transitions = spec.lease_transitions;
    rows.push((
        "Transitions:",
        transitions.map_or_else(unknown, |count| count.to_string()),
    ));
    let version = meta.resource_version.as_ref();
    rows.push((
        "Version:",
        version.map_or_else(unknown, ToString::to_string),
    ));
    rows
}

/// A name that is that of the line before is not said again.
fn show(rows: &[(&'static str, String)], phase: Phase) -> String {
    let mut last = "";
    let mut text = String::new();
    for (name, value) in rows {
        let shown = if *name == last { "" } else { name };
        last = name;
        let value = match *name {
            // In a colour, which is ours.
            PHASE => view::painted(phase),
            _ => escape::line(value),
        };
        text.push_str(&format!("{shown:<13}{value}\n"));
    }
    text
}

fn ago(time: Option<&RawTime>, now: MicroTime) -> String {
    match time.and_then(RawTime::time) {
        Some(time) if output::is_ahead(time, now) => {
            format!("{time} (in the future, by this machine's clock)")
        }
        Some(time) => format!(
            "{time} ({} ago)",
            duration::show(now.saturating_since(time))
        ),
        None => unknown(),
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

const PHASE: &str = "Phase:";
