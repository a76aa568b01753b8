//! What a set knows of one claim beside the protocol's part.

use std::sync::Arc;

use lease_proto::{Claim, Event};

use crate::{TransportError, observe::Observer, shared::Shared, task::Plan};

/// One claim of a set.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    pub(super) observer: Observer,
    pub(super) last_error: Option<Arc<TransportError>>,
    plan: Plan,
    is_stopping: bool,
    /// Whether it is on the list of those to be looked at once all has been said.
    pub(super) is_noted: bool,
    /// A request of it is under way, streams aside.
    pub(super) is_asking: bool,
    /// How many requests of it were given up and have not come back from the transport.
    pub(super) strays: usize,
    /// The look at the record that was asked for, and the one that the next answer to a look will do for.
    wanted: Option<u64>,
    begun: u64,
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, plan: Plan, claim: &Claim) -> Self {
        Self {
            shared,
            observer: Observer::new(claim),
            last_error: None,
            plan,
            is_stopping: false,
            is_noted: false,
            is_asking: false,
            strays: 0,
            wanted: None,
            begun: 0,
        }
    }

    /// Tells whoever has the handle; returns whether the claim is to be released now.
    pub(super) fn tell(&mut self, claim: &Claim, event: &Event) -> bool {
        self.observer.event(claim, event);
        self.shared
            .note(event, self.last_error.as_ref(), self.begun);
        // Once only: a release that is refused says the same, and is over.
        let ends = self.plan.is_ended_by(event) && !self.shared.has_acquired();
        ends && self.stop()
    }

    /// Takes note that it is to end; returns whether that is new.
    pub(super) fn stop(&mut self) -> bool {
        !std::mem::replace(&mut self.is_stopping, true)
    }

    /// Whether it is over once its claim is at rest.
    pub(super) fn ends_at_rest(&self) -> bool {
        self.is_stopping || self.plan != Plan::Forever
    }

    pub(super) fn want_look(&mut self, look: u64) {
        self.wanted = self.wanted.max(Some(look));
    }

    /// Whether the record is to be looked at now: not while a request is under way, whose answer tells how things stood
    /// earlier.
    pub(super) fn begins_look(&mut self) -> bool {
        let Some(look) = self.wanted.take_if(|_| !self.is_asking) else {
            return false;
        };
        self.begun = look;
        true
    }
}
