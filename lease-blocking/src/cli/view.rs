//! How leases are shown that were only read: as tables, as YAML, by name.

use std::{
    fmt::Write as _,
    io::{self, Write},
    time::{Duration, SystemTime},
};

use anstyle::{AnsiColor, Style};
use lease_blocking::proto::{
    candidate_for,
    wire::{Lease, MicroTime, RawTime},
};
use serde_json::{Value, json};
use tabwriter::{Alignment, TabWriter};

use super::{
    args::View,
    candidates::Candidates,
    duration, escape,
    exit_code::Exit,
    failure::Failure,
    output::{self, Phase},
    portrait,
};

/// Prints one lease.
pub(crate) fn one(lease: &Lease, candidates: &Candidates, view: View) -> Result<Exit, Failure> {
    let object = || output::object_with(lease, candidates);
    match view {
        View::Text => print(&portrait::table(lease, candidates)),
        View::Wide => print(&portrait::wide(lease, candidates)),
        View::Json => print(&format!("{:#}\n", object())),
        View::Yaml => print(&yaml(&object())?),
        View::Name => print(&format!("{}\n", name(lease))),
    }
}

/// Prints a line for each.
pub(crate) fn list(
    leases: &[(&Lease, Candidates)],
    view: View,
    namespaced: bool,
) -> Result<Exit, Failure> {
    let objects = || {
        let objects = leases.iter();
        let objects = objects.map(|(lease, candidates)| output::object_with(lease, candidates));
        let items: Vec<_> = objects.collect();
        json!({"items": items})
    };
    match view {
        View::Text => print(&table(leases, false, namespaced)?),
        View::Wide => print(&table(leases, true, namespaced)?),
        View::Json => print(&format!("{:#}\n", objects())),
        View::Yaml => print(&yaml(&objects())?),
        View::Name => {
            let names = leases.iter().map(|(lease, _)| format!("{}\n", name(lease)));
            print(&names.collect::<String>())
        }
    }
}

fn table(
    leases: &[(&Lease, Candidates)],
    is_wide: bool,
    namespaced: bool,
) -> Result<String, Failure> {
    let now = MicroTime::from(SystemTime::now());
    let mut head = vec!["NAME", "PHASE", "HOLDER", "SINCE", "RENEWED", "EXPIRES"];
    if namespaced {
        head.insert(0, "NAMESPACE");
    }
    if is_wide {
        head.extend(["DURATION", "TRANSITIONS", "VERSION"]);
    }
    let mut text = head.join("\t");
    for (lease, _) in leases {
        let spec = &lease.spec;
        let mut cells = vec![
            lease.metadata.name.clone(),
            spec.holder().unwrap_or(NONE).to_owned(),
            ago(spec.acquire_time.as_ref(), now),
            ago(spec.renew_time.as_ref(), now),
            output::expires(lease).map_or_else(|| NONE.to_owned(), |it| until(it, now)),
        ];
        if namespaced {
            cells.insert(0, lease.metadata.namespace.clone());
        }
        if is_wide {
            let seconds = spec.lease_duration_seconds;
            let seconds = seconds.and_then(|it| u64::try_from(it).ok());
            let show = |it| duration::show(Duration::from_secs(it));
            cells.push(seconds.map_or_else(|| NONE.to_owned(), show));
            let transitions = spec.lease_transitions;
            cells.push(transitions.map_or_else(|| NONE.to_owned(), |it| it.to_string()));
            let version = lease.metadata.resource_version.as_ref();
            cells.push(version.map_or_else(|| NONE.to_owned(), ToString::to_string));
        }
        let mut cells: Vec<_> = cells.iter().map(|cell| escape::line(cell)).collect();
        let phase = match candidate_for(lease) {
            Some(_) => "Candidate".to_owned(),
            None => painted(output::phase(lease)),
        };
        cells.insert(if namespaced { 2 } else { 1 }, phase);
        // Writing to a string does not fail.
        let _written = write!(text, "\n{}", cells.join("\t"));
    }
    text.push('\n');
    let mut writer = TabWriter::new(Vec::new())
        .ansi(true)
        .alignment(Alignment::Left)
        .minwidth(0)
        .padding(3);
    let aligned = writer
        .write_all(text.as_bytes())
        .and_then(|()| writer.flush())
        .and_then(|()| {
            writer
                .into_inner()
                .map_err(|error| io::Error::other(error.to_string()))
        })
        .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    aligned.map_err(|error| Failure::chain(Exit::Failed, &error))
}

/// The phase, in a colour; where standard output is no terminal, that is taken out again.
pub(crate) fn painted(phase: Phase) -> String {
    let style = match phase {
        Phase::Held => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Phase::Expired => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Phase::Available => Style::new().dimmed(),
    };
    format!("{style}{phase}{style:#}")
}

fn ago(time: Option<&RawTime>, now: MicroTime) -> String {
    match time.and_then(RawTime::time) {
        Some(time) if !output::is_ahead(time, now) => duration::show(now.saturating_since(time)),
        Some(_) => "in the future".to_owned(),
        None => NONE.to_owned(),
    }
}

pub(crate) fn until(time: MicroTime, now: MicroTime) -> String {
    if now < time {
        format!("in {}", duration::show(time.saturating_since(now)))
    } else {
        format!("{} ago", duration::show(now.saturating_since(time)))
    }
}

/// As kubectl names it, and takes it.
fn name(lease: &Lease) -> String {
    format!(
        "lease.coordination.k8s.io/{}",
        escape::line(&lease.metadata.name)
    )
}

fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::new(Exit::Failed, error))
}

/// Prints; that nobody reads any more is no failure.
fn print(text: &str) -> Result<Exit, Failure> {
    let mut stdout = anstream::stdout().lock();
    output::written(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// What stands where there is nothing, as in kubectl's tables.
const NONE: &str = "<none>";
