//! Holding: renewing in time, and knowing when it is over.

use std::time::{Duration, Instant};

use super::{
    Claim, Want,
    event::{Event, Loss, Trouble},
    exchange::Ask,
    is_echo, is_newer,
    state::{InFlight, Phase, Renewal, Tenure, TenureStep},
    writes::Sent,
};
use crate::{
    call::Answer,
    notes::{self, Changes, Parting},
    wire::{Lease, LeaseSpec, MicroTime},
};

impl Claim {
    pub(super) fn want_of_tenure(&mut self, wall: MicroTime) -> Want {
        if let Some(flight) = &self.in_flight {
            return Want::Wait(flight.deadline);
        }
        let Phase::Held(tenure) = &self.phase else {
            return Want::Again;
        };
        let deadline = self.now + self.timeout(tenure);
        if tenure.step == TenureStep::Renew && !self.config.renewable {
            // It ends with its duration, and is only looked at.
            return match tenure.verify {
                Some(at) if at <= self.now => Want::Send(Ask::Read, deadline),
                verify => Want::Wait(verify.unwrap_or(tenure.grant.valid_until)),
            };
        }
        if self.now < tenure.at {
            // A read that is due anyway will do, and a renewal that is due goes first.
            return match tenure.verify.filter(|_| tenure.step == TenureStep::Renew) {
                Some(at) if at <= self.now => Want::Send(Ask::Read, deadline),
                Some(at) => Want::Wait(at.min(tenure.at)),
                None => Want::Wait(tenure.at),
            };
        }
        match tenure.step {
            TenureStep::Read => Want::Send(Ask::Read, deadline),
            TenureStep::Renew => match self.renewal(wall) {
                Some((said, write)) => {
                    Want::Send(Ask::Write(Box::new(said), Some(write)), deadline)
                }
                None => {
                    tenure_of(&mut self.phase).step = TenureStep::Read;
                    Want::Again
                }
            },
        }
    }

    pub(super) fn settle_tenure(
        &mut self,
        flight: InFlight,
        answer: Answer,
        trouble: Trouble,
        pause: Option<Duration>,
    ) {
        if let Some(write) = flight.write.as_ref().filter(|_| answer.is_refusal()) {
            self.writes.withdraw(write);
        }
        let tenure = tenure_of(&mut self.phase);
        let is_look = flight.write.is_none() && tenure.step == TenureStep::Renew;
        match (answer, flight.write) {
            (Answer::Record { lease, .. }, None) => self.read_in_tenure(lease),
            (Answer::Absent, None) => self.lose(Loss::Deleted),
            (Answer::Record { lease, created }, Some(write)) => {
                let base = self.observed.lease();
                // A 201 means that the record had been deleted: whatever was made is another one.
                if !created && base.is_some() && is_echo(&lease, &write, self, base) {
                    self.observed.note_own(lease);
                    self.extend(write);
                } else if self.clamp(&lease) {
                    self.doubt(trouble, pause);
                }
            }
            (Answer::Conflict | Answer::Absent, Some(_)) => {
                tenure.step = TenureStep::Read;
                let longest = self.config.retry_period;
                tenure.at = self.now + self.backoff.pause_after_race(longest, &mut self.random);
                tenure.raced = true;
            }
            (Answer::Unauthorized(refusal), _) => {
                if tenure.reloaded {
                    self.retry_in_tenure(Trouble::Refused(refusal), None, is_look);
                } else {
                    tenure.reloaded = true;
                    self.reload_credentials = true;
                }
            }
            (Answer::Refused(refusal), _) => {
                self.retry_in_tenure(Trouble::Refused(refusal), None, is_look);
            }
            (Answer::Busy(pause), _) => self.retry_in_tenure(Trouble::Busy, pause, is_look),
            // Nothing was written by a read, so a renewal that is due does not wait for another one.
            (_, None) => self.retry_in_tenure(trouble, pause, is_look),
            (_, Some(_)) => self.doubt(trouble, pause),
        }
    }

