//! A claim as its driver has it: alone, or in a set.

use std::{
    collections::{HashMap, VecDeque},
    time::{Instant, SystemTime},
};

use http::{Method, Request, Response};
use lease_proto::{
    Claim, ClaimId, ClaimSet, Config, Event, Output, Parting, Patience, RequestId, SetLimits,
    SetOutput, Tag,
};

use super::plants::Bug;

/// A claim, and what polls it.
#[derive(Debug)]
pub(crate) enum Kept {
    Alone(Box<Claim>),
    InSet(Box<InSet>),
}

/// A claim of a set, in which there may be one for another Lease as well: of that nothing is asked but to be in the way.
#[derive(Debug)]
pub(crate) struct InSet {
    set: ClaimSet,
    id: ClaimId,
    another: Option<ClaimId>,
    bug: Option<Bug>,
    /// What its last requests are called, and its streams.
    requests: VecDeque<(RequestId, Tag)>,
    streams: HashMap<StreamId, Tag>,
}

/// Names a stream: one of a claim's own, or one that a set has claims share, which are numbered for themselves.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum StreamId {
    Own(RequestId),
    Shared(RequestId),
}

impl StreamId {
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::Shared(_))
    }

    fn number(self) -> RequestId {
        let (Self::Own(id) | Self::Shared(id)) = self;
        id
    }
}

/// What another claim of a set asks.
#[derive(Debug)]
pub(crate) struct Aside {
    tag: Tag,
    pub(crate) request: Request<Vec<u8>>,
}

/// For how many requests an answer may come late, or once more.
const REQUESTS: usize = 16;

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Next {
    Request(lease_proto::Request),
    Watch(StreamId, Request<Vec<u8>>),
    Cancel(RequestId),
    /// A stream is not wanted any more.
    Close(StreamId),
    Aside(Box<Aside>),
    Event(Event),
    /// The claim is at rest, and others of its set are not.
    Rest(Instant),
    Wait(Instant),
    Done,
}

impl Kept {
    pub(crate) fn alone(config: Config, seed: u64, now: Instant) -> Self {
        Self::Alone(Box::new(Claim::new(config, seed, now)))
    }

    /// Puts a claim into a set of its own, with another one in its company if there is one; they share streams from so many
    /// on.
    pub(crate) fn in_set(
        config: Config,
        another: Option<Config>,
        seed: u64,
        now: Instant,
        sharers: usize,
        bug: Option<Bug>,
    ) -> Self {
        let limits = SetLimits::default().requests(2).streams(2).sharers(sharers);
        let mut set = ClaimSet::new(limits, seed, now);
        let id = set.add(config, now);
        let another = another.map(|config| {
            let another = set.add(config, now);
            set.acquire(another, Patience::Forever, now);
            another
        });
        Self::InSet(Box::new(InSet {
            set,
            id,
            another,
            bug,
            requests: VecDeque::new(),
            streams: HashMap::new(),
        }))
    }

    pub(crate) fn claim(&self) -> &Claim {
        match self {
            Self::Alone(claim) => claim,
            Self::InSet(it) => it.set.get(it.id).expect("it is never removed"),
        }
    }

    pub(crate) fn poll(&mut self, now: Instant, wall: SystemTime) -> Next {
        match self {
            Self::Alone(claim) => match claim.poll_output(now, wall) {
                Output::Request(request) if request.is_stream => {
                    Next::Watch(StreamId::Own(request.id), request.http)
                }
                Output::Request(request) => Next::Request(request),
                Output::Cancel(id) => Next::Cancel(id),
                Output::Event(event) => Next::Event(event),
                Output::Wait(until) => Next::Wait(until),
                Output::Done => Next::Done,
            },
            Self::InSet(it) => it.poll(now, wall),
        }
    }

    pub(crate) fn answer(&mut self, id: RequestId, response: &Response<Vec<u8>>, now: Instant) {
        match self {
            Self::Alone(claim) => claim.handle_response(id, response, now),
            Self::InSet(it) => {
                // An answer may come twice, or long after it was given up.
                let mut all = it.requests.iter();
                if let Some((_, tag)) = all.find(|(known, _)| *known == id) {
                    it.set.handle_response(*tag, response, now);
                }
            }
        }
    }

    /// Takes the answer to what another claim of the set asked.
    pub(crate) fn answer_aside(
        &mut self,
        aside: &Aside,
        response: &Response<Vec<u8>>,
        now: Instant,
    ) {
        if let Self::InSet(it) = self {
            it.set.handle_response(aside.tag, response, now);
            if it.bug == Some(Bug::AnswerToAnother)
                && let Some((_, tag)) = it.requests.front()
            {
                it.set.handle_response(*tag, response, now);
            }
        }
    }

