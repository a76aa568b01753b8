//! One lease, as people read it.

use std::time::{Duration, SystemTime};

use lease_blocking::proto::{
    self, Done,
    wire::{Lease, MicroTime, RawTime},
};

use super::{duration, output, view, waits::Waits};

/// What most want to know.
pub(crate) fn table(lease: &Lease) -> String {
    show(&rows(lease))
}

/// All that is known.
pub(crate) fn wide(lease: &Lease) -> String {
    let mut rows = rows(lease);
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
    show(&rows)
}

fn rows(lease: &Lease) -> Vec<(&'static str, String)> {
    let (meta, spec) = (&lease.metadata, &lease.spec);
    let now = MicroTime::from(SystemTime::now());
    let phase = output::phase(lease);
    let mut rows = vec![
        ("Name:", format!("{}/{}", meta.namespace, meta.name)),
        ("Phase:", view::painted(phase)),
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
    let next = Waits::of(lease, now).lines(phase);
    rows.extend(next.into_iter().map(|line| ("Next:", line)));
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
fn show(rows: &[(&'static str, String)]) -> String {
    let mut last = "";
    let mut text = String::new();
    for (name, value) in rows {
        let shown = if *name == last { "" } else { name };
        last = name;
        text.push_str(&format!("{shown:<13}{}\n", view::harmless(value)));
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
