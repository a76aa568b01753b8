//! The record as last seen, and what may be concluded from it about somebody else's lease.

use std::time::{Duration, Instant};

use super::waiting::{Precedence, Waiting};
use crate::{
    config::{CLOCK_DRIFT_PPM, Config, FIELD_MANAGER},
    notes::Reserve,
    wire::{Identity, Lease, MicroTime, RawTime},
};

/// What is added to a duration that is measured by two clocks: whole seconds, and what an exchange takes.
const MARGIN: Duration = Duration::from_secs(2);
/// What is added beside that for clocks that are a little wrong both, or a fifth of the duration where that is more.
const LEAST_MARGIN: Duration = Duration::from_secs(2);

/// The record as last seen.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Observed {
    /// The record, or `None` if it did not exist.
    lease: Option<Box<Lease>>,
    /// The lease of somebody else that has been watched last, whether or not its record still exists.
    foreign: Option<Box<Foreign>>,
    /// For whom the last holder has left the record.
    reserved: Option<Box<Reserved>>,
    /// The highest version seen, where versions are numbers; 0, which is none, before that.
    highest: u128,
    /// Whether the last version seen was lower than that.
    regressed: bool,
}

/// Somebody else's tenure, as far as it has been seen.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Foreign {
    uid: Option<String>,
    holder: String,
    acquire_time: Option<RawTime>,
    renew_time: Option<RawTime>,
    /// Tells tenures apart where a wall clock that stands still does not.
    transitions: Option<i64>,
    /// When this was first received: a record is at least as old as that.
    since: Instant,
    /// The longest duration that a record of this holder with these times has named.
    duration: Duration,
    /// When it is over by the clock, where its writer followed the rules that this takes.
    limit: Option<MicroTime>,
}

/// For whom a record is kept, and until when.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Reserved {
    reserve: Reserve,
    until: Instant,
    is_for_us: bool,
}

/// What may be done about a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It may be taken by a compare-and-swap on what was seen.
    Free,
    /// It may not, until then.
    Held(Waiting),
    /// It may not at all.
    Controlled(String),
}

impl Observed {
    /// Takes note of a record that somebody else wrote, where our wall clock shows `wall`.
    ///
    /// Returns whether the store was found to have gone back in time.
    pub(crate) fn note(
        &mut self,
        lease: Box<Lease>,
        (config, identity): (&Config, &Identity),
        now: Instant,
        wall: Option<MicroTime>,
    ) -> bool {
        let regressed = self.note_version(&lease, false);
        match lease.spec.holder() {
            Some(holder) => {
                let duration = named_duration(&lease, config);
                let limit = limit(&lease, duration, config);
                match &mut self.foreign {
                    // Annotations and labels change the version and not these, and a holder that is dead must not
                    // live on because somebody annotates its record.
                    Some(seen) if seen.is(&lease, holder) => {
                        if regressed {
                            seen.since = now;
                        }
                        seen.duration = seen.duration.max(duration);
                        seen.limit = seen.limit.zip(limit).map(|(seen, now)| seen.max(now));
                    }
                    seen => {
                        *seen = Some(Box::new(Foreign {
                            uid: lease.metadata.uid.clone(),
                            holder: holder.to_owned(),
                            acquire_time: lease.spec.acquire_time.clone(),
                            renew_time: lease.spec.renew_time.clone(),
                            transitions: lease.spec.lease_transitions,
                            since: now,
                            duration,
                            limit,
                        }));
                    }
                }
            }
            None => self.foreign = None,
        }
        self.note_reserve(&lease, (config, identity), now, wall);
        self.lease = Some(lease);
        regressed
    }

    /// Takes note of a record that this claim wrote.
    ///
    /// Returns whether the store was found to have gone back in time.
    pub(crate) fn note_own(&mut self, lease: Box<Lease>) -> bool {
        self.note_mine(lease, false)
    }

    /// Takes note of a record that this claim wrote, of which nothing was known before: its version is a new one.
    ///
    /// Returns whether the store was found to have gone back in time.
    pub(crate) fn note_new(&mut self, lease: Box<Lease>) -> bool {
        self.note_mine(lease, true)
    }

    fn note_mine(&mut self, lease: Box<Lease>, is_new: bool) -> bool {
        let regressed = self.note_version(&lease, is_new);
        (self.foreign, self.reserved) = (None, None);
        self.lease = Some(lease);
        regressed
    }

    /// Takes note of whom the record is left to.
    ///
    /// For how long is counted from now, or from when it was released if that was earlier by our wall clock, so that whoever
    /// comes long afterwards, and does not wait, gets it. A clock that is wrong is unfair and nothing worse.
    fn note_reserve(
        &mut self,
        lease: &Lease,
        (config, identity): (&Config, &Identity),
        now: Instant,
        wall: Option<MicroTime>,
    ) {
        match (&self.reserved, Reserve::read(lease)) {
            // Annotations and labels do not begin it anew.
            (Some(known), Some(reserve)) if known.reserve == reserve => {}
            (_, reserve) => {
                let released = lease.spec.renew_time.as_ref().and_then(|it| it.time());
                let since = released
                    .zip(wall)
                    .map(|(released, wall)| wall.saturating_since(released));
                let until = |it: &Reserve| {
                    let left = it.patience().saturating_sub(since.unwrap_or_default());
                    now + left
                };
                self.reserved = reserve.map(|reserve| {
                    Box::new(Reserved {
                        until: until(&reserve),
                        is_for_us: reserve.is_for(&config.identity, identity),
                        reserve,
                    })
                });
            }
        }
    }

    /// Takes note that there is no record.
    pub(crate) fn note_absent(&mut self) {
        self.lease = None;
    }

