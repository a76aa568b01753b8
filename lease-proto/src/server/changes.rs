//! What differs between two versions of a Lease, as paths of fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    managed_fields::SEPARATOR,
    object::{Lease, OwnerReference, Spec},
};

/// The paths that a write changed. Fields that the server keeps itself are not among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Added, or given another value.
    pub(super) touched: Vec<String>,
    /// Taken away.
    pub(super) removed: Vec<String>,
}

impl Changes {
    /// What differs between `old` and `new`.
    pub(super) fn between(old: &Lease, new: &Lease) -> Self {
        let mut changes = Self::default();
        changes.spec(&old.spec, &new.spec);
        let (old, new) = (&old.metadata, &new.metadata);
        if old.generate_name != new.generate_name {
            let kept = |it: &str| (!it.is_empty()).then(|| it.to_owned());
            changes.leaf(
                "f:generateName",
                kept(&old.generate_name),
                kept(&new.generate_name),
            );
        }
        if old.labels != new.labels {
            changes.map("f:labels", &old.labels, &new.labels);
        }
        if old.annotations != new.annotations {
            changes.map("f:annotations", &old.annotations, &new.annotations);
        }
        if old.finalizers != new.finalizers {
            let set = |it: &[String]| it.iter().map(|it| (quoted("v:", it), ())).collect();
            let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
                (set(&old.finalizers), set(&new.finalizers));
            changes.nested("f:finalizers", &old, &new);
        }
        if old.owner_references != new.owner_references {
            changes.owners(&old.owner_references, &new.owner_references);
        }
        changes
    }

    /// Whether nothing differs.
    pub(super) fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.removed.is_empty()
    }

    fn spec(&mut self, old: &Spec, new: &Spec) {
        self.field(
            "f:holderIdentity",
            &old.holder_identity,
            &new.holder_identity,
        );
        self.field(
            "f:leaseDurationSeconds",
            &old.lease_duration_seconds,
            &new.lease_duration_seconds,
        );
        self.field("f:acquireTime", &old.acquire_time, &new.acquire_time);
        self.field("f:renewTime", &old.renew_time, &new.renew_time);
        self.field(
            "f:leaseTransitions",
            &old.lease_transitions,
            &new.lease_transitions,
        );
        self.field("f:strategy", &old.strategy, &new.strategy);
        self.field(
            "f:preferredHolder",
            &old.preferred_holder,
            &new.preferred_holder,
        );
    }

    /// A field of the spec.
    fn field<T: PartialEq>(&mut self, name: &str, old: &Option<T>, new: &Option<T>) {
        if old != new {
            let path = format!("f:spec{SEPARATOR}{name}");
            self.push(path, new.is_some());
        }
    }

    /// A plain field of the metadata.
    fn leaf(&mut self, name: &str, old: Option<String>, new: Option<String>) {
        if old != new {
            self.push(in_metadata(name), new.is_some());
        }
    }

    /// A map of strings in the metadata.
    fn map(&mut self, name: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        let named = |map: &BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| (format!("f:{key}"), value.clone()))
                .collect()
        };
        let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) = (named(old), named(new));
        self.nested(name, &old, &new);
    }

    /// A collection in the metadata, by the names of its members in paths.
    fn nested<T: PartialEq>(
        &mut self,
        name: &str,
        old: &BTreeMap<String, T>,
        new: &BTreeMap<String, T>,
    ) {
        let parent = in_metadata(name);
        if old.is_empty() != new.is_empty() {
            self.push(parent.clone(), !new.is_empty());
        }
        let members: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for member in members {
            if old.get(member) != new.get(member) {
                let path = format!("{parent}{SEPARATOR}{member}");
                self.push(path, new.contains_key(member));
            }
        }
    }

    fn owners(&mut self, old: &[OwnerReference], new: &[OwnerReference]) {
        let by_uid = |list: &[OwnerReference]| -> BTreeMap<String, OwnerReference> {
            list.iter()
                .map(|it| (owner_key(&it.uid), it.clone()))
                .collect()
        };
        let (old, new) = (by_uid(old), by_uid(new));
        let parent = in_metadata("f:ownerReferences");
        if old.is_empty() != new.is_empty() {
            self.push(parent.clone(), !new.is_empty());
        }
        let members: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for member in members {
            let path = format!("{parent}{SEPARATOR}{member}");
            if old.contains_key(member) != new.contains_key(member) {
                self.push(path.clone(), new.contains_key(member));
            }
            let leaves = |it: Option<&OwnerReference>| it.map(owner_fields).unwrap_or_default();
            let (old, new) = (leaves(old.get(member)), leaves(new.get(member)));
            let fields: BTreeSet<&&str> = old.keys().chain(new.keys()).collect();
            for field in fields {
                if old.get(*field) != new.get(*field) {
                    let path = format!("{path}{SEPARATOR}f:{field}");
                    self.push(path, new.contains_key(*field));
                }
            }
        }
    }

    fn push(&mut self, path: String, is_there: bool) {
        if is_there {
            self.touched.push(path);
        } else {
            self.removed.push(path);
        }
    }
}

/// The path of a field of the metadata.
pub(super) fn in_metadata(name: &str) -> String {
    format!("f:metadata{SEPARATOR}{name}")
}

/// The element of a path that names an owner.
pub(super) fn owner_key(uid: &str) -> String {
    #[derive(Serialize)]
    struct Key<'a> {
        uid: &'a str,
    }
    quoted("k:", &Key { uid })
}

/// The element of a path that names a member by its value.
pub(super) fn quoted<T: Serialize + ?Sized>(prefix: &str, value: &T) -> String {
    let text = serde_json::to_string(value).expect("strings can be written as JSON");
    format!("{prefix}{text}")
}

/// The fields of an owner that are there, with their values.
pub(super) fn owner_fields(owner: &OwnerReference) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::from([
        ("apiVersion", owner.api_version.clone()),
        ("kind", owner.kind.clone()),
        ("name", owner.name.clone()),
        ("uid", owner.uid.clone()),
    ]);
    let optional = [
        ("blockOwnerDeletion", owner.block_owner_deletion),
        ("controller", owner.controller),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name, value.to_string());
        }
    }
    fields
}
