//! What the part of a driver that keeps a claim tells the parts that rely on it: bookkeeping, without the waiting.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    access::TransportError,
    claim::{Event, Failure, Grant, Loss, Released, Trouble},
    notes::Parting,
    outcome::{AcquireError, State, Unhealthy},
};

/// How many events are kept for somebody who does not ask for them.
const EVENTS: usize = 1_024;

/// What is known of a claim that is kept in the background.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use lease_proto::{Event, Failure, Ledger, State};
///
/// let now = Instant::now();
/// let mut ledger = Ledger::default();
/// assert_eq!(ledger.state(), State::Waiting { holder: None });
/// let failure = Failure::Controlled { strategy: "OldestEmulationVersion".to_owned() };
/// ledger.note(&Event::Failed(failure.clone()), None, now); // what the claim has said
/// assert_eq!(ledger.state(), State::Failing(failure));
/// assert!(ledger.health(now, Duration::from_secs(30)).is_err());
/// ```
#[derive(Debug, Default)]
pub struct Ledger {
    acquired: Option<Grant>,
    grant: Option<Grant>,
    /// How many tenures have begun.
    tenures: u64,
    loss: Option<Loss>,
    /// Why the last tenure that is over has ended.
    last_loss: Option<Loss>,
    released: Option<Released>,
    error: Option<AcquireError>,
    last_error: Option<Arc<TransportError>>,
    /// Whom it waits for, as far as is known.
    holder: Option<String>,
    failure: Option<Failure>,
    /// What has gone wrong since then.
    trouble: Option<(Instant, Trouble)>,
    events: VecDeque<Event>,
    ended: bool,
    /// How much work goes on that relies on the Lease.
    works: usize,
    /// Whether the Lease is to be given up, once no work goes on.
    stopping: bool,
    /// What is to be left in the record then.
    parting: Parting,
}

impl Ledger {
    /// Takes note of an event that came at `now`, and of why the last request that got no answer got none.
    ///
    /// Of events that nobody takes the latest 1,024 are kept; dropped first is what matters least, that a Lease which is
    /// held is still held.
    pub fn note(&mut self, event: &Event, last_error: Option<&Arc<TransportError>>, now: Instant) {
        self.note_health(event, now);
        self.last_error = last_error.cloned();
        match event {
            Event::Acquired(grant) => {
                self.acquired.get_or_insert(*grant);
                self.grant = Some(*grant);
                self.tenures += 1;
                self.loss = None;
            }
            Event::Renewed(grant) | Event::Verified(grant) => self.grant = Some(*grant),
            Event::Lost(loss) => {
                self.grant = None;
                self.loss = Some(loss.clone());
                self.last_loss = Some(loss.clone());
            }
            Event::Released(released) => self.released = Some(*released),
            // It may end earlier than it was said to.
            Event::AtRisk { until, .. } => {
                if let Some(grant) = &mut self.grant {
                    grant.valid_until = *until;
                }
            }
            Event::Recovered
            | Event::Waiting(_)
            | Event::HolderChanged(_)
            | Event::Retrying { .. }
            | Event::Polling(_)
            | Event::Unranked(_)
            | Event::Failed(_)
            | Event::GaveUp(_)
            | Event::IdentityCollision
            | Event::StoreRegressed => {}
        }
        if self.events.len() >= EVENTS {
            let is_routine =
                |event: &Event| matches!(event, Event::Renewed(_) | Event::Retrying { .. });
            let victim = self.events.iter().position(is_routine);
            self.events.remove(victim.unwrap_or_default());
        }
        self.events.push_back(event.clone());
    }

    fn note_health(&mut self, event: &Event, now: Instant) {
        match event {
            Event::AtRisk { trouble, .. } | Event::Retrying { trouble, .. } => {
                self.trouble.get_or_insert_with(|| (now, trouble.clone()));
            }
            Event::Failed(failure) => self.failure = Some(failure.clone()),
            Event::Acquired(_) | Event::Renewed(_) | Event::Verified(_) | Event::Recovered => {
                (self.trouble, self.failure, self.holder) = (None, None, None);
            }
            Event::Waiting(waiting) | Event::HolderChanged(waiting) => {
                (self.trouble, self.failure) = (None, None);
                self.holder.clone_from(&waiting.holder);
            }
            Event::Lost(Loss::TakenOver { by }) => self.holder = Some(by.clone()),
            Event::Lost(_)
            | Event::Released(_)
            | Event::GaveUp(_)
            | Event::Polling(_)
            | Event::Unranked(_)
            | Event::IdentityCollision
            | Event::StoreRegressed => {}
        }
    }

