//! Trying to acquire: looking at the record, judging it, taking it by compare-and-swap.

use std::time::Duration;

use super::{
    Ask, Claim, Want,
    event::{Event, Failure, FencingToken, GaveUp, Grant, Trouble, Waiting},
    is_echo,
    observed::Verdict,
    state::{Campaign, CampaignStep, InFlight, Patience, Phase, Renewal, Tenure, TenureStep},
    writes::Sent,
};
use crate::{
    call::{Answer, Call},
    wire::{Lease, LeaseSpec, MicroTime},
};

impl Claim {
    pub(super) fn begin_campaign(&mut self, patience: Patience, resume: bool) {
        self.campaigns += 1;
        self.phase = Phase::Campaign(Campaign {
            number: self.campaigns,
            patience,
            resume,
            step: CampaignStep::Read,
            at: self.now,
            retries_left: self.config.acquire_retries,
            reloaded: false,
            told_holder: None,
            told_failure: None,
            told_collision: false,
            waits: false,
            contested: None,
            awaits_news: false,
            makes_room_until: None,
        });
    }

    pub(super) fn want_of_campaign(&mut self, wall: MicroTime) -> Want {
        if let Some(flight) = &self.in_flight {
            return Want::Wait(flight.deadline);
        }
        let Phase::Campaign(campaign) = &mut self.phase else {
            return Want::Again;
        };
        let at = self
            .quiet_until
            .map_or(campaign.at, |quiet| quiet.max(campaign.at));
        if self.now < at {
            return Want::Wait(at);
        }
        let deadline = self.now + self.config.request_timeout;
        let deadline = match campaign.patience {
            Patience::Until(until) => deadline.min(until),
            Patience::Once | Patience::Forever => deadline,
        };
        match campaign.step {
            CampaignStep::Read => {
                if campaign.awaits_news {
                    campaign.awaits_news = false;
                    // Somebody was faster, and the stream does not say who.
                    self.doubt_stream();
                    campaign_of(&mut self.phase).at = self.now;
                    return Want::Again;
                }
                Want::Send(Ask::Read, deadline)
            }
            CampaignStep::Write => {
                let number = campaign.number;
                if !self.may_take() {
                    // The wall clock was set back since it was judged, or it has to be judged anew.
                    self.act_on_verdict();
                    return Want::Again;
                }
                let (spec, write) = self.taking(number, wall);
                Want::Send(Ask::Write(Box::new(spec), Some(write)), deadline)
            }
        }
    }

    pub(super) fn settle_campaign(
        &mut self,
        flight: InFlight,
        answer: Answer,
        trouble: Trouble,
        pause: Option<Duration>,
    ) {
        if let Some(write) = flight.write.as_ref().filter(|_| answer.is_refusal()) {
            self.writes.withdraw(write);
        }
        match (answer, flight.write) {
            (Answer::Record { lease, .. }, None) => self.read_in_campaign(lease),
            (Answer::Absent, None) => {
                self.watching.catch_up();
                self.absent_in_campaign();
            }
            (Answer::Record { lease, created }, Some(write)) => {
                let is_create = flight.call == Call::Create;
                let base = self.observed.lease().filter(|_| !is_create);
                if created == is_create && is_echo(&lease, &write, self, base) {
                    let regressed = self.observed.note_new(lease);
                    self.tell_regression(regressed);
                    self.hold(write);
                } else {
                    self.look_again(trouble, pause);
                }
            }
            (Answer::Conflict | Answer::Absent, Some(_)) => self.lose_race(),
            (Answer::Unauthorized(refusal), _) => {
                let campaign = campaign_of(&mut self.phase);
                if campaign.reloaded {
                    self.fail(Failure::Refused(refusal));
                } else {
                    campaign.reloaded = true;
                    self.reload_credentials = true;
                }
            }
            (Answer::Refused(refusal), _) => self.fail(Failure::Refused(refusal)),
            (Answer::Busy(pause), _) => self.retry(Trouble::Busy, pause),
            (Answer::Conflict | Answer::Unclear | Answer::Deleted, _) => {
                self.look_again(trouble, pause);
            }
        }
    }

    /// Ends the campaign without success.
    pub(super) fn give_up(&mut self, why: GaveUp) {
        let Phase::Campaign(campaign) = &self.phase else {
            return;
        };
        let number = campaign.number;
        self.cancel();
        self.events.push_back(Event::GaveUp(why));
        self.phase = Phase::Idle;
        if self.writes.has_unanswered(number) {
            self.undo();
        }
    }

