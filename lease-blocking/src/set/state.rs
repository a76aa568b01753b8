//! What the thread of a set and the handles of its claims share, behind a lock that nobody holds for long.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::Instant,
};

use lease_proto::{
    self as proto, ClaimId, Config, Event, Parting, Patience, Plan, Roster, SetLimits,
};

use super::{driver::Input, member::Member};
use crate::{Client, Clock, Keeper, shared::Shared, task::Line};

/// A set, as its thread and its handles see it.
pub(crate) struct Inner {
    pub(super) client: Client,
    state: Mutex<State>,
    /// How the thread is woken.
    pub(super) outbox: Sender<Input>,
    /// The thread, until somebody waits for its end.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The claims, and what becomes of them.
pub(super) struct State {
    pub(super) proto: proto::ClaimSet,
    pub(super) members: HashMap<ClaimId, Member>,
    pub(super) roster: Roster,
    /// Whether the thread was woken, and has not looked yet.
    pub(super) is_asked: bool,
    /// Whether somebody may add a claim.
    is_open: bool,
    has_ended: bool,
}

impl Inner {
    /// Makes one, and what its thread listens to.
    pub(super) fn new(client: &Client, limits: SetLimits) -> (Self, Receiver<Input>) {
        // The hasher of the standard library is keyed from the system's randomness, for each instance anew.
        let seed = RandomState::new().hash_one(0);
        let (outbox, inbox) = mpsc::channel();
        let state = State {
            proto: proto::ClaimSet::new(limits, seed, Clock::new().now()),
            members: HashMap::new(),
            roster: Roster::default(),
            is_asked: false,
            is_open: true,
            has_ended: false,
        };
        let inner = Self {
            client: client.clone(),
            state: Mutex::new(state),
            outbox,
            thread: Mutex::default(),
        };
        (inner, inbox)
    }

    /// Takes the thread, whose end is waited for once there is nothing to drive any more.
    pub(super) fn is_driven_by(&self, thread: JoinHandle<()>) {
        *self.thread() = Some(thread);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a claim that acquires its Lease.
    pub(super) fn add(self: &Arc<Self>, config: Config, patience: Patience, plan: Plan) -> Keeper {
        let now = Clock::new().now();
        let renew_deadline = config.renew_deadline();
        let shared = Arc::new(Shared::new(&config));
        let mut state = self.state();
        let id = state.proto.add(config, now);
        let claim = state.proto.get(id).expect("it was added above");
        let member = Member::new(Arc::clone(&shared), claim);
        let identity = claim.identity().clone();
        if state.has_ended {
            state.proto.remove(id);
            shared.end();
        } else {
            state.members.insert(id, member);
            state.roster.enter(id, plan);
            state.proto.acquire(id, patience, now);
        }
        self.wake(&mut state);
        drop(state);
        let seat = Seat {
            inner: Arc::clone(self),
            id,
        };
        Keeper::new(shared, Line::Set(seat), identity, renew_deadline)
    }

    /// Takes note that no claim will be added.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_open = false;
        self.wake(&mut state);
    }

    /// Waits for the end of the thread, if there is nothing to drive any more.
    pub(super) fn join(&self) {
        let is_over = self.state().is_over();
        let thread = self.thread().take_if(|_| is_over);
        // Neither is locked meanwhile.
        let _caught = thread.map(JoinHandle::join);
    }

    pub(super) fn len(&self) -> usize {
        self.state().members.len()
    }

    /// Has the thread look at what was asked.
    fn wake(&self, state: &mut State) {
        if !std::mem::replace(&mut state.is_asked, true) {
            let _already_over = self.outbox.send(Input::Asked);
        }
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The place of a keeper's claim in its set.
pub(crate) struct Seat {
    inner: Arc<Inner>,
    id: ClaimId,
}

impl Seat {
    /// Has the Lease given up for good, and that left in the record.
    pub(crate) fn stop(&self, parting: Parting) {
        let mut state = self.inner.state();
        if !state.has_ended {
            state.roster.stop(self.id, parting);
            self.inner.wake(&mut state);
        }
    }

    /// Has the record looked at, under that number.
    pub(crate) fn verify(&self, look: u64) {
        let mut state = self.inner.state();
        if state.members.contains_key(&self.id) {
            state.roster.look(self.id, look);
            self.inner.wake(&mut state);
        }
    }

    /// Waits for the end of the thread, if this was the last claim of a set that gets no more.
    pub(crate) fn join(&self) {
        self.inner.join();
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({})", self.id)
    }
}
