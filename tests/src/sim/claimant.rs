//! A shipped claim, with a bug planted around it where that is wanted.

use std::{
    collections::VecDeque,
    time::{Instant, SystemTime},
};

use http::{Request, Response};
use lease_proto::{Claim, Config, Event, Grant, Output, Patience, RequestId};

use super::plants::{Bug, Plant};

/// What a claimant wants.
#[derive(Debug)]
pub(crate) enum Say {
    Ask(RequestId, Request<Vec<u8>>),
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
}

impl Claimant {
    pub(crate) fn new(config: Config, seed: u64, now: Instant, bug: Option<Bug>) -> Self {
        let claim = Claim::new(config, seed, now);
        let plant = bug.map(|bug| Box::new(Plant::new(bug, &claim)));
        Self {
            claim,
            plant,
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn poll(&mut self, now: Instant, wall: SystemTime) -> Say {
        if let Some(say) = self.queue.pop_front() {
            return say;
        }
        let output = self.claim.poll_output(now, wall);
        let say = match output {
            Output::Request(request) => Say::Ask(request.id, request.http),
            Output::Cancel(id) => Say::Cancel(id),
            Output::Event(event) => Say::Event(event),
            Output::Wait(until) => Say::Wait(until),
            Output::Done => Say::Done,
        };
        let Some(plant) = &mut self.plant else {
            return say;
        };
        self.queue
            .extend(plant.outwards(say, &self.claim, now, wall));
        // A plant that holds something back has the claim asked again.
        self.queue.pop_front().unwrap_or(Say::Wait(now))
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

    pub(crate) fn fail(&mut self, id: RequestId, now: Instant) {
        if let Some(plant) = &mut self.plant {
            plant.fail(id);
        }
        self.claim.handle_failure(id, now);
    }

    pub(crate) fn acquire(&mut self, patience: Patience, now: Instant) {
        self.claim.acquire(patience, now);
    }

    pub(crate) fn release(&mut self, now: Instant) {
        if let Some(plant) = &mut self.plant {
            plant.release();
        }
        self.claim.release(now);
    }

    pub(crate) fn verify(&mut self, now: Instant) {
        self.claim.verify(now);
    }

    /// Whether it may act as the holder.
    pub(crate) fn believes(&self, now: Instant) -> bool {
        let by_plant = self
            .plant
            .as_ref()
            .is_some_and(|plant| plant.believes(now));
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
