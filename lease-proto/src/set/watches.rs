//! One stream for all of a namespace's claims that want one, and who they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    call::{self, Request, RequestId},
    claim::{Random, Watching},
    config::Terms,
};

/// How many looks at a record cost as much as one event of a record that nobody here wants to know about.
const EVENTS_A_LOOK: u32 = 8;
/// How many such events are taken before it is judged what they cost.
const EVENTS_AT_FIRST: u32 = 1_024;

/// A namespace in which claims want to be told of changes.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    terms: Arc<Terms>,
    watching: Watching,
    /// Those that want to be told, by the names of their Leases.
    claims: BTreeMap<Box<str>, BTreeSet<u32>>,
    count: usize,
    next_request: u64,
    reload_credentials: bool,
    /// Nothing is asked before this instant, since the server has asked for that.
    quiet_until: Option<Instant>,
    opened: Instant,
    /// The version up to which something was told by this stream.
    told: Option<u128>,
    /// Whether it has told all up to there: what it begins with comes in no order.
    is_in_order: bool,
    /// How many events concerned nobody here.
    strange: u32,
    /// When it is to be looked after, as the set's timers know.
    pub(super) wake: Option<Instant>,
}

impl Watch {
    pub(super) fn new(terms: Arc<Terms>, now: Instant) -> Self {
        Self {
            terms,
            watching: Watching::default(),
            claims: BTreeMap::new(),
            count: 0,
            next_request: 0,
            reload_credentials: false,
            quiet_until: None,
            opened: now,
            told: None,
            is_in_order: false,
            strange: 0,
            wake: None,
        }
    }

    pub(super) fn enter(&mut self, name: &str, slot: u32) {
        if let Some(slots) = self.claims.get_mut(name) {
            slots.insert(slot);
        } else {
            self.claims.insert(name.into(), BTreeSet::from([slot]));
        }
        self.count += 1;
    }

    pub(super) fn leave(&mut self, name: &str, slot: u32) {
        if let Some(slots) = self.claims.get_mut(name)
            && slots.remove(&slot)
        {
            self.count -= 1;
            if slots.is_empty() {
                self.claims.remove(name);
            }
        }
    }

    /// Walks over all claims that want to be told.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.claims.values().flatten().copied()
    }

    /// Returns the claims that want to be told of a record.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = u32> {
        self.claims.get(name).into_iter().flatten().copied()
    }

    pub(super) fn namespace(&self) -> &str {
        self.terms.namespace.as_str()
    }

    pub(super) fn is(&self, request: RequestId) -> bool {
        self.watching.is(request)
    }

    pub(super) fn id(&self) -> Option<RequestId> {
        self.watching.id()
    }

    /// Returns whether nobody wants to be told.
    pub(super) fn is_unwanted(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_open(&self) -> bool {
        self.watching.is_open()
    }

    pub(super) fn is_begun(&self) -> bool {
        self.watching.is_begun()
    }

    /// Returns whether it is of use: for so many claims at least, where it is to be had.
    pub(super) fn serves(&self, least: usize) -> bool {
        self.is_open() || (self.count >= least && !self.watching.is_failing())
    }

    /// Returns when it is to be looked after; it is to be opened for so many claims at least.
    pub(super) fn next(&self, least: usize) -> Option<Instant> {
        let next = self.watching.next();
        if self.is_begun() {
            next
        } else {
            next.max(self.quiet_until).filter(|_| self.count >= least)
        }
    }

    /// Returns whether it is to be opened now.
    pub(super) fn is_wanted(&self, least: usize, now: Instant) -> bool {
        !self.is_begun()
            && self.count >= least
            && self.watching.may_begin(now)
            && self.quiet_until.is_none_or(|until| until <= now)
    }

    /// Returns whether it is to be closed now: nobody wants it, or it should have ended by itself.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let is_late = self.watching.next().is_some_and(|next| next <= now);
        self.is_begun() && (self.count == 0 || is_late)
    }

    /// Begins to open it, from a version that none of the claims has not seen yet.
    pub(super) fn begin(
        &mut self,
        known: Option<u128>,
        random: &mut Random,
        now: Instant,
    ) -> Request {
        let from = self.watching.from(known).and(known);
        (self.told, self.is_in_order) = (from, from.is_some());
        let length = Watching::length(random);
        let deadline = now + self.terms.request_timeout;
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.watching.begin(id, length, deadline);
        Request {
            id,
            deadline,
            reload_credentials: std::mem::take(&mut self.reload_credentials),
            is_stream: true,
            http: call::watch_all(&self.terms.namespace, from, length),
        }
    }

    /// Takes note that the server has begun to answer.
    pub(super) fn open(&mut self, now: Instant) {
        self.watching.open(now, self.terms.request_timeout);
        (self.opened, self.strange) = (now, 0);
    }

    /// Returns up to which version something was told.
    pub(super) fn told(&self) -> Option<u128> {
        self.told
    }

    /// Returns up to which version all was told.
    pub(super) fn told_all(&self) -> Option<u128> {
        self.told.filter(|_| self.is_in_order)
    }

    pub(super) fn split(&mut self, piece: &mut &[u8]) -> Option<Vec<u8>> {
        self.watching.split(piece)
    }

    /// Takes note of a version that was told.
    pub(super) fn advance(&mut self, version: u128, is_addition: bool) {
        self.watching.advance(version);
        self.told = self.told.max(Some(version));
        self.is_in_order |= !is_addition;
    }

    /// Takes note of an event that concerns nobody here. Returns whether looking at the records would cost less.
    pub(super) fn is_too_much(&mut self, now: Instant) -> bool {
        self.strange = self.strange.saturating_add(1);
        if !self.strange.is_multiple_of(EVENTS_AT_FIRST) || !self.is_in_order {
            return false;
        }
        let took = now
            .saturating_duration_since(self.opened)
            .max(Duration::from_secs(1));
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        // As many looks in the same time.
        let looks = took.as_secs_f64() / self.terms.retry_period.as_secs_f64() * f64::from(count);
        f64::from(self.strange) > looks * f64::from(EVENTS_A_LOOK)
    }

    /// Closes it, which nobody needs any more.
    pub(super) fn close(&mut self) {
        self.watching.close();
    }

    /// Takes note that it has ended, or was not to be had.
    pub(super) fn end(&mut self, random: &mut Random, now: Instant) {
        self.watching.end(now, self.terms.retry_period, random);
    }

    /// Takes note that the server has forgotten the version that it was to begin from.
    pub(super) fn forget(&mut self) {
        self.watching.forget();
    }

    /// Takes note that the server will not have it.
    pub(super) fn refuse(&mut self, random: &mut Random, now: Instant) {
        self.watching.refuse(now, self.terms.retry_period, random);
    }

    /// Takes note that it is no use.
    pub(super) fn give_up(&mut self, random: &mut Random, now: Instant) {
        self.watching.give_up(now, self.terms.retry_period, random);
    }

    /// Takes note that the server did not know the credentials. Returns whether they are to be read again.
    pub(super) fn reload(&mut self) -> bool {
        let reloads = !std::mem::replace(&mut self.watching.reloaded, true);
        self.reload_credentials |= reloads;
        reloads
    }

    /// Takes note that the server is to be spared until then.
    pub(super) fn pause(&mut self, until: Instant) {
        self.quiet_until = self.quiet_until.max(Some(until));
    }

    /// Takes note of a pause that the server has asked for.
    pub(super) fn spare_the_server(&mut self, asked: Option<Duration>, now: Instant) {
        let until = asked.map(|asked| now + asked.min(self.terms.lease_duration));
        self.quiet_until = self.quiet_until.max(until);
    }
}
