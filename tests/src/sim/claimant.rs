//! A shipped claim, with a bug planted around it where that is wanted.

use std::{
    collections::VecDeque,
    time::{Instant, SystemTime},
};

use http::{HeaderValue, Request, Response, header};
use lease_proto::{
    Claim, Config, Event, Grant, Output, Patience, RequestId,
    access::{Secret, bearer},
};

use super::plants::{Bug, Plant};

/// The token of every claimant. Whoever reads it in anything that is printed has seen a secret.
pub(crate) const CANARY: &str = "canary-5f2c91";

/// What a claimant wants.
#[derive(Debug)]
pub(crate) enum Say {
    Ask(RequestId, Request<Vec<u8>>),
    Watch(RequestId, Request<Vec<u8>>),
    Cancel(RequestId),
    Event(Event),
    Wait(Instant),
    Done,
}

/// A claim, and the plant between it and the world.
#[derive(Debug)]
pub(crate) struct Claimant {
    claim: Claim,
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
    pub(crate) fn new(config: Config, seed: u64, now: Instant, bug: Option<Bug>) -> Self {
        let claim = Claim::new(config, seed, now);
        let plant = bug.map(|bug| Box::new(Plant::new(bug, &claim)));
        Self {
            claim,
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
            let say = match self.claim.poll_output(now, wall) {
                Output::Request(mut request) => {
                    let headers = request.http.headers_mut();
                    headers.insert(header::AUTHORIZATION, self.credentials.clone());
                    if request.is_stream {
                        Say::Watch(request.id, request.http)
                    } else {
                        self.deadline = request.deadline;
                        Say::Ask(request.id, request.http)
                    }
                }
                Output::Cancel(id) => Say::Cancel(id),
                Output::Event(event) => {
                    if let Event::Acquired(_) = event {
                        self.gives_up_at = None;
                    }
                    Say::Event(event)
                }
                Output::Wait(until) => Say::Wait(until),
                Output::Done => Say::Done,
            };
            // A plant that holds something back has the claim asked again.
            match &mut self.plant {
                Some(plant) => self
                    .queue
                    .extend(plant.outwards(say, &self.claim, now, wall)),
                None => return say,
            }
        }
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
            self.claim.handle_response(id, response, now);
            return;
        };
        let (response, now, says) = plant.inwards(id, response, &self.claim, now, wall);
        self.claim.handle_response(id, &response, now);
        self.queue.extend(says);
    }

    pub(crate) fn answer_stream(
        &mut self,
        id: RequestId,
        response: &Response<Vec<u8>>,
        now: Instant,
    ) {
        self.claim.handle_response(id, response, now);
    }

    pub(crate) fn hear(&mut self, id: RequestId, chunk: &[u8], now: Instant) {
        self.claim.handle_chunk(id, chunk, now);
    }

    pub(crate) fn end(&mut self, id: RequestId, now: Instant) {
        self.claim.handle_end(id, now);
    }

    pub(crate) fn acquire(&mut self, patience: Patience, now: Instant) {
        if let Some(plant) = &mut self.plant {
            plant.releases(false);
        }
        self.gives_up_at = match patience {
            Patience::Until(at) => Some(at),
            _ => None,
        };
        self.claim.acquire(patience, now);
    }

    pub(crate) fn release(&mut self, now: Instant) {
        if let Some(plant) = &mut self.plant {
            plant.releases(true);
        }
        self.claim.release(now);
    }

    pub(crate) fn verify(&mut self, now: Instant) {
        self.claim.verify(now);
    }

    /// Whether it may act as the holder.
    pub(crate) fn believes(&self, now: Instant) -> bool {
        let by_plant = self.plant.as_ref().is_some_and(|plant| plant.believes(now));
        self.claim.is_held(now) || by_plant
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
        self.claim.identity().as_str()
    }

    pub(crate) fn config(&self) -> &Config {
        self.claim.config()
    }
}
