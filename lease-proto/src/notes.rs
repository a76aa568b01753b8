//! What claimants leave in a record beside its spec: annotations, advice to people and to other claimants, never a grant.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    config::{FIELD_MANAGER, UNTIMED_FIELD_MANAGER},
    wire::{Identity, Lease, MicroTime, NameError, RawTime},
};

/// Which work was done, by whom, and when.
const DONE: &str = "lease-proto/done";
/// Who is to have the Lease next.
const SUCCESSOR: &str = "lease-proto/successor";
/// How often the holder has renewed it.
const RENEWALS: &str = "lease-proto/renewals";
/// That it is not to be renewed.
const RENEWABLE: &str = "lease-proto/renewable";

/// The longest that a Lease is kept for a successor, whoever asks for how long.
const LONGEST_RESERVE: Duration = Duration::from_secs(300);

/// Work that is to be done once, such as a migration to a version of a schema.
///
/// The key tells it from other work of the same Lease: after success the record says that this key is done, and whoever
/// acquires the Lease later finds [`Done`] and has nothing to do. Another key is other work. The record keeps one key, the last.
///
/// ```
/// use lease_proto::{Once, Parting, wire::Lease};
///
/// let once = Once::new("schema-42")?;
/// let lease = Lease::new("default", "db-migration"); // as it was read
/// if once.done(&lease).is_none() {
///     // Do it while the Lease is held, then give the Lease up with this:
///     let parting = Parting::default().done(once);
/// }
/// # Ok::<(), lease_proto::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Once(Identity);

impl Once {
    /// Checks a key: one line of text, not empty and at most 253 bytes long, without control characters and without spaces at
    /// its ends.
    ///
    /// # Errors
    ///
    /// Fails where it is empty, too long, holds a control character, or begins or ends with a space.
    pub fn new(key: impl Into<String>) -> Result<Self, NameError> {
        Identity::key(key.into()).map(Self)
    }

    /// Returns the key.
    pub fn key(&self) -> &str {
        self.0.as_str()
    }

    /// Returns who has done it, if the record says that it is done.
    pub fn done(&self, lease: &Lease) -> Option<Done> {
        Done::read(lease).filter(|done| done.key == self.key())
    }
}

/// That some work is done, as a record says it.
///
/// ```
/// use lease_proto::{Done, wire::Lease};
///
/// let lease = Lease::new("default", "db-migration"); // as it was read
/// match Done::read(&lease) {
///     Some(done) => println!("{} was done by {} at {}", done.key, done.by, done.at),
///     None => println!("nothing is said to be done"),
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Done {
    /// Which work.
    pub key: String,
    /// The identity of the holder that has done it.
    pub by: String,
    /// When, by that holder's wall clock, as RFC 3339 writes it.
    pub at: String,
}

impl Done {
    /// Reads what the record says.
    pub fn read(lease: &Lease) -> Option<Self> {
        read(lease, DONE)
    }
}

/// What a release leaves in the record, in the same compare-and-swap that clears the holder.
///
/// It is left only by a claim that holds the Lease, or by one at rest that reclaims its identity, and then the record is cleared and kept, whatever
/// [`OnRelease`](crate::OnRelease) says.
///
/// ```
/// use std::time::Duration;
///
/// use lease_proto::{Identity, Once, Parting};
///
/// // For `release_with`: the schema is there, and the next version of this service is to have the Lease, if it comes within a
/// // minute. To say that alone there is `hand_over`.
/// let parting = Parting::default().done(Once::new("schema-42")?);
/// let parting = parting.successor(Identity::new("blue")?, Duration::from_secs(60));
/// # Ok::<(), lease_proto::NameError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Parting {
    done: Option<Once>,
    successor: Option<(Identity, Duration)>,
}

impl Parting {
    /// Says that this work is done.
    #[must_use]
    pub fn done(mut self, once: Once) -> Self {
        self.done = Some(once);
        self
    }

    /// Leaves the Lease to `successor`: other claimants of this library hold back for `patience`, five minutes at the most,
    /// counted by each from the release by its own wall clock, at most from when it hears of it. Afterwards the Lease is anybody's.
    ///
    /// `successor` is an identity as it is configured, which is any of the processes that have it in common, or as it stands in
    /// records, with the suffix that makes it unique, which is that very one. Until somebody has taken it, whoever has left the Lease to one may release it again, and leave it to another.
    #[must_use]
    pub fn successor(mut self, successor: Identity, patience: Duration) -> Self {
        self.successor = Some((successor, patience.min(LONGEST_RESERVE)));
        self
    }

    /// Returns a record as a release by `by` leaves it, with this in it: for whoever clears it without a claim, since its holder will
    /// not.
    #[must_use]
    pub fn leave(&self, lease: &Lease, by: Option<&str>, wall: MicroTime) -> Lease {
        let mut left = lease.clone();
        left.spec = lease.spec.cleared(wall);
        let at = left.spec.renew_time.as_ref().and_then(RawTime::time);
        Changes::of_release(lease, self, by, at.unwrap_or(wall)).made_in(left)
    }

    /// Returns whether it says anew to whom a record is left, which `by` has left to somebody before.
    pub(crate) fn leaves_anew(&self, lease: &Lease, by: &Identity) -> bool {
        let left_by = Reserve::read(lease).and_then(|left| left.by);
        self.successor.is_some() && left_by.as_deref() == Some(by.as_str())
    }

