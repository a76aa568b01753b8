//! Many claims behind one face: one queue of timers, one connection, and a bound on what is under way.

mod inputs;
mod limits;
mod load;
mod member;
mod output;
mod queue;
mod roster;
mod slots;
mod streams;
mod telling;
#[cfg(test)]
#[cfg(feature = "server")]
mod tests;
mod ticket;
mod timers;
mod traffic;
mod watches;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

pub use self::{
    limits::SetLimits,
    output::{ClaimId, SetOutput, Tag},
    roster::{Plan, Roster},
};
use self::{
    member::Member, output::Owner, queue::Queue, slots::Slots, streams::Streams, timers::Timers,
    traffic::Traffic,
};
use crate::{
    claim::{Claim, Event, Gate, Gated, Loss, Output, Patience, Random},
    config::{Config, Terms},
    notes::Parting,
    wire::Identity,
};

/// Any number of claims in one process, over one connection.
///
/// It has the face of a [`Claim`]: one output, [`poll_output`](Self::poll_output), to be called after everything else until
/// it says [`Wait`](SetOutput::Wait) or [`Done`](SetOutput::Done); inputs, which take the [`Tag`] of the request that they
/// report on; and commands, which take the [`ClaimId`] of the claim that they are for. What was said of clocks there holds
/// here. Whatever is named by an id or a tag that is over is ignored.
///
/// Only claims that something was told to, or whose time has come, are looked at: a step costs the same with ten claims and with
/// a hundred thousand, but for the depth of a tree.
///
/// There are never more requests under way than [allowed](SetLimits). Whoever has to wait for room renders nothing
/// until there is some, since a grant counts from the rendering of its write. Holders go first, and of those the one whose grant
/// ends first. Claims whose requests hang share half of the room, and wait for each other. Renewals of Leases that
/// were acquired together are spread over the interval between two of them, and begun by the dozen, for which each is put off by
/// a twentieth of that interval at the most. Where many of one namespace wait, they share one stream.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// use lease_proto::{ClaimSet, Config, Event, Patience, SetLimits, SetOutput};
///
/// # fn exchange(_: &http::Request<Vec<u8>>) -> Option<http::Response<Vec<u8>>> { None }
/// # fn sleep_until(_: Instant) -> bool { false }
/// let mut set = ClaimSet::new(SetLimits::default(), 0x5eed, Instant::now());
/// for shard in 0..1_000 {
///     let config = Config::builder("default", format!("shard-{shard}"), "me").build()?;
///     let id = set.add(config, Instant::now());
///     set.acquire(id, Patience::Forever, Instant::now());
/// }
/// loop {
///     match set.poll_output(Instant::now(), SystemTime::now()) {
///         // A driver begins the exchange, and goes on before there is an answer.
///         SetOutput::Request(tag, request) if request.is_stream => {
///             set.handle_no_stream(tag, Instant::now());
///         }
///         SetOutput::Request(tag, request) => match exchange(&request.http) {
///             Some(response) => set.handle_response(tag, &response, Instant::now()),
///             None => set.handle_failure(tag, Instant::now()),
///         },
///         SetOutput::Cancel(_) => {}
///         SetOutput::Event(id, Event::Acquired(grant)) => {
///             println!("{id} is ours until {:?}", grant.valid_until);
///         }
///         SetOutput::Event(..) => {}
///         SetOutput::Wait(until) => {
///             if !sleep_until(until) {
///                 break;
///             }
///         }
///         SetOutput::Done => break,
///     }
/// }
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClaimSet {
    slots: Slots,
    timers: Timers,
    /// Those to be polled now, in the order in which something happened to them.
    touched: VecDeque<u32>,
    queue: Queue,
    traffic: Traffic,
    streams: Streams,
    /// What nobody waits for any more, beside what claims cancel by themselves.
    cancelled: VecDeque<Tag>,
    random: Random,
    /// What the claims added last have in common.
    terms: VecDeque<Arc<Terms>>,
    /// When it was made.
    since: Instant,
    /// The latest instant heard of.
    now: Instant,
}

impl ClaimSet {
    /// Makes a set without claims.
    ///
    /// `seed` takes the place of the seed of each claim: take it from the operating system's source of randomness.
    pub fn new(limits: SetLimits, seed: u64, now: Instant) -> Self {
        Self {
            slots: Slots::default(),
            timers: Timers::default(),
            touched: VecDeque::new(),
            queue: Queue::default(),
            traffic: Traffic::new(limits.requests),
            streams: Streams::new(limits.streams, limits.sharers),
            cancelled: VecDeque::new(),
            random: Random::new(seed),
            terms: VecDeque::new(),
            since: now,
            now,
        }
    }

    /// Adds a claim at rest.
    ///
    /// What configurations have in common is kept once.
    pub fn add(&mut self, mut config: Config, now: Instant) -> ClaimId {
        self.now = self.now.max(now);
        config.share(&mut self.terms);
        let seed = self.random.next();
        let claim = Claim::one_of_many(config, seed, self.now);
        self.slots.insert(Member::new(claim))
    }

