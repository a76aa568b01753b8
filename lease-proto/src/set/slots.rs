//! The claims of a set, found by their names.

use super::{member::Member, output::ClaimId};

/// Claims in places that are used again, each time under another generation.
///
/// Each claim is an allocation of its own: places move when there are more of them, claims do not.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    taken: usize,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    generation: u32,
    member: Option<Box<Member>>,
}

impl Slots {
    pub(super) fn insert(&mut self, member: Member) -> ClaimId {
        let member = Some(Box::new(member));
        self.taken += 1;
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.slots.get_mut(slot as usize)
        {
            place.member = member;
            let generation = place.generation;
            return ClaimId { slot, generation };
        }
        let slot = u32::try_from(self.slots.len())
            .expect("memory ends before four thousand million claims");
        self.slots.push(Slot {
            generation: 0,
            member,
        });
        ClaimId {
            slot,
            generation: 0,
        }
    }

    pub(super) fn remove(&mut self, id: ClaimId) -> Option<Box<Member>> {
        let place = self.place(id)?;
        let member = place.member.take()?;
        // A place whose generations are used up is not used again.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(id.slot);
        }
        self.taken -= 1;
        Some(member)
    }

    pub(super) fn get(&self, id: ClaimId) -> Option<&Member> {
        let place = self.slots.get(id.slot as usize)?;
        let is_it = place.generation == id.generation;
        place.member.as_deref().filter(|_| is_it)
    }

    pub(super) fn get_mut(&mut self, id: ClaimId) -> Option<&mut Member> {
        self.place(id)?.member.as_deref_mut()
    }

    /// Returns the claim in a place, and its name.
    pub(super) fn at(&mut self, slot: u32) -> Option<(ClaimId, &mut Member)> {
        let place = self.slots.get_mut(slot as usize)?;
        let generation = place.generation;
        let member = place.member.as_deref_mut()?;
        Some((ClaimId { slot, generation }, member))
    }

    /// Returns the claim in a place.
    pub(super) fn look(&self, slot: u32) -> Option<&Member> {
        self.slots.get(slot as usize)?.member.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClaimId, &Member)> {
        self.slots.iter().zip(0..).filter_map(|(place, slot)| {
            let generation = place.generation;
            Some((ClaimId { slot, generation }, place.member.as_deref()?))
        })
    }

    fn place(&mut self, id: ClaimId) -> Option<&mut Slot> {
        let place = self.slots.get_mut(id.slot as usize)?;
        (place.generation == id.generation).then_some(place)
    }
}
