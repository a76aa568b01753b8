//! Who wrote which field last: `metadata.managedFields`, kept as the server keeps it.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, value::RawValue};

use super::{
    changes::Changes,
    go_time::{Stamp, WholeTime},
    object::nullable,
};

/// How many managers that update are told apart.
const MAX_UPDATERS: usize = 10;
/// Under which name the oldest are put together.
const OLD_UPDATERS: &str = "ancient-changes";
/// Between the elements of a path.
pub(super) const SEPARATOR: char = '\0';

/// The entries of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct ManagedFields {
    pub(super) entries: Vec<Entry>,
    given: Given,
}

/// What a request said about them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Given {
    /// Nothing, or nothing that can be read: what is stored stays.
    #[default]
    Nothing,
    /// Entries.
    Entries,
    /// `[]` or `[{}]`: to be forgotten.
    Reset,
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: String,
    pub(super) api_version: String,
    pub(super) time: Option<WholeTime>,
    pub(super) fields: Arc<FieldSet>,
}

/// A set of paths, with its text.
#[derive(Clone, Debug)]
pub(super) struct FieldSet {
    pub(super) paths: BTreeSet<String>,
    text: Box<RawValue>,
}

/// Who writes, and by which rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a> {
    pub(super) manager: &'a str,
    pub(super) api_version: &'a str,
    pub(super) now: Stamp,
    /// Whether a change of values alone moves the time: so since 1.21.
    pub(super) always_stamps: bool,
}

/// An entry on the wire.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Read {
    #[serde(deserialize_with = "nullable")]
    manager: String,
    #[serde(deserialize_with = "nullable")]
    operation: String,
    #[serde(deserialize_with = "nullable")]
    api_version: String,
    time: Option<WholeTime>,
    #[serde(deserialize_with = "nullable")]
    fields_type: String,
    fields_v1: Option<Box<RawValue>>,
}

/// An entry on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    manager: &'a str,
    operation: &'a str,
    api_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<WholeTime>,
    fields_type: &'a str,
    fields_v1: &'a RawValue,
}

impl ManagedFields {
    /// Whether nobody owns anything.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries to start from: those that the request brought, or else those that are stored.
    pub(super) fn base(&self, live: Option<&Self>) -> Vec<Entry> {
        match self.given {
            Given::Entries if !self.entries.is_empty() => self.entries.clone(),
            Given::Reset => Vec::new(),
            Given::Entries | Given::Nothing => {
                live.map(|it| it.entries.clone()).unwrap_or_default()
            }
        }
    }

    /// The entries after a write of `changes`; `live` is absent where the object is being created.
    pub(super) fn updated(
        &self,
        live: Option<&Self>,
        changes: &Changes,
        writer: Writer<'_>,
    ) -> Self {
        let mut entries = self.base(live);
        if entries.is_empty() && live.is_some() {
            // Nobody has ever tracked this object, or somebody asked to stop.
            return Self::default();
        }
        let key = |it: &Entry| {
            it.operation == "Update"
                && it.manager == writer.manager
                && it.api_version == writer.api_version
        };
        // A renewal changes values that are its writer's already, and needs nothing more.
        let is_settled = changes.removed.is_empty()
            && entries
                .iter()
                .all(|it| it.fields.owns(&changes.touched, key(it)));
        if is_settled {
            if writer.always_stamps && !changes.touched.is_empty() {
                for entry in entries.iter_mut().filter(|it| key(it)) {
                    entry.time = Some(writer.now.whole());
                }
            }
            if changes.touched.is_empty() || entries.iter().any(key) {
                return Self::settled(entries);
            }
        }
        let former = entries.iter().find(|it| key(it)).cloned();
        for entry in &mut entries {
            entry.fields = entry.fields.without(changes);
        }
        if !changes.touched.is_empty() {
            let mut paths: BTreeSet<String> = entries
                .iter()
                .find(|it| key(it))
                .map(|it| it.fields.paths.clone())
                .unwrap_or_default();
            paths.extend(changes.touched.iter().cloned());
            entries.retain(|it| !key(it));
            let (fields, time) = match former {
                Some(former) if former.fields.paths == paths && !writer.always_stamps => {
                    (former.fields, former.time)
                }
                _ => (FieldSet::new(paths), Some(writer.now.whole())),
            };
            entries.push(Entry {
                manager: writer.manager.to_owned(),
                operation: "Update".to_owned(),
                api_version: writer.api_version.to_owned(),
                time,
                fields,
            });
        }
        Self::settled(entries)
    }

    /// Entries in the order and number in which they are stored.
    pub(super) fn settled(mut entries: Vec<Entry>) -> Self {
        entries.retain(|it| !it.fields.paths.is_empty());
        cap(&mut entries);
        entries.sort_by(|a, b| {
            (&a.operation, a.time, &a.manager, &a.api_version).cmp(&(
                &b.operation,
                b.time,
                &b.manager,
                &b.api_version,
            ))
        });
        Self {
            entries,
            given: Given::Entries,
        }
    }

    /// Whether both name the same owners, whatever the times.
    pub(super) fn same_owners(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(|(a, b)| {
                a.manager == b.manager && a.operation == b.operation && a.fields == b.fields
            })
    }
}

impl PartialEq for ManagedFields {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Serialize for ManagedFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.entries.iter().map(|it| Written {
            manager: &it.manager,
            operation: &it.operation,
            api_version: &it.api_version,
            time: it.time,
            fields_type: "FieldsV1",
            fields_v1: &it.fields.text,
        }))
    }
}

