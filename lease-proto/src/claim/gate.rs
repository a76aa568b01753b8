//! What a set of claims asks of one of them: to be polled without sending, and who is to go first.

use std::time::{Duration, Instant, SystemTime};

use super::{
    Claim, Output, Want,
    budget::Budget,
    state::{CampaignStep, Phase, ReleaseStep, TenureStep},
};
use crate::{call::RequestId, config::Config, wire::MicroTime};

/// What a claim may begin now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gate {
    /// Whether a request may be rendered. What it earns is counted from that moment, so it must be sent at once.
    pub(crate) requests: bool,
    /// Whether a stream may be opened.
    pub(crate) streams: bool,
    /// How long answers take of late that others have had.
    pub(crate) usual: Duration,
    /// Whether a holder's request may take all that is left of its grant: whoever opens the gate gives it up earlier where
    /// another try is of more use.
    pub(crate) gives_up: bool,
}

impl Gate {
    pub(crate) const OPEN: Self = Self {
        requests: true,
        streams: true,
        usual: Duration::ZERO,
        gives_up: false,
    };
    pub(crate) const SHUT: Self = Self {
        requests: false,
        streams: false,
        usual: Duration::ZERO,
        gives_up: false,
    };
}

/// What comes out of a claim through a gate.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "handed out one at a time, never stored"
)]
pub(crate) enum Gated {
    Output(Output),
    /// It would send a request, and may not. Otherwise it has nothing to do before that instant.
    Shut(Option<Instant>),
}

/// How urgent it is for a claim to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Urgency {
    /// It holds the Lease until then.
    Holds(Instant),
    Waits,
}

impl Claim {
    /// Makes a claim at rest that belongs to a set.
    pub(crate) fn one_of_many(config: Config, seed: u64, now: Instant) -> Self {
        let mut claim = Self::new(config, seed, now);
        claim.is_one_of_many = true;
        claim
    }

    /// Does what [`poll_output`](Self::poll_output) does, but for what the gate keeps back: timers fire, and events and
    /// cancellations come out, whether or not anything may be sent.
    pub(crate) fn poll_gated(&mut self, now: Instant, wall: SystemTime, gate: Gate) -> Gated {
        self.poll_timers(now);
        self.round_trip = self.round_trip.max(gate.usual);
        let wall = MicroTime::from(wall);
        if self.config.server_time {
            self.clocks.read_wall(self.now, wall);
        }
        let stamp = self.clocks.latest(self.now);
        loop {
            self.catch_up();
            if let Some(event) = self.events.pop_front() {
                return Gated::Output(Output::Event(event));
            }
            let stream = self.tend_stream(gate.streams);
            if let Some(id) = self.cancelled.pop() {
                return Gated::Output(Output::Cancel(id));
            }
            if let Some(request) = stream {
                return Gated::Output(Output::Request(request));
            }
            // Also where nothing may be sent: what is under way takes the room that is waited for.
            if self.give_way() {
                continue;
            }
            if !gate.requests && (self.is_due() || self.is_errand_due()) {
                let ends = [self.end_of_phase(), self.next_of_stream()];
                return Gated::Shut(ends.into_iter().flatten().min());
            }
            return Gated::Output(match self.want(stamp.unwrap_or(wall)) {
                Want::Run(errand, deadline) => {
                    match self.run_errand(errand, stamp.unwrap_or(wall), deadline) {
                        Some(request) => Output::Request(request),
                        None => continue,
                    }
                }
                Want::Send(ask, deadline) => {
                    let deadline = self
                        .ends_of_try()
                        .filter(|_| gate.gives_up)
                        .map_or(deadline, |(_, ends)| ends);
                    Output::Request(self.send(ask, deadline, stamp.is_some()))
                }
                Want::Wait(until) => Output::Wait(until),
                Want::Again => continue,
                Want::Nothing => Output::Done,
            });
        }
    }

    /// Returns whether there is a request to be sent now.
    pub(super) fn is_due(&self) -> bool {
        self.is_timely() && self.opens_at().is_none()
    }

    /// Returns when there may be a request for the Lease, if too many have been sent to have one now.
    ///
    /// A look waits until there may be a write after it, which would come too late otherwise. The last try that is of use to
    /// a holder is not put off.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        let (looks, latest) = match &self.phase {
            Phase::Idle => (false, None),
            Phase::Campaign(campaign) => (campaign.step == CampaignStep::Read, None),
            Phase::Held(tenure) => (
                tenure.step == TenureStep::Read,
                Some(tenure.grant.valid_until - self.reserve()),
            ),
            Phase::Release(release) => (release.step == ReleaseStep::Read, None),
        };
        let interval = Budget::interval(&self.config);
        let at = self
            .budget
            .opens_at(self.now, 1 + u32::from(looks), interval)?;
        let at = latest.map_or(at, |latest| at.min(latest));
        (self.now < at).then_some(at)
    }

    /// Returns whether it is time for a request.
    pub(super) fn is_timely(&self) -> bool {
        let now = self.now;
        self.in_flight.is_none()
            && match &self.phase {
                Phase::Idle => false,
                Phase::Campaign(campaign) => self.quiet_until.max(Some(campaign.at)) <= Some(now),
                Phase::Held(tenure) => {
                    let verify = tenure.verify.filter(|_| tenure.step == TenureStep::Renew);
                    tenure.at <= now || verify.is_some_and(|at| at <= now)
                }
                Phase::Release(release) => release.at <= now,
            }
    }

    fn is_errand_due(&self) -> bool {
        self.next_errand().is_some_and(|(at, _)| at <= self.now)
    }

    /// Returns until when a holder waits for the answer to a request that it sends now if it may try again, and when its grant ends.
    pub(crate) fn ends_of_try(&self) -> Option<(Instant, Instant)> {
        match &self.phase {
            Phase::Held(tenure) => {
                let until = self.now + self.timeout(tenure);
                Some((until, tenure.grant.valid_until))
            }
            Phase::Idle | Phase::Campaign(_) | Phase::Release(_) => None,
        }
    }

    pub(crate) fn urgency(&self) -> Urgency {
        match &self.phase {
            Phase::Held(tenure) => Urgency::Holds(tenure.grant.valid_until),
            Phase::Idle | Phase::Campaign(_) | Phase::Release(_) => Urgency::Waits,
        }
    }

    /// Returns when the Lease is to be renewed, and how often that is done, if it is held and all is well.
    pub(crate) fn next_renewal(&self) -> Option<(Instant, Duration)> {
        match &self.phase {
            Phase::Held(tenure)
                if tenure.step == TenureStep::Renew
                    && !tenure.told_trouble
                    && self.in_flight.is_none() =>
            {
                Some((tenure.at, self.config.renew_interval))
            }
            Phase::Idle | Phase::Campaign(_) | Phase::Held(_) | Phase::Release(_) => None,
        }
    }

    /// Returns the request whose outcome is awaited.
    pub(crate) fn awaits(&self) -> Option<RequestId> {
        let flight = self.in_flight.as_ref().map(|flight| flight.id);
        flight.or_else(|| self.errand_under_way())
    }

    /// Returns the stream that is open, or asked for.
    pub(crate) fn stream(&self) -> Option<RequestId> {
        self.watching.id()
    }

    /// Returns whether a stream would be opened now if the gate let it.
    pub(crate) fn wants_stream(&self) -> bool {
        self.is_stream_due() && self.should_watch()
    }
}
