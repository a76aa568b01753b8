//! Streams under way: how many there may be, and who wants one.

use std::{collections::BTreeSet, num::NonZeroU64};

use super::member::Member;

#[derive(Clone, Debug)]
pub(super) struct Streams {
    most: usize,
    open: usize,
    /// Those that want one, in the order in which they came.
    wanted: BTreeSet<(NonZeroU64, u32)>,
    next: NonZeroU64,
}

impl Streams {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: 0,
            wanted: BTreeSet::new(),
            next: NonZeroU64::MIN,
        }
    }

    /// Returns who is to open one, if there is room for it.
    pub(super) fn first(&self) -> Option<u32> {
        let first = self.wanted.first().filter(|_| self.open < self.most);
        first.map(|(_, slot)| *slot)
    }

    /// Takes note that a claim opens one.
    pub(super) fn begin(&mut self, member: &mut Member) {
        self.open += usize::from(!member.has_stream);
        member.has_stream = true;
    }

    /// Takes note of what a claim that was polled has and wants.
    pub(super) fn tend(&mut self, slot: u32, member: &mut Member) {
        if member.has_stream && member.claim.stream().is_none() {
            self.open -= 1;
            member.has_stream = false;
        }
        match (member.claim.wants_stream(), member.stream_turn) {
            (true, None) => {
                self.wanted.insert((self.next, slot));
                member.stream_turn = Some(self.next);
                self.next = self.next.saturating_add(1);
            }
            (false, Some(turn)) => {
                self.wanted.remove(&(turn, slot));
                member.stream_turn = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Takes note that a claim is no more.
    pub(super) fn forget(&mut self, slot: u32, member: &Member) {
        self.open -= usize::from(member.has_stream);
        if let Some(turn) = member.stream_turn {
            self.wanted.remove(&(turn, slot));
        }
    }

    /// Takes note that there are none here.
    pub(super) fn give_up(&mut self) {
        self.most = 0;
    }
}
