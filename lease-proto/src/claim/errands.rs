//! What waiting by priority asks for, beside the requests for the Lease itself, which always go first.

use std::time::Instant;

use http::Response;

use super::{
    Claim, Want,
    budget::Budget,
    candidacy::{Errand, Outcome, Turn},
    event::Event,
    observed::Verdict,
    state::{CampaignStep, Patience, Phase, TenureStep},
    waiting::{Precedence, Waiting},
};
use crate::{
    call::{Request, RequestId},
    headers,
    refusal::Verb,
    wire::MicroTime,
};

impl Claim {
    /// Has what is under way give way to a request for the Lease itself, if there is one to be sent. Returns whether it has.
    pub(super) fn give_way(&mut self) -> bool {
        let is_due = self.is_due();
        let now = self.now;
        let Some(candidacy) = self.candidacy.as_deref_mut() else {
            return false;
        };
        if !is_due || candidacy.under_way().is_none() {
            return false;
        }
        match (&mut self.phase, candidacy.turn_by(now)) {
            // That is what it waits for.
            (Phase::Campaign(campaign), Some(by)) if campaign.step == CampaignStep::Write => {
                campaign.at = by;
            }
            _ => self.cancelled.extend(candidacy.drop_errand()),
        }
        true
    }

    /// Adds to what a state wants what waiting by priority does.
    pub(super) fn with_errands(&self, want: Want) -> Want {
        let Some(candidacy) = self.candidacy.as_deref() else {
            return want;
        };
        let until = match want {
            Want::Wait(until) => Some(until),
            Want::Nothing => None,
            Want::Send(..) | Want::Run(..) | Want::Again => return want,
        };
        let next = match self.next_errand() {
            Some((at, errand)) if at <= self.now => {
                let patience = self.config.request_timeout;
                let patience = patience.min(self.config.candidate_duration() / 2);
                return Want::Run(errand, self.now + patience);
            }
            Some((at, _)) => Some(at),
            None => candidacy.under_way().map(|it| it.deadline),
        };
        let ends = [until, next];
        ends.into_iter()
            .flatten()
            .min()
            .map_or(Want::Nothing, Want::Wait)
    }

    /// Returns what is to be asked for next, and when.
    pub(super) fn next_errand(&self) -> Option<(Instant, Errand)> {
        let candidacy = self.candidacy.as_deref()?;
        let is_urgent = match &self.phase {
            Phase::Held(tenure) => tenure.told_trouble || tenure.step == TenureStep::Read,
            Phase::Release(_) => true,
            Phase::Idle | Phase::Campaign(_) => false,
        };
        if is_urgent {
            // What may be answered by a pause is not asked while renewals fail, or before a release has come to its end.
            return None;
        }
        let (stands, begins) = self.stands();
        let (at, errand) = candidacy.next(stands, begins, self.now)?;
        let interval = Budget::interval(&self.config);
        let opens_at = candidacy.budget.opens_at(self.now, 1, interval);
        let at = [self.quiet_until, opens_at]
            .into_iter()
            .flatten()
            .fold(at, Instant::max);
        self.in_flight.is_none().then_some((at, errand))
    }

    /// Returns whether it waits, and whether for somebody, so that it is worth an announcement.
    fn stands(&self) -> (bool, bool) {
        match &self.phase {
            Phase::Campaign(campaign) if !campaign.resume => {
                (true, campaign.waits && campaign.patience != Patience::Once)
            }
            Phase::Idle | Phase::Campaign(_) | Phase::Held(_) | Phase::Release(_) => (false, false),
        }
    }

    /// Renders an errand.
    pub(super) fn run_errand(
        &mut self,
        errand: Errand,
        wall: MicroTime,
        deadline: Instant,
    ) -> Option<Request> {
        let id = self.number();
        let (config, identity) = (&self.config, &self.identity);
        let candidacy = self.candidacy.as_deref_mut()?;
        candidacy.budget.spend(Budget::interval(config));
        let times = (self.now, deadline);
        let http = candidacy.begin((id, errand), (config, identity), times, wall);
        Some(Request {
            id,
            deadline,
            reload_credentials: std::mem::take(&mut self.reload_credentials),
            is_stream: false,
            http,
        })
    }

    /// Returns the errand whose outcome is awaited.
    pub(super) fn errand_under_way(&self) -> Option<RequestId> {
        let candidacy = self.candidacy.as_deref()?;
        candidacy.under_way().map(|it| it.id)
    }

    /// Gives up what is under way for too long.
    pub(super) fn end_errand(&mut self) {
        let under_way = self.candidacy.as_deref().and_then(|it| it.under_way());
        if let Some(over) = under_way.filter(|it| it.deadline <= self.now) {
            self.cancelled.push(over.id);
            self.settle_errand(None);
        }
    }

    /// Takes the outcome of what is under way; `None` if no answer came.
    pub(super) fn settle_errand(&mut self, response: Option<&Response<Vec<u8>>>) {
        let (stands, _) = self.stands();
        let Some(candidacy) = self.candidacy.as_deref_mut() else {
            return;
        };
        let sent = candidacy.under_way().map(|it| it.sent);
        if let (Some(response), Some(sent), true) = (response, sent, self.config.server_time) {
            self.clocks.hear(response, sent, self.now);
        }
        let times = (self.now, self.clocks.earliest(self.now));
        let who = (&self.config, &self.identity);
        let outcome = candidacy.settle(response, who, times, stands);
        let goes_on = candidacy.may_go_on(self.now);
        match outcome {
            Outcome::Settled => {}
            Outcome::Unauthorized => self.reload_credentials = true,
            Outcome::Busy => {
                let asked = response.and_then(headers::retry_after);
                self.spare_the_server(asked);
                self.put_off_renewal(asked);
            }
            // What has to be withdrawn is that of a claim that does not wait any more.
            Outcome::Refused(refusal) if stands || refusal.verb() == Verb::Delete => {
                self.events.push_back(Event::Unranked(refusal));
            }
            Outcome::Refused(_) => {}
        }
        if let Phase::Campaign(campaign) = &mut self.phase
            && campaign.step == CampaignStep::Write
            && goes_on
        {
            campaign.at = campaign.at.min(self.now);
        }
    }

    /// Holds back from what is free if somebody else goes first, or if that is not known yet.
    pub(super) fn hold_back(&mut self) -> Option<Want> {
        if self.verdict() != Verdict::Free || self.observed.is_left_to_us(self.now) {
            // It is ours already, or it was left to us, and those who go before us hold back from that.
            return None;
        }
        let candidacy = self.candidacy.as_deref_mut()?;
        let (now, random) = (self.now, &mut self.random);
        match candidacy.turn(&self.config, &self.identity, now) {
            Turn::Ours => return None,
            Turn::Unknown(by) => self.campaign().at = by,
            Turn::After(first, until) => {
                let look = now + random.around(self.config.retry_period);
                let is_told = self.watching.is_open();
                let waiting = Waiting {
                    holder: Some(first),
                    precedence: Precedence::GoesFirst,
                    until,
                };
                if self.wait_for(waiting) {
                    let campaign = self.campaign();
                    campaign.contested = None;
                    (campaign.step, campaign.at) = if is_told {
                        (CampaignStep::Write, until)
                    } else {
                        (CampaignStep::Read, look.min(until))
                    };
                }
            }
        }
        Some(Want::Again)
    }
}
