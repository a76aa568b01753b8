//! JSON that nobody here interprets, kept byte for byte so that it can be written back unchanged.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

/// The text of one JSON value, as it came.
///
/// Two values are equal when their texts are.
///
/// ```
/// use lease_proto::wire::Json;
///
/// let json = Json::from_value(&["a", "b"])?;
/// assert_eq!(json.as_str(), r#"["a","b"]"#);
/// assert_eq!(json.read::<Vec<String>>(), Some(vec!["a".to_owned(), "b".to_owned()]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Renders `value`.
    ///
    /// # Errors
    ///
    /// Fails where `value` has no form in JSON, such as a map whose keys are not strings.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Reads the text as a `T`, if it is one.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_str(self.0.get()).ok()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// Members of a JSON object, in the order in which they came.
///
/// ```
/// use lease_proto::wire::{Json, Members};
///
/// let mut members = Members::default();
/// members.insert("immutable", Json::from_value(&true)?);
/// assert_eq!(members.get("immutable").and_then(Json::read), Some(true));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Members(Vec<(String, Json)>);

impl Members {
    /// Returns the value named `name`; of several the last, as the API server reads them.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0
            .iter()
            .rev()
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Puts `value` in place of whatever was named `name`.
    pub fn insert(&mut self, name: impl Into<String>, value: Json) {
        let name = name.into();
        self.remove(&name);
        self.0.push((name, value));
    }

    /// Removes everything named `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// Walks over names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a member that the visitor of the surrounding object does not know.
    pub(super) fn keep<'de, A: MapAccess<'de>>(
        &mut self,
        name: String,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if self.0.is_empty() {
            // Mostly one, and room for four would be kept with each record.
            self.0.reserve_exact(1);
        }
        self.0.push((name, map.next_value()?));
        Ok(())
    }

    /// Writes all members into the surrounding object.
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.0
            .iter()
            .try_for_each(|(name, value)| map.serialize_entry(name, value))
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.write(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some(name) = map.next_key()? {
                    members.keep(name, &mut map)?;
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Object)
    }
}
