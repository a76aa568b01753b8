//! The rules that an object must keep, as the real server checks them and in its words.

use std::collections::BTreeMap;

use super::{
    object::{Lease, Metadata, OwnerReference, Spec},
    status::Cause,
};

/// How long a name may be.
const MAX_NAME: usize = 253;
/// How long a label value, or the name part of a key, may be.
const MAX_LABEL: usize = 63;
/// How long all annotations together may be.
const MAX_ANNOTATIONS: usize = 256 * 1024;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
/// What the server says of a text that is no RFC 1123 label.
pub(super) const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// The rules broken by a Lease that is to be created.
pub(super) fn create(lease: &Lease) -> Vec<Cause> {
    let mut causes = Vec::new();
    let metadata = &lease.metadata;
    if !metadata.generate_name.is_empty() {
        // A generated name may go on where the prefix ends with a dash.
        let prefix = metadata.generate_name.strip_suffix('-');
        let prefix = prefix.unwrap_or(&metadata.generate_name);
        name(
            "metadata.generateName",
            &metadata.generate_name,
            prefix,
            &mut causes,
        );
    }
    if metadata.name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        name("metadata.name", &metadata.name, &metadata.name, &mut causes);
    }
    let shown = format!("{:?}", metadata.namespace);
    if metadata.namespace.len() > MAX_LABEL {
        let why = format!("must be no more than {MAX_LABEL} characters");
        causes.push(Cause::invalid("metadata.namespace", &shown, why));
    }
    if !is_label_text(&metadata.namespace) {
        causes.push(Cause::invalid("metadata.namespace", &shown, LABEL));
    }
    common(metadata, &mut causes);
    spec(&lease.spec, &mut causes);
    causes
}

/// The rules broken by the change from `old` to `new`. Those on metadata are checked twice, as they are
/// by the real server: once for any object, once for a Lease.
pub(super) fn update(old: &Lease, new: &Lease) -> Vec<Cause> {
    let mut causes = Vec::new();
    metadata_update(&old.metadata, &new.metadata, &mut causes);
    metadata_update(&old.metadata, &new.metadata, &mut causes);
    spec(&new.spec, &mut causes);
    causes
}

/// Whether a text is a name that the server takes: a lowercase RFC 1123 subdomain.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('.').all(is_label_text)
}

/// Whether a text is an RFC 1123 label, as namespaces must be.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && is_label_text(text)
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_inner = |it: &u8| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == b'-';
    !text.is_empty()
        && bytes.iter().all(is_inner)
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

fn name(field: &str, shown: &str, checked: &str, causes: &mut Vec<Cause>) {
    let shown = format!("{shown:?}");
    if checked.len() > MAX_NAME {
        let why = format!("must be no more than {MAX_NAME} characters");
        causes.push(Cause::invalid(field, &shown, why));
    }
    if !checked.split('.').all(is_label_text) {
        causes.push(Cause::invalid(field, &shown, SUBDOMAIN));
    }
}

