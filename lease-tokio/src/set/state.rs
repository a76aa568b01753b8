//! What the task of a set and the handles of its claims share, behind a lock that nobody holds for long.

use std::{
    collections::{BTreeSet, HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use lease_proto::{self as proto, ClaimId, Config, Event, Patience, SetLimits};
use tokio::sync::Notify;

use super::member::Member;
use crate::{
    Client, Clock, Keeper,
    shared::Shared,
    task::{Line, Plan},
};

/// A set, as its task and its handles see it.
pub(crate) struct Inner {
    pub(super) client: Client,
    /// Never locked across an await.
    state: Mutex<State>,
    /// Something was told to the set.
    pub(super) told: Notify,
}

/// The claims, and what becomes of them.
pub(super) struct State {
    pub(super) proto: proto::ClaimSet,
    pub(super) members: HashMap<ClaimId, Member>,
    /// Those to be looked at once all has been said.
    noted: Vec<ClaimId>,
    /// Those to be released for good after that: what a claim has to say comes before what is asked of it.
    stopped: Vec<ClaimId>,
    /// Those that begin again then, after a loss.
    resting: BTreeSet<(Instant, ClaimId)>,
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
            noted: Vec::new(),
            stopped: Vec::new(),
            resting: BTreeSet::new(),
            is_open: true,
            has_ended: false,
        };
        Self {
            client: client.clone(),
            state: Mutex::new(state),
            told: Notify::new(),
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
        let shared = Arc::new(Shared::new(&config, clock));
        let mut state = self.state();
        let id = state.proto.add(config, clock.now());
        let claim = state.proto.get(id).expect("it was added above");
        let member = Member::new(Arc::clone(&shared), plan, claim);
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
        if member.tell(claim, event) {
            self.proto.release(id, now);
        }
        self.note(id);
    }

    /// Has a claim looked at once all has been said.
    pub(super) fn note(&mut self, id: ClaimId) {
        if let Some(member) = self.members.get_mut(&id)
            && !std::mem::replace(&mut member.is_noted, true)
        {
            self.noted.push(id);
        }
    }

    /// Does what follows for the claims that something was said of; returns whether the set has more to say by that.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let mut goes_on = false;
        while let Some(&(at, id)) = self.resting.first()
            && at <= now
        {
            self.resting.pop_first();
            // One that was told to stop meanwhile is at its end, or removed.
            if self
                .members
                .get(&id)
                .is_some_and(|member| !member.ends_at_rest())
            {
                self.proto.acquire(id, Patience::Forever, now);
                goes_on = true;
            }
        }
        for id in std::mem::take(&mut self.noted) {
            let (Some(member), Some(claim)) = (self.members.get_mut(&id), self.proto.get(id))
            else {
                continue;
            };
            member.is_noted = false;
            if !claim.is_at_rest() {
                if member.begins_look() {
                    self.proto.verify(id, now);
                    goes_on = true;
                }
            } else if member.ends_at_rest() {
                member.shared.end();
                self.members.remove(&id);
                self.proto.remove(id);
                goes_on = true;
            } else {
                // Whoever has just lost it must not begin again without a pause.
                let pause = claim.config().retry_period();
                self.resting.insert((now + pause, id));
            }
        }
        for id in std::mem::take(&mut self.stopped) {
            self.stop(id, now);
            goes_on = true;
        }
        goes_on
    }

    fn stop(&mut self, id: ClaimId, now: Instant) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if member.stop() {
            self.proto.release(id, now);
            self.note(id);
        }
    }

    /// Says when somebody's rest is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.resting.first().map(|(at, _)| *at)
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
    /// Has the Lease given up for good.
    pub(crate) fn stop(&self) {
        let mut state = self.inner.state();
        // Nobody takes them any more once the task has ended.
        if !state.has_ended {
            state.stopped.push(self.id);
        }
        drop(state);
        self.inner.told.notify_one();
    }

    /// Has the record looked at, under that number.
    pub(crate) fn verify(&self, look: u64) {
        let mut state = self.inner.state();
        if let Some(member) = state.members.get_mut(&self.id) {
            member.want_look(look);
        }
        state.note(self.id);
        drop(state);
        self.inner.told.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({})", self.id)
    }
}
