//! Trying to acquire: looking at the record, judging it, waiting for it.

use std::time::Duration;

use super::{
    Claim, Want,
    event::{Event, Failure, GaveUp, Trouble},
    exchange::Ask,
    is_echo,
    observed::Verdict,
    state::{Campaign, CampaignStep, InFlight, Patience, Phase},
    waiting::Waiting,
    writes::Sent,
};
use crate::{
    call::{Answer, Call},
    notes,
    wire::{Lease, MicroTime},
};

impl Claim {
    pub(super) fn begin_campaign(&mut self, patience: Patience, resume: bool) {
        self.campaigns += 1;
        if let Some(candidacy) = &mut self.candidacy {
            candidacy.begin_anew();
        }
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
            trouble: None,
            told_collision: false,
            waits: false,
            let_in: None,
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
                if let Some(want) = self.hold_back() {
                    return want;
                }
                if let Some(pause) = self.until_another_time(wall) {
                    return Want::Wait(self.now + pause);
                }
                let (said, write) = self.taking(number, wall);
                Want::Send(Ask::Write(Box::new(said), Some(write)), deadline)
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
        if let Answer::Record { .. } | Answer::Absent | Answer::Conflict = answer {
            let campaign = campaign_of(&mut self.phase);
            campaign.trouble = None;
            if let Some(let_in) = &mut campaign.let_in {
                let_in.refused_since = None;
            }
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
            (Answer::Unauthorized(_), _) if !campaign_of(&mut self.phase).reloaded => {
                campaign_of(&mut self.phase).reloaded = true;
                self.reload_credentials = true;
            }
            (Answer::Unauthorized(refusal) | Answer::Refused(refusal), write) => {
                self.be_refused(refusal, write.is_some());
            }
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
        let is_of_this_campaign = |write: Sent| write.campaign == number && !write.confirmed;
        if is_named
            && !notes::is_renewable(&lease)
            && !self.own_write(&lease).is_some_and(is_of_this_campaign)
        {
            // Nobody takes it back, and whoever wants it again waits like all others.
            if resume {
                self.give_up(GaveUp::NotRenewable);
            } else {
                self.note_foreign(lease, false);
            }
            return;
        }
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
            self.observed.note(
                lease,
                (&self.config, &self.identity),
                self.now,
                self.clocks.wall(self.now),
            );
            self.give_up(GaveUp::NotHeld { holder });
        } else {
            self.note_foreign(lease, is_named);
        }
    }

    /// Takes note of a record that this claim did not write, and judges it.
    pub(super) fn note_foreign(&mut self, lease: Box<Lease>, is_named: bool) {
        let regressed = self.observed.note(
            lease,
            (&self.config, &self.identity),
            self.now,
            self.clocks.wall(self.now),
        );
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
                if let Some(candidacy) = &mut self.candidacy {
                    candidacy.taken();
                }
                if self.wait_for(waiting) {
                    self.keep_waiting();
                }
            }
        }
    }

    /// Takes note that it is to wait, and says for whom; returns whether it does, and has not given up.
    pub(super) fn wait_for(&mut self, waiting: Waiting) -> bool {
        let campaign = campaign_of(&mut self.phase);
        if campaign.patience == Patience::Once {
            self.give_up(GaveUp::Held(waiting));
            return false;
        }
        (campaign.told_failure, campaign.trouble, campaign.waits) = (None, None, true);
        campaign.let_in.get_or_insert_default();
        let told = Some((waiting.holder.clone(), waiting.precedence));
        // Whoever annotates the record says nothing of how our requests fare.
        if !self.watching.is_open() || campaign.told_holder != told {
            self.backoff.relax();
        }
        if campaign.told_holder != told {
            let event = match std::mem::replace(&mut campaign.told_holder, told) {
                None => Event::Waiting(waiting),
                Some(_) => Event::HolderChanged(waiting),
            };
            self.events.push_back(event);
        }
        true
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
        let now = self.now;
        let candidacy = self.candidacy.as_deref();
        if let Some(until) = candidacy.and_then(|it| it.held_back_until(now)) {
            // Whoever goes before it still does, whatever else was told of the record.
            let campaign = campaign_of(&mut self.phase);
            (campaign.step, campaign.at) = (CampaignStep::Write, until);
            return;
        }
        let pause = self.crowd.pause(&mut self.random);
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
        let wrote_at = self.writes.last_at();
        let is_another = self.observed.holder() != holder;
        let campaign = campaign_of(&mut self.phase);
        if let Some(since) = campaign
            .contested
            .filter(|since| *since <= now && is_another)
        {
            campaign.contested = None;
            let in_vain = wrote_at >= Some(since);
            self.crowd.lost(now - since, round_trip, in_vain);
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
    pub(super) fn look_again(&mut self, trouble: Trouble, pause: Option<Duration>) {
        campaign_of(&mut self.phase).step = CampaignStep::Read;
        self.retry(trouble, pause);
    }

    /// Tries the same step again after a failure.
    pub(super) fn retry(&mut self, trouble: Trouble, pause: Option<Duration>) {
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
        // Whoever waits looks once in a retry period while all is well: no more often while it is not.
        let period = self.config.retry_period;
        let longest = if campaign.waits {
            period * 3 / 2
        } else {
            period
        };
        let own = self.backoff.pause(longest, &mut self.random);
        campaign.at = self.now + own.max(asked);
        // Told again once that is over.
        campaign.told_holder = None;
        campaign.trouble = Some(Box::new(trouble.clone()));
        let at = campaign.at;
        self.events.push_back(Event::Retrying { trouble, at });
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