impl<'de> Deserialize<'de> for ManagedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(read) = Option::<Vec<Read>>::deserialize(deserializer)? else {
            return Ok(Self::default());
        };
        if read.is_empty() || read.len() == 1 && read.iter().all(Read::is_empty) {
            return Ok(Self {
                entries: Vec::new(),
                given: Given::Reset,
            });
        }
        Ok(read
            .into_iter()
            .map(Read::into_entry)
            .collect::<Option<_>>()
            .map_or_else(Self::default, |entries| Self {
                entries,
                given: Given::Entries,
            }))
    }
}

impl Read {
    fn is_empty(&self) -> bool {
        self.manager.is_empty()
            && self.operation.is_empty()
            && self.api_version.is_empty()
            && self.time.is_none()
            && self.fields_type.is_empty()
            && self.fields_v1.is_none()
    }

    /// The entry, if its fields can be read.
    fn into_entry(self) -> Option<Entry> {
        let fields = match &self.fields_v1 {
            Some(text) => FieldSet::read(text)?,
            None => FieldSet::new(BTreeSet::new()),
        };
        Some(Entry {
            manager: self.manager,
            operation: self.operation,
            api_version: self.api_version,
            time: self.time,
            fields,
        })
    }
}

impl FieldSet {
    /// A set of paths.
    pub(super) fn new(paths: BTreeSet<String>) -> Arc<Self> {
        let mut tree = Map::new();
        for path in &paths {
            let mut node = &mut tree;
            for element in path.split(SEPARATOR) {
                node = node
                    .entry(element)
                    .or_insert_with(|| Value::Object(Map::new()))
                    .as_object_mut()
                    .expect("only objects are put into the tree");
            }
            node.insert(".".to_owned(), Value::Object(Map::new()));
        }
        let mut tree = Value::Object(tree);
        drop_lone_dots(&mut tree);
        let text = serde_json::value::to_raw_value(&tree)
            .expect("a tree of objects has string keys and no failing parts");
        Arc::new(Self { paths, text })
    }

    /// A set of paths from its text, if that is one.
    fn read(text: &RawValue) -> Option<Arc<Self>> {
        let Ok(Value::Object(tree)) = serde_json::from_str(text.get()) else {
            return None;
        };
        let mut paths = BTreeSet::new();
        gather(&tree, "", &mut paths)?;
        Some(Self::new(paths))
    }

    /// Whether all of some paths are in the set, or none of them.
    fn owns(&self, paths: &[String], all: bool) -> bool {
        paths.iter().all(|it| self.paths.contains(it) == all)
    }

    /// The set without what was touched or removed.
    pub(super) fn without(self: &Arc<Self>, changes: &Changes) -> Arc<Self> {
        let all = || changes.touched.iter().chain(&changes.removed);
        if all().all(|it| !self.paths.contains(it)) {
            return Arc::clone(self);
        }
        let mut paths = self.paths.clone();
        for path in all() {
            paths.remove(path);
        }
        Self::new(paths)
    }
}

impl PartialEq for FieldSet {
    fn eq(&self, other: &Self) -> bool {
        self.paths == other.paths
    }
}

/// Puts the oldest updaters together while there are too many.
fn cap(entries: &mut Vec<Entry>) {
    let mut updaters: Vec<Entry> = entries
        .iter()
        .filter(|it| it.operation != "Apply")
        .cloned()
        .collect();
    if updaters.len() <= MAX_UPDATERS {
        return;
    }
    updaters.sort_by(|a, b| (a.time, &a.manager).cmp(&(b.time, &b.manager)));
    let surplus = updaters.len() - MAX_UPDATERS + 1;
    let newer = updaters.split_off(surplus);
    let time = updaters.iter().filter_map(|it| it.time).max();
    let api_version = updaters
        .first()
        .map(|it| it.api_version.clone())
        .unwrap_or_default();
    let paths = updaters
        .iter()
        .flat_map(|it| it.fields.paths.iter().cloned())
        .collect();
    entries.retain(|it| it.operation == "Apply");
    entries.extend(newer);
    entries.push(Entry {
        manager: OLD_UPDATERS.to_owned(),
        operation: "Update".to_owned(),
        api_version,
        time,
        fields: FieldSet::new(paths),
    });
}

/// Takes `.` out of nodes that hold nothing else: a leaf is written `{}`.
fn drop_lone_dots(node: &mut Value) {
    if let Value::Object(map) = node {
        if map.len() == 1 {
            map.remove(".");
        }
        for inner in map.values_mut() {
            drop_lone_dots(inner);
        }
    }
}

/// Collects the paths of a tree; nothing if it is no tree of field names.
fn gather(node: &Map<String, Value>, prefix: &str, paths: &mut BTreeSet<String>) -> Option<()> {
    for (element, inner) in node {
        let Value::Object(inner) = inner else {
            return None;
        };
        if element == "." {
            if !prefix.is_empty() {
                paths.insert(prefix.to_owned());
            }
            continue;
        }
        let known = ["f:", "k:", "v:", "i:"];
        if !known.iter().any(|it| element.starts_with(it)) || element.contains(SEPARATOR) {
            return None;
        }
        let path = if prefix.is_empty() {
            element.clone()
        } else {
            format!("{prefix}{SEPARATOR}{element}")
        };
        if inner.is_empty() {
            paths.insert(path);
        } else {
            gather(inner, &path, paths)?;
        }
    }
    Some(())
}
