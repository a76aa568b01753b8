//! Giving back: clearing or deleting a record, and only ever our own.

use std::time::Duration;

use http::StatusCode;

use super::{
    Claim, Want,
    event::{Event, Failure, GaveUp, Loss, Released},
    exchange::Ask,
    is_echo,
    state::{InFlight, Phase, Release, ReleaseStep, TenureStep},
};
use crate::{
    call::{Answer, Call},
    config::OnRelease,
    notes::{Changes, Parting},
    refusal::Refusal,
    wire::{Lease, LeaseSpec, MicroTime},
};

/// For how long it is tried to give a Lease of hours back.
const LONGEST: Duration = Duration::from_secs(60);
/// For how long a refusal is taken for that of an API server that has only just been started. Somebody may wait for the end.
const STARTING: Duration = Duration::from_secs(5);

impl Claim {
    pub(super) fn begin_release(&mut self, parting: Parting) {
        match &mut self.phase {
            Phase::Held(_) => self.give_back(Loss::Released, parting),
            Phase::Campaign(_) => self.give_up(GaveUp::Stopped),
            Phase::Release(release) => {
                release.then = None;
                release.quiet = false;
            }
            Phase::Idle => {
                let may_be_ours = self.config.reclaim_own_identity || !self.writes.is_empty();
                if !may_be_ours {
                    self.events.push_back(Event::Released(Released::NotOurs));
                    return;
                }
                // What a tenure has come to that is over is not said.
                let parting =
                    Some(parting).filter(|it| self.config.reclaim_own_identity && !it.is_empty());
                if self.config.on_release == OnRelease::Expire && parting.is_none() {
                    self.events
                        .push_back(Event::Released(Released::LeftToExpire));
                } else {
                    self.start(ReleaseStep::Read, false);
                    release_of(&mut self.phase).parting = parting.map(Box::new);
                }
            }
        }
    }

    /// Ends the tenure at once, and then frees the record as configured.
    ///
    /// A renewal in flight stays so: its answer tells on which version the record can be cleared.
    pub(super) fn give_back(&mut self, loss: Loss, parting: Parting) {
        let Phase::Held(tenure) = &self.phase else {
            return;
        };
        let step = match tenure.step {
            TenureStep::Renew => ReleaseStep::Clear,
            TenureStep::Read => ReleaseStep::Read,
        };
        self.events.push_back(Event::Lost(loss));
        if self.config.on_release == OnRelease::Expire && parting.is_empty() {
            self.cancel();
            self.phase = Phase::Idle;
            self.events
                .push_back(Event::Released(Released::LeftToExpire));
            return;
        }
        self.start(step, false);
        let release = release_of(&mut self.phase);
        release.parting = (!parting.is_empty()).then(|| Box::new(parting));
        // There must be time to say why it failed, if it does.
        let patience = release.until.saturating_duration_since(self.now) / 2;
        release.doubts_until = Some(self.now + patience.min(STARTING));
    }

    /// Clears the record if a write that was given up turns out to have been carried out.
    pub(super) fn undo(&mut self) {
        self.start(ReleaseStep::Read, true);
    }

    pub(super) fn want_of_release(&mut self, wall: MicroTime) -> Want {
        if let Some(flight) = &self.in_flight {
            return Want::Wait(flight.deadline);
        }
        let Phase::Release(release) = &mut self.phase else {
            return Want::Again;
        };
        if self.now < release.at {
            return Want::Wait(release.at);
        }
        let deadline = (self.now + self.config.request_timeout).min(release.until);
        let ask = match (release.step, self.observed.lease()) {
            (ReleaseStep::Clear, Some(lease)) => {
                let (spec, time) = cleared(&lease.spec, wall);
                release.cleared_at = Some(time);
                let nothing = Parting::default();
                let parting = release.parting.as_deref().unwrap_or(&nothing);
                let notes = Changes::of_release(lease, parting, Some(self.identity.as_str()), time);
                Ask::Write(Box::new((spec, notes)), None)
            }
            (ReleaseStep::Delete, Some(_)) => Ask::Delete,
            (ReleaseStep::Read, _) | (_, None) => Ask::Read,
        };
        Want::Send(ask, deadline)
    }