    pub(crate) fn has_company(&self) -> bool {
        matches!(self, Self::InSet(it) if it.another.is_some())
    }

    pub(crate) fn answer_stream(
        &mut self,
        id: StreamId,
        response: &Response<Vec<u8>>,
        now: Instant,
    ) {
        match self {
            Self::Alone(claim) => claim.handle_response(id.number(), response, now),
            Self::InSet(it) => {
                if let Some(tag) = it.streams.get(&id) {
                    it.set.handle_response(*tag, response, now);
                }
            }
        }
    }

    pub(crate) fn hear(&mut self, id: StreamId, chunk: &[u8], now: Instant) {
        match self {
            Self::Alone(claim) => claim.handle_chunk(id.number(), chunk, now),
            Self::InSet(it) => {
                let is_withheld = it.bug == Some(Bug::WithheldNews) && id.is_shared();
                if let Some(tag) = it.streams.get(&id).filter(|_| !is_withheld) {
                    it.set.handle_chunk(*tag, chunk, now);
                }
            }
        }
    }

    pub(crate) fn end(&mut self, id: StreamId, now: Instant) {
        match self {
            Self::Alone(claim) => claim.handle_end(id.number(), now),
            Self::InSet(it) => {
                if let Some(tag) = it.streams.get(&id) {
                    it.set.handle_end(*tag, now);
                }
            }
        }
    }

    pub(crate) fn acquire(&mut self, patience: Patience, now: Instant) {
        match self {
            Self::Alone(claim) => claim.acquire(patience, now),
            Self::InSet(it) => it.set.acquire(it.id, patience, now),
        }
    }

    pub(crate) fn release_with(&mut self, parting: Parting, now: Instant) {
        match self {
            Self::Alone(claim) => claim.release_with(parting, now),
            Self::InSet(it) => it.set.release_with(it.id, parting, now),
        }
    }

    pub(crate) fn verify(&mut self, now: Instant) {
        match self {
            Self::Alone(claim) => claim.verify(now),
            Self::InSet(it) => it.set.verify(it.id, now),
        }
    }
}

impl InSet {
    fn poll(&mut self, now: Instant, wall: SystemTime) -> Next {
        loop {
            let output = self.set.poll_output(now, wall);
            if let Some(next) = self.pass_on(output, now) {
                return next;
            }
        }
    }

    /// Says what concerns the claim, or what another one asks.
    fn pass_on(&mut self, output: SetOutput, now: Instant) -> Option<Next> {
        Some(match output {
            SetOutput::Request(tag, request) if self.is_another(tag.claim()) => {
                if request.is_stream {
                    // It has one only if all share it.
                    self.set.handle_failure(tag, now);
                    return None;
                }
                let request = request.http;
                Next::Aside(Box::new(Aside { tag, request }))
            }
            SetOutput::Cancel(tag) if self.is_another(tag.claim()) => return None,
            SetOutput::Event(id, _)
                if self.is_another(Some(id)) && self.bug != Some(Bug::EventToAnother) =>
            {
                return None;
            }
            SetOutput::Request(tag, request) => {
                if request.is_stream {
                    let id = match tag.claim() {
                        Some(_) => StreamId::Own(request.id),
                        None => StreamId::Shared(request.id),
                    };
                    self.streams.insert(id, tag);
                    return Some(Next::Watch(id, request.http));
                }
                if self.bug == Some(Bug::RoomTooEarly) && request.http.method() != Method::GET {
                    self.set.handle_failure(tag, now);
                }
                self.requests.push_front((request.id, tag));
                self.requests.truncate(REQUESTS);
                Next::Request(request)
            }
            SetOutput::Cancel(tag) => {
                let mut streams = self.streams.iter();
                if let Some(id) = streams.find(|(_, it)| **it == tag).map(|(id, _)| *id) {
                    return Some(Next::Close(id));
                }
                Next::Cancel(self.name_of(tag))
            }
            SetOutput::Event(_, event) => Next::Event(event),
            SetOutput::Wait(until) if self.set.get(self.id).is_some_and(Claim::is_at_rest) => {
                Next::Rest(until)
            }
            SetOutput::Wait(until) => Next::Wait(until),
            SetOutput::Done => Next::Done,
        })
    }

    fn name_of(&self, tag: Tag) -> RequestId {
        let mut requests = self.requests.iter();
        let found = requests.find(|(_, it)| *it == tag);
        found.expect("what is given up was asked for").0
    }

    fn is_another(&self, claim: Option<ClaimId>) -> bool {
        claim.is_some() && claim == self.another
    }
}