    /// Ends the tenure.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.cancel();
        if self.now < tenure_of(&mut self.phase).grant.valid_until {
            // Somebody else has ended it, and may do so again.
            let longest = self.config.retry_period;
            let pause = self
                .backoff
                .pause_after_brief_tenure(longest, &mut self.random);
            let until = (!pause.is_zero()).then(|| self.now + pause);
            self.quiet_until = self.quiet_until.max(until);
        }
        self.events.push_back(Event::Lost(loss));
        self.phase = Phase::Idle;
    }

    /// When to renew what `write` earned.
    pub(super) fn renew_at(&self, write: &Sent) -> Instant {
        let length = self.config.grant_length();
        let latest = write.counts_from + length - length / 3;
        let at = (write.at + self.config.renew_interval).min(latest);
        at.max(self.earliest_renewal(write))
    }

    /// When to renew what the acquiring `write` earned: as always, or at any time up to then where many Leases may have
    /// been acquired at once, whose renewals should not come at once for ever after.
    pub(super) fn first_renewal(&mut self, write: &Sent) -> Instant {
        let at = self.renew_at(write);
        if !self.is_one_of_many {
            return at;
        }
        let earliest = self.earliest_renewal(write);
        let longest = at.saturating_duration_since(earliest);
        earliest + self.random.between(Duration::ZERO, longest)
    }

    /// Before when a renewal of what `write` earned would earn nothing: within the same second.
    fn earliest_renewal(&self, write: &Sent) -> Instant {
        if !self.config.whole_second_observers {
            return write.at;
        }
        let into_second = write
            .renew_time
            .as_micros()
            .rem_euclid(1_000_000)
            .unsigned_abs();
        write.at + Duration::from_micros(1_000_000 - into_second)
    }

    fn renewal(&mut self, wall: MicroTime) -> Option<((LeaseSpec, Changes), Sent)> {
        let lease = self.observed.lease()?;
        let mut spec = lease.spec.clone();
        let notes = if self.config.count_renewals {
            Changes::of_renewal(lease)
        } else {
            Changes::default()
        };
        let tenure = tenure_of(&mut self.phase);
        let transitions = tenure.grant.transitions;
        let renew_time = self.writes.next_time(wall, self.now);
        let write = Sent {
            acquire_time: tenure.last.acquire_time,
            renew_time: self.writes.unused(renew_time),
            at: self.now,
            counts_from: self.now,
            campaign: tenure.last.campaign,
            creates: false,
            confirmed: false,
            stands: false,
            refused: false,
        };
        let write = self.sign(&mut spec, write, transitions);
        Some(((spec, notes), write))
    }

    pub(super) fn read_in_tenure(&mut self, lease: Box<Lease>) {
        let tenure = tenure_of(&mut self.phase);
        let is_read_due = tenure.step == TenureStep::Read;
        let last_known = tenure.last.renew_time;
        if lease.metadata.uid.as_ref() != Some(&tenure.uid) {
            self.observed.note(
                lease,
                (&self.config, &self.identity),
                self.now,
                self.clocks.wall(self.now),
            );
            self.lose(Loss::Deleted);
            return;
        }
        let base = self.observed.lease();
        if base.is_some_and(|base| is_newer(base, &lease)) && has_numbers(&lease) {
            self.observed.note(
                lease,
                (&self.config, &self.identity),
                self.now,
                self.clocks.wall(self.now),
            );
            self.lose(Loss::StoreRegressed);
            return;
        }
        if let Some(write) = self.own_write(&lease) {
            self.writes.see(&write);
            if !self.clamp(&lease) {
                return;
            }
            // Observers believe what the record says: one that was shortened on its way in earns nothing, and is rewritten.
            let is_short = !self.names_enough(&lease);
            self.observed.note_own(lease);
            if is_short || write.renew_time == last_known {
                self.confirm_tenure(is_read_due || is_short);
            } else {
                self.extend(write);
                self.tell_verified();
            }
            return;
        }
        let is_ours = match lease.spec.holder() {
            // A late release by somebody else, who did not look whose Lease it was: nobody holds it now, so we may,
            // by compare-and-swap, while our grant lasts.
            None => true,
            Some(holder) => holder == self.identity.as_str() && self.config.reclaim_own_identity,
        };
        let is_lost = !self.config.renewable || self.was_passed_on(&lease);
        if is_ours && lease.spec.holder().is_none() && is_lost {
            self.observed.note(
                lease,
                (&self.config, &self.identity),
                self.now,
                self.clocks.wall(self.now),
            );
            self.lose(Loss::Cleared);
            return;
        }
        if is_ours {
            self.observed.note_own(lease);
            let tenure = tenure_of(&mut self.phase);
            (tenure.step, tenure.at) = (TenureStep::Renew, self.now);
            tenure.verify = tenure
                .verify
                .map(|at| at.max(self.now + Duration::from_millis(1)));
            return;
        }
        let by = lease.spec.holder().unwrap_or_default().to_owned();
        self.observed.note(
            lease,
            (&self.config, &self.identity),
            self.now,
            self.clocks.wall(self.now),
        );
        self.lose(if by == self.identity.as_str() {
            Loss::IdentityCollision
        } else {
            Loss::TakenOver { by }
        });
    }

    /// Returns whether somebody else has held the Lease since, if it is somebody else's release that a record shows.
    fn was_passed_on(&self, lease: &Lease) -> bool {
        let Phase::Held(tenure) = &self.phase else {
            return false;
        };
        let counted = lease.spec.lease_transitions.unwrap_or(0).max(0);
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        tenure.grant.transitions < counted || notes::successor(lease).is_some()
    }

    /// Ends the grant earlier if the record, as one of our writes has left it, has its observers wait for a shorter time
    /// than we published (hazard H15). Returns whether the Lease is still held.
    pub(super) fn clamp(&mut self, lease: &Lease) -> bool {
        let published = self.config.published_seconds();
        let named = lease.spec.lease_duration_seconds;
        let Some(seconds) = named.filter(|named| *named < published) else {
            return true;
        };
        let Some(write) = self.own_write(lease) else {
            return true;
        };
        let length = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let until = write.counts_from + self.config.grant_length_of(length);
        if until <= self.now {
            // Its version tells later whether the store has gone back.
            self.observed.note_own(Box::new(lease.clone()));
            self.lose(Loss::Expired);
            return false;
        }
        let tenure = tenure_of(&mut self.phase);
        if until < tenure.grant.valid_until {
            tenure.grant.valid_until = until;
            let trouble = Trouble::Shortened { seconds };
            tenure.told_trouble = true;
            self.events.push_back(Event::AtRisk { until, trouble });
        }
        true
    }

    /// Takes note that the record is still as we last knew it to be.
    fn confirm_tenure(&mut self, is_read_due: bool) {
        if self.yields() {
            return;
        }
        let tenure = tenure_of(&mut self.phase);
        tenure.reloaded = false;
        if is_read_due {
            tenure.step = TenureStep::Renew;
            tenure.at = self.now;
        }
        self.tell_verified();
    }

    /// Lengthens the grant by a write that is known to have been carried out.
    fn extend(&mut self, write: Sent) {
        self.writes.confirm(&write);
        let valid_until = write.counts_from + self.config.grant_length();
        let at = self.renew_at(&write);
        let tenure = tenure_of(&mut self.phase);
        tenure.last = Renewal::from(&write);
        (tenure.step, tenure.at) = (TenureStep::Renew, at);
        self.backoff.reset_all();
        tenure.raced = false;
        tenure.reloaded = false;
        tenure.last_try_made = false;
        if std::mem::take(&mut tenure.told_trouble) {
            self.events.push_back(Event::Recovered);
        }
        if tenure.grant.valid_until < valid_until {
            tenure.grant.valid_until = valid_until;
            self.events.push_back(Event::Renewed(tenure.grant));
        }
        self.yields();
    }

    /// Steps down if the controller that runs this Lease wants somebody else to hold it.
    pub(super) fn yields(&mut self) -> bool {
        let preferred = self
            .observed
            .lease()
            .and_then(|lease| lease.spec.preferred_holder.as_ref());
        let preferred = preferred.filter(|to| !to.is_empty() && *to != self.identity.as_str());
        let Some(to) = preferred.cloned() else {
            return false;
        };
        self.give_back(Loss::Yielded { to }, Parting::default());
        true
    }

    fn tell_verified(&mut self) {
        if let Phase::Held(tenure) = &mut self.phase
            && tenure.verify.take().is_some()
        {
            self.events.push_back(Event::Verified(tenure.grant));
        }
    }

    /// Looks at the record before anything else is written, since it is not known how it stands.
    fn doubt(&mut self, trouble: Trouble, pause: Option<Duration>) {
        tenure_of(&mut self.phase).step = TenureStep::Read;
        self.retry_in_tenure(trouble, pause, false);
    }
}

/// The tenure that the caller knows is under way.
pub(super) fn tenure_of(phase: &mut Phase) -> &mut Tenure {
    match phase {
        Phase::Held(tenure) => tenure,
        Phase::Idle | Phase::Campaign(_) | Phase::Release(_) => {
            unreachable!("only called while the Lease is held")
        }
    }
}

fn has_numbers(lease: &Lease) -> bool {
    let version = lease.metadata.resource_version.as_ref();
    version.is_some_and(|version| version.number().is_some())
}
