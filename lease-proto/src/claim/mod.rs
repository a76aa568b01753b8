//! One claimant's side of one Lease: what goes in, what comes out, and the loop between them.

mod budget;
mod campaign;
mod candidacy;
mod clocks;
mod commands;
mod crowd;
mod errands;
mod event;
mod events;
mod exchange;
mod gate;
mod grant;
mod news;
mod observed;
mod refusals;
mod release;
mod retry;
mod sharing;
mod state;
mod stream;
mod taking;
mod tenure;
#[cfg(test)]
mod tests;
mod trying;
mod waiting;
mod watching;
mod writes;

use std::time::{Duration, Instant, SystemTime};

pub use self::event::{Event, Failure, GaveUp, Loss, Output, Released, Trouble};
pub use self::grant::{FencingToken, Grant};
pub use self::observed::over_for_newcomers;
pub use self::state::Patience;
pub use self::waiting::{Precedence, Waiting};
use self::{
    budget::Budget,
    candidacy::{Candidacy, Errand},
    clocks::Clocks,
    crowd::Crowd,
    events::Events,
    exchange::Ask,
    observed::{Observed, Verdict},
    retry::Backoff,
    state::{Campaign, InFlight, Phase, Release},
    writes::{Sent, Writes},
};
pub(crate) use self::{
    gate::{Gate, Gated, Urgency},
    retry::Random,
    stream::Watching,
};
use crate::{
    call::{Answer, RequestId},
    config::Config,
    wire::{Identity, Lease, LeaseName, LeaseSpec, MicroTime, RawTime},
};

/// One claimant's side of one Lease.
///
/// Methods come in four kinds. There is one output, [`poll_output`](Self::poll_output), to be called after everything else
/// until it says [`Wait`](Output::Wait) or [`Done`](Output::Done). Inputs report the outcome of requests:
/// [`handle_response`](Self::handle_response) and [`handle_failure`](Self::handle_failure), and of streams
/// [`handle_chunk`](Self::handle_chunk), [`handle_end`](Self::handle_end) and [`handle_no_stream`](Self::handle_no_stream). Commands are verbs:
/// [`acquire`](Self::acquire), [`resume`](Self::resume), [`verify`](Self::verify), [`release`](Self::release),
/// [`hand_over`](Self::hand_over). Getters read.
///
/// The clock behind every `now` must never go back and must count the time for which the machine sleeps
/// (`CLOCK_BOOTTIME` on Linux). It must be read before `wall` is; before a request that `poll_output` returns is sent, and
/// after an answer that `handle_response` takes has come: what is believed is counted from the one, and what is known of
/// others from the other. The same inputs give the same outputs, byte for byte.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// use lease_proto::{Claim, Config, Output, Patience};
///
/// let now = Instant::now();
/// let mut claim = Claim::new(Config::builder("default", "leader", "me").build()?, 0x5eed, now);
/// claim.acquire(Patience::Once, now);
/// let output = claim.poll_output(now, SystemTime::now());
/// assert!(matches!(output, Output::Request(_)) && !claim.is_held(now));
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Claim {
    config: Config,
    identity: Identity,
    random: Random,
    /// The latest instant heard of: time does not go back even if a driver's clock does.
    now: Instant,
    next_request: u64,
    campaigns: u64,
    events: Events,
    cancelled: Vec<RequestId>,
    in_flight: Option<Box<InFlight>>,
    reload_credentials: bool,
    /// Goes on from one state to the next: a server in trouble is not to be asked anew as if it were not.
    backoff: Backoff,
    /// What is left of what it may ask, whatever goes wrong.
    budget: Budget,
    observed: Observed,
    clocks: Clocks,
    writes: Writes,
    watching: Watching,
    crowd: Crowd,
    /// Nothing is asked before this instant in order to acquire: the server has asked for that, or others have ended one tenure
    /// after another.
    quiet_until: Option<Instant>,
    /// How long answers take of late that do what was asked for.
    round_trip: Duration,
    /// Whether it belongs to a set, whose renewals should be spread.
    is_one_of_many: bool,
    /// What it does beside that, if it waits by priority.
    candidacy: Option<Box<Candidacy>>,
    phase: Phase,
}

/// What a state wants next.
enum Want {
    /// Send this request, which must be over by then.
    Send(Ask, Instant),
    /// Send what waiting by priority needs, which must be over by then.
    Run(Errand, Instant),
    /// Look again at this instant, or earlier if something happens.
    Wait(Instant),
    /// Look at the state again: it has changed.
    Again,
    /// Nothing.
    Nothing,
}

