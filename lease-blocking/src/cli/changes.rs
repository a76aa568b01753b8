//! What a change of a lease means to people, and to programs.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use lease_blocking::proto::{
    successor,
    wire::{Lease, MicroTime, RawTime},
};
use serde_json::{Value, json};

use super::{
    duration, escape,
    output::{self, Phase},
};

/// What has become of a lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// It is the first that is heard of it.
    Found,
    Acquired,
    /// By another holder than the one before, who has not given it back.
    TakenOver {
        from: String,
    },
    /// By the same holder, so long after the last time.
    Renewed {
        after: Option<Duration>,
    },
    Released {
        by: String,
    },
    /// Its holder has not renewed it in time, by this machine's clock.
    Expired,
    /// Something else about it.
    Changed,
    Deleted,
}

impl Change {
    /// As it stands in JSON.
    fn name(&self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Acquired => "acquired",
            Self::TakenOver { .. } => "takenOver",
            Self::Renewed { .. } => "renewed",
            Self::Released { .. } => "released",
            Self::Expired => "expired",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }

    /// Tells what has become of one that was like this.
    fn between(before: &Lease, after: &Lease) -> Option<Self> {
        if before.metadata.resource_version == after.metadata.resource_version {
            return None;
        }
        // Deleted and made again between two looks.
        let is_another = before.metadata.uid != after.metadata.uid;
        let renewed = |lease: &Lease| lease.spec.renew_time.as_ref().and_then(|it| it.time());
        let change = match (
            before.spec.holder().filter(|_| !is_another),
            after.spec.holder(),
        ) {
            (None, Some(_)) => Self::Acquired,
            (Some(from), Some(by)) if from != by => Self::TakenOver {
                from: from.to_owned(),
            },
            (Some(by), None) => Self::Released { by: by.to_owned() },
            // Such as one that is not renewable, and that its last holder has acquired anew.
            (Some(_), Some(_)) if is_another_tenure(before, after) => Self::Acquired,
            (Some(_), Some(_)) if before.spec.renew_time != after.spec.renew_time => {
                let (earlier, later) = (renewed(before), renewed(after));
                let after = earlier
                    .zip(later)
                    .map(|(earlier, later)| later.saturating_since(earlier));
                Self::Renewed { after }
            }
            _ => Self::Changed,
        };
        Some(change)
    }
}

/// All leases that are watched, as they were last heard of.
#[derive(Debug, Default)]
pub(crate) struct Known {
    entries: BTreeMap<(String, String), Entry>,
    /// Whether all that there were at the beginning have been heard of.
    is_complete: bool,
}

#[derive(Debug)]
struct Entry {
    lease: Lease,
    /// Whether it was said that it has expired.
    has_expired: bool,
}

/// One line of output.
#[derive(Debug)]
pub(crate) struct News {
    change: Change,
    lease: Lease,
    at: MicroTime,
}

impl Known {
    /// Takes in a lease as it is; one that was not there at the beginning is new.
    pub(crate) fn note(&mut self, lease: Lease, at: MicroTime) -> Option<News> {
        let known = self.entries.get(&key(&lease));
        let change = match known {
            None if self.is_complete && lease.spec.holder().is_some() => Some(Change::Acquired),
            None => Some(Change::Found),
            Some(known) => Change::between(&known.lease, &lease),
        }?;
        let has_expired = output::phase(&lease) == Phase::Expired;
        let entry = Entry {
            lease: lease.clone(),
            has_expired,
        };
        self.entries.insert(key(&lease), entry);
        Some(News { change, lease, at })
    }

    /// Takes note that a lease is gone.
    pub(crate) fn forget(&mut self, lease: Lease, at: MicroTime) -> Option<News> {
        self.entries.remove(&key(&lease))?;
        let change = Change::Deleted;
        Some(News { change, lease, at })
    }

    /// Takes in all leases that there are; those that are not among them are gone.
    pub(crate) fn replace(&mut self, leases: Vec<Lease>, at: MicroTime) -> Vec<News> {
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(|(known, _)| !leases.iter().any(|lease| key(lease) == **known))
            .map(|(_, entry)| entry.lease.clone())
            .collect();
        let gone: Vec<_> = gone
            .into_iter()
            .filter_map(|lease| self.forget(lease, at))
            .collect();
        let there: Vec<_> = leases
            .into_iter()
            .filter_map(|lease| self.note(lease, at))
            .collect();
        let news = gone.into_iter().chain(there).collect();
        self.is_complete = true;
        news
    }

