//! Being refused while acquiring: by a server that has just been started, or for good.

use std::time::Duration;

use super::{
    Claim,
    event::{Event, Failure, GaveUp, Trouble},
    state::{CampaignStep, Patience},
};
use crate::refusal::Refusal;

/// The longest that an API server is taken to need until it knows whom it lets in.
const START: Duration = Duration::from_secs(30);

impl Claim {
    /// Takes note that a look or a write was refused.
    ///
    /// Whoever has waited was let in before. An API server that is started anew refuses for a moment what it will grant, since it
    /// has yet to read the Roles, so a look is tried again for as long as a Lease lasts, half a minute at the most, and a write once.
    pub(super) fn be_refused(&mut self, refusal: Refusal, is_write: bool) {
        let (now, patience) = (self.now, self.config.lease_duration.min(START));
        let may_be_new = match &mut self.campaign().let_in {
            Some(let_in) if is_write => !std::mem::replace(&mut let_in.write_refused, true),
            Some(let_in) => now < *let_in.refused_since.get_or_insert(now) + patience,
            None => false,
        };
        match (may_be_new, is_write) {
            (true, true) => self.look_again(Trouble::Refused(refusal), None),
            (true, false) => self.retry(Trouble::Refused(refusal), None),
            (false, _) => self.fail(Failure::Refused(refusal)),
        }
    }

    /// Takes note that trying again will not help, and tries again all the same unless it was to be once.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.campaign().patience == Patience::Once {
            self.give_up(GaveUp::Failed(failure));
            return;
        }
        let longest = self.config.retry_period * 4;
        let at = self.now + self.backoff.pause(longest, &mut self.random);
        let campaign = self.campaign();
        (campaign.step, campaign.at) = (CampaignStep::Read, at);
        // Told again once that is over.
        campaign.told_holder = None;
        if campaign.told_failure.as_deref() != Some(&failure) {
            campaign.told_failure = Some(Box::new(failure.clone()));
            self.events.push_back(Event::Failed(failure));
        }
    }
}
