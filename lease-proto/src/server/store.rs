//! What is stored: Leases by name, versions that only rise, and what has happened of late.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    object::{Lease, Stored},
    selector::Filter,
};

/// Leases of one namespace by name.
type Namespaced = BTreeMap<String, Arc<Stored>>;

/// Leases and their recent history.
#[derive(Clone, Debug)]
pub(super) struct Store {
    leases: BTreeMap<String, Namespaced>,
    /// The version of the latest write.
    version: u64,
    /// The version before which nothing is known.
    compacted: u64,
    /// What has happened since `compacted`, in order.
    events: VecDeque<Event>,
    /// How many events are remembered.
    history: usize,
}

/// A write.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// The object after the write, or, with the version of its deletion, before it.
    pub(super) object: Arc<Stored>,
    /// What was there before.
    pub(super) previous: Option<Arc<Stored>>,
    pub(super) is_deletion: bool,
}

impl Store {
    /// An empty store whose first write gets the version after `version`.
    pub(super) fn new(version: u64, history: usize) -> Self {
        Self {
            leases: BTreeMap::new(),
            version,
            compacted: 0,
            events: VecDeque::new(),
            history,
        }
    }

    /// The version of the latest write.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// How many writes are remembered.
    pub(super) fn history(&self) -> usize {
        self.history
    }

    /// One Lease.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Stored>> {
        self.leases.get(namespace)?.get(name)
    }

    /// The Leases that a filter lets through, in the order of their names.
    pub(super) fn list<'a>(&'a self, filter: &'a Filter) -> Vec<&'a Arc<Stored>> {
        // The usual filter names one object, which need not be looked for.
        if let (Some(namespace), Some(name)) = (&filter.namespace, filter.fields.name()) {
            let found = self.get(namespace, name);
            return found
                .filter(|it| filter.matches(&it.lease))
                .into_iter()
                .collect();
        }
        let of = |it: &String| filter.namespace.as_ref().is_none_or(|wanted| wanted == it);
        self.leases
            .iter()
            .filter(|it| of(it.0))
            .flat_map(|it| it.1.values())
            .filter(|it| filter.matches(&it.lease))
            .collect()
    }

    /// All Leases.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.leases.values().flat_map(BTreeMap::values)
    }

    /// The store as it was when `version` was its latest; nothing if that is no longer known.
    pub(super) fn at(&self, version: u64) -> Option<Self> {
        if version < self.compacted || version > self.version {
            return None;
        }
        let mut past = self.clone();
        while past.events.back().is_some_and(|it| it.version() > version) {
            let Some(event) = past.events.pop_back() else {
                break;
            };
            match event.previous {
                Some(previous) => past.put(previous),
                None => past.take(&event.object.lease),
            }
        }
        past.version = version;
        Some(past)
    }

    /// The next version, for a write of something other than a Lease.
    pub(super) fn bump(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Writes a Lease, new or changed.
    pub(super) fn write(&mut self, lease: Lease) -> Arc<Stored> {
        let object = Stored::new(lease, self.version + 1);
        self.record(Arc::clone(&object), false);
        object
    }

    /// Deletes a Lease.
    pub(super) fn delete(&mut self, lease: Lease) {
        let object = Stored::new(lease, self.version + 1);
        self.record(object, true);
    }

    /// Takes over a write that has its version already.
    pub(super) fn record(&mut self, object: Arc<Stored>, is_deletion: bool) {
        let metadata = &object.lease.metadata;
        let previous = self.get(&metadata.namespace, &metadata.name).cloned();
        self.version = self.version.max(object.version);
        if is_deletion {
            self.take(&object.lease);
        } else {
            self.put(Arc::clone(&object));
        }
        self.events.push_back(Event {
            object,
            previous,
            is_deletion,
        });
        while self.events.len() > self.history {
            let forgotten = self.events.pop_front();
            self.compacted = forgotten.map_or(self.compacted, |it| it.version());
        }
    }

    /// Puts a Lease in place without any history.
    pub(super) fn load(&mut self, object: Arc<Stored>) {
        self.version = self.version.max(object.version);
        self.put(object);
    }

    /// Raises the version to what a snapshot says.
    pub(super) fn raise(&mut self, version: u64) {
        self.version = self.version.max(version);
    }

    /// Forgets what happened up to a version.
    pub(super) fn compact(&mut self, version: u64) {
        let version = version.min(self.version);
        while self
            .events
            .front()
            .is_some_and(|it| it.version() <= version)
        {
            self.events.pop_front();
        }
        self.compacted = self.compacted.max(version);
    }

    /// Tells what a filter lets through as if it had just been written, to whoever watches from an earlier version. Nothing
    /// is told of what is not there.
    pub(super) fn retell(&mut self, filter: &Filter) {
        let mut objects: Vec<_> = self.list(filter).into_iter().cloned().collect();
        if objects.is_empty() {
            return;
        }
        objects.sort_by_key(|object| object.version);
        self.compacted = 0;
        for object in objects {
            self.record(object, false);
        }
    }

    /// Becomes what a later store is, and remembers what is different there. What happened up to `told` is forgotten.
    pub(super) fn catch_up(&mut self, later: &Self, told: u64) {
        self.compact(told);
        let is_known = |object: &Stored| {
            let metadata = &object.lease.metadata;
            let known = self.get(&metadata.namespace, &metadata.name);
            known.is_some_and(|known| known.version == object.version)
        };
        let written = later.all().filter(|object| !is_known(object)).cloned();
        let is_there = |object: &Stored| {
            let metadata = &object.lease.metadata;
            later.get(&metadata.namespace, &metadata.name).is_some()
        };
        let gone = self.all().filter(|object| !is_there(object));
        let gone = gone.map(|object| Stored::new(object.lease.clone(), later.version));
        let mut changes: Vec<_> = written.map(|object| (object, false)).collect();
        changes.extend(gone.map(|object| (object, true)));
        changes.sort_by_key(|(object, _)| object.version);
        for (object, is_deletion) in changes {
            self.record(object, is_deletion);
        }
        self.raise(later.version);
    }

    /// What has happened after a version, oldest first; nothing if that is no longer known.
    pub(super) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Event>> {
        if version < self.compacted {
            return None;
        }
        let from = self.events.partition_point(|it| it.version() <= version);
        Some(self.events.range(from..))
    }

    fn put(&mut self, object: Arc<Stored>) {
        let metadata = &object.lease.metadata;
        if let Some(leases) = self.leases.get_mut(&metadata.namespace) {
            if let Some(place) = leases.get_mut(&metadata.name) {
                *place = object;
                return;
            }
            leases.insert(metadata.name.clone(), object);
            return;
        }
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
        self.leases
            .insert(namespace, BTreeMap::from([(name, object)]));
    }

    fn take(&mut self, lease: &Lease) {
        let metadata = &lease.metadata;
        if let Some(leases) = self.leases.get_mut(&metadata.namespace) {
            leases.remove(&metadata.name);
            if leases.is_empty() {
                self.leases.remove(&metadata.namespace);
            }
        }
    }
}

impl Event {
    /// The version of the write.
    pub(super) fn version(&self) -> u64 {
        self.object.version
    }
}
