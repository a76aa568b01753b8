//! Taking the Lease: whether it may be, what the write says, and the tenure that begins by it.

use std::time::Duration;

use super::{
    Claim,
    event::{Event, Trouble},
    grant::{FencingToken, Grant},
    observed::Verdict,
    state::{Campaign, Phase, Renewal, Tenure, TenureStep},
    writes::Sent,
};
use crate::{
    notes::{self, Changes},
    wire::{LeaseSpec, MicroTime, RawTime},
};

/// How far a time may be ahead of what both clocks show now, without either having been set back.
const AHEAD: Duration = Duration::from_secs(2);

impl Claim {
    /// Returns whether the record as last seen may be rewritten now.
    pub(super) fn may_take(&self) -> bool {
        let is_own = self.observed.lease().is_some_and(|lease| {
            self.own_write(lease).is_some()
                || (self.config.reclaim_own_identity
                    && lease.spec.holder() == Some(self.identity.as_str()))
        });
        is_own || self.verdict() == Verdict::Free
    }

    /// Returns how long it is until what another process of the same identity has written can be given a later time.
    ///
    /// The later of both clocks may be ahead by what the server's leaves open, which tells whole seconds; that much passes
    /// soon. What is further ahead was written before a wall clock was set back, and is not waited for.
    pub(super) fn until_another_time(&self, wall: MicroTime) -> Option<Duration> {
        let lease = self.observed.lease()?;
        let is_reclaimed = self.config.reclaim_own_identity
            && lease.spec.holder() == Some(self.identity.as_str())
            && self.own_write(lease).is_none();
        let last = lease.spec.renew_time.as_ref().filter(|_| is_reclaimed)?;
        let last = last.time().filter(|last| wall <= *last)?;
        let ahead = last.saturating_since(wall);
        (ahead <= AHEAD).then(|| ahead + Duration::from_millis(1))
    }

    /// Makes the record that says that we hold the Lease.
    pub(super) fn taking(
        &mut self,
        campaign: u64,
        wall: MicroTime,
    ) -> ((LeaseSpec, Changes), Sent) {
        let seen = self.observed.lease();
        let creates = seen.is_none();
        let is_own = seen.is_some_and(|lease| self.own_write(lease).is_some());
        let mut spec = seen.map(|lease| lease.spec.clone()).unwrap_or_default();
        let is_named = spec.holder() == Some(self.identity.as_str());
        let is_reclaimed = is_named && self.config.reclaim_own_identity && !is_own;
        let is_same_holder = is_reclaimed || is_own;
        let counted = spec.lease_transitions.unwrap_or(0).max(0);
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        let transitions = match (creates, is_same_holder) {
            (true, _) => 0,
            (false, true) => counted,
            (false, false) => counted.saturating_add(1).min(i32::MAX.unsigned_abs()),
        };
        // A process that resumes what another one of the same identity has acquired renews it, unless that could not be renewed.
        let resumed = seen.filter(|lease| is_reclaimed && notes::is_renewable(lease));
        let counted = || match resumed {
            Some(lease) => notes::renewals(lease).unwrap_or(0) + 1,
            None => 0,
        };
        let counted = self.config.count_renewals.then(counted);
        let notes = Changes::of_taking(seen, self.config.renewable, counted);
        let time = |time: &Option<RawTime>| time.as_ref().and_then(RawTime::time);
        let last_renewal = time(&spec.renew_time).filter(|_| is_reclaimed);
        let at_least = match last_renewal {
            // The wall clock was set back since, so it does not tell how old that second is: another one is begun.
            Some(last) if last >= wall => last.saturating_add(Duration::from_secs(1)),
            _ => wall,
        };
        let renew_time = self.writes.next_time(wall, self.now).max(at_least);
        let mut renew_time = self.writes.unused(renew_time);
        if time(&spec.renew_time) == Some(renew_time) {
            // Where the wall clock stands still, a release has written this time already.
            let later = renew_time.saturating_add(Duration::from_micros(1));
            renew_time = self.writes.unused(later);
        }
        let acquire_time = time(&spec.acquire_time).filter(|_| resumed.is_some());
        // Another process wrote the last renewal. If that was in this same second, observers that see whole seconds may
        // have counted since its beginning.
        let is_same_second = last_renewal.is_some_and(|last| last.second() == renew_time.second());
        let earlier = Duration::from_secs(u64::from(
            is_same_second && self.config.whole_second_observers,
        ));
        let write = Sent {
            acquire_time: acquire_time.unwrap_or(renew_time),
            renew_time,
            at: self.now,
            counts_from: self.now.checked_sub(earlier).unwrap_or(self.now),
            campaign,
            creates,
            confirmed: false,
            stands: false,
            refused: false,
        };
        let write = self.sign(&mut spec, write, transitions);
        ((spec, notes), write)
    }

    /// Begins a tenure with a write that is known to have made the record what it was last seen to be.
    pub(super) fn hold(&mut self, write: Sent) {
        let Some(lease) = self.observed.lease() else {
            return;
        };
        let meta = &lease.metadata;
        let valid_until = write.counts_from + self.config.grant_length();
        if valid_until <= self.now {
            self.look_again(Trouble::NoAnswer, None);
            return;
        }
        let version = meta
            .resource_version
            .as_ref()
            .and_then(|version| version.number());
        let counted = lease.spec.lease_transitions.unwrap_or(0).max(0);
        let grant = Grant {
            valid_until,
            token: version
                .filter(|_| !self.observed.has_regressed())
                .and_then(FencingToken::new),
            transitions: u32::try_from(counted).unwrap_or(u32::MAX),
        };
        let uid = meta.uid.clone().unwrap_or_default();
        if let Phase::Campaign(Campaign {
            contested: Some(_), ..
        }) = &self.phase
        {
            self.crowd.won();
        }
        if let Some(candidacy) = &mut self.candidacy {
            candidacy.acquired();
        }
        self.writes.confirm(&write);
        self.backoff.reset();
        let at = self.first_renewal(&write);
        self.phase = Phase::Held(Tenure {
            grant,
            uid,
            at,
            last: Renewal::from(&write),
            step: TenureStep::Renew,
            raced: false,
            told_trouble: false,
            reloaded: false,
            verify: None,
            last_try_made: false,
        });
        self.events.push_back(Event::Acquired(grant));
    }
}