    fn read_in_campaign(&mut self, lease: Box<Lease>) {
        let campaign = campaign_of(&mut self.phase);
        campaign.reloaded = false;
        let (number, resume) = (campaign.number, campaign.resume);
        let is_named = lease.spec.holder() == Some(self.identity.as_str());
        if let Some(write) = self.own_write(&lease) {
            self.writes.see(&write);
            // The record of a tenure that is over is ours, and still no grant: what it says was for that tenure.
            // Nor is a write whose grant would have ended by now, or whose duration was shortened on its way in.
            let is_grant = write.campaign == number
                && !write.confirmed
                && self.names_enough(&lease)
                && self.now < write.counts_from + self.config.grant_length();
            let regressed = if is_grant {
                self.observed.note_new(lease)
            } else {
                self.observed.note_own(lease)
            };
            self.tell_regression(regressed);
            if is_grant {
                self.hold(write);
            } else {
                self.take_back();
            }
        } else if is_named && self.config.reclaim_own_identity {
            let regressed = self.observed.note_own(lease);
            self.tell_regression(regressed);
            self.take_back();
        } else if resume {
            let holder = lease.spec.holder().map(str::to_owned);
            self.observed.note(lease, &self.config, self.now);
            self.give_up(GaveUp::NotHeld { holder });
        } else {
            self.note_foreign(lease, is_named);
        }
    }

    /// Takes note of a record that this claim did not write, and judges it.
    pub(super) fn note_foreign(&mut self, lease: Box<Lease>, is_named: bool) {
        let regressed = self.observed.note(lease, &self.config, self.now);
        self.tell_regression(regressed);
        // A store that went back may show a record of ours from long ago.
        let may_be_ours = self.observed.has_regressed();
        let campaign = campaign_of(&mut self.phase);
        if is_named && !may_be_ours && !campaign.told_collision {
            campaign.told_collision = true;
            self.events.push_back(Event::IdentityCollision);
        }
        self.act_on_verdict();
    }

    fn absent_in_campaign(&mut self) {
        let campaign = campaign_of(&mut self.phase);
        campaign.reloaded = false;
        self.observed.note_absent();
        if campaign.resume {
            self.give_up(GaveUp::NotHeld { holder: None });
        } else {
            self.act_on_verdict();
        }
    }

    pub(super) fn act_on_verdict(&mut self) {
        match self.verdict() {
            Verdict::Free if self.watching.is_open() => self.contend(),
            Verdict::Free => self.step_to_write(),
            Verdict::Controlled(strategy) => self.fail(Failure::Controlled { strategy }),
            Verdict::Held(waiting) => {
                let campaign = campaign_of(&mut self.phase);
                if campaign.patience == Patience::Once {
                    self.give_up(GaveUp::Held(waiting));
                    return;
                }
                self.backoff.relax();
                campaign.told_failure = None;
                campaign.waits = true;
                match &campaign.told_holder {
                    None => {
                        campaign.told_holder = Some(waiting.holder.clone());
                        self.events.push_back(Event::Waiting(waiting));
                    }
                    Some(holder) if *holder != waiting.holder => {
                        campaign.told_holder = Some(waiting.holder.clone());
                        self.events.push_back(Event::HolderChanged(waiting));
                    }
                    Some(_) => {}
                }
                self.keep_waiting();
            }
        }
    }

    /// Waits until the holder's time is over, or until it is time to look at the record.
    pub(super) fn keep_waiting(&mut self) {
        let Verdict::Held(Waiting { until, .. }) = self.verdict() else {
            return;
        };
        let (step, at) = if self.watching.is_open() {
            // Whatever happens is told, so all that there is to wait for is the end.
            (
                CampaignStep::Write,
                until + self.crowd.pause(&mut self.random),
            )
        } else {
            let look = self.now + self.random.around(self.config.retry_period);
            // When its time is over the record is looked at once more: somebody else may have taken it, and of a thousand
            // that wait half would write over that in vain.
            (CampaignStep::Read, look.min(until))
        };
        let is_told = self.watching.is_open();
        let campaign = campaign_of(&mut self.phase);
        (campaign.step, campaign.at) = (step, at);
        campaign.contested = is_told.then_some(until);
    }

    /// Takes what the stream told to be free, after a pause, since others will have been told as well.
    fn contend(&mut self) {
        let pause = self.crowd.pause(&mut self.random);
        let now = self.now;
        let campaign = campaign_of(&mut self.phase);
        let is_pausing = campaign.step == CampaignStep::Write
            && campaign.contested.is_some_and(|since| since <= now);
        campaign.waits = false;
        if !is_pausing {
            let at = campaign.makes_room_until.max(Some(now + pause));
            (campaign.step, campaign.at) = (CampaignStep::Write, at.unwrap_or(now));
            campaign.contested = Some(now);
        }
    }

    /// Takes note that somebody else has the Lease, and how soon that was after it was free.
    pub(super) fn notice_winner(&mut self, holder: Option<&str>) {
        let (now, round_trip) = (self.now, self.round_trip);
        let is_another = self.observed.holder() != holder;
        let campaign = campaign_of(&mut self.phase);
        if let Some(since) = campaign
            .contested
            .filter(|since| *since <= now && is_another)
        {
            campaign.contested = None;
            self.crowd.lost(now - since, round_trip);
        }
    }

    /// Takes what is this claim's own already, unless a controller runs it by now.
    fn take_back(&mut self) {
        if matches!(self.verdict(), Verdict::Controlled(_)) {
            self.act_on_verdict();
        } else {
            self.step_to_write();
        }
    }

