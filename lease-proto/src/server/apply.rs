//! Server-side apply: a configuration laid over what is there, with its fields owned by who applies it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    changes::{Changes, in_metadata, owner_key, quoted},
    decode,
    managed_fields::{Entry, FieldSet, ManagedFields, SEPARATOR, Writer},
    object::Lease,
    route::Query,
    status::{Cause, Details, Failure},
    yaml,
};

/// Who is said to own what was there before anybody's ownership was tracked.
const BEFORE: &str = "before-first-apply";

/// What an apply comes to.
#[derive(Debug)]
pub(super) enum Applied {
    /// Another object.
    Changed(Box<Lease>),
    /// What is there.
    Same,
}

/// Reads a configuration, from JSON or from YAML; nothing if it is YAML beyond what is read here.
///
/// # Errors
///
/// 422 without a field manager, 400 if the body is no configuration of a Lease.
pub(super) fn read(body: &[u8], query: &Query<'_>) -> Result<Option<Lease>, Failure> {
    if query.get("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Failure::invalid_options("PatchOptions", vec![cause]));
    }
    let Ok(value) = serde_json::from_slice(body).or_else(|_| {
        let text = std::str::from_utf8(body).map_err(|_| ())?;
        yaml::parse(text).ok_or(())
    }) else {
        return Ok(None);
    };
    let config = decode::lease(value.to_string().as_bytes())?;
    if config.api_version.is_empty() || config.kind.is_empty() {
        return Err(Failure::bad_request(
            "invalid object type: apiVersion and kind must be set in an apply patch",
        ));
    }
    if !config.metadata.managed_fields.is_empty() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    Ok(Some(config))
}

/// Lays a configuration over what is there.
///
/// # Errors
///
/// 409 if that changes fields that others own, unless it is to be forced.
pub(super) fn merge(
    live: Option<&Lease>,
    config: Lease,
    writer: Writer<'_>,
    force: bool,
) -> Result<Applied, Failure> {
    let nothing = Lease::default();
    let old = live.unwrap_or(&nothing);
    let mut entries = tracked(live, writer);
    let is_mine = |it: &Entry| it.operation == "Apply" && it.manager == writer.manager;
    let mine = entries.iter().find(|it| is_mine(it)).cloned();
    entries.retain(|it| !is_mine(it));

    let wanted = fields(&config);
    let mut merged = old.clone();
    overlay(&mut merged, config);
    let former = mine.as_ref().map(|it| &it.fields.paths);
    for path in former.into_iter().flatten() {
        let is_kept =
            wanted.contains(path) || entries.iter().any(|it| it.fields.paths.contains(path));
        if !is_kept {
            strike(&mut merged, path);
        }
    }

    let changes = Changes::between(old, &merged);
    if !force {
        refuse_conflicts(&entries, &changes)?;
    }
    for entry in &mut entries {
        entry.fields = entry.fields.without(&changes);
    }
    let is_known = former == Some(&wanted);
    if is_known && changes.is_empty() && live.is_some() {
        return Ok(Applied::Same);
    }
    entries.push(Entry {
        manager: writer.manager.to_owned(),
        operation: "Apply".to_owned(),
        api_version: writer.api_version.to_owned(),
        time: Some(writer.now.whole()),
        fields: FieldSet::new(wanted),
    });
    merged.metadata.managed_fields = ManagedFields::settled(entries);
    Ok(Applied::Changed(Box::new(merged)))
}

/// The owners so far. An object that was not tracked is from now on.
fn tracked(live: Option<&Lease>, writer: Writer<'_>) -> Vec<Entry> {
    let Some(live) = live else {
        return Vec::new();
    };
    let entries = &live.metadata.managed_fields.entries;
    if !entries.is_empty() {
        return entries.clone();
    }
    let changes = Changes::between(&Lease::default(), live);
    let before = Writer {
        manager: BEFORE,
        ..writer
    };
    ManagedFields::default()
        .updated(None, &changes, before)
        .entries
}

/// The fields that a configuration sets. Collections in it are not fields of their own.
fn fields(config: &Lease) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = Changes::between(&Lease::default(), config)
        .touched
        .into_iter()
        .collect();
    for collection in [
        "f:labels",
        "f:annotations",
        "f:finalizers",
        "f:ownerReferences",
    ] {
        paths.remove(&in_metadata(collection));
    }
    paths
}