    /// Goes on after an answer, not before the server asked for: `pause` is what an unclear answer said.
    pub(super) fn settle_release(
        &mut self,
        flight: InFlight,
        answer: Answer,
        pause: Option<Duration>,
    ) {
        let pause = match &answer {
            Answer::Busy(pause) => *pause,
            Answer::Unclear => pause,
            Answer::Record { .. }
            | Answer::Absent
            | Answer::Deleted
            | Answer::Conflict
            | Answer::Unauthorized(_)
            | Answer::Refused(_) => None,
        };
        self.go_on_after(flight, answer);
        if let (Phase::Release(release), Some(pause)) = (&mut self.phase, pause) {
            // Longer than a lease lasts is nobody's intention, and would keep the claim from whatever comes next.
            let pause = pause.min(self.config.lease_duration);
            release.at = release.at.max(self.now + pause);
        }
    }

    fn go_on_after(&mut self, flight: InFlight, answer: Answer) {
        if let Some(write) = flight.write {
            // A renewal that was under way when the release began.
            match answer {
                Answer::Record {
                    lease,
                    created: false,
                } if is_echo(&lease, &write, self, self.observed.lease()) => {
                    self.observed.note_own(lease);
                    self.writes.confirm(&write);
                }
                Answer::Busy(_) | Answer::Unauthorized(_) | Answer::Refused(_) => {}
                Answer::Record { .. }
                | Answer::Absent
                | Answer::Deleted
                | Answer::Conflict
                | Answer::Unclear => self.go_on(ReleaseStep::Read),
            }
            return;
        }
        match (flight.call, answer) {
            (Call::Read, Answer::Record { lease, .. }) => self.read_in_release(lease),
            (Call::Delete, Answer::Deleted) | (_, Answer::Absent) => {
                self.observed.note_absent();
                self.finish_release(Released::Deleted);
            }
            // Somebody has taken it meanwhile, or it may not be deleted: it is free all the same.
            (Call::Delete, Answer::Conflict | Answer::Refused(_)) => {
                self.finish_release(Released::Cleared);
            }
            (_, Answer::Record { lease, .. }) => {
                let is_cleared = lease.spec.holder().is_none();
                self.observed.note(
                    lease,
                    (&self.config, &self.identity),
                    self.now,
                    self.clocks.wall(self.now),
                );
                if is_cleared {
                    self.after_clearing();
                } else {
                    self.go_on(ReleaseStep::Read);
                }
            }
            (_, Answer::Unauthorized(refusal)) => {
                let release = release_of(&mut self.phase);
                if release.reloaded {
                    self.be_refused_in_release(refusal);
                } else {
                    release.reloaded = true;
                    self.reload_credentials = true;
                }
            }
            (_, Answer::Refused(refusal)) => self.be_refused_in_release(refusal),
            (_, Answer::Busy(_)) => {
                let step = release_of(&mut self.phase).step;
                self.go_on(step);
            }
            (_, Answer::Conflict | Answer::Unclear | Answer::Deleted) => {
                self.go_on(ReleaseStep::Read);
            }
        }
    }

    pub(super) fn finish_release(&mut self, how: Released) {
        let Phase::Release(release) = &self.phase else {
            return;
        };
        let (then, not_before) = (release.then, release.at);
        if !release.quiet {
            self.events.push_back(Event::Released(how));
        }
        self.phase = Phase::Idle;
        if let Some(patience) = then {
            self.begin_campaign(patience, false);
            if let Phase::Campaign(campaign) = &mut self.phase {
                // What the server has asked for holds for whatever comes next.
                campaign.at = campaign.at.max(not_before);
            }
        }
    }

    fn start(&mut self, step: ReleaseStep, quiet: bool) {
        let patience = if quiet {
            self.config.request_timeout
        } else {
            self.config.renew_deadline.min(LONGEST)
        };
        self.phase = Phase::Release(Release {
            step,
            at: self.now,
            until: self.now + patience,
            reloaded: false,
            doubts_until: None,
            quiet,
            cleared_at: None,
            parting: None,
            then: None,
        });
    }