    /// Returns whether the Lease is held and renewals are known to fail.
    pub fn is_at_risk(&self) -> bool {
        self.grant.is_some() && self.trouble.is_some()
    }

    /// Returns how the claim stands, as of the last event.
    pub fn state(&self) -> State {
        match (self.grant, &self.failure) {
            _ if self.ended => State::Ended,
            (Some(grant), _) => State::Held(grant),
            (None, Some(failure)) => State::Failing(failure.clone()),
            (None, None) => State::Waiting {
                holder: self.holder.clone(),
            },
        }
    }

    /// Returns an error if the Lease is not held and cannot be acquired either, as far as is known at `now`; what goes wrong
    /// for less than `patience` is not counted.
    ///
    /// # Errors
    ///
    /// Says why.
    pub fn health(&self, now: Instant, patience: Duration) -> Result<(), Unhealthy> {
        match self.state() {
            State::Ended => return Err(Unhealthy::Ended),
            State::Failing(failure) => return Err(Unhealthy::Failing(failure)),
            State::Held(grant) if now < grant.valid_until => return Ok(()),
            // Whoever keeps it would have said by then that it is lost.
            State::Held(grant) if now >= grant.valid_until + patience => {
                if self.trouble.is_none() {
                    return Err(Unhealthy::Stuck);
                }
            }
            State::Held(_) | State::Waiting { .. } => {}
        }
        match &self.trouble {
            Some((since, trouble)) if now.saturating_duration_since(*since) >= patience => {
                Err(Unhealthy::Trouble {
                    since: *since,
                    trouble: trouble.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Takes note that work begins which relies on the Lease. Returns whether it may: not once the Lease is to be given up.
    pub fn begin_work(&mut self) -> bool {
        self.works += usize::from(!self.stopping);
        !self.stopping
    }

    /// Takes note that such work is over. Returns what is to be left in the record if the Lease is to be given up now.
    pub fn end_work(&mut self) -> Option<Parting> {
        self.works = self.works.saturating_sub(1);
        self.parts_now()
    }

    /// Takes note that the Lease is to be given up, and what is to be left in the record; the first call counts. Returns that if it
    /// is to be now: as long as work goes on that relies on the Lease nobody else may begin the same.
    pub fn stop(&mut self, parting: Parting) -> Option<Parting> {
        if !self.stopping {
            (self.stopping, self.parting) = (true, parting);
        }
        self.parts_now()
    }

    fn parts_now(&self) -> Option<Parting> {
        (self.works == 0 && self.stopping).then(|| self.parting.clone())
    }

    /// Returns whether the Lease is to be given up, be it later.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Takes note of why there is no Lease; the first reason counts.
    pub fn fail(&mut self, error: AcquireError) {
        self.error.get_or_insert(error);
    }

    /// Takes note that nobody keeps the claim any more.
    pub fn end(&mut self) {
        self.grant = None;
        self.ended = true;
    }

    /// Takes the oldest event that nobody has taken.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes the reason why there is no Lease.
    pub fn take_error(&mut self) -> Option<AcquireError> {
        self.error.take()
    }

    /// Returns the grant of the first tenure, whether or not it has ended.
    pub fn acquired(&self) -> Option<Grant> {
        self.acquired
    }

    /// Returns the last grant, unless its loss was noted.
    pub fn grant(&self) -> Option<Grant> {
        self.grant
    }

    /// Returns why the last tenure ended; `None` during one.
    pub fn loss(&self) -> Option<&Loss> {
        self.loss.as_ref()
    }

    /// Returns how many tenures have begun.
    pub fn tenures(&self) -> u64 {
        self.tenures
    }

    /// Returns why the tenure with this number, counted from 1, has ended, even if another one has begun since; `None`
    /// during it.
    pub fn loss_of(&self, tenure: u64) -> Option<Loss> {
        if tenure == self.tenures && !self.ended {
            self.loss.clone()
        } else {
            // Of one before the last nobody remembers more than that it is over.
            Some(self.last_loss.clone().unwrap_or(Loss::Expired))
        }
    }

    /// Returns how the last release ended.
    pub fn released(&self) -> Option<Released> {
        self.released
    }

    /// Returns why the last request that got no answer got none, as of the last event.
    pub fn last_error(&self) -> Option<&Arc<TransportError>> {
        self.last_error.as_ref()
    }

    /// Returns whether nobody keeps the claim any more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{Precedence, Waiting};

    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    fn grant(now: Instant) -> Grant {
        Grant {
            valid_until: now,
            token: None,
            transitions: 0,
        }
    }

    #[test]
    fn losses_are_kept_when_renewals_overflow() {
        let now = now();
        let mut ledger = Ledger::default();
        ledger.note(&Event::Acquired(grant(now)), None, now);
        ledger.note(&Event::Lost(Loss::Expired), None, now);
        ledger.note(&Event::Acquired(grant(now)), None, now);
        for _ in 0..2 * EVENTS {
            ledger.note(&Event::Renewed(grant(now)), None, now);
        }
        assert_eq!(ledger.events.len(), EVENTS);
        assert_eq!(ledger.take_event(), Some(Event::Acquired(grant(now))));
        assert_eq!(ledger.take_event(), Some(Event::Lost(Loss::Expired)));
    }

    #[test]
    fn a_grant_that_ends_earlier_than_was_said_does_so_here() {
        let (now, later) = (now(), now() + Duration::from_secs(1));
        let mut ledger = Ledger::default();
        ledger.note(&Event::Acquired(grant(later)), None, now);
        let trouble = Trouble::Shortened { seconds: 1 };
        ledger.note(
            &Event::AtRisk {
                until: now,
                trouble,
            },
            None,
            now,
        );
        assert_eq!(ledger.grant(), Some(grant(now)));
    }

    #[test]
    fn a_new_tenure_forgets_the_loss_and_keeps_the_first_grant() {
        let (now, later) = (now(), now() + Duration::from_secs(1));
        let mut ledger = Ledger::default();
        ledger.note(&Event::Acquired(grant(now)), None, now);
        ledger.note(&Event::Lost(Loss::Deleted), None, now);
        assert_eq!(
            (ledger.grant(), ledger.loss()),
            (None, Some(&Loss::Deleted))
        );
        ledger.note(&Event::Acquired(grant(later)), None, now);
        assert_eq!((ledger.grant(), ledger.loss()), (Some(grant(later)), None));
        assert_eq!(ledger.acquired(), Some(grant(now)));
        ledger.end();
        assert_eq!((ledger.grant(), ledger.has_ended()), (None, true));
    }

    #[test]
    fn it_is_healthy_while_it_is_held_or_can_be_acquired() {
        let (now, second) = (now(), Duration::from_secs(1));
        let (until, patience) = (now + 10 * second, 5 * second);
        let trouble = Trouble::NoAnswer;
        let mut ledger = Ledger::default();
        let at = now;
        ledger.note(&Event::Retrying { trouble, at }, None, now);
        assert_eq!(ledger.health(now + 4 * second, patience), Ok(()));
        let unhealthy = ledger.health(now + 5 * second, patience);
        assert!(matches!(unhealthy, Err(Unhealthy::Trouble { since, .. }) if since == now));
        let holder = Some("other".to_owned());
        ledger.note(
            &Event::Waiting(Waiting {
                holder: holder.clone(),
                precedence: Precedence::Holds,
                until,
            }),
            None,
            now,
        );
        assert_eq!(ledger.state(), State::Waiting { holder });
        assert_eq!(ledger.health(until, patience), Ok(()));
        ledger.note(&Event::Acquired(grant(until)), None, now);
        // Nobody has renewed it, and nobody has said so either.
        assert_eq!(ledger.health(until + 4 * second, patience), Ok(()));
        let unhealthy = ledger.health(until + 5 * second, patience);
        assert_eq!(unhealthy, Err(Unhealthy::Stuck));
        let trouble = Trouble::Busy;
        ledger.note(&Event::AtRisk { until, trouble }, None, now);
        assert_eq!(ledger.state(), State::Held(grant(until)));
        assert_eq!(ledger.health(now + 9 * second, patience), Ok(()));
        assert!(ledger.health(until, patience).is_err());
        ledger.note(&Event::Lost(Loss::Expired), None, until);
        assert!(ledger.health(until, patience).is_err());
        ledger.end();
        assert_eq!(ledger.state(), State::Ended);
        assert_eq!(ledger.health(now, patience), Err(Unhealthy::Ended));
    }
}