fn overlay(lease: &mut Lease, config: Lease) {
    let (spec, new) = (&mut lease.spec, config.spec);
    set(&mut spec.holder_identity, new.holder_identity);
    set(&mut spec.lease_duration_seconds, new.lease_duration_seconds);
    set(&mut spec.acquire_time, new.acquire_time);
    set(&mut spec.renew_time, new.renew_time);
    set(&mut spec.lease_transitions, new.lease_transitions);
    set(&mut spec.strategy, new.strategy);
    set(&mut spec.preferred_holder, new.preferred_holder);
    let (metadata, new) = (&mut lease.metadata, config.metadata);
    for (old, new) in [
        (&mut metadata.name, new.name),
        (&mut metadata.namespace, new.namespace),
        (&mut metadata.generate_name, new.generate_name),
        (&mut metadata.uid, new.uid),
        (&mut metadata.resource_version, new.resource_version),
    ] {
        if !new.is_empty() {
            *old = new;
        }
    }
    metadata.labels.extend(new.labels);
    metadata.annotations.extend(new.annotations);
    for finalizer in new.finalizers {
        if !metadata.finalizers.contains(&finalizer) {
            metadata.finalizers.push(finalizer);
        }
    }
    for owner in new.owner_references {
        metadata.owner_references.retain(|it| it.uid != owner.uid);
        metadata.owner_references.push(owner);
    }
}

fn set<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

/// Takes a field away.
fn strike(lease: &mut Lease, path: &str) {
    let elements: Vec<&str> = path.split(SEPARATOR).collect();
    let (spec, metadata) = (&mut lease.spec, &mut lease.metadata);
    let without_prefix = |it: &str| it.get(2..).unwrap_or_default().to_owned();
    match elements.as_slice() {
        ["f:spec", "f:holderIdentity"] => spec.holder_identity = None,
        ["f:spec", "f:leaseDurationSeconds"] => spec.lease_duration_seconds = None,
        ["f:spec", "f:acquireTime"] => spec.acquire_time = None,
        ["f:spec", "f:renewTime"] => spec.renew_time = None,
        ["f:spec", "f:leaseTransitions"] => spec.lease_transitions = None,
        ["f:spec", "f:strategy"] => spec.strategy = None,
        ["f:spec", "f:preferredHolder"] => spec.preferred_holder = None,
        ["f:metadata", "f:labels", key] => {
            metadata.labels.remove(&without_prefix(key));
        }
        ["f:metadata", "f:annotations", key] => {
            metadata.annotations.remove(&without_prefix(key));
        }
        ["f:metadata", "f:finalizers", value] => {
            metadata.finalizers.retain(|it| quoted("v:", it) != *value);
        }
        ["f:metadata", "f:ownerReferences", key] => {
            metadata
                .owner_references
                .retain(|it| owner_key(&it.uid) != *key);
        }
        // A field of an owner goes with the owner.
        _ => {}
    }
}

fn refuse_conflicts(entries: &[Entry], changes: &Changes) -> Result<(), Failure> {
    let mut by_manager: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut causes = Vec::new();
    for entry in entries {
        let owned = changes
            .touched
            .iter()
            .filter(|it| entry.fields.paths.contains(*it));
        for path in owned {
            let manager = match entry.operation.as_str() {
                "Apply" => format!("{:?}", entry.manager),
                _ => format!("{:?} using {}", entry.manager, entry.api_version),
            };
            let path = shown(path);
            causes.push(Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: path.clone(),
            });
            by_manager.entry(manager).or_default().push(path);
        }
    }
    let message = match causes.as_slice() {
        [] => return Ok(()),
        [one] => format!(
            "Apply failed with 1 conflict: {}: {}",
            one.message, one.field
        ),
        many => {
            let mut lines = Vec::new();
            for (manager, paths) in by_manager {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(paths.iter().map(|it| format!("- {it}")));
            }
            let lines = lines.join("\n");
            format!("Apply failed with {} conflicts: {lines}", many.len())
        }
    };
    let details = Details {
        causes,
        ..Details::default()
    };
    Err(Failure {
        details: Some(Box::new(details)),
        ..Failure::new(409, "Conflict", message)
    })
}

/// A path as people read it.
fn shown(path: &str) -> String {
    path.split(SEPARATOR)
        .map(|element| match element.split_at_checked(2) {
            Some(("f:", name)) => format!(".{name}"),
            Some(("v:", value)) => format!("[={value}]"),
            Some(("k:", key)) => {
                let inner = key.trim_start_matches("{\"").trim_end_matches('}');
                format!("[{}]", inner.replacen("\":", "=", 1))
            }
            _ => element.to_owned(),
        })
        .collect()
}
