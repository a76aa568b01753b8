//! What the task of a set and the handles of its claims share, behind a lock that nobody holds for long.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use lease_proto::{
    self as proto, ClaimId, Config, Deadline, Event, Parting, Patience, Plan, Roster, SetLimits,
};
use tokio::sync::Notify;

use super::member::Member;
use crate::{Client, Clock, Keeper, shared::Shared, task::Line};

/// A set, as its task and its handles see it.
pub(crate) struct Inner {
    pub(super) client: Client,
    /// Never locked across an await.
    state: Mutex<State>,
    /// Something was told to the set.
    pub(super) told: Notify,
    /// What is told each time that the task looks at the clock.
    pub(super) seen: Arc<Deadline>,
}

/// The claims, and what becomes of them.
pub(super) struct State {
    pub(super) proto: proto::ClaimSet,
    pub(super) members: HashMap<ClaimId, Member>,
    pub(super) roster: Roster,
    /// Whether somebody may add a claim.
    is_open: bool,
    has_ended: bool,
}

impl Inner {
    pub(super) fn new(client: &Client, limits: SetLimits) -> Self {
        // The hasher of the standard library is keyed from the system's randomness, for each instance anew.
        let seed = RandomState::new().hash_one(0);
        let state = State {
            proto: proto::ClaimSet::new(limits, seed, client.clock().now()),
            members: HashMap::new(),
            roster: Roster::default(),
            is_open: true,
            has_ended: false,
        };
        Self {
            client: client.clone(),
            state: Mutex::new(state),
            told: Notify::new(),
            seen: Arc::new(Deadline::new(client.clock().now())),
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.client.clock()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a claim that acquires its Lease.
    pub(super) fn add(self: &Arc<Self>, config: Config, patience: Patience, plan: Plan) -> Keeper {
        let clock = self.clock();
        let shared = Arc::new(Shared::new(&config, clock, Arc::clone(&self.seen)));
        let mut state = self.state();
        let id = state.proto.add(config, clock.now());
        let claim = state.proto.get(id).expect("it was added above");
        let member = Member::new(Arc::clone(&shared), claim);
        let seat = Seat {
            inner: Arc::clone(self),
            id,
        };
        let keeper = Keeper::new(Arc::clone(&shared), Line::Set(seat), claim, clock);
        if state.has_ended {
            state.proto.remove(id);
            shared.end();
        } else {
            state.members.insert(id, member);
            state.roster.enter(id, plan);
            state.proto.acquire(id, patience, clock.now());
        }
        drop(state);
        self.told.notify_one();
        keeper
    }

    /// Takes note that no claim will be added.
    pub(super) fn close(&self) {
        self.state().is_open = false;
        self.told.notify_one();
    }

    pub(super) fn len(&self) -> usize {
        self.state().members.len()
    }
}

impl State {
    /// Whether there is nothing to be done any more.
    pub(super) fn is_over(&self) -> bool {
        !self.is_open && self.members.is_empty()
    }

    /// Tells whoever it concerns.
    pub(super) fn tell(&mut self, id: ClaimId, event: &Event, now: Instant) {
        let (Some(member), Some(claim)) = (self.members.get_mut(&id), self.proto.get(id)) else {
            return;
        };
        member.observer.event(claim, event);
        let (last_error, looked) = (member.last_error.as_ref(), self.roster.looked(id));
        member.shared.note(event, last_error, looked);
        let has_held = member.shared.has_acquired();
        self.roster.heard(&mut self.proto, id, event, has_held, now);
    }

    /// Does what follows from what was said, and from what was asked; returns whether the set has more to say by that.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let members = &mut self.members;
        self.roster.settle(&mut self.proto, now, |id| {
            if let Some(member) = members.remove(&id) {
                member.shared.end();
            }
        })
    }

    /// Takes note that nobody keeps the claims from here on.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        self.members
            .drain()
            .for_each(|(_, member)| member.shared.end());
    }
}

/// The place of a keeper's claim in its set. Dropping it has the Lease released.
pub(crate) struct Seat {
    inner: Arc<Inner>,
    id: ClaimId,
}

impl Seat {
    /// Has the Lease given up for good, and that left in the record.
    pub(crate) fn stop(&self, parting: Parting) {
        let mut state = self.inner.state();
        // Nobody takes them any more once the task has ended.
        if !state.has_ended {
            state.roster.stop(self.id, parting);
        }
        drop(state);
        self.inner.told.notify_one();
    }

    /// Has the record looked at, under that number.
    pub(crate) fn verify(&self, look: u64) {
        let mut state = self.inner.state();
        state.roster.look(self.id, look);
        drop(state);
        self.inner.told.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.stop(Parting::default());
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({})", self.id)
    }
}
