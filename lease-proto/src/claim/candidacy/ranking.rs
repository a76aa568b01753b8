//! Who else waits, as far as lists have shown, and who of them goes before whom.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    candidate::Candidate,
    wire::{Lease, LeaseName, MicroTime, ResourceVersion},
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
    candidate: Candidate,
    uid: Option<String>,
    version: Option<ResourceVersion>,
    /// Since when it has not changed, as far as is known.
    since: Instant,
    /// Whether it was dead by the clocks when it was first seen.
    is_dead: bool,
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
    /// Takes note of all that wait at `now`, where it is `time` by the earlier of both clocks.
    pub(super) fn note(&mut self, leases: Vec<Lease>, now: Instant, time: Option<MicroTime>) {
        let mut last = std::mem::take(&mut self.0);
        for lease in leases {
            let Some(candidate) = Candidate::read(&lease) else {
                continue;
            };
            let meta = lease.metadata;
            let known = last
                .remove(&meta.name)
                .filter(|known| known.uid == meta.uid && known.version == meta.resource_version);
            let other = known.unwrap_or_else(|| Other {
                is_dead: is_over(&candidate, time),
                candidate,
                uid: meta.uid,
                version: meta.resource_version,
                since: now,
            });
            self.0.insert(meta.name, other);
        }
    }

    /// Returns who of those that live goes before whoever is `own`, which is announced under that name; before somebody who is
    /// not announced goes everybody who is as important.
    pub(super) fn ahead_of(&self, own: (&str, &Candidate), now: Instant) -> Option<Ahead> {
        let (name, own) = own;
        let goes_first = |(other, it): &(&String, &Other)| {
            *other != name && it.lives(now) && it.candidate.order() < own.order()
        };
        let ahead = self.0.iter().filter(goes_first);
        let mut ahead: Vec<&Candidate> = ahead.map(|(_, it)| &it.candidate).collect();
        ahead.sort_by(|a, b| a.order().cmp(&b.order()));
        let first = ahead.first()?.identity.clone();
        let one_by_one = ahead.iter().take(PASSED_OVER);
        Some(Ahead {
            wait: one_by_one.map(|it| it.duration).sum(),
            first,
        })
    }

    /// Returns an announcement that whoever made it has left behind.
    pub(super) fn litter(&self, now: Instant) -> Option<Litter> {
        let is_litter =
            |(_, it): &(&String, &Other)| it.since + it.candidate.duration * LITTER <= now;
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
        !self.is_dead && now < self.since + self.candidate.duration
    }
}

/// Returns whether a candidate has not renewed its announcement for so long that it will not.
fn is_over(candidate: &Candidate, time: Option<MicroTime>) -> bool {
    let renewed = candidate.renewed.zip(time);
    renewed.is_some_and(|(renewed, time)| {
        renewed
            .saturating_add(candidate.duration)
            .saturating_add(MARGIN)
            < time
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant"
    )]
    fn the_first_eight_are_waited_for_whatever_their_names() {
        let now = Instant::now();
        let mut ranking = Ranking::default();
        for (name, candidate) in (1..=8)
            .map(|number| (format!("z-{number}"), waiting("early", 10, 1)))
            .chain([("a".to_owned(), waiting("late", 5, 15))])
        {
            let other = Other {
                candidate,
                uid: None,
                version: None,
                since: now,
                is_dead: false,
            };
            ranking.0.insert(name, other);
        }
        let own = waiting("me", 0, 1);
        let ahead = ranking.ahead_of(("me", &own), now);
        let expected = Ahead {
            wait: Duration::from_secs(8),
            first: "early".to_owned(),
        };
        assert_eq!(ahead, Some(expected));
    }
}
