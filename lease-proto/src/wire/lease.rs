//! The Lease of `coordination.k8s.io/v1`: the fields that matter as types, every other one as it came.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use super::{
    json::Members,
    meta::ObjectMeta,
    micro_time::{MicroTime, RawTime},
};

pub(crate) const API_VERSION: &str = "coordination.k8s.io/v1";
const KIND: &str = "Lease";

/// A Lease.
///
/// Reading refuses another kind of object; a missing kind is accepted, since items of a list have none.
///
/// ```
/// use lease_proto::wire::Lease;
///
/// let body = r#"{"metadata":{"name":"leader"},"spec":{"holderIdentity":"a","holidays":"kept as they came"}}"#;
/// let lease: Lease = serde_json::from_str(body)?;
/// assert_eq!(lease.spec.holder(), Some("a"));
/// assert!(serde_json::to_string(&lease)?.contains("holidays"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Lease {
    /// Its name, incarnation and version.
    pub metadata: ObjectMeta,
    /// Who holds it, and since when.
    pub spec: LeaseSpec,
    /// Members beside `metadata` and `spec`, as they came.
    pub other: Members,
}

impl Lease {
    /// Begins a Lease that does not exist yet, held by nobody.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let mut lease = Self::default();
        lease.metadata.namespace = namespace.into();
        lease.metadata.name = name.into();
        lease
    }
}

/// What a Lease says.
///
/// Every field may be missing: other clients leave them out or write null when they release.
///
/// ```
/// use lease_proto::wire::{LeaseSpec, MicroTime};
///
/// let mut spec = LeaseSpec::default();
/// spec.holder_identity = Some("a".to_owned());
/// let cleared = spec.cleared(MicroTime::from_micros(0));
/// assert_eq!(cleared.holder(), None);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct LeaseSpec {
    /// Who holds it; absent and empty both mean nobody.
    pub holder_identity: Option<String>,
    /// For how many seconds after `renew_time` the holder may not be passed over.
    pub lease_duration_seconds: Option<i64>,
    /// When the holder began to hold it.
    pub acquire_time: Option<RawTime>,
    /// When the holder last said so.
    pub renew_time: Option<RawTime>,
    /// How often the holder has changed.
    pub lease_transitions: Option<i64>,
    /// Set where a controller in the API server chooses the holder (Kubernetes 1.31 and later).
    pub strategy: Option<String>,
    /// Who that controller wants to hold it next.
    pub preferred_holder: Option<String>,
    /// Fields that this version does not know, as they came.
    pub other: Members,
}

impl LeaseSpec {
    /// Returns the holder, if there is one: an empty identity is nobody's.
    pub fn holder(&self) -> Option<&str> {
        self.holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    /// Returns the same without a holder, as a release leaves it, in the form that every other client understands.
    ///
    /// Its `renew_time` is later than what stands there, so that the record changes even if the wall clock was set back.
    #[must_use]
    pub fn cleared(&self, wall: MicroTime) -> Self {
        let last = self.renew_time.as_ref().and_then(RawTime::time);
        let just_later = |last: MicroTime| last.saturating_add(Duration::from_micros(1));
        let time = last.map_or(wall, |last| wall.max(just_later(last)));
        Self {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: Some(time.into()),
            renew_time: Some(time.into()),
            ..self.clone()
        }
    }
}

/// Leases as a list.
///
/// ```
/// use lease_proto::wire::LeaseList;
///
/// let list: LeaseList = serde_json::from_str(r#"{"items":[{"metadata":{"name":"leader"}}]}"#)?;
/// assert_eq!(list.items.len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LeaseList {
    /// The list's own version and the token for its next page.
    #[serde(default)]
    pub metadata: Members,
    /// The Leases.
    #[serde(default)]
    pub items: Vec<Lease>,
}

impl Lease {
    /// Returns the same record with another spec, to be written.
    pub(crate) fn saying<'a>(&'a self, spec: &'a LeaseSpec) -> impl Serialize {
        Rewritten { lease: self, spec }
    }
}

impl Serialize for Lease {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.saying(&self.spec).serialize(serializer)
    }
}

/// A record that says something else, without a copy of all the rest.
struct Rewritten<'a> {
    lease: &'a Lease,
    spec: &'a LeaseSpec,
}

