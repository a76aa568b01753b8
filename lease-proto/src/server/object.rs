//! A Lease as the server keeps it: typed, so that fields unknown to it fall away as they do in the real one.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    go_time::{MicroTime, WholeTime},
    managed_fields::ManagedFields,
    status::API_VERSION,
};

/// The opening of a Lease on the wire, up to its metadata.
const OPENING: &str = r#"{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","#;

/// A Lease, as read from a request or as stored.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Lease {
    #[serde(deserialize_with = "nullable", skip_serializing)]
    pub(super) kind: String,
    #[serde(deserialize_with = "nullable", skip_serializing)]
    pub(super) api_version: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "nullable")]
    pub(super) spec: Spec,
}

/// What every object has. Fields that the server ignores (`selfLink`, `clusterName`) are left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub(super) name: String,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub(super) generate_name: String,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub(super) namespace: String,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub(super) uid: String,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub(super) resource_version: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub(super) generation: i64,
    pub(super) creation_timestamp: Option<WholeTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deletion_timestamp: Option<WholeTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deletion_grace_period_seconds: Option<i64>,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) owner_references: Vec<OwnerReference>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) finalizers: Vec<String>,
    #[serde(skip_serializing_if = "ManagedFields::is_empty")]
    pub(super) managed_fields: ManagedFields,
}

/// Who else has to live for an object to live.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OwnerReference {
    #[serde(deserialize_with = "nullable")]
    pub(super) api_version: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) kind: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) controller: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) block_owner_deletion: Option<bool>,
}

/// The record of who holds it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holder_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease_duration_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acquire_time: Option<MicroTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) renew_time: Option<MicroTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease_transitions: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strategy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) preferred_holder: Option<String>,
}

/// A Lease in the store, with its text.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) lease: Lease,
    /// The `resourceVersion` as a number.
    pub(super) version: u64,
    /// `{"metadata":{…},"spec":{…}}`: the object as an item of a list.
    item: String,
}

impl Stored {
    /// Puts a version on a Lease and writes it out.
    pub(super) fn new(mut lease: Lease, version: u64) -> Arc<Self> {
        lease.metadata.resource_version = version.to_string();
        Arc::new(Self::unversioned(lease, version))
    }

    /// Writes a Lease out as it is: the outcome of a dry run, which gets no version of its own.
    pub(super) fn unversioned(lease: Lease, version: u64) -> Self {
        let item =
            serde_json::to_string(&lease).expect("a Lease has string keys and no failing parts");
        Self {
            lease,
            version,
            item,
        }
    }

    /// The whole object on the wire, with the line feed that ends it.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(OPENING.len() + self.item.len() + 1);
        self.write(&mut body);
        body.push(b'\n');
        body
    }

    /// Appends the whole object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let members = self.item.strip_prefix('{').unwrap_or(&self.item);
        out.extend_from_slice(OPENING.as_bytes());
        out.extend_from_slice(members.as_bytes());
    }

    /// Appends the object as an item of a list: without kind and version.
    pub(super) fn write_item(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.item.as_bytes());
    }

    /// The whole object as a value.
    pub(super) fn value(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(&self.lease)
            .expect("a Lease has string keys and no failing parts");
        if let Some(object) = value.as_object_mut() {
            object.insert("kind".into(), "Lease".into());
            object.insert("apiVersion".into(), API_VERSION.into());
        }
        value
    }
}

/// Reads null as the default, as Go does.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}
