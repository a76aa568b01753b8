//! What every object of the API carries: its name, its incarnation, its version.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};

use super::json::{Json, Members};

/// The metadata of an object.
///
/// ```
/// use lease_proto::wire::ObjectMeta;
///
/// let mut metadata = ObjectMeta::default();
/// metadata.set_annotation("example.com/team", "storage");
/// assert_eq!(metadata.annotation("example.com/team").as_deref(), Some("storage"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ObjectMeta {
    /// The object's name; empty where the answer has none.
    pub name: String,
    /// The object's namespace; empty where the answer has none.
    pub namespace: String,
    /// Tells this object from one of the same name that was deleted before.
    pub uid: Option<String>,
    /// The version that a write must name to be a compare-and-swap.
    pub resource_version: Option<ResourceVersion>,
    /// Who wrote which field, as the server keeps it.
    ///
    /// Read and never written: an empty list in a write would reset it for good.
    pub managed_fields: Option<Json>,
    /// Labels, annotations, owner references and whatever else there is, as it came.
    pub other: Members,
}

impl ObjectMeta {
    /// Returns the labels; entries that are not strings are left out.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.strings("labels")
    }

    /// Returns the annotations; entries that are not strings are left out.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.strings("annotations")
    }

    /// Returns one annotation, if it is there and a string.
    pub fn annotation(&self, key: &str) -> Option<String> {
        let annotations: Members = self.other.get("annotations")?.read()?;
        annotations.get(key)?.read()
    }

    /// Removes one annotation.
    pub fn remove_annotation(&mut self, key: &str) {
        let Some(mut annotations) = self
            .other
            .get("annotations")
            .and_then(Json::read::<Members>)
        else {
            return;
        };
        annotations.remove(key);
        if annotations.is_empty() {
            self.other.remove("annotations");
        } else {
            self.other.insert("annotations", rendered(&annotations));
        }
    }

    /// Sets one label, whatever the object carried under that key.
    pub fn set_label(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.set_string("labels", key.into(), value.into());
    }

    /// Sets one annotation, whatever the object carried under that key.
    pub fn set_annotation(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.set_string("annotations", key.into(), value.into());
    }

    /// Returns whether `manager` was the last to write a `renewTime` that differs from the one before.
    pub(crate) fn manages_renewals(&self, manager: &str) -> bool {
        self.renewers().any(|entry| entry.manager == manager)
    }

    /// Returns who was the last to write such a `renewTime`, if that is one manager and known.
    pub(crate) fn manager_of_renewals(&self) -> Option<String> {
        let mut renewers = self.renewers();
        let first = renewers.next()?;
        renewers.next().is_none().then_some(first.manager)
    }

    fn renewers(&self) -> impl Iterator<Item = Managed> {
        let fields: Option<Vec<Managed>> = self.managed_fields.as_ref().and_then(Json::read);
        let entries = fields.into_iter().flatten();
        entries.filter(|entry| entry.fields.spec.renew_time.is_some())
    }

    fn strings(&self, member: &str) -> BTreeMap<String, String> {
        let members: Option<Members> = self.other.get(member).and_then(Json::read);
        members
            .unwrap_or_default()
            .iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.read()?)))
            .collect()
    }

    fn set_string(&mut self, member: &str, key: String, value: String) {
        let mut members: Members = self
            .other
            .get(member)
            .and_then(Json::read)
            .unwrap_or_default();
        members.insert(key, rendered(&value));
        self.other.insert(member, rendered(&members));
    }
}

/// Which fields one manager owns, as far as it matters here.
#[derive(Deserialize)]
struct Managed {
    #[serde(default)]
    manager: String,
    #[serde(default, rename = "fieldsV1")]
    fields: ManagedFields,
}

#[derive(Default, Deserialize)]
struct ManagedFields {
    #[serde(default, rename = "f:spec")]
    spec: ManagedSpec,
}

#[derive(Default, Deserialize)]
struct ManagedSpec {
    #[serde(default, rename = "f:renewTime")]
    renew_time: Option<IgnoredAny>,
}

fn rendered(value: &impl Serialize) -> Json {
    Json::from_value(value).expect("strings and raw values have a form in JSON")
}

impl Serialize for ObjectMeta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.name.is_empty() {
            map.serialize_entry("name", &self.name)?;
        }
        if !self.namespace.is_empty() {
            map.serialize_entry("namespace", &self.namespace)?;
        }
        if let Some(uid) = &self.uid {
            map.serialize_entry("uid", uid)?;
        }
        if let Some(version) = &self.resource_version {
            map.serialize_entry("resourceVersion", version)?;
        }
        self.other.write(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for ObjectMeta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = ObjectMeta;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the metadata of an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ObjectMeta, A::Error> {
                let mut meta = ObjectMeta::default();
                while let Some(member) = map.next_key::<String>()? {
                    match member.as_str() {
                        "name" => meta.name = text(map.next_value()?),
                        "namespace" => meta.namespace = text(map.next_value()?),
                        "uid" => meta.uid = given(map.next_value()?),
                        "resourceVersion" => {
                            meta.resource_version = given(map.next_value()?).map(ResourceVersion);
                        }
                        "managedFields" => meta.managed_fields = map.next_value()?,
                        _ => meta.other.keep(member, &mut map)?,
                    }
                }
                Ok(meta)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

fn text(value: Option<String>) -> String {
    value.unwrap_or_default()
}

fn given(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.is_empty())
}

/// The version of an object: changes with every write that changes something.
///
/// The API server takes it back only as it gave it. On every server since Kubernetes 1.35, and on every one that stores
/// in etcd, it is a decimal integer that grows across all objects of a kind, also across deletions (KEP-5504).
///
/// ```
/// use lease_proto::wire::ResourceVersion;
///
/// assert_eq!(ResourceVersion::new("4711").number(), Some(4711));
/// assert_eq!(ResourceVersion::new("v2").number(), None);
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ResourceVersion(String);

impl ResourceVersion {
    /// Takes a version as the server gave it.
    pub fn new(version: impl Into<String>) -> Self {
        Self(version.into())
    }

    /// Returns the version as the server gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the version as a number, if it is one: digits without a leading zero, less than 2^128.
    pub fn number(&self) -> Option<u128> {
        let digits = self.0.bytes().all(|byte| byte.is_ascii_digit());
        (digits && !self.0.starts_with('0'))
            .then(|| self.0.parse().ok())
            .flatten()
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