    /// Returns the record, if it existed when it was last looked at.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.as_deref()
    }

    /// Returns who held the Lease when it was last looked at.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.lease()?.spec.holder()
    }

    /// Judges the record, as it is known now, where it is `time` by the earlier of both clocks.
    pub(crate) fn verdict(&self, now: Instant, time: Option<MicroTime>) -> Verdict {
        // A store that went back shows what was long ago, and its holder renews what it shows.
        let time = time.filter(|_| !self.regressed);
        if let Some(lease) = self.lease() {
            if let Some(strategy) = lease.spec.strategy.as_ref().filter(|text| !text.is_empty()) {
                return Verdict::Controlled(strategy.clone());
            }
            if lease.spec.holder().is_none() {
                return match self.reserved_at(now) {
                    Some(reserved) if !reserved.is_for_us => Verdict::Held(Waiting {
                        holder: Some(reserved.reserve.to().to_owned()),
                        precedence: Precedence::IsLeftTo,
                        until: reserved.until,
                    }),
                    _ => Verdict::Free,
                };
            }
        }
        match &self.foreign {
            Some(foreign) if now < foreign.until(now, time) => Verdict::Held(Waiting {
                holder: self.lease.is_some().then(|| foreign.holder.clone()),
                precedence: Precedence::Holds,
                until: foreign.until(now, time),
            }),
            _ => Verdict::Free,
        }
    }

    /// Returns whether the record is left to us, and others hold back.
    pub(crate) fn is_left_to_us(&self, now: Instant) -> bool {
        self.reserved_at(now).is_some_and(|it| it.is_for_us)
    }

    fn reserved_at(&self, now: Instant) -> Option<&Reserved> {
        self.reserved.as_deref().filter(|it| now < it.until)
    }

    /// Returns whether a version tells of something that was not seen yet: a deletion may have the version of what it
    /// deletes.
    pub(crate) fn is_news(&self, version: u128, deleted: bool) -> bool {
        let highest = self.highest;
        let is_same = deleted && self.lease.is_some() && highest == version;
        is_same || highest < version
    }

    /// Returns the highest version seen.
    pub(crate) fn highest(&self) -> Option<u128> {
        Some(self.highest).filter(|highest| *highest > 0)
    }

    /// Returns whether the versions are numbers, as far as any have been seen.
    pub(crate) fn has_numbers(&self) -> bool {
        self.lease.is_none() || self.highest > 0
    }

    /// Returns whether versions have not yet passed the highest one seen.
    pub(crate) fn has_regressed(&self) -> bool {
        self.regressed
    }

    /// Returns whether the store is found to have gone back in time, and was not before.
    ///
    /// What is new has a higher version than all before, and the highest one is not passed by being reached again.
    fn note_version(&mut self, lease: &Lease, is_new: bool) -> bool {
        let version = lease.metadata.resource_version.as_ref();
        let Some(number) = version.and_then(|version| version.number()) else {
            return false;
        };
        let was = self.regressed;
        let highest = self.highest;
        self.regressed = number < highest || (number == highest && (was || is_new));
        self.highest = highest.max(number);
        self.regressed && !was
    }
}

impl Foreign {
    fn is(&self, lease: &Lease, holder: &str) -> bool {
        self.uid == lease.metadata.uid
            && self.holder == holder
            && self.acquire_time == lease.spec.acquire_time
            && self.renew_time == lease.spec.renew_time
            && self.transitions == lease.spec.lease_transitions
    }

    /// When it has certainly expired, by what was observed or by the clocks, whichever comes first.
    fn until(&self, now: Instant, time: Option<MicroTime>) -> Instant {
        // Its duration is its writer's, counted on a clock that may be slower than ours.
        let drift = self.duration.saturating_mul(CLOCK_DRIFT_PPM) / 1_000_000;
        let observed = self.since + self.duration.saturating_add(drift);
        let Some((limit, time)) = self.limit.zip(time) else {
            return observed;
        };
        // What is known of the other clocks grows more slowly than ours goes.
        let left = limit.saturating_since(time);
        let left = left.saturating_add(left.saturating_mul(4 * CLOCK_DRIFT_PPM) / 1_000_000);
        now.checked_add(left)
            .map_or(observed, |judged| observed.min(judged))
    }
}

/// When the time of whoever wrote `lease` is over by the clock, if it wrote the time by the rules (see `clocks`).
fn limit(lease: &Lease, duration: Duration, config: &Config) -> Option<MicroTime> {
    config
        .server_time
        .then(|| over_by_clocks(lease, duration))
        .flatten()
}

fn over_by_clocks(lease: &Lease, duration: Duration) -> Option<MicroTime> {
    if !lease.metadata.manages_renewals(FIELD_MANAGER) {
        return None;
    }
    let renewed = lease.spec.renew_time.as_ref()?.time()?;
    let margin = MARGIN + LEAST_MARGIN.max(duration / 5);
    Some(renewed.saturating_add(duration).saturating_add(margin))
}

/// When the time of a Lease's holder is over for good by the clocks of machines and API server, so that even a claimant that
/// has never seen it takes it at once; `None` where its record does not tell, and has to be watched for the duration it names.
///
/// To be shown: a claimant decides by more clocks than one.
pub fn over_for_newcomers(lease: &Lease) -> Option<MicroTime> {
    let named = u64::try_from(lease.spec.lease_duration_seconds?).ok()?;
    over_by_clocks(lease, Duration::from_secs(named))
}

/// The duration that the record names, or ours where it names none.
fn named_duration(lease: &Lease, config: &Config) -> Duration {
    let named = lease.spec.lease_duration_seconds.filter(|named| *named > 0);
    let named = named.map(|named| named.min(i64::from(i32::MAX)).unsigned_abs());
    named.map_or(config.lease_duration, Duration::from_secs)
}
