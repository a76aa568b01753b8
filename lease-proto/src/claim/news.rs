//! What streams have told: how far, and what of it was kept for later.

use std::collections::VecDeque;

use crate::wire::Lease;

/// How much is kept while a request is under way: more than anybody but a storm says in that time.
const MOST_NEWS: usize = 16;

/// What has become of the record.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct News {
    /// The record, or what it was before it was deleted.
    pub(crate) lease: Box<Lease>,
    pub(crate) deleted: bool,
    pub(crate) version: u128,
}

impl News {
    /// Returns whether nobody has renewed in between.
    fn says_the_same(&self, other: &Self) -> bool {
        let (spec, others) = (&self.lease.spec, &other.lease.spec);
        self.lease.metadata.uid == other.lease.metadata.uid
            && spec.holder_identity == others.holder_identity
            && spec.acquire_time == others.acquire_time
            && spec.renew_time == others.renew_time
            && spec.lease_transitions == others.lease_transitions
    }
}

/// What streams have told.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct History {
    /// Up to which version has been told.
    position: Option<u128>,
    /// What was told while a request was under way: it is looked at when that is over.
    news: VecDeque<News>,
}

impl History {
    /// Returns up to which version has been told.
    pub(crate) fn position(&self) -> Option<u128> {
        self.position
    }

    /// Takes note that all up to `version` has been told.
    pub(crate) fn advance(&mut self, version: u128) {
        self.position = self.position.max(Some(version));
    }

    /// Forgets how far was told.
    pub(crate) fn forget(&mut self) {
        self.position = None;
    }

    /// Keeps what was told for later; `own` is the duration of a record that names none.
    pub(crate) fn keep(&mut self, news: News, own: i64) {
        self.news.push_back(news);
        if self.news.len() <= MOST_NEWS {
            return;
        }
        // What came after it says more, but for how long others were once to wait for the same renewal.
        let (old, next) = (self.news.pop_front(), self.news.front_mut());
        if let (Some(old), Some(next)) = (old, next)
            && old.says_the_same(next)
        {
            let seconds = |news: &News| {
                let named = news.lease.spec.lease_duration_seconds;
                named.filter(|named| *named > 0).unwrap_or(own)
            };
            let longest = seconds(&old).max(seconds(next));
            next.lease.spec.lease_duration_seconds = Some(longest);
        }
    }

    /// Returns what was kept first, of what came before `version` if one is given.
    pub(crate) fn kept(&mut self, before: Option<u128>) -> Option<News> {
        let is_due = |news: &News| before.is_none_or(|version| news.version < version);
        self.news.front().is_some_and(is_due).then_some(())?;
        self.news.pop_front()
    }
}