    /// Forgets a claim at once, whatever it is about; what it holds is left to expire. Returns whether there was one.
    ///
    /// To give a Lease up, [`release`](Self::release) it, and remove the claim when that has ended.
    pub fn remove(&mut self, id: ClaimId) -> bool {
        let Some(mut member) = self.slots.remove(id) else {
            return false;
        };
        self.timers.reset(id.slot, member.wake, None);
        self.queue.leave(id.slot, member.turn);
        self.streams.forget(id.slot, &mut member, self.now);
        if let Some(ticket) = member.flight {
            self.traffic.end(ticket, self.now);
        }
        let (request, stream) = (member.claim.awaits(), member.claim.stream());
        let owner = Owner::Claim(id);
        let tags = request.into_iter().chain(stream);
        self.cancelled
            .extend(tags.map(|request| Tag { owner, request }));
        true
    }

    /// Has a claim [acquire](Claim::acquire) its Lease.
    pub fn acquire(&mut self, id: ClaimId, patience: Patience, now: Instant) {
        self.command(id, now, |claim, now| claim.acquire(patience, now));
    }

    /// Has a claim [renew](Claim::resume) what the record says that its identity holds.
    pub fn resume(&mut self, id: ClaimId, now: Instant) {
        self.command(id, now, Claim::resume);
    }

    /// Has a claim [read](Claim::verify) its record before something critical.
    pub fn verify(&mut self, id: ClaimId, now: Instant) {
        self.command(id, now, Claim::verify);
    }

    /// Has a claim [give up](Claim::release) its Lease.
    pub fn release(&mut self, id: ClaimId, now: Instant) {
        self.release_with(id, Parting::default(), now);
    }

    /// Gives a claim's Lease up, and leaves something in the record: see [`Claim::release_with`].
    pub fn release_with(&mut self, id: ClaimId, parting: Parting, now: Instant) {
        self.command(id, now, |claim, now| claim.release_with(parting, now));
    }

    /// Gives a claim's Lease up, and leaves it to `successor` for a while: see [`Claim::hand_over`].
    pub fn hand_over(
        &mut self,
        id: ClaimId,
        successor: Identity,
        patience: Duration,
        now: Instant,
    ) {
        self.release_with(id, Parting::default().successor(successor, patience), now);
    }

    /// Advances to `now` and says what to do next. `wall` is for records, and decides nothing by itself, as with
    /// [`Claim::poll_output`]: each claim goes by what it has heard of the server's clock by itself.
    ///
    /// `Lost` comes out before anything that follows from it for the same claim.
    pub fn poll_output(&mut self, now: Instant, wall: SystemTime) -> SetOutput {
        self.now = self.now.max(now);
        loop {
            if let Some(tag) = self.cancelled.pop_front() {
                return SetOutput::Cancel(tag);
            }
            while let Some(slot) = self.timers.pop(self.now) {
                self.wake(slot);
            }
            if let Some(slot) = self.first_touched() {
                if let Some(output) = self.poll(slot, wall, Gate::SHUT) {
                    return output;
                }
                continue;
            }
            if self.give_up_slow_ones() {
                continue;
            }
            if let Some(output) = self.tend_watches() {
                return output;
            }
            if !self.touched.is_empty() || !self.cancelled.is_empty() {
                continue;
            }
            let Some((slot, gate)) = self.next_to_send() else {
                return self.rest();
            };
            if let Some(output) = self.poll(slot, wall, gate) {
                return output;
            }
        }
    }

    /// Returns a claim, to read from. Whether a Lease is held, and until when, it says without being polled.
    pub fn get(&self, id: ClaimId) -> Option<&Claim> {
        self.slots.get(id).map(|member| &member.claim)
    }

    /// Walks over all claims.
    pub fn iter(&self) -> impl Iterator<Item = (ClaimId, &Claim)> {
        self.slots.iter().map(|(id, member)| (id, &member.claim))
    }