    fn step_to_write(&mut self) {
        let campaign = campaign_of(&mut self.phase);
        (campaign.step, campaign.at) = (CampaignStep::Write, self.now);
        campaign.waits = false;
    }

    pub(super) fn campaign(&mut self) -> &mut Campaign {
        campaign_of(&mut self.phase)
    }

    /// Returns whether the record as last seen may be rewritten now.
    fn may_take(&self) -> bool {
        let is_own = self.observed.lease().is_some_and(|lease| {
            self.own_write(lease).is_some()
                || (self.config.reclaim_own_identity
                    && lease.spec.holder() == Some(self.identity.as_str()))
        });
        is_own || self.verdict() == Verdict::Free
    }

    /// Makes the record that says that we hold the Lease.
    fn taking(&mut self, campaign: u64, wall: MicroTime) -> (LeaseSpec, Sent) {
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
        let time = |time: &Option<crate::wire::RawTime>| time.as_ref().and_then(|time| time.time());
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
        let acquire_time = time(&spec.acquire_time).filter(|_| is_reclaimed);
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
        (spec, write)
    }

    /// Begins a tenure with a write that is known to have made the record what it was last seen to be.
    fn hold(&mut self, write: Sent) {
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
        self.writes.confirm(&write);
        self.backoff.reset();
        let at = self.first_renewal(&write);
        self.phase = Phase::Held(Tenure {
            grant,
            uid,
            at,
            last: Renewal::from(&write),
            step: TenureStep::Renew,
            told_trouble: false,
            reloaded: false,
            verify: None,
            last_try_made: false,
        });
        self.events.push_back(Event::Acquired(grant));
    }

    fn lose_race(&mut self) {
        let campaign = campaign_of(&mut self.phase);
        campaign.step = CampaignStep::Read;
        if campaign.patience == Patience::Once {
            if campaign.retries_left == 0 {
                self.give_up(GaveUp::Outrun);
                return;
            }
            campaign.retries_left -= 1;
        }
        if self.watching.is_open() {
            // The stream will tell who was faster.
            let longest = self.config.retry_period;
            let look = self.now + self.random.around(longest);
            let room = self.backoff.pause_after_race(longest, &mut self.random);
            let campaign = campaign_of(&mut self.phase);
            (campaign.at, campaign.awaits_news) = (look, true);
            campaign.makes_room_until = Some(self.now + room);
            return;
        }
        let delay = self.config.acquire_retry_delay;
        let delay = self.random.between(delay / 2, delay * 3 / 2);
        let longest = self.config.retry_period;
        let widened = self.backoff.pause_after_race(longest, &mut self.random);
        campaign.at = self.now + delay.max(widened);
    }

    /// Tries again after a failure that leaves open whether something was written.
    fn look_again(&mut self, trouble: Trouble, pause: Option<Duration>) {
        campaign_of(&mut self.phase).step = CampaignStep::Read;
        self.retry(trouble, pause);
    }

    /// Tries the same step again after a failure.
    fn retry(&mut self, trouble: Trouble, pause: Option<Duration>) {
        let campaign = campaign_of(&mut self.phase);
        // Longer than a lease lasts is nobody's intention, and would leave it to whoever did not ask.
        let asked = pause.unwrap_or_default().min(self.config.lease_duration);
        if campaign.patience == Patience::Once {
            if campaign.retries_left == 0 || asked > self.config.retry_period {
                self.give_up(GaveUp::Trouble(trouble));
                return;
            }
            campaign.retries_left -= 1;
        }
        let own = self
            .backoff
            .pause(self.config.retry_period, &mut self.random);
        campaign.at = self.now + own.max(asked);
        // Told again once that is over.
        campaign.told_holder = None;
        let at = campaign.at;
        self.events.push_back(Event::Retrying { trouble, at });
    }

    /// Takes note that trying again will not help, and tries again all the same unless it was to be once.
    fn fail(&mut self, failure: Failure) {
        let campaign = campaign_of(&mut self.phase);
        if campaign.patience == Patience::Once {
            self.give_up(GaveUp::Failed(failure));
            return;
        }
        campaign.step = CampaignStep::Read;
        // Told again once that is over.
        campaign.told_holder = None;
        let longest = self.config.retry_period * 4;
        campaign.at = self.now + self.backoff.pause(longest, &mut self.random);
        if campaign.told_failure.as_deref() != Some(&failure) {
            campaign.told_failure = Some(Box::new(failure.clone()));
            self.events.push_back(Event::Failed(failure));
        }
    }

    fn tell_regression(&mut self, regressed: bool) {
        if regressed {
            self.watching.forget();
            self.events.push_back(Event::StoreRegressed);
        }
    }
}

/// The campaign that the caller knows is under way.
fn campaign_of(phase: &mut Phase) -> &mut Campaign {
    match phase {
        Phase::Campaign(campaign) => campaign,
        Phase::Idle | Phase::Held(_) | Phase::Release(_) => {
            unreachable!("only called while the Lease is wanted")
        }
    }
}
