//! A shipped claim, with a bug planted around it where that is wanted.

use std::{
    collections::VecDeque,
    time::{Instant, SystemTime},
};

use http::{HeaderValue, Request, Response, header};
use lease_proto::{
    Config, Event, Grant, Parting, Patience, RequestId,
    access::{Secret, bearer},
};

use super::{
    kept::{Aside, Kept, Next, StreamId},
    plants::{Bug, Plant},
};

/// The token of every claimant. Whoever reads it in anything that is printed has seen a secret.
pub(crate) const CANARY: &str = "canary-5f2c91";

/// What a claimant wants.
#[derive(Debug)]
pub(crate) enum Say {
    Ask(RequestId, Request<Vec<u8>>),
    Watch(StreamId, Request<Vec<u8>>),
    Cancel(RequestId),
    /// A stream is not wanted any more, where it may be called as a request is.
    Close(StreamId),
    /// Another claim of its set asks something.
    Aside(Box<Aside>),
    Event(Event),
    /// It wants nothing, and others of its set are to be looked after then.
    Rest(Instant),
    Wait(Instant),
    Done,
}

/// A claim, and the plant between it and the world.
#[derive(Debug)]
pub(crate) struct Claimant {
    kept: Kept,
    plant: Option<Box<Plant>>,
    queue: VecDeque<Say>,
    /// When its last request is over.
    deadline: Instant,
    /// When it stops trying to acquire.
    gives_up_at: Option<Instant>,
    /// What a driver adds to each request.
    credentials: HeaderValue,
}

impl Claimant {
    pub(crate) fn new(kept: Kept, now: Instant, bug: Option<Bug>) -> Self {
        let plant = bug.map(|bug| Box::new(Plant::new(bug, kept.claim())));
        Self {
            kept,
            plant,
            queue: VecDeque::new(),
            deadline: now,
            gives_up_at: None,
            credentials: bearer(&Secret::from(CANARY)).expect("it is a header's text"),
        }
    }

    pub(crate) fn poll(&mut self, now: Instant, wall: SystemTime) -> Say {
        let plant = self.plant.as_ref();
        let wall = plant.map_or(wall, |plant| plant.reads(wall));
        loop {
            if let Some(say) = self.queue.pop_front() {
                return say;
            }
            let say = match self.kept.poll(now, wall) {
                Next::Request(mut request) => {
                    self.authorize(&mut request.http);
                    self.deadline = request.deadline;
                    Say::Ask(request.id, request.http)
                }
                Next::Watch(id, mut request) => {
                    self.authorize(&mut request);
                    Say::Watch(id, request)
                }
                Next::Cancel(id) => Say::Cancel(id),
                Next::Close(id) => Say::Close(id),
                Next::Event(event) => {
                    if let Event::Acquired(_) = event {
                        self.gives_up_at = None;
                    }
                    Say::Event(event)
                }
                Next::Aside(aside) => Say::Aside(aside),
                Next::Rest(until) => Say::Rest(until),
                Next::Wait(until) => Say::Wait(until),
                Next::Done => Say::Done,
            };
            // A plant that holds something back has the claim asked again.
            match &mut self.plant {
                Some(plant) => self
                    .queue
                    .extend(plant.outwards(say, self.kept.claim(), now, wall)),
                None => return say,
            }
        }
    }

    fn authorize(&self, request: &mut Request<Vec<u8>>) {
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.credentials.clone());
    }

    /// Whether an answer at `now` is too late to be looked at.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now || self.gives_up_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn answer(
        &mut self,
        id: RequestId,
        response: &Response<Vec<u8>>,
        now: Instant,
        wall: SystemTime,
    ) {
        let Some(plant) = &mut self.plant else {
            self.kept.answer(id, response, now);
            return;
        };
        let (response, now, says) = plant.inwards(id, response, self.kept.claim(), now, wall);
        self.kept.answer(id, &response, now);
        self.queue.extend(says);
    }

    /// Takes the answer to what another claim of its set asked.
    pub(crate) fn answer_aside(
        &mut self,
        aside: &Aside,
        response: &Response<Vec<u8>>,
        now: Instant,
    ) {
        self.kept.answer_aside(aside, response, now);
    }

    /// Whether what it has seen is no older than that.
    pub(crate) fn knows(&self, version: u64) -> bool {
        let seen = self.kept.claim().observed();
        let seen = seen.and_then(|lease| lease.metadata.resource_version.as_ref()?.number());
        seen.is_some_and(|seen| u128::from(version) <= seen)
    }

    pub(crate) fn has_company(&self) -> bool {
        self.kept.has_company()
    }

    pub(crate) fn answer_stream(
        &mut self,
        id: StreamId,
        response: &Response<Vec<u8>>,
        now: Instant,
    ) {
        self.kept.answer_stream(id, response, now);
    }

    pub(crate) fn hear(&mut self, id: StreamId, chunk: &[u8], now: Instant) {
        self.kept.hear(id, chunk, now);
    }

    pub(crate) fn end(&mut self, id: StreamId, now: Instant) {
        self.kept.end(id, now);
    }

    pub(crate) fn acquire(&mut self, patience: Patience, now: Instant) {
        if let Some(plant) = &mut self.plant {
            plant.releases(false);
        }
        self.gives_up_at = match patience {
            Patience::Until(at) => Some(at),
            _ => None,
        };
        self.kept.acquire(patience, now);
    }

    pub(crate) fn release_with(&mut self, parting: Parting, now: Instant) {
        if let Some(plant) = &mut self.plant {
            plant.releases(true);
        }
        self.kept.release_with(parting, now);
    }

    pub(crate) fn verify(&mut self, now: Instant) {
        self.kept.verify(now);
    }

    /// Whether it may act as the holder.
    pub(crate) fn believes(&self, now: Instant) -> bool {
        let by_plant = self.plant.as_ref().is_some_and(|plant| plant.believes(now));
        self.kept.claim().is_held(now) || by_plant
    }

    /// The token of a grant, as the application gets it.
    pub(crate) fn token(&self, grant: &Grant) -> Option<u128> {
        match &self.plant {
            Some(plant) if plant.bug() == Bug::TokenIsTransitions => {
                Some(u128::from(grant.transitions))
            }
            _ => grant.token.map(|token| token.get()),
        }
    }

    pub(crate) fn bug(&self) -> Option<Bug> {
        self.plant.as_ref().map(|plant| plant.bug())
    }

    pub(crate) fn identity(&self) -> &str {
        self.kept.claim().identity().as_str()
    }

    pub(crate) fn config(&self) -> &Config {
        self.kept.claim().config()
    }
}