fn metadata_update(old: &Metadata, new: &Metadata, causes: &mut Vec<Cause>) {
    if old.deletion_timestamp.is_some() {
        let added: Vec<_> = new
            .finalizers
            .iter()
            .filter(|it| !old.finalizers.contains(it))
            .map(|it| format!("{it:?}"))
            .collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    let mut immutable = |field: &str, same: bool, value: String| {
        if !same {
            causes.push(Cause::invalid(field, &value, "field is immutable"));
        }
    };
    immutable(
        "metadata.name",
        old.name == new.name,
        format!("{:?}", new.name),
    );
    immutable("metadata.uid", old.uid == new.uid, format!("{:?}", new.uid));
    immutable(
        "metadata.deletionTimestamp",
        old.deletion_timestamp == new.deletion_timestamp,
        new.deletion_timestamp
            .map_or_else(|| "null".to_owned(), |it| it.to_string()),
    );
    immutable(
        "metadata.deletionGracePeriodSeconds",
        old.deletion_grace_period_seconds == new.deletion_grace_period_seconds,
        new.deletion_grace_period_seconds
            .map_or_else(|| "null".to_owned(), |it| it.to_string()),
    );
    common(new, causes);
}

/// The rules on metadata that hold for every write.
fn common(metadata: &Metadata, causes: &mut Vec<Cause>) {
    labels(&metadata.labels, causes);
    annotations(&metadata.annotations, causes);
    owners(&metadata.owner_references, causes);
    for finalizer in &metadata.finalizers {
        for why in qualified_name(finalizer) {
            causes.push(Cause::invalid(
                "metadata.finalizers",
                &format!("{finalizer:?}"),
                why,
            ));
        }
    }
    for entry in &metadata.managed_fields.entries {
        if !matches!(entry.operation.as_str(), "Apply" | "Update") {
            causes.push(Cause::invalid(
                "metadata.managedFields.operation",
                &format!("{:?}", entry.operation),
                "must be `Apply` or `Update`",
            ));
        }
    }
}

fn labels(labels: &BTreeMap<String, String>, causes: &mut Vec<Cause>) {
    for (key, value) in labels {
        for why in qualified_name(key) {
            causes.push(Cause::invalid("metadata.labels", &format!("{key:?}"), why));
        }
        let shown = format!("{value:?}");
        if value.len() > MAX_LABEL {
            let why = format!("must be no more than {MAX_LABEL} characters");
            causes.push(Cause::invalid("metadata.labels", &shown, why));
        }
        if !value.is_empty() && !is_name_part(value) {
            causes.push(Cause::invalid("metadata.labels", &shown, LABEL_VALUE));
        }
    }
}

fn annotations(annotations: &BTreeMap<String, String>, causes: &mut Vec<Cause>) {
    for key in annotations.keys() {
        for why in qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid(
                "metadata.annotations",
                &format!("{key:?}"),
                why,
            ));
        }
    }
    let total: usize = annotations.iter().map(|it| it.0.len() + it.1.len()).sum();
    if total > MAX_ANNOTATIONS {
        causes.push(Cause::too_long("metadata.annotations", MAX_ANNOTATIONS));
    }
}

fn owners(owners: &[OwnerReference], causes: &mut Vec<Cause>) {
    for owner in owners {
        let mut required = |field: &str, value: &str, why: &str| {
            if value.is_empty() {
                let field = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(&field, "\"\"", why));
            }
        };
        required(
            "apiVersion",
            &owner.api_version,
            "version must not be empty",
        );
        required("kind", &owner.kind, "kind must not be empty");
        required("name", &owner.name, "name must not be empty");
        required("uid", &owner.uid, "uid must not be empty");
    }
    if owners
        .iter()
        .filter(|it| it.controller == Some(true))
        .count()
        > 1
    {
        causes.push(Cause::invalid(
            "metadata.ownerReferences",
            "[]",
            "Only one reference can have Controller set to true",
        ));
    }
}

fn spec(spec: &Spec, causes: &mut Vec<Cause>) {
    if let Some(seconds) = spec.lease_duration_seconds.filter(|it| *it <= 0) {
        causes.push(Cause::invalid(
            "spec.leaseDurationSeconds",
            &seconds.to_string(),
            "must be greater than 0",
        ));
    }
    if let Some(transitions) = spec.lease_transitions.filter(|it| *it < 0) {
        causes.push(Cause::invalid(
            "spec.leaseTransitions",
            &transitions.to_string(),
            "must to greater or equal than 0",
        ));
    }
    if let Some(strategy) = &spec.strategy {
        if strategy.contains('/') {
            for why in qualified_name(strategy) {
                causes.push(Cause::invalid(
                    "spec.strategy.strategy",
                    &format!("{strategy:?}"),
                    why,
                ));
            }
        } else if strategy != "OldestEmulationVersion" {
            causes.push(Cause::not_supported(
                "spec.strategy.strategy",
                strategy,
                "OldestEmulationVersion",
            ));
        }
    }
    let has = |it: &Option<String>| it.as_ref().is_some_and(|it| !it.is_empty());
    if has(&spec.preferred_holder) && !has(&spec.strategy) {
        causes.push(Cause::forbidden(
            "spec.preferredHolder",
            "may only be specified if `strategy` is defined",
        ));
    }
}

/// What keeps a text from being a key: `[prefix/]name`.
fn qualified_name(text: &str) -> Vec<String> {
    let mut whys = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                whys.push("prefix part must be non-empty".to_owned());
            } else if !is_subdomain(prefix) {
                whys.push(format!("prefix part {SUBDOMAIN}"));
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                NAME_PART.trim_start_matches("name part ")
            )];
        }
    };
    if name.is_empty() {
        whys.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL {
        whys.push(format!(
            "name part must be no more than {MAX_LABEL} characters"
        ));
    }
    if !is_name_part(name) {
        whys.push(NAME_PART.to_owned());
    }
    whys
}

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_inner = |it: &u8| it.is_ascii_alphanumeric() || b"-_.".contains(it);
    bytes.iter().all(is_inner)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}
