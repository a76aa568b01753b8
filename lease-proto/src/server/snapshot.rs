//! The store as bytes, to be kept in a file, shared, or gone back to.

use std::{collections::BTreeSet, error, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    ApiServer,
    namespaces::Namespaces,
    object::{Lease, Stored},
    status,
    store::Store,
    uids::Uids,
};

/// What the first field of a snapshot says.
const FORMAT: &str = "lease-proto/store/1";

/// What that begins with, before its number, in every version of this library.
const FORMATS: &str = "lease-proto/store/";

/// Why bytes are no snapshot.
///
/// ```
/// use lease_proto::server::{ApiServer, SnapshotError};
///
/// let snapshot = ApiServer::new().snapshot();
/// assert!(ApiServer::builder().restore(&snapshot).is_ok());
/// let empty = ApiServer::builder().restore(b"");
/// assert!(matches!(empty, Err(SnapshotError::Empty)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There are no bytes: not a store without Leases, which is a snapshot of its own.
    Empty,
    /// The bytes are not the JSON of a snapshot, or not the whole of it.
    Malformed(serde_json::Error),
    /// The bytes are in the format, which is named, of a later version of this library.
    NewerFormat(String),
    /// The bytes are in another format, which is named.
    UnknownFormat(String),
    /// Two parts contradict each other; the Lease at which that was found is named.
    Inconsistent(String),
}

/// A snapshot on its way out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    format: &'a str,
    resource_version: u64,
    uids: Uids,
    namespaces: &'a Namespaces,
    leases: Vec<&'a Lease>,
}

/// A snapshot on its way in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contents {
    resource_version: u64,
    uids: Uids,
    namespaces: Namespaces,
    leases: Vec<Lease>,
}

impl ApiServer {
    /// The store as JSON: Leases, versions, namespaces, and where the uids have got to. Watches and the
    /// history are not part of it.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = status::json(&Written {
            format: FORMAT,
            resource_version: self.store.version(),
            uids: self.uids,
            namespaces: &self.namespaces,
            leases: self.store.all().map(|it| &it.lease).collect(),
        });
        bytes.push(b'\n');
        bytes
    }

    /// Goes on from a snapshot, keeping users, rules and watches.
    ///
    /// From a later state of the same store, watches are told what differs; what came and went in between
    /// they do not see. From an earlier one, which is what a restore of etcd from a backup does, versions
    /// are given a second time, and watches end.
    ///
    /// # Errors
    ///
    /// If the bytes are not a whole snapshot, and a consistent one. Nothing has changed then.
    pub fn adopt(&mut self, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let contents = read(snapshot)?;
        if contents.resource_version < self.store.version() {
            self.watches.clear();
            self.load(contents);
            return Ok(());
        }
        self.uids = contents.uids;
        self.namespaces = contents.namespaces;
        let stored: Vec<Arc<Stored>> = contents.leases.into_iter().map(restored).collect();
        let place = |it: &Stored| {
            let metadata = &it.lease.metadata;
            (metadata.namespace.clone(), metadata.name.clone())
        };
        let kept: BTreeSet<_> = stored.iter().map(|it| place(it)).collect();
        let gone: Vec<_> = self
            .store
            .all()
            .filter(|it| !kept.contains(&place(it)))
            .cloned()
            .collect();
        let mut written: Vec<_> = stored
            .into_iter()
            .filter(|it| {
                let metadata = &it.lease.metadata;
                let known = self.store.get(&metadata.namespace, &metadata.name);
                known.is_none_or(|known| known.version != it.version)
            })
            .collect();
        written.sort_by_key(|it| it.version);
        // A deletion has a version of its own, which the snapshot does not tell: the last one fits.
        let last = contents.resource_version;
        for object in written {
            self.store.record(object, false);
        }
        for object in gone {
            self.store
                .record(Stored::new(object.lease.clone(), last), true);
        }
        self.store.raise(last);
        Ok(())
    }

    /// Replaces the store.
    pub(super) fn load(&mut self, contents: Contents) {
        let mut store = Store::new(contents.resource_version, self.store.history());
        for lease in contents.leases {
            store.load(restored(lease));
        }
        // What led here is not known, so that no watch can start from before.
        store.compact(contents.resource_version);
        self.store = store;
        self.uids = contents.uids;
        self.namespaces = contents.namespaces;
    }
}

/// Reads a snapshot.
///
/// # Errors
///
/// If the bytes are not a whole snapshot, and a consistent one.
pub(super) fn read(snapshot: &[u8]) -> Result<Contents, SnapshotError> {
    if snapshot.is_empty() {
        return Err(SnapshotError::Empty);
    }
    #[derive(Deserialize)]
    struct Header {
        format: String,
    }
    let header: Header = serde_json::from_slice(snapshot).map_err(SnapshotError::Malformed)?;
    if header.format != FORMAT {
        let number = header.format.strip_prefix(FORMATS);
        let is_newer = number.is_some_and(|it| it.parse::<u32>().is_ok_and(|it| it > 1));
        return Err(if is_newer {
            SnapshotError::NewerFormat(header.format)
        } else {
            SnapshotError::UnknownFormat(header.format)
        });
    }
    let contents: Contents = serde_json::from_slice(snapshot).map_err(SnapshotError::Malformed)?;
    let mut seen = BTreeSet::new();
    for lease in &contents.leases {
        let metadata = &lease.metadata;
        let version = version(lease);
        let is_sound = !metadata.name.is_empty()
            && !metadata.namespace.is_empty()
            && !metadata.uid.is_empty()
            && version > 0
            && version <= contents.resource_version
            && seen.insert((&metadata.namespace, &metadata.name));
        if !is_sound {
            let place = format!("{}/{}", metadata.namespace, metadata.name);
            return Err(SnapshotError::Inconsistent(place));
        }
    }
    Ok(contents)
}

/// Whether bytes that are no snapshot have begun as one.
pub(super) fn claims_to_be_one(bytes: &[u8]) -> bool {
    let beginning = format!("{{\"format\":\"{FORMATS}");
    bytes.starts_with(beginning.as_bytes())
}

fn restored(lease: Lease) -> Arc<Stored> {
    let version = version(&lease);
    Stored::new(lease, version)
}

/// The version of a Lease; 0 if it is none.
fn version(lease: &Lease) -> u64 {
    lease.metadata.resource_version.parse().unwrap_or(0)
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "a snapshot is never empty: this one has been cut off or was never written",
            ),
            Self::Malformed(_) => f.write_str("a snapshot must be the whole JSON of a store"),
            Self::NewerFormat(format) | Self::UnknownFormat(format) => {
                write!(f, "a snapshot must be in format {FORMAT:?}, not {format:?}")
            }
            Self::Inconsistent(lease) => write!(
                f,
                "a snapshot must hold each Lease once, with a uid, and with a version up to its own: not so {lease:?}"
            ),
        }
    }
}

impl error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Empty | Self::Inconsistent(_) | Self::NewerFormat(_) | Self::UnknownFormat(_) => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_whole_snapshot_is_taken() {
        let whole = ApiServer::new().snapshot();
        assert!(ApiServer::builder().restore(&whole).is_ok());
        assert!(matches!(read(b""), Err(SnapshotError::Empty)));
        let cut = &whole[..whole.len() / 2];
        assert!(matches!(read(cut), Err(SnapshotError::Malformed(_))));
        let other = br#"{"format":"other"}"#;
        assert!(matches!(read(other), Err(SnapshotError::UnknownFormat(_))));
    }
}
