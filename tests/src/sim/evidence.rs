//! What each claimant has really seen of others, from which it must have judged what it took.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Micros, record::Record};

/// What a claimant has received about the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The last record that it received, if another had signed it; and what it may or may not have read since.
    foreign: Vec<Seen>,
    /// The highest version that has certainly come in an answer.
    highest: u64,
    /// The highest version that a stream told of.
    told: u64,
    /// When what was certainly of a lower one was last asked for, if versions have not passed the highest one since: whoever has
    /// seen a store go back judges by no clock but its own.
    regressed: Option<Micros>,
}

/// Up to which version a claimant knows the record: it passes over what a stream tells of earlier ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UpTo {
    certainly: u64,
    /// What came in an answer of which nothing was believed, or not all, may have been read all the same.
    perhaps: u64,
    /// When it asked last for what was no newer, if ever it was: what others share it hears of when that is over.
    behind: Option<Micros>,
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

    /// Takes note of the version in the answer to what was asked at `asked`; it may have been read or not, if it is not
    /// `certain`.
    pub(crate) fn receive_version(&mut self, version: u64, asked: Micros, certain: bool) {
        if version > self.highest {
            self.regressed = None;
            if certain {
                self.highest = version;
            }
        } else if certain && self.told <= self.highest {
            let was = self.regressed.is_some();
            self.regressed = (was || version < self.highest).then_some(asked);
        }
    }

    /// Takes note of the version that a stream told of: what an answer shows after that may be passed over as old.
    pub(crate) fn be_told_version(&mut self, version: u64) {
        self.told = self.told.max(version);
        self.regressed = self.regressed.filter(|_| version <= self.highest);
    }

    /// Whether a stream told of something newer.
    pub(crate) fn was_told_after(&self, version: u64) -> bool {
        version < self.told
    }

    /// If it has seen the store go back, and versions have not passed the highest one since: when it asked last.
    pub(crate) fn regressed(&self) -> Option<Micros> {
        self.regressed
    }

    /// Forgets others: the claimant's own write is what the record says.
    ///
    /// If it is not `certain` that it knows, what it has seen of others still counts where it allows something.
    pub(crate) fn settle(&mut self, certain: bool) {
        self.foreign.retain(|_| !certain);
        for seen in &mut self.foreign {
            (seen.certain, seen.seconds) = (false, 0);
        }
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

impl UpTo {
    /// Takes note at `now` of the version in an answer; it may have been read or not, if it is not `certain`.
    pub(crate) fn note_answer(&mut self, version: u64, certain: bool, now: Micros) {
        if version < self.perhaps {
            self.behind = Some(now);
        }
        self.note(version, certain);
    }

    /// Takes note of what a stream tells, and returns whether it may be read; it may not be, if it is not `certain`.
    pub(crate) fn note_told(&mut self, version: u64, is_deletion: bool, certain: bool) -> bool {
        let is_read = Self::precedes(self.certainly, version, is_deletion);
        if is_read {
            self.note(version, certain);
        }
        is_read
    }

    fn note(&mut self, version: u64, certain: bool) {
        self.perhaps = self.perhaps.max(version);
        if certain {
            self.certainly = self.certainly.max(version);
        }
    }

    /// Whether it knew of something newer than what it was answered, since then.
    pub(crate) fn was_behind(&self, since: Micros) -> bool {
        self.behind >= Some(since)
    }

    /// Returns whether what a stream tells is read, whatever has been read of what was in doubt.
    pub(crate) fn certainly_precedes(&self, version: u64, is_deletion: bool) -> bool {
        Self::precedes(self.perhaps, version, is_deletion)
    }

    fn precedes(known: u64, version: u64, is_deletion: bool) -> bool {
        known < version || (known == version && is_deletion)
    }
}

impl Seen {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= Duration::from_secs(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_an_answer_that_was_not_believed_may_or_may_not_be_read() {
        let mut seen = UpTo::default();
        seen.note_answer(785, true, 0);
        // Seed 12364: it was mangled, and the store has gone back since.
        seen.note_answer(842, false, 1);
        assert!(!seen.was_behind(0));
        assert!(!seen.certainly_precedes(788, false));
        assert!(seen.note_told(788, false, true));
        assert!(!seen.note_told(788, false, true));
        assert!(!seen.note_told(787, true, true));
        assert!(seen.note_told(788, true, true));
        assert!(seen.certainly_precedes(843, false));
        // Seed 3542: whoever was about to look did not take what it was told.
        assert!(seen.note_told(850, false, false));
        assert!(!seen.certainly_precedes(849, false));
        assert!(seen.note_told(849, false, true));
        seen.note_answer(842, true, 2);
        assert!(seen.was_behind(2) && !seen.was_behind(3));
        assert!(!seen.note_told(789, false, true));
        assert!(seen.certainly_precedes(850, true));
    }
}