    /// Returns how many claims there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn command(&mut self, id: ClaimId, now: Instant, command: impl FnOnce(&mut Claim, Instant)) {
        self.now = self.now.max(now);
        if let Some(member) = self.slots.get_mut(id) {
            command(&mut member.claim, self.now);
            self.touch(id.slot);
        }
    }

    /// Has a claim polled, since something has happened to it.
    fn touch(&mut self, slot: u32) {
        if let Some((_, member)) = self.slots.at(slot)
            && !member.is_touched
        {
            member.is_touched = true;
            self.touched.push_back(slot);
        }
    }

    /// Returns the first of those to be polled.
    fn first_touched(&mut self) -> Option<u32> {
        while let Some(slot) = self.touched.front().copied() {
            // Whoever had this place before may have been removed.
            if let Some((
                _,
                Member {
                    is_touched: true, ..
                },
            )) = self.slots.at(slot)
            {
                return Some(slot);
            }
            self.touched.pop_front();
        }
        None
    }

    /// Has a claim polled whose timer was taken out.
    fn wake(&mut self, slot: u32) {
        if let Some((_, member)) = self.slots.at(slot) {
            member.wake = None;
        }
        self.touch(slot);
    }

    /// Polls a claim once. It is to be polled again if it had something to say.
    fn poll(&mut self, slot: u32, wall: SystemTime, gate: Gate) -> Option<SetOutput> {
        let claims = self.slots.len();
        let (id, member) = self.slots.at(slot)?;
        let owner = Owner::Claim(id);
        let tag = |request| Tag { owner, request };
        let (output, until) = match member.claim.poll_gated(self.now, wall, gate) {
            Gated::Output(Output::Event(event)) => {
                if event == Event::Lost(Loss::Expired) {
                    self.traffic.lose(self.now);
                }
                (Some(SetOutput::Event(id, event)), None)
            }
            Gated::Output(Output::Cancel(request)) => {
                // One that came to its deadline has hung all the time.
                if member.claim.awaits().is_none()
                    && let Some(ticket) = member.flight.take()
                {
                    member.is_slow = true;
                    self.traffic.time_out(ticket, self.now);
                }
                (Some(SetOutput::Cancel(tag(request))), None)
            }
            Gated::Output(Output::Request(request)) => {
                if request.is_stream {
                    self.streams.begin(member);
                } else {
                    self.queue.count(member.claim.urgency());
                    let ends = member.claim.ends_of_try().filter(|_| gate.gives_up);
                    let is_slow = member.is_slow;
                    let ticket = self.traffic.begin(slot, is_slow, ends, self.now);
                    member.flight = Some(ticket);
                }
                (Some(SetOutput::Request(tag(request.id), request)), None)
            }
            Gated::Output(Output::Wait(until)) => {
                self.queue.leave(slot, member.turn.take());
                let until = match member.claim.next_renewal() {
                    Some((at, interval)) if at == until && claims > 1 => {
                        timers::together(at, self.since, interval, claims)
                    }
                    Some(_) | None => until,
                };
                (None, Some(until))
            }
            Gated::Output(Output::Done) => {
                self.queue.leave(slot, member.turn.take());
                (None, None)
            }
            Gated::Shut(until) => {
                let (urgency, is_slow) = (member.claim.urgency(), member.is_slow);
                let turn = self
                    .queue
                    .line_up(slot, member.turn, urgency, is_slow, self.now);
                member.turn = Some(turn);
                (None, until)
            }
        };
        if output.is_some() {
            if !member.is_touched {
                member.is_touched = true;
                self.touched.push_front(slot);
            }
            return output;
        }
        self.timers.reset(slot, member.wake, until);
        member.wake = until;
        if let Some(ticket) = member.flight.take_if(|_| member.claim.awaits().is_none()) {
            self.traffic.end(ticket, self.now);
        }
        let (doubts, is_touched) = (member.claim.takes_doubt(), member.is_touched);
        member.is_touched = self.streams.tend(slot, member, self.now);
        match (is_touched, member.is_touched) {
            (true, false) => drop(self.touched.pop_front()),
            (false, true) => self.touched.push_front(slot),
            (true, true) | (false, false) => {}
        }
        if doubts {
            self.doubt_watch_of(slot);
        }
        None
    }

    /// Takes note of requests that turn out to hang, and gives some up if they are too many. Returns whether it has.
    fn give_up_slow_ones(&mut self) -> bool {
        while let Some(slot) = self.traffic.overdue(self.now) {
            if let Some((_, member)) = self.slots.at(slot) {
                member.is_slow = true;
            }
        }
        let late = self.traffic.too_late(self.now);
        let waits = self.queue.has_prompt();
        let excess = |traffic: &mut Traffic| waits.then(|| traffic.excess(self.now)).flatten();
        let Some((slot, ticket)) = late.or_else(|| excess(&mut self.traffic)) else {
            return false;
        };
        self.traffic.end(ticket, self.now);
        if let Some((id, member)) = self.slots.at(slot)
            && let Some(request) = member.claim.awaits()
        {
            member.flight = None;
            member.claim.handle_failure(request, self.now);
            let owner = Owner::Claim(id);
            self.cancelled.push_back(Tag { owner, request });
            self.touch(slot);
        }
        true
    }

    /// Returns whose turn it is to send, and what.
    fn next_to_send(&self) -> Option<(u32, Gate)> {
        let room = (self.traffic.has_room(false), self.traffic.has_room(true));
        let usual = self.traffic.usual();
        let requests = Gate {
            requests: true,
            usual,
            gives_up: self.len() > 1,
            ..Gate::SHUT
        };
        let streams = Gate {
            streams: true,
            ..Gate::SHUT
        };
        let request = self.queue.first(room, self.now + usual);
        let request = request.map(|slot| (slot, requests));
        request.or_else(|| Some((self.streams.first()?, streams)))
    }

    /// Says when something is to be done, now that nothing is.
    fn rest(&self) -> SetOutput {
        let next = [
            self.timers.next(),
            self.traffic.next(self.now),
            self.streams.next(),
        ];
        match next.into_iter().flatten().min() {
            Some(until) => SetOutput::Wait(until),
            None => SetOutput::Done,
        }
    }
}
