//! What a claim is told to do.

use std::time::{Duration, Instant};

use super::{
    Claim,
    budget::Budget,
    state::{CampaignStep, Patience, Phase},
};
use crate::{notes::Parting, wire::Identity};

/// What a command may ask that is carried out at once: a look, a write, another look after a lost race, and what comes next.
const FOR_A_COMMAND: u32 = 5;
/// What it may ask on top of that at each beginning, so that nobody waits who only asks: a look.
const FOR_A_TRY: u32 = 1;

impl Claim {
    /// Begins to acquire the Lease.
    ///
    /// Ends with [`Acquired`](crate::Event::Acquired) or [`GaveUp`](crate::Event::GaveUp). While the Lease is held it does nothing; while
    /// it is being acquired it changes the patience; while it is being released it begins afterwards.
    pub fn acquire(&mut self, patience: Patience, now: Instant) {
        self.advance(now);
        if patience == Patience::Once || self.is_at_rest() {
            self.budget.allow(FOR_A_TRY, Budget::interval(&self.config));
        }
        match &mut self.phase {
            Phase::Idle => self.begin_campaign(patience, false),
            Phase::Campaign(campaign) => {
                campaign.patience = patience;
                campaign.resume = false;
                if patience == Patience::Once && self.watching.is_open() && campaign.waits {
                    // One try: now, and not when the stream has something to tell.
                    (campaign.step, campaign.at) = (CampaignStep::Read, self.now);
                }
            }
            Phase::Held(_) => {}
            Phase::Release(release) => release.then = Some(patience),
        }
    }

    /// Begins to renew a Lease that the record says our identity holds, and takes no other.
    ///
    /// For commands that acquire and renew in separate processes, with
    /// [`reclaim_own_identity`](crate::ConfigBuilder::reclaim_own_identity). Ends with [`Acquired`](crate::Event::Acquired) or
    /// [`GaveUp`](crate::Event::GaveUp). Does nothing unless the claim is at rest.
    pub fn resume(&mut self, now: Instant) {
        self.advance(now);
        if self.is_at_rest() {
            self.budget.allow(FOR_A_TRY, Budget::interval(&self.config));
            self.begin_campaign(Patience::Once, true);
        }
    }

    /// Reads the record while the Lease is held, before something critical.
    ///
    /// Ends with [`Verified`](crate::Event::Verified) or [`Lost`](crate::Event::Lost). Does nothing unless the Lease is held.
    pub fn verify(&mut self, now: Instant) {
        self.advance(now);
        if let Phase::Held(tenure) = &mut self.phase {
            self.budget
                .allow(FOR_A_COMMAND, Budget::interval(&self.config));
            // While requests fail, the next one waits for its pause, which the server may have asked for.
            let pauses = tenure.told_trouble;
            tenure.verify = Some(if pauses {
                self.now.max(tenure.at)
            } else {
                self.now
            });
        }
    }

    /// Gives the Lease up: `Lost` at once, then the requests that free it, then [`Released`](crate::Event::Released).
    ///
    /// While the Lease is being acquired it stops that, and undoes a write whose outcome is not known. At rest it frees
    /// a record that this claim wrote earlier, or that names our identity if that is to be reclaimed.
    pub fn release(&mut self, now: Instant) {
        self.release_with(Parting::default(), now);
    }

    /// Gives the Lease up, and leaves something in the record by the same write, if it is held: see [`Parting`].
    ///
    /// Otherwise it is [`release`](Self::release): whether something was left is told by
    /// [`Released::Cleared`](crate::Released::Cleared).
    pub fn release_with(&mut self, parting: Parting, now: Instant) {
        self.advance(now);
        self.budget
            .allow(FOR_A_COMMAND, Budget::interval(&self.config));
        self.begin_release(parting);
    }

    /// Gives the Lease up, and leaves it to `successor`: others hold back for `patience`, and when that one does not come by then
    /// it is anybody's.
    ///
    /// It is [`release_with`](Self::release_with) where nothing else is left; [`Parting::successor`] says who may be named, and how
    /// long others hold back at the most.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use lease_proto::{Claim, Config, Identity};
    ///
    /// let now = Instant::now();
    /// let mut claim = Claim::new(Config::builder("default", "leader", "green").build()?, 0x5eed, now);
    /// // Some time later, while it is held, and the next version of this service has started:
    /// claim.hand_over(Identity::new("blue")?, Duration::from_secs(60), now);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hand_over(&mut self, successor: Identity, patience: Duration, now: Instant) {
        self.release_with(Parting::default().successor(successor, patience), now);
    }
}
