//! Streams under way: how many there may be, who wants one, and where several claims share one.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{member::Member, timers::Timers, watches::Watch};

/// After what time room is looked for again where there was none.
const ROOM_AGAIN: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Streams {
    most: usize,
    /// How many claims of a namespace share a stream; fewer have their own.
    sharers: usize,
    open: usize,
    /// Those that want one of their own, in the order in which they came.
    wanted: BTreeSet<(NonZeroU64, u32)>,
    next: NonZeroU64,
    watches: Vec<Watch>,
    namespaces: BTreeMap<Box<str>, u32>,
    /// When which of the shared ones is to be looked after.
    timers: Timers,
}

impl Streams {
    pub(super) fn new(most: usize, sharers: usize) -> Self {
        Self {
            most,
            sharers,
            open: 0,
            wanted: BTreeSet::new(),
            next: NonZeroU64::MIN,
            watches: Vec::new(),
            namespaces: BTreeMap::new(),
            timers: Timers::default(),
        }
    }

    /// Returns who is to open one of its own, if there is room for it. A quarter of the room is for those that are shared.
    pub(super) fn first(&self) -> Option<u32> {
        let most = self.most - self.most / 4;
        let first = self.wanted.first().filter(|_| self.open < most);
        first.map(|(_, slot)| *slot)
    }

    /// Takes note that a claim opens one.
    pub(super) fn begin(&mut self, member: &mut Member) {
        self.open += usize::from(!member.has_stream);
        member.has_stream = true;
    }

    /// Takes note of what a claim that was polled has and wants. Returns whether it is to be polled again.
    pub(super) fn tend(&mut self, slot: u32, member: &mut Member, now: Instant) -> bool {
        if member.has_stream && member.claim.stream().is_none() {
            self.open -= 1;
            member.has_stream = false;
        }
        let wants_news = self.most > 0 && member.claim.wants_news();
        if wants_news != member.wants_news {
            if wants_news {
                self.enter(slot, member, now);
            } else {
                self.leave(slot, member, now);
            }
        }
        let watch = wants_news.then(|| self.watch_of(member)).flatten();
        let (is_served, told) = watch.map_or((false, None), |watch| {
            (
                watch.serves(self.sharers),
                watch.is_open().then_some(watch.told()),
            )
        });
        let wants_own = !is_served && self.most > 0 && member.claim.wants_stream();
        match (wants_own, member.stream_turn) {
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
        match told {
            Some(told) if !member.claim.is_told() => {
                member.claim.join(told, now);
                member.claim.is_told()
            }
            _ => false,
        }
    }

    /// Takes note that a claim is no more.
    pub(super) fn forget(&mut self, slot: u32, member: &mut Member, now: Instant) {
        self.open -= usize::from(member.has_stream);
        if let Some(turn) = member.stream_turn {
            self.wanted.remove(&(turn, slot));
        }
        if member.wants_news {
            self.leave(slot, member, now);
        }
    }

    /// Takes note that there are none here.
    pub(super) fn give_up(&mut self) {
        self.most = 0;
    }

    pub(super) fn watch(&mut self, index: u32) -> Option<&mut Watch> {
        self.watches.get_mut(index as usize)
    }

    /// Returns a shared stream that is to be opened or closed by now.
    pub(super) fn due(&mut self, now: Instant) -> Option<u32> {
        let index = self.timers.pop(now)?;
        if let Some(watch) = self.watch(index) {
            watch.wake = None;
        }
        Some(index)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Returns whether a shared stream is to be opened now.
    pub(super) fn is_wanted(&self, index: u32, now: Instant) -> bool {
        let watch = self.watches.get(index as usize);
        self.open < self.most && watch.is_some_and(|watch| watch.is_wanted(self.sharers, now))
    }

    /// Counts a shared stream that is opened.
    pub(super) fn count_opened(&mut self) {
        self.open += 1;
    }

    /// Counts a shared stream that has ended.
    pub(super) fn count_ended(&mut self) {
        self.open -= 1;
    }

    /// Sets the timer of a shared stream, after something has happened to it.
    pub(super) fn reset(&mut self, index: u32, now: Instant) {
        let has_room = self.open < self.most;
        let sharers = self.sharers;
        let Some(watch) = self.watches.get_mut(index as usize) else {
            return;
        };
        let next = match (watch.is_wanted(sharers, now), has_room) {
            (true, true) => Some(now),
            (true, false) => Some(now + ROOM_AGAIN),
            (false, _) if watch.is_over(now) => Some(now),
            (false, _) => watch.next(sharers),
        };
        let had = std::mem::replace(&mut watch.wake, next);
        self.timers.reset(index, had, next);
    }

    pub(super) fn indices(&self) -> Range<u32> {
        0..u32::try_from(self.watches.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn index_of(&self, member: &Member) -> Option<u32> {
        let namespace = member.claim.config().namespace().as_str();
        self.namespaces.get(namespace).copied()
    }

    fn watch_of(&self, member: &Member) -> Option<&Watch> {
        self.watches.get(self.index_of(member)? as usize)
    }

    fn enter(&mut self, slot: u32, member: &mut Member, now: Instant) {
        member.wants_news = true;
        let config = member.claim.config();
        let namespace = config.namespace().as_str();
        let index = self.namespaces.get(namespace).copied();
        let index = index.unwrap_or_else(|| {
            let index = u32::try_from(self.watches.len())
                .expect("there are no more namespaces than claims");
            self.watches
                .push(Watch::new(Arc::clone(&config.terms), now));
            self.namespaces.insert(namespace.into(), index);
            index
        });
        if let Some(watch) = self.watch(index) {
            watch.enter(config.name().as_str(), slot);
        }
        self.reset(index, now);
    }

    fn leave(&mut self, slot: u32, member: &mut Member, now: Instant) {
        member.wants_news = false;
        let config = member.claim.config();
        let index = self.namespaces.get(config.namespace().as_str()).copied();
        if let Some(index) = index
            && let Some(watch) = self.watch(index)
        {
            watch.leave(config.name().as_str(), slot);
            self.reset(index, now);
        }
    }
}