impl Claim {
    /// Makes a claim at rest.
    ///
    /// `seed` spreads the pauses of claimants that start together, and makes the identity unique where that is
    /// configured: take it from the operating system's source of randomness.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let identity = if config.unique_identity {
            config.identity.with_suffix(random.next())
        } else {
            config.identity.clone()
        };
        let candidacy = config
            .priority
            .map(|priority| Box::new(Candidacy::new(priority, &config, now)));
        Self {
            config,
            identity,
            random,
            now,
            next_request: 0,
            campaigns: 0,
            events: Events::default(),
            cancelled: Vec::new(),
            in_flight: None,
            reload_credentials: false,
            backoff: Backoff::default(),
            budget: Budget::default(),
            observed: Observed::default(),
            clocks: Clocks::default(),
            writes: Writes::default(),
            watching: Watching::default(),
            crowd: Crowd::default(),
            quiet_until: None,
            round_trip: Duration::ZERO,
            is_one_of_many: false,
            candidacy,
            phase: Phase::Idle,
        }
    }

    /// Advances to `now` and says what to do next.
    ///
    /// Timers that are due come first, so that `Lost` precedes everything that follows from it. `wall` is written into
    /// records for other clients to see, and decides nothing by itself (see [`ConfigBuilder::server_time`]).
    ///
    /// [`ConfigBuilder::server_time`]: crate::ConfigBuilder::server_time
    pub fn poll_output(&mut self, now: Instant, wall: SystemTime) -> Output {
        match self.poll_gated(now, wall, Gate::OPEN) {
            Gated::Output(output) => output,
            Gated::Shut(_) => unreachable!("an open gate keeps nothing back"),
        }
    }

    /// Returns whether the Lease is held at `now`, whether or not a timer has fired.
    pub fn is_held(&self, now: Instant) -> bool {
        self.grant(now).is_some()
    }

    /// Returns the grant, if the Lease is held at `now`.
    pub fn grant(&self, now: Instant) -> Option<&Grant> {
        match &self.phase {
            Phase::Held(tenure) if now.max(self.now) < tenure.grant.valid_until => {
                Some(&tenure.grant)
            }
            Phase::Idle | Phase::Campaign(_) | Phase::Held(_) | Phase::Release(_) => None,
        }
    }

    /// Returns whether there is nothing to be done for it before a command.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Returns until when it gives back what it holds or may have written, while it does.
    pub(crate) fn gives_back_until(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Release(release) => Some(release.until),
            Phase::Idle | Phase::Campaign(_) | Phase::Held(_) => None,
        }
    }

    /// Returns the record as last seen; `None` if there was none, or none was looked at.
    pub fn observed(&self) -> Option<&Lease> {
        self.observed.lease()
    }

    /// Returns the name of the Lease in which this claim may have [announced](crate::Candidate) itself.
    ///
    /// It deletes that by itself once it has acquired or given up, while it is polled. Whoever goes away before that can do it, so that
    /// others do not hold back for it.
    pub fn announcement(&self) -> Option<LeaseName> {
        let candidacy = self.candidacy.as_deref()?;
        candidacy.announcement(&self.config, &self.identity)
    }

    /// Returns the identity that stands in the record when this claim holds the Lease.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Ends what is over by `now`.
    fn poll_timers(&mut self, now: Instant) {
        self.advance(now);
        if let Some(flight) = self.in_flight.take_if(|flight| flight.deadline <= self.now) {
            self.cancelled.push(flight.id);
            self.settle(*flight, Answer::Unclear, Trouble::NoAnswer, None);
        }
        self.end_errand();
        self.notice_stall();
    }

    /// Moves time on, and ends what has ended by that.
    ///
    /// Every input passes here first, so that an answer that comes after the grant has ended meets a claim that holds
    /// nothing.
    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.now);
        self.budget.advance(passed);
        if let Some(candidacy) = &mut self.candidacy {
            candidacy.budget.advance(passed);
        }
        self.now = self.now.max(now);
        match &self.phase {
            Phase::Held(tenure) if tenure.grant.valid_until <= self.now => {
                self.lose(Loss::Expired);
            }
            Phase::Campaign(campaign) => match campaign.patience {
                Patience::Until(until) if until <= self.now => {
                    let holder = self.observed.holder().map(str::to_owned);
                    let trouble = campaign.trouble.clone();
                    let trouble = trouble.filter(|_| holder.is_none());
                    self.give_up(GaveUp::TimedOut { holder, trouble });
                }
                Patience::Until(_) | Patience::Once | Patience::Forever => {}
            },
            Phase::Release(release) if release.until <= self.now => {
                self.cancel();
                self.finish_release(Released::Unconfirmed);
                // What was wanted afterwards may be over as well.
                self.advance(now);
            }
            Phase::Idle | Phase::Held(_) | Phase::Release(_) => {}
        }
    }

    fn want(&mut self, wall: MicroTime) -> Want {
        let opens_at = self.opens_at().filter(|_| self.is_timely());
        let want = match (&self.phase, opens_at) {
            (Phase::Idle, _) => Want::Nothing,
            (_, Some(at)) => Want::Wait(at),
            (Phase::Campaign(_), None) => self.want_of_campaign(wall),
            (Phase::Held(_), None) => self.want_of_tenure(wall),
            (Phase::Release(_), None) => self.want_of_release(wall),
        };
        let want = self.with_errands(want);
        let ends = [self.end_of_phase(), self.next_of_stream()];
        match want {
            Want::Wait(until) => Want::Wait(ends.into_iter().flatten().fold(until, Instant::min)),
            Want::Send(..) | Want::Run(..) | Want::Again | Want::Nothing => want,
        }
    }

    /// The instant at which `advance` will end the present state by itself.
    fn end_of_phase(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Held(tenure) => Some(tenure.grant.valid_until),
            Phase::Campaign(Campaign {
                patience: Patience::Until(until),
                ..
            })
            | Phase::Release(Release { until, .. }) => Some(*until),
            Phase::Idle | Phase::Campaign(_) => None,
        }
    }

    /// Judges the record by all that is known now.
    fn verdict(&self) -> Verdict {
        self.observed
            .verdict(self.now, self.clocks.earliest(self.now))
    }

    /// Returns the write that made `lease` what it is, if the record names us and was written by this claim.
    fn own_write(&self, lease: &Lease) -> Option<Sent> {
        let is_ours = lease.spec.holder() == Some(self.identity.as_str());
        is_ours
            .then(|| self.writes.find(&lease.spec).cloned())
            .flatten()
    }

    /// Returns whether observers of `lease` wait at least as long as a write of ours has them wait.
    fn names_enough(&self, lease: &Lease) -> bool {
        let published = self.config.published_seconds();
        let named = lease.spec.lease_duration_seconds;
        named.is_some_and(|named| named >= published)
    }

    /// Fills in what a write says when it names us as the holder, and remembers it.
    fn sign(&mut self, spec: &mut LeaseSpec, mut write: Sent, transitions: u32) -> Sent {
        spec.holder_identity = Some(self.identity.as_str().to_owned());
        spec.lease_duration_seconds = Some(self.config.published_seconds());
        spec.acquire_time = Some(write.acquire_time.into());
        spec.renew_time = Some(write.renew_time.into());
        spec.lease_transitions = Some(transitions.into());
        write = self
            .writes
            .hand_out(write, self.config.whole_second_observers);
        write
    }
}

/// Returns whether `lease`, an answer to a write, shows that the write was carried out on top of `base`.
///
/// A 2xx proves nothing by itself: a proxy may have made it up, a write that changes nothing is answered like one that
/// does, and a webhook may have changed what was written.
fn is_echo(lease: &Lease, write: &Sent, claim: &Claim, base: Option<&Lease>) -> bool {
    let spec = &lease.spec;
    let time = |time: &Option<RawTime>| time.as_ref().and_then(RawTime::time);
    spec.holder() == Some(claim.identity.as_str())
        && time(&spec.acquire_time) == Some(write.acquire_time)
        && time(&spec.renew_time) == Some(write.renew_time)
        && claim.names_enough(lease)
        && base.is_none_or(|base| base.metadata.uid == lease.metadata.uid && is_newer(lease, base))
}

/// Returns whether `lease` is a later version of the record than `base`.
fn is_newer(lease: &Lease, base: &Lease) -> bool {
    match (
        &lease.metadata.resource_version,
        &base.metadata.resource_version,
    ) {
        (Some(new), Some(old)) => match (new.number(), old.number()) {
            (Some(new), Some(old)) => new > old,
            _ => new != old,
        },
        _ => false,
    }
}
