//! For how long which claims of a set are kept, and what is asked of them meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Instant,
};

use super::{ClaimId, ClaimSet};
use crate::{
    claim::{Event, Patience},
    notes::Parting,
};

/// When the keeping of a claim ends by itself.
///
/// ```
/// use lease_proto::{Event, Failure, Plan};
///
/// let failed = Event::Failed(Failure::Controlled { strategy: "OldestEmulationVersion".to_owned() });
/// assert!(Plan::OnceOrFail.is_ended_by(&failed));
/// assert!(!Plan::Forever.is_ended_by(&failed));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Plan {
    /// Never: it begins again after every loss.
    Forever,
    /// When the claim is at rest.
    Once,
    /// When the claim is at rest; a failure that trying again will not change ends the campaign.
    OnceOrFail,
}

impl Plan {
    /// Returns whether a claim that has never held its Lease is to be given up because of what it says.
    pub fn is_ended_by(self, event: &Event) -> bool {
        self == Self::OnceOrFail && matches!(event, Event::Failed(_))
    }
}

/// What a driver keeps beside a [`ClaimSet`] whose claims have handles: for how long each is kept, and what its handle has
/// asked for.
///
/// What a claim has to say comes before what is asked of it: requests of handles are taken note of, and carried out by
/// [`settle`](Self::settle), which a driver calls each time that the set has nothing to say. Whatever is named by an id that is
/// not on it is ignored.
///
/// ```
/// use std::time::Instant;
///
/// use lease_proto::{ClaimSet, Config, Parting, Patience, Plan, Roster, SetLimits};
///
/// let now = Instant::now();
/// let mut set = ClaimSet::new(SetLimits::default(), 0x5eed, now);
/// let mut roster = Roster::default();
/// let id = set.add(Config::builder("default", "shard-1", "me").build()?, now);
/// set.acquire(id, Patience::Forever, now);
/// roster.enter(id, Plan::Forever);
///
/// roster.stop(id, Parting::default()); // its handle was dropped
/// roster.settle(&mut set, now, |id| println!("{id} is kept no more"));
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Roster {
    entries: BTreeMap<ClaimId, Entry>,
    /// Those to be looked at once all has been said.
    noted: Vec<ClaimId>,
    /// Those to be released for good after that.
    stopped: Vec<(ClaimId, Parting)>,
    /// Those that begin again then, after a loss.
    resting: BTreeSet<(Instant, ClaimId)>,
    /// Those that give back what they may have written until then, and may say nothing when that is over.
    undoing: BTreeSet<(Instant, ClaimId)>,
}

#[derive(Clone, Debug)]
struct Entry {
    plan: Plan,
    is_stopping: bool,
    is_noted: bool,
    /// A request of it is under way, streams aside.
    is_asking: bool,
    /// The look at the record that was asked for, and the one that the next answer to a look will do for.
    wanted: Option<u64>,
    begun: u64,
}

impl Roster {
    /// Has a claim that was added to the set, and told to acquire its Lease, kept as long as the plan says.
    pub fn enter(&mut self, id: ClaimId, plan: Plan) {
        let entry = Entry {
            plan,
            is_stopping: false,
            is_noted: false,
            is_asking: false,
            wanted: None,
            begun: 0,
        };
        self.entries.insert(id, entry);
    }

    /// Takes note that the claim's Lease is to be given up for good, and what is to be left in the record.
    pub fn stop(&mut self, id: ClaimId, parting: Parting) {
        self.stopped.push((id, parting));
    }