    /// Tells of those that have expired since they were heard of.
    pub(crate) fn expire(&mut self, at: MicroTime) -> Vec<News> {
        let due = self
            .entries
            .values_mut()
            .filter(|entry| !entry.has_expired && output::phase(&entry.lease) == Phase::Expired);
        due.map(|entry| {
            entry.has_expired = true;
            let (change, lease) = (Change::Expired, entry.lease.clone());
            News { change, lease, at }
        })
        .collect()
    }

    /// How long it is until the next one may expire.
    pub(crate) fn next_expiry(&self, now: MicroTime) -> Option<Duration> {
        let due = self.entries.values().filter(|entry| !entry.has_expired);
        due.filter_map(|entry| output::expires(&entry.lease))
            .min()
            .map(|at| at.saturating_since(now))
    }
}

impl News {
    /// For programs: one object on one line.
    pub(crate) fn object(&self) -> Value {
        json!({
            "time": self.at.to_string(),
            "change": self.change.name(),
            "lease": output::object(&self.lease),
        })
    }

    /// For people; with the namespace where there are several.
    pub(crate) fn line(&self, namespaced: bool) -> String {
        let Self { change, lease, at } = self;
        let name = &lease.metadata.name;
        let name = match namespaced {
            true => format!("{}/{name}", lease.metadata.namespace),
            false => name.clone(),
        };
        // Whole seconds are what people read.
        let at = at.to_string();
        let seconds = at
            .split_once('.')
            .map_or(at.as_str(), |(seconds, _)| seconds);
        escape::line(&format!(
            "{}Z  {name}  {}",
            seconds.trim_end_matches('Z'),
            Told { change, lease }
        ))
    }
}

/// A change in words.
struct Told<'a> {
    change: &'a Change,
    lease: &'a Lease,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = self.lease.spec.holder().unwrap_or("nobody");
        match self.change {
            Change::Found => match output::phase(self.lease) {
                Phase::Available => match successor(self.lease) {
                    Some(to) => write!(f, "is free, and left to {to}"),
                    None => f.write_str("is free"),
                },
                Phase::Held => write!(f, "is held by {holder}"),
                Phase::Expired => write!(f, "has expired; {holder} held it"),
            },
            Change::Acquired => write!(f, "acquired by {holder}"),
            Change::TakenOver { from } => write!(f, "taken over by {holder} from {from}"),
            Change::Renewed { after: Some(after) } => {
                write!(f, "renewed by {holder} after {}", rhythm(*after))
            }
            Change::Renewed { after: None } => write!(f, "renewed by {holder}"),
            Change::Released { by } => match successor(self.lease) {
                Some(to) => write!(f, "released by {by}, and left to {to}"),
                None => write!(f, "released by {by}"),
            },
            Change::Expired => write!(f, "expired: {holder} has not renewed it in time"),
            Change::Changed => f.write_str("changed"),
            Change::Deleted => match self.lease.spec.holder() {
                Some(holder) => write!(f, "deleted; {holder} held it"),
                None => f.write_str("deleted"),
            },
        }
    }
}

/// Returns whether a holder has begun anew, which is when it says that it has acquired the lease at another time than before.
fn is_another_tenure(before: &Lease, after: &Lease) -> bool {
    let acquired = |lease: &Lease| lease.spec.acquire_time.as_ref().and_then(RawTime::time);
    let times = acquired(before).zip(acquired(after));
    times.is_some_and(|(before, after)| before != after)
}

fn rhythm(pause: Duration) -> String {
    if pause < Duration::from_secs(60) {
        format!("{:.1}s", pause.as_secs_f64())
    } else {
        duration::show(pause)
    }
}

fn key(lease: &Lease) -> (String, String) {
    (
        lease.metadata.namespace.clone(),
        lease.metadata.name.clone(),
    )
}

/// What time it is, for lines.
pub(crate) fn now() -> MicroTime {
    MicroTime::from(SystemTime::now())
}
