//! How long a holder's try may take, and when it tries again.

use std::time::{Duration, Instant};

use super::{
    Claim,
    event::{Event, Trouble},
    state::{Phase, Tenure, TenureStep},
    tenure::tenure_of,
};

impl Claim {
    /// How long a request may take now: half of what is left, so that another one is possible after it, until that
    /// would be too short to be of use: an answer may take a little longer than those of late.
    pub(super) fn timeout(&self, tenure: &Tenure) -> Duration {
        let left = tenure.grant.valid_until.saturating_duration_since(self.now);
        let half = left / 2;
        let usual = self.round_trip + self.round_trip / 2;
        // There is no other try after the one that was made before a pause was over.
        let is_last = tenure.last_try_made && tenure.step == TenureStep::Renew;
        if is_last || half < self.reserve().max(usual) {
            left
        } else {
            half.min(self.config.request_timeout)
        }
    }

    /// What must be left of a grant for an attempt to be of use.
    pub(super) fn reserve(&self) -> Duration {
        (self.config.grant_length() / 20).min(Duration::from_secs(1))
    }

    /// The latest instant for which a try is put off: there must be time for an answer as slow as those of late, and for a look
    /// before it if one is due.
    pub(super) fn latest_timely(&self, tenure: &Tenure) -> Instant {
        self.latest_for(tenure, self.round_trip + self.round_trip / 2)
    }

    /// The latest instant for a try whose answers, each of them, take so long.
    fn latest_for(&self, tenure: &Tenure, answer: Duration) -> Instant {
        let tries = if tenure.step == TenureStep::Read {
            2
        } else {
            1
        };
        let answers = (answer * tries).min(self.config.grant_length() / 2);
        tenure.grant.valid_until - self.reserve().max(answers)
    }

    /// Renews no earlier than after a pause that the server has asked for, if that is not too late to be of use.
    pub(super) fn put_off_renewal(&mut self, asked: Option<Duration>) {
        let (Phase::Held(tenure), Some(asked)) = (&self.phase, asked) else {
            return;
        };
        let latest = self.latest_timely(tenure);
        let tenure = tenure_of(&mut self.phase);
        let at = self.now + asked;
        tenure.last_try_made |= latest < at && tenure.at < latest;
        let at = at.min(latest);
        tenure.at = tenure.at.max(at);
        tenure.verify = tenure.verify.map(|verify| verify.max(at));
    }

    /// Tries the same step again after a pause, not before the server asked for, and not too late to be of use: once while
    /// there is ample time for an answer as slow as those of late, once while there is just enough, and once more at the last
    /// moment.
    ///
    /// If it was only a look that failed, no renewal is put off by that, unless the server asked for a pause.
    pub(super) fn retry_in_tenure(
        &mut self,
        trouble: Trouble,
        asked: Option<Duration>,
        is_look: bool,
    ) {
        let Phase::Held(tenure) = &self.phase else {
            return;
        };
        let timely = self.latest_timely(tenure);
        let just = self.latest_for(tenure, self.round_trip + self.round_trip / 8);
        let (reserve, quiet) = (self.reserve(), self.quiet_until);
        let tenure = tenure_of(&mut self.phase);
        let until = tenure.grant.valid_until;
        if !tenure.told_trouble {
            tenure.told_trouble = true;
            self.events.push_back(Event::AtRisk { until, trouble });
        }
        let last_useful = until - reserve;
        let own = self
            .backoff
            .pause(self.config.retry_period, &mut self.random);
        let all = [timely, just, last_useful];
        let latest = all.into_iter().find(|at| self.now < *at);
        let own = (self.now + own).min(latest.unwrap_or(until));
        let asked_for = asked.map(|asked| self.now + asked);
        // A pause that was asked for earlier may not be over, if this was the try that was made before its end.
        let wanted = asked_for.max(quiet).map_or(own, |until| own.max(until));
        let earlier = own.max(timely);
        let is_kept = wanted == own || wanted <= timely || tenure.last_try_made;
        let at = if wanted <= last_useful && is_kept {
            wanted
        } else if own < wanted && earlier <= last_useful && !tenure.last_try_made {
            // One try is made before the server asks for it, if it would be too late otherwise: a look with the renewal after it.
            tenure.last_try_made = !is_look || asked.is_some();
            earlier
        } else {
            until
        };
        tenure.verify = tenure.verify.map(|_| at);
        if !is_look {
            tenure.at = at;
        } else if asked.is_some() {
            tenure.at = tenure.at.max(at);
        }
    }
}