    /// Returns whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the record says all that was to be left in it.
    pub(crate) fn is_in(&self, lease: &Lease) -> bool {
        let is_done = self.done.as_ref().is_none_or(|it| it.done(lease).is_some());
        let successor = self.successor.as_ref().map(|(to, _)| to.as_str());
        let left = Reserve::read(lease);
        is_done && (successor.is_none() || successor == left.as_ref().map(|left| left.to.as_str()))
    }
}

/// For whom a record is kept that names no holder, as it says.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) struct Reserve {
    to: String,
    seconds: u64,
    /// Who has left it, and may change its mind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The `renewTime` of the release: other clients carry annotations on, and their own releases are for nobody.
    at: String,
}

impl Reserve {
    /// Reads for whom the record is kept; one that has a holder, or that somebody has written since, is kept for nobody.
    pub(crate) fn read(lease: &Lease) -> Option<Self> {
        let reserve: Self = read(lease, SUCCESSOR)?;
        let written = lease.spec.renew_time.as_ref()?.time()?;
        let is_of_release = written.to_string() == reserve.at && lease.spec.holder().is_none();
        is_of_release.then_some(reserve)
    }

    /// Returns whether it is kept for who is called so: as configured, which processes may have in common, or as in records.
    pub(crate) fn is_for(&self, configured: &Identity, identity: &Identity) -> bool {
        [configured, identity]
            .iter()
            .any(|it| it.as_str() == self.to)
    }

    pub(crate) fn to(&self) -> &str {
        &self.to
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.seconds).min(LONGEST_RESERVE)
    }
}

/// Reads how often the present holder has renewed a Lease, if it counts that.
pub fn renewals(lease: &Lease) -> Option<u64> {
    let count = text(lease, RENEWALS).filter(|_| !is_carried_on(lease))?;
    count.parse().ok()
}

/// Reads whom a record that names no holder was left to, for a while.
pub fn successor(lease: &Lease) -> Option<String> {
    Reserve::read(lease).map(|reserve| reserve.to)
}

/// Reads who has left such a record.
pub fn left_by(lease: &Lease) -> Option<String> {
    Reserve::read(lease)?.by
}

/// Reads for how long those hold back whom such a record was not left to, counted from its release.
pub fn held_back(lease: &Lease) -> Option<Duration> {
    Reserve::read(lease).map(|reserve| reserve.patience())
}

/// Returns whether a record may be renewed by whoever holds it, as far as it says.
pub fn is_renewable(lease: &Lease) -> bool {
    let said = text(lease, RENEWABLE).filter(|_| !is_carried_on(lease));
    said.is_none_or(|it| it != "false")
}

/// Returns whether another client has renewed the record since, which carries annotations on that it does not know.
fn is_carried_on(lease: &Lease) -> bool {
    let by = lease.metadata.manager_of_renewals();
    by.is_some_and(|by| by != FIELD_MANAGER && by != UNTIMED_FIELD_MANAGER)
}

/// Annotations that a write changes: set, or removed.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Changes(Vec<(&'static str, Option<String>)>);

impl Changes {
    /// Those of the write by which a Lease is acquired: nothing of the holder before it stays but what work is done.
    pub(crate) fn of_taking(seen: Option<&Lease>, renewable: bool, renewals: Option<u64>) -> Self {
        let mut changes = Self::default();
        changes.put(seen, SUCCESSOR, None);
        changes.put(seen, RENEWABLE, (!renewable).then(|| false.to_string()));
        changes.put(seen, RENEWALS, renewals.map(|count| count.to_string()));
        changes
    }

    /// Those of a renewal that is counted.
    pub(crate) fn of_renewal(seen: &Lease) -> Self {
        let count = renewals(seen).unwrap_or(0).saturating_add(1);
        Self(vec![(RENEWALS, Some(count.to_string()))])
    }

    /// Those of the write by which a Lease is given up, at that time.
    pub(crate) fn of_release(
        seen: &Lease,
        parting: &Parting,
        by: Option<&str>,
        at: MicroTime,
    ) -> Self {
        let mut changes = Self::default();
        if let Some(once) = &parting.done {
            let done = Done {
                key: once.key().to_owned(),
                by: by.unwrap_or_default().to_owned(),
                at: at.to_string(),
            };
            changes.put(Some(seen), DONE, Some(json(&done)));
        }
        let reserve = parting.successor.as_ref().map(|(to, patience)| Reserve {
            to: to.to_string(),
            seconds: patience.as_secs() + u64::from(patience.subsec_nanos() > 0),
            by: by.map(str::to_owned),
            at: at.to_string(),
        });
        changes.put(Some(seen), SUCCESSOR, reserve.as_ref().map(json));
        changes
    }

    /// Takes note of a change, if it is one.
    fn put(&mut self, seen: Option<&Lease>, key: &'static str, value: Option<String>) {
        let has = seen.is_some_and(|lease| lease.metadata.other.get("annotations").is_some());
        if value.is_some() || (has && seen.and_then(|lease| text(lease, key)).is_some()) {
            self.0.push((key, value));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes them in a record.
    pub(crate) fn made_in(&self, mut lease: Lease) -> Lease {
        for (key, value) in self.iter() {
            match value {
                Some(value) => lease.metadata.set_annotation(key, value),
                None => lease.metadata.remove_annotation(key),
            }
        }
        lease
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.0.iter().map(|(key, value)| (*key, value.as_deref()))
    }
}

fn text(lease: &Lease, key: &str) -> Option<String> {
    lease.metadata.annotation(key)
}

fn read<T: for<'de> Deserialize<'de>>(lease: &Lease, key: &str) -> Option<T> {
    serde_json::from_str(&text(lease, key)?).ok()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers have a form in JSON")
}