    fn read_in_release(&mut self, lease: Box<Lease>) {
        let release = release_of(&mut self.phase);
        release.step = ReleaseStep::Read;
        let is_named = lease.spec.holder() == Some(self.identity.as_str());
        let is_reclaimed = is_named && self.config.reclaim_own_identity && !release.quiet;
        let renewed_at = lease.spec.renew_time.as_ref().and_then(|time| time.time());
        let was_cleared_by_us = lease.spec.holder().is_none()
            && renewed_at.is_some()
            && renewed_at == release.cleared_at;
        let parting = release.parting.as_deref();
        let is_left_anew =
            !was_cleared_by_us && parting.is_some_and(|it| it.leaves_anew(&lease, &self.identity));
        if is_reclaimed || is_left_anew || self.own_write(&lease).is_some() {
            self.observed.note_own(lease);
            self.go_on(ReleaseStep::Clear);
        } else {
            self.observed.note(
                lease,
                (&self.config, &self.identity),
                self.now,
                self.clocks.wall(self.now),
            );
            if was_cleared_by_us {
                self.after_clearing();
            } else {
                self.finish_release(Released::NotOurs);
            }
        }
    }

    fn after_clearing(&mut self) {
        // The controller that runs a Lease finds its strategy there: such a record is never deleted.
        let is_controlled = self
            .observed
            .lease()
            .is_some_and(|lease| lease.spec.strategy.is_some());
        let parting = release_of(&mut self.phase).parting.take();
        let is_told = |lease: &Lease| parting.as_ref().is_none_or(|it| it.is_in(lease));
        if !self.observed.lease().is_some_and(is_told) {
            self.finish_release(Released::ClearedAlone);
        } else if self.config.on_release == OnRelease::Delete && !is_controlled && parting.is_none()
        {
            self.go_on(ReleaseStep::Delete);
        } else {
            self.finish_release(Released::Cleared);
        }
    }

    /// Goes on with `step`: at once after progress, after a pause when it is the same again or a look back.
    fn go_on(&mut self, step: ReleaseStep) {
        let release = release_of(&mut self.phase);
        let is_progress = matches!(
            (release.step, step),
            (ReleaseStep::Read, ReleaseStep::Clear)
                | (ReleaseStep::Clear | ReleaseStep::Read, ReleaseStep::Delete)
        );
        release.step = step;
        release.at = self.now;
        if !is_progress {
            let longest = self.config.retry_period;
            release.at += self.backoff.pause(longest, &mut self.random);
        }
    }

    /// Tries again for a moment if it was let in before, as who held the Lease was.
    fn be_refused_in_release(&mut self, refusal: Refusal) {
        let release = release_of(&mut self.phase);
        let step = release.step;
        let may_be_new = matches!(
            refusal.status(),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED
        );
        if may_be_new && release.doubts_until.is_some_and(|until| self.now < until) {
            self.go_on(step);
        } else {
            self.fail_release(Failure::Refused(refusal));
        }
    }

    fn fail_release(&mut self, failure: Failure) {
        let release = release_of(&mut self.phase);
        if !release.quiet {
            self.events.push_back(Event::Failed(failure));
        }
        self.finish_release(Released::Unconfirmed);
    }
}

/// Makes the record that names no holder, and says when it was written.
fn cleared(spec: &LeaseSpec, wall: MicroTime) -> (LeaseSpec, MicroTime) {
    let spec = spec.cleared(wall);
    let time = spec.renew_time.as_ref().and_then(|time| time.time());
    (spec, time.unwrap_or(wall))
}

/// The release that the caller knows is under way.
fn release_of(phase: &mut Phase) -> &mut Release {
    match phase {
        Phase::Release(release) => release,
        Phase::Idle | Phase::Campaign(_) | Phase::Held(_) => {
            unreachable!("only called while the Lease is given back")
        }
    }
}
