//! Who else waits, as far as lists have shown, and who of them goes before whom.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    candidate::{self, Candidate},
    config::LONGEST_CANDIDACY,
    wire::{Lease, LeaseName, MicroTime, RawTime, ResourceVersion},
};

/// What is added to what an announcement says before it counts as dead by the clocks.
const MARGIN: Duration = Duration::from_secs(2);
/// How many, of those that go first, are passed over one by one; all others at once.
const PASSED_OVER: usize = 8;
/// After how many of its durations an announcement is litter.
const LITTER: u32 = 4;

/// The announcements of others by their names.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Ranking(BTreeMap<String, Other>);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Other {
    /// What it says; `None` where somebody has edited it, so that it says nothing.
    candidate: Option<Candidate>,
    uid: Option<String>,
    version: Option<ResourceVersion>,
    /// Since when it has not changed, as far as is known.
    since: Instant,
    /// Whether it was dead by the clocks when it was first seen, and for so long that it was litter.
    is_dead: bool,
    is_litter: bool,
}

/// An announcement that was left behind, as it was seen.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Litter {
    pub(super) name: LeaseName,
    pub(super) uid: Option<String>,
    pub(super) version: Option<ResourceVersion>,
}

/// Who goes before a claimant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ahead {
    /// How long they are waited for, all together.
    pub(super) wait: Duration,
    /// Who is first of all.
    pub(super) first: String,
}

impl Ranking {
    /// Takes note of all that wait for a Lease of this name at `now`, where it is `time` by the earlier of both clocks.
    pub(super) fn note(
        &mut self,
        contested: &LeaseName,
        leases: Vec<Lease>,
        now: Instant,
        time: Option<MicroTime>,
    ) {
        let mut last = std::mem::take(&mut self.0);
        for lease in leases {
            let candidate = Candidate::read(&lease);
            if candidate.is_none() && !candidate::is_named(contested, &lease.metadata.name) {
                // Whatever that is, claimants do not make it.
                continue;
            }
            let renewed = lease.spec.renew_time.as_ref().and_then(RawTime::time);
            let duration = duration_of(candidate.as_ref());
            let meta = lease.metadata;
            let known = last
                .remove(&meta.name)
                .filter(|known| known.uid == meta.uid && known.version == meta.resource_version);
            let other = known.unwrap_or_else(|| Other {
                is_dead: is_over(renewed, duration, time),
                is_litter: is_over(renewed, duration * LITTER, time),
                candidate,
                uid: meta.uid,
                version: meta.resource_version,
                since: now,
            });
            self.0.insert(meta.name, other);
        }
    }

    /// Returns who of those that live goes before whoever is `own`, which is announced under that name, and has come at `came` as
    /// far as that is known; before somebody who is not announced goes everybody who is as important.
    pub(super) fn ahead_of(
        &self,
        own: (&str, &Candidate),
        came: Option<MicroTime>,
        now: Instant,
    ) -> Option<Ahead> {
        let (name, own) = own;
        let others = self.0.iter().filter(|(other, _)| *other != name);
        let alive = others.filter_map(|(_, it)| it.candidate.as_ref().filter(|_| it.lives(now)));
        let mut ahead: Vec<&Candidate> = alive.collect();
        let latest = ahead.iter().map(|it| it.since).chain(came).max()?;
        ahead.retain(|it| it.order(latest) < own.order(latest));
        ahead.sort_by(|a, b| a.order(latest).cmp(&b.order(latest)));
        let first = ahead.first()?.identity.clone();
        let one_by_one = ahead.iter().take(PASSED_OVER);
        Some(Ahead {
            wait: one_by_one.map(|it| it.duration).sum(),
            first,
        })
    }

    /// Returns an announcement that whoever made it has left behind.
    ///
    /// Whoever lists them cleans up, and nobody else: who does not go by priority has no reason to list, and may not be permitted
    /// to. So what the last one leaves that was killed stays until somebody waits by priority again.
    pub(super) fn litter(&self, now: Instant) -> Option<Litter> {
        let is_litter = |(_, it): &(&String, &Other)| {
            let duration = duration_of(it.candidate.as_ref());
            it.is_litter || it.since + duration * LITTER <= now
        };
        let (name, it) = self.0.iter().find(is_litter)?;
        Some(Litter {
            name: LeaseName::new(name.as_str()).ok()?,
            uid: it.uid.clone(),
            version: it.version.clone(),
        })
    }