impl Serialize for Rewritten<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", API_VERSION)?;
        map.serialize_entry("kind", KIND)?;
        map.serialize_entry("metadata", &self.lease.metadata)?;
        map.serialize_entry("spec", self.spec)?;
        self.lease.other.write(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Lease {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Lease;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a Lease")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lease, A::Error> {
                let mut lease = Lease::default();
                while let Some(member) = map.next_key::<String>()? {
                    match member.as_str() {
                        "apiVersion" => expect(API_VERSION, map.next_value()?)?,
                        "kind" => expect(KIND, map.next_value()?)?,
                        "metadata" => {
                            lease.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        "spec" => {
                            lease.spec = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        _ => lease.other.keep(member, &mut map)?,
                    }
                }
                Ok(lease)
            }
        }

        fn expect<E: serde::de::Error>(wanted: &str, found: Option<String>) -> Result<(), E> {
            match found.filter(|found| !found.is_empty() && found != wanted) {
                Some(found) => Err(E::custom(format_args!("expected {wanted}, got {found:?}"))),
                None => Ok(()),
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl Serialize for LeaseSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn entry<M: SerializeMap, T: Serialize>(
            map: &mut M,
            name: &str,
            value: Option<&T>,
        ) -> Result<(), M::Error> {
            value.map_or(Ok(()), |value| map.serialize_entry(name, value))
        }

        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, "holderIdentity", self.holder_identity.as_ref())?;
        entry(
            &mut map,
            "leaseDurationSeconds",
            self.lease_duration_seconds.as_ref(),
        )?;
        entry(&mut map, "acquireTime", self.acquire_time.as_ref())?;
        entry(&mut map, "renewTime", self.renew_time.as_ref())?;
        entry(
            &mut map,
            "leaseTransitions",
            self.lease_transitions.as_ref(),
        )?;
        entry(&mut map, "strategy", self.strategy.as_ref())?;
        entry(&mut map, "preferredHolder", self.preferred_holder.as_ref())?;
        self.other.write(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for LeaseSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = LeaseSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the spec of a Lease")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LeaseSpec, A::Error> {
                let mut spec = LeaseSpec::default();
                while let Some(member) = map.next_key::<String>()? {
                    match member.as_str() {
                        "holderIdentity" => spec.holder_identity = map.next_value()?,
                        "leaseDurationSeconds" => {
                            spec.lease_duration_seconds = map.next_value()?;
                        }
                        "acquireTime" => spec.acquire_time = map.next_value()?,
                        "renewTime" => spec.renew_time = map.next_value()?,
                        "leaseTransitions" => spec.lease_transitions = map.next_value()?,
                        "strategy" => spec.strategy = map.next_value()?,
                        "preferredHolder" => spec.preferred_holder = map.next_value()?,
                        _ => spec.other.keep(member, &mut map)?,
                    }
                }
                Ok(spec)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = r#"{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"a","namespace":"n",
        "uid":"u","resourceVersion":"17","managedFields":[{"manager":"m"}],"labels":{"b":"1","a":"2"},
        "finalizers":[ "x" ]},"spec":{"holderIdentity":"me","leaseDurationSeconds":15,"renewTime":"soon",
        "future":{"deep":[1.50,1e400]},"leaseTransitions":null},"status":{"z":1}}"#;

    #[test]
    fn what_is_unknown_comes_back_as_it_was_and_managed_fields_never_do() {
        let lease: Lease = serde_json::from_str(READ).unwrap();
        assert_eq!(
            serde_json::to_string(&lease).unwrap(),
            concat!(
                r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a","namespace":"n","#,
                r#""uid":"u","resourceVersion":"17","labels":{"b":"1","a":"2"},"finalizers":[ "x" ]},"#,
                r#""spec":{"holderIdentity":"me","leaseDurationSeconds":15,"renewTime":"soon","#,
                r#""future":{"deep":[1.50,1e400]}},"status":{"z":1}}"#
            )
        );
        assert_eq!(
            lease.metadata.managed_fields.unwrap().as_str(),
            r#"[{"manager":"m"}]"#
        );
        assert_eq!(lease.spec.renew_time.unwrap().time(), None);
    }

    #[test]
    fn another_kind_of_object_is_not_a_lease() {
        for other in [
            r#"{"kind":"Status"}"#,
            r#"{"kind":"Lease","apiVersion":"v1"}"#,
            "[]",
            "null",
            r#"{"spec":[]}"#,
        ] {
            assert!(serde_json::from_str::<Lease>(other).is_err(), "{other}");
        }
        for empty in [
            "{}",
            r#"{"metadata":null,"spec":null}"#,
            r#"{"spec":{"holderIdentity":null}}"#,
        ] {
            assert_eq!(
                serde_json::from_str(empty).ok(),
                Some(Lease::default()),
                "{empty}"
            );
        }
    }

    #[test]
    fn an_empty_holder_is_nobody() {
        let mut spec = LeaseSpec::default();
        assert_eq!(spec.holder(), None);
        spec.holder_identity = Some(String::new());
        assert_eq!(spec.holder(), None);
        spec.holder_identity = Some("me".to_owned());
        assert_eq!(spec.holder(), Some("me"));
    }

    #[test]
    fn one_annotation_is_set_and_the_others_stay() {
        let mut lease = Lease::new("n", "a");
        lease.metadata.set_annotation("k", "1");
        lease.metadata.set_annotation("l", "2");
        lease.metadata.set_annotation("k", "3");
        let annotations = lease.metadata.annotations();
        assert_eq!(annotations.len(), 2);
        assert_eq!(annotations.get("k").map(String::as_str), Some("3"));
    }
}
