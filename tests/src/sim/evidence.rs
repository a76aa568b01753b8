//! What each claimant has really seen of others, from which it must have judged what it took.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::record::Record;

/// What a claimant has received about the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The last record that it received, if another had signed it; and what it may or may not have read since.
    foreign: Vec<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    record: Arc<Record>,
    /// When it first came, on the receiver's clock.
    since: Instant,
    /// The longest wait that it named since.
    seconds: u64,
    /// Whether it came in an answer that cannot be misread.
    certain: bool,
}

impl Evidence {
    /// Takes note of a record that has come at `now`; `None` where there was none.
    ///
    /// If the answer was changed on its way, or came late, so that it was not `certain`, it may have been read or not: it
    /// counts where it allows something, and does not where it forbids.
    pub(crate) fn receive(
        &mut self,
        record: Option<&Arc<Record>>,
        own: i64,
        now: Instant,
        certain: bool,
    ) {
        let Some(record) = record else { return };
        if record.holder.is_none() {
            self.foreign.retain(|_| !certain);
            for seen in &mut self.foreign {
                seen.certain = false;
            }
            return;
        }
        let seconds = if certain { record.seconds(own) } else { 0 };
        let is_same = |seen: &Seen| seen.record.says_the_same(record);
        self.foreign.retain(|seen| !certain || is_same(seen));
        for seen in &mut self.foreign {
            seen.certain &= is_same(seen);
        }
        let mut all = self.foreign.iter_mut();
        match all.find(|seen| seen.record.says_the_same(record)) {
            Some(seen) => {
                seen.seconds = seen.seconds.max(seconds);
                seen.certain |= certain;
            }
            None => self.foreign.push(Seen {
                record: Arc::clone(record),
                since: now,
                seconds,
                certain,
            }),
        }
    }

    /// Takes note that an answer showed something else, in between: how long the record is to be waited for is only known
    /// from what comes after.
    pub(crate) fn doubt(&mut self) {
        for seen in &mut self.foreign {
            seen.seconds = 0;
        }
    }

    /// Forgets others: the claimant's own write is what the record says.
    pub(crate) fn settle(&mut self) {
        self.foreign.clear();
    }

    /// Whether a request sent at `sent` may take `record` from whoever signed it.
    pub(crate) fn allows(&self, record: &Record, sent: Instant) -> bool {
        let mut all = self.foreign.iter();
        all.any(|seen| seen.record.says_the_same(record) && seen.is_over(sent))
    }

    /// Whether a request sent at `sent` may create the record, where some are known to be over besides.
    pub(crate) fn allows_creation(&self, sent: Instant, is_over: impl Fn(&Record) -> bool) -> bool {
        let mut certain = self.foreign.iter().filter(|seen| seen.certain);
        certain.all(|seen| seen.is_over(sent) || is_over(&seen.record))
    }
}

impl Seen {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= Duration::from_secs(self.seconds)
    }
}