    /// Forgets an announcement.
    pub(super) fn forget(&mut self, name: &LeaseName) {
        self.0.remove(name.as_str());
    }
}

impl Other {
    fn lives(&self, now: Instant) -> bool {
        !self.is_dead && now < self.since + duration_of(self.candidate.as_ref())
    }
}

fn duration_of(candidate: Option<&Candidate>) -> Duration {
    candidate.map_or(LONGEST_CANDIDACY, |it| it.duration)
}

/// Returns whether an announcement that was renewed then is older than that, and not only by a little.
fn is_over(renewed: Option<MicroTime>, age: Duration, time: Option<MicroTime>) -> bool {
    renewed
        .zip(time)
        .is_some_and(|(renewed, time)| renewed.saturating_add(age).saturating_add(MARGIN) < time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOON: &str = "2026-11-20T12:00:00.000000Z";

    fn announcement(name: &str, priority: &str) -> Lease {
        let value = json!({
            "metadata": {
                "name": name, "uid": name, "resourceVersion": "7",
                "labels": {"lease-proto/candidate-for": "leader"},
                "annotations": {"lease-proto/priority": priority, "lease-proto/since": NOON},
            },
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 5, "renewTime": NOON},
        });
        serde_json::from_value(value).unwrap()
    }

    /// What is buried of these, so many seconds after noon by the clocks and after so many since it was first listed.
    fn buried(names: &[&str], by_clocks: u64, watched: u64) -> Option<String> {
        let noon: MicroTime = NOON.parse().unwrap();
        let time = noon.saturating_add(Duration::from_secs(by_clocks));
        let leases = names.iter().map(|name| {
            let priority = if name.ends_with("edited") {
                "high"
            } else {
                "7"
            };
            announcement(name, priority)
        });
        let (mut ranking, start) = (Ranking::default(), some_instant());
        let contested = LeaseName::new("leader").unwrap();
        ranking.note(&contested, leases.collect(), start, Some(time));
        let litter = ranking.litter(start + Duration::from_secs(watched))?;
        Some(litter.name.to_string())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "where time begins does not matter"
    )]
    fn some_instant() -> Instant {
        Instant::now()
    }

    #[test]
    fn what_was_left_behind_long_ago_is_buried_by_whoever_lists_it_first() {
        let left = "leader-candidate-left";
        assert_eq!(buried(&[left], 3_600, 0).as_deref(), Some(left));
        // It may be that its clock is behind, or that it comes back.
        assert_eq!(buried(&[left], 21, 0), None);
        assert_eq!(buried(&[left], 0, 19), None);
        assert_eq!(buried(&[left], 0, 20).as_deref(), Some(left));
    }

    #[test]
    fn what_was_edited_until_it_says_nothing_is_buried_and_nothing_of_another_name() {
        let edited = "leader-candidate-edited";
        assert_eq!(buried(&[edited], 30, 30), None);
        assert_eq!(buried(&[edited], 30, 60).as_deref(), Some(edited));
        assert_eq!(buried(&[edited], 3_600, 0).as_deref(), Some(edited));
        assert_eq!(buried(&["theirs-edited"], 3_600, 3_600), None);
    }

    fn waiting(identity: &str, priority: i32, seconds: u64) -> Candidate {
        Candidate {
            identity: identity.to_owned(),
            priority,
            since: MicroTime::from_micros(0),
            renewed: None,
            duration: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn the_first_eight_are_waited_for_whatever_their_names() {
        let now = some_instant();
        let mut ranking = Ranking::default();
        for (name, candidate) in (1..=8)
            .map(|number| (format!("z-{number}"), waiting("early", 10, 1)))
            .chain([("a".to_owned(), waiting("late", 5, 15))])
        {
            let other = Other {
                candidate: Some(candidate),
                uid: None,
                version: None,
                since: now,
                is_dead: false,
                is_litter: false,
            };
            ranking.0.insert(name, other);
        }
        let own = waiting("me", 0, 1);
        let ahead = ranking.ahead_of(("me", &own), None, now);
        let expected = Ahead {
            wait: Duration::from_secs(8),
            first: "early".to_owned(),
        };
        assert_eq!(ahead, Some(expected));
    }
}
