//! What is printed of a lease.
//!
//! The JSON object is for programs: members are added to it and never renamed. All that is unknown is null.
//!
//! `name`, `namespace`; `phase` is `Available`, `Held` or `Expired`; `holder`; `acquireTime` and `renewTime` as they
//! stand in the record; `leaseDurationSeconds`; `expires` is `renewTime` and the duration after it; `transitions`;
//! `resourceVersion`; and for `acquire` the fencing token as the string `token`.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime},
};

use lease_blocking::proto::{
    FencingToken,
    wire::{Lease, MicroTime},
};
use serde_json::{Value, json};

use super::{args::Output, duration, exit_code::Exit, failure::Failure};

/// Prints the fencing token, or all that is known.
pub(crate) fn acquired(
    lease: &Lease,
    token: Option<FencingToken>,
    output: Output,
) -> Result<Exit, Failure> {
    match (output, token) {
        (Output::Text, Some(token)) => print(&format!("{token}\n")),
        (Output::Text, None) => print(""),
        (Output::Json, token) => {
            let mut object = object(lease);
            object["token"] = token.map_or(Value::Null, |token| token.to_string().into());
            print(&format!("{object}\n"))
        }
    }
}

/// Prints all that is known where that was asked for.
pub(crate) fn changed(lease: &Lease, output: Output) -> Result<Exit, Failure> {
    match output {
        Output::Text => Ok(Exit::Done),
        Output::Json => print(&format!("{}\n", object(lease))),
    }
}

/// Prints all that is known.
pub(crate) fn status(lease: &Lease, output: Output) -> Result<Exit, Failure> {
    match output {
        Output::Text => print(&table(lease)),
        Output::Json => print(&format!("{}\n", object(lease))),
    }
}

/// Prints; that nobody reads any more is no failure.
fn print(text: &str) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Failed,
            format_args!("cannot write to standard output: {error}"),
        )),
        _ => Ok(Exit::Done),
    }
}

fn object(lease: &Lease) -> Value {
    let (meta, spec) = (&lease.metadata, &lease.spec);
    json!({
        "name": meta.name,
        "namespace": meta.namespace,
        "phase": phase(lease),
        "holder": spec.holder(),
        "acquireTime": spec.acquire_time,
        "renewTime": spec.renew_time,
        "leaseDurationSeconds": spec.lease_duration_seconds,
        "expires": expires(lease).map(|expires| expires.to_string()),
        "transitions": spec.lease_transitions,
        "resourceVersion": meta.resource_version,
    })
}

fn table(lease: &Lease) -> String {
    let (meta, spec) = (&lease.metadata, &lease.spec);
    let unknown = || "unknown".to_owned();
    let now = MicroTime::from(SystemTime::now());
    let ago = |time: Option<MicroTime>| match time {
        Some(time) if time <= now => format!(
            "{time} ({} ago)",
            duration::show(now.saturating_since(time))
        ),
        Some(time) => format!("{time} (in the future, by this machine's clock)"),
        None => "unknown".to_owned(),
    };
    let named = spec.lease_duration_seconds;
    let named = named.and_then(|seconds| u64::try_from(seconds).ok());
    let mut rows = vec![
        ("Name:", format!("{}/{}", meta.namespace, meta.name)),
        ("Phase:", phase(lease).to_owned()),
        ("Holder:", spec.holder().unwrap_or("none").to_owned()),
    ];
    if spec.holder().is_some() {
        rows.push((
            "Since:",
            ago(spec.acquire_time.as_ref().and_then(|time| time.time())),
        ));
        rows.push((
            "Renewed:",
            ago(spec.renew_time.as_ref().and_then(|time| time.time())),
        ));
        let named = named.map_or_else(unknown, |named| duration::show(Duration::from_secs(named)));
        rows.push(("Duration:", named));
        rows.push((
            "Expires:",
            match expires(lease) {
                Some(expires) if now < expires => {
                    format!(
                        "in {}, by this machine's clock",
                        duration::show(expires.saturating_since(now))
                    )
                }
                Some(expires) => {
                    format!(
                        "{} ago, by this machine's clock",
                        duration::show(now.saturating_since(expires))
                    )
                }
                None => "unknown".to_owned(),
            },
        ));
    }
    let count = |count: Option<i64>| count.map_or_else(unknown, |count| count.to_string());
    rows.push(("Transitions:", count(spec.lease_transitions)));
    let version = meta.resource_version.as_ref();
    rows.push((
        "Version:",
        version.map_or_else(unknown, ToString::to_string),
    ));
    rows.iter()
        .map(|(name, value)| format!("{name:<13}{value}\n"))
        .collect()
}

/// Whether somebody holds it, by this machine's clock: to be shown, and no reason to take it.
fn phase(lease: &Lease) -> &'static str {
    let now = MicroTime::from(SystemTime::now());
    match (lease.spec.holder(), expires(lease)) {
        (None, _) => "Available",
        (Some(_), Some(expires)) if expires <= now => "Expired",
        (Some(_), _) => "Held",
    }
}

fn expires(lease: &Lease) -> Option<MicroTime> {
    let spec = &lease.spec;
    let renewed = spec.renew_time.as_ref()?.time()?;
    let seconds = u64::try_from(spec.lease_duration_seconds?).ok()?;
    spec.holder()
        .map(|_| renewed.saturating_add(Duration::from_secs(seconds)))
}
