//! What each claimant has really seen of others, from which it must have judged what it took.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::record::Record;

/// What a claimant has received about the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The last record that it received, if another had signed it.
    foreign: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    record: Arc<Record>,
    /// When it first came, on the receiver's clock.
    since: Instant,
    /// The longest wait that it named since.
    seconds: u64,
}

impl Evidence {
    /// Takes note of a record that has come, unaltered, at `now`; `None` where there was none.
    pub(crate) fn receive(&mut self, record: Option<&Arc<Record>>, own: i64, now: Instant) {
        let Some(record) = record else { return };
        if record.holder.is_none() {
            self.foreign = None;
            return;
        }
        let seconds = record.seconds(own);
        match &mut self.foreign {
            Some(seen) if seen.record.says_the_same(record) => {
                seen.seconds = seen.seconds.max(seconds);
            }
            seen => {
                *seen = Some(Seen {
                    record: Arc::clone(record),
                    since: now,
                    seconds,
                });
            }
        }
    }

    /// Forgets others: the claimant's own write is what the record says.
    pub(crate) fn settle(&mut self) {
        self.foreign = None;
    }

    /// Whether a request sent at `sent` may take `record` from whoever signed it.
    pub(crate) fn allows(&self, record: &Record, sent: Instant) -> bool {
        self.foreign
            .as_ref()
            .is_some_and(|seen| seen.record.says_the_same(record) && seen.is_over(sent))
    }

    /// Whether a request sent at `sent` may create the record.
    pub(crate) fn allows_creation(&self, sent: Instant) -> bool {
        self.foreign.as_ref().is_none_or(|seen| seen.is_over(sent))
    }
}

impl Seen {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= Duration::from_secs(self.seconds)
    }
}