    /// Takes note that the claim's record is to be looked at. `look` is a number that grows from one request to the next.
    pub fn look(&mut self, id: ClaimId, look: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.wanted = entry.wanted.max(Some(look));
        }
        self.note(id);
    }

    /// Returns the latest look that a `Verified` of the claim answers now.
    pub fn looked(&self, id: ClaimId) -> u64 {
        self.entries.get(&id).map_or(0, |entry| entry.begun)
    }

    /// Takes note that a request of the claim is under way.
    pub fn asks(&mut self, id: ClaimId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.is_asking = true;
        }
    }

    /// Takes note that none is under way any more, whatever came of it.
    pub fn asks_no_more(&mut self, id: ClaimId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.is_asking = false;
        }
        self.note(id);
    }

    /// Takes note of what the claim has said; `has_held` is whether it has ever held its Lease, that event included.
    pub fn heard(
        &mut self,
        set: &mut ClaimSet,
        id: ClaimId,
        event: &Event,
        has_held: bool,
        now: Instant,
    ) {
        let entry = self.entries.get_mut(&id);
        // Once only: a release that is refused says the same, and is over.
        if entry.is_some_and(|entry| entry.plan.is_ended_by(event) && !has_held && entry.stop()) {
            set.release(id, now);
        }
        self.note(id);
    }

    /// Does what follows for the claims that something was noted of. Returns whether the set may have more to say by that.
    ///
    /// Those whose keeping is over are removed, from the set too; `ended` is told of each.
    pub fn settle(
        &mut self,
        set: &mut ClaimSet,
        now: Instant,
        mut ended: impl FnMut(ClaimId),
    ) -> bool {
        let mut goes_on = self.begin_again(set, now);
        while let Some(&(at, id)) = self.undoing.first()
            && at <= now
        {
            self.undoing.pop_first();
            self.note(id);
        }
        for id in mem::take(&mut self.noted) {
            let (Some(entry), Some(claim)) = (self.entries.get_mut(&id), set.get(id)) else {
                continue;
            };
            entry.is_noted = false;
            if !claim.is_at_rest() {
                let until = claim.gives_back_until().filter(|until| now < *until);
                self.undoing.extend(until.map(|until| (until, id)));
                if entry.begins_look() {
                    set.verify(id, now);
                    goes_on = true;
                }
            } else if entry.ends_at_rest() {
                self.entries.remove(&id);
                set.remove(id);
                ended(id);
                goes_on = true;
            } else {
                // Whoever has just lost it must not begin again without a pause.
                let pause = claim.config().retry_period();
                self.resting.insert((now + pause, id));
            }
        }
        for (id, parting) in mem::take(&mut self.stopped) {
            if self.entries.get_mut(&id).is_some_and(Entry::stop) {
                set.release_with(id, parting, now);
                self.note(id);
            }
            goes_on = true;
        }
        goes_on
    }

    /// Returns when a claim has rested long enough since its loss, or gives back no more what it may have written, so that
    /// [`settle`](Self::settle) is to be called.
    pub fn next(&self) -> Option<Instant> {
        let firsts = [self.resting.first(), self.undoing.first()];
        firsts.into_iter().flatten().map(|(at, _)| *at).min()
    }

    /// Has claims acquire again that have rested.
    fn begin_again(&mut self, set: &mut ClaimSet, now: Instant) -> bool {
        let mut goes_on = false;
        while let Some(&(at, id)) = self.resting.first()
            && at <= now
        {
            self.resting.pop_first();
            // One that was told to stop meanwhile is at its end, or removed.
            let entry = self.entries.get(&id);
            if entry.is_some_and(|entry| !entry.ends_at_rest()) {
                set.acquire(id, Patience::Forever, now);
                goes_on = true;
            }
        }
        goes_on
    }

    /// Has a claim looked at once all has been said.
    fn note(&mut self, id: ClaimId) {
        if let Some(entry) = self.entries.get_mut(&id)
            && !mem::replace(&mut entry.is_noted, true)
        {
            self.noted.push(id);
        }
    }
}

impl Entry {
    /// Takes note that it is to end; returns whether that is new.
    fn stop(&mut self) -> bool {
        !mem::replace(&mut self.is_stopping, true)
    }

    /// Whether it is over once its claim is at rest.
    fn ends_at_rest(&self) -> bool {
        self.is_stopping || self.plan != Plan::Forever
    }

    /// Whether the record is to be looked at now: not while a request is under way, whose answer tells how things stood
    /// earlier.
    fn begins_look(&mut self) -> bool {
        let Some(look) = self.wanted.take_if(|_| !self.is_asking) else {
            return false;
        };
        self.begun = look;
        true
    }
}
