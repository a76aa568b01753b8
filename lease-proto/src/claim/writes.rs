//! What this claim has written: the only proof that a record is its own.

use std::time::{Duration, Instant};

use crate::wire::{LeaseSpec, MicroTime};

/// How many writes are remembered; older ones become somebody else's, which costs time and never safety.
const LIMIT: usize = 16;

/// The writes whose fate may still be met in a record.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Writes {
    sent: Vec<Sent>,
    /// The whole second of the last `renewTime`, and when the first write in it was handed out.
    second: Option<(i64, Instant)>,
    /// The last `renewTime`, and when it was handed out.
    last: Option<(MicroTime, Instant)>,
}

/// One write that named this claim as the holder.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Sent {
    pub(crate) acquire_time: MicroTime,
    pub(crate) renew_time: MicroTime,
    /// When it was handed to the driver.
    pub(crate) at: Instant,
    /// From when a grant that it earns counts: earlier than `at` where observers that see whole seconds may have begun
    /// to count at an earlier write.
    pub(crate) counts_from: Instant,
    /// The campaign that it belongs to.
    pub(crate) campaign: u64,
    /// Whether it made the record anew. Such a write is not bound to a version, and can be carried out late.
    pub(crate) creates: bool,
    pub(crate) confirmed: bool,
    /// Whether it is what the record said when it was last seen.
    pub(crate) stands: bool,
    /// Whether the server said that it was not carried out. A proxy that sends a request twice makes that untrue.
    pub(crate) refused: bool,
}

impl Writes {
    /// Remembers a write that is handed out.
    pub(crate) fn hand_out(&mut self, mut write: Sent, whole_seconds: bool) -> Sent {
        self.last = Some((write.renew_time, write.at));
        let second = write.renew_time.second();
        match self.second {
            Some((last, first_at)) if whole_seconds && last == second => {
                write.counts_from = write.counts_from.min(first_at);
            }
            _ => self.second = Some((second, write.counts_from)),
        }
        if self.sent.len() >= LIMIT {
            // Never the one that the record is known to say: without it the record would look like somebody else's. A
            // refused one hardly matters, unless it is so recent that its double may still be under way.
            let (old, _) = self.sent.split_at(LIMIT / 2);
            let oldest = old.iter().position(|sent| sent.refused && !sent.stands);
            let oldest = oldest.or_else(|| self.sent.iter().position(|sent| !sent.stands));
            self.sent.remove(oldest.unwrap_or(0));
        }
        // There is hardly ever more than one, and room for four would be kept for ever.
        self.sent.reserve_exact(1);
        self.sent.push(write.clone());
        write
    }

    /// Returns the write that made `spec` what it is, if it was one of these.
    pub(crate) fn find(&self, spec: &LeaseSpec) -> Option<&Sent> {
        let acquire_time = spec.acquire_time.as_ref()?.time()?;
        let renew_time = spec.renew_time.as_ref()?.time()?;
        self.sent
            .iter()
            .find(|sent| sent.acquire_time == acquire_time && sent.renew_time == renew_time)
    }

    /// Takes note that the record was seen as `write` has made it.
    ///
    /// Those before it were bound to versions that are past, or made a record.
    pub(crate) fn see(&mut self, write: &Sent) {
        let same = |sent: &Sent| {
            sent.acquire_time == write.acquire_time && sent.renew_time == write.renew_time
        };
        let at = self.sent.iter().position(same).unwrap_or(0);
        let mut index = 0..;
        self.sent
            .retain(|sent| index.next() >= Some(at) || sent.creates || sent.confirmed);
        for sent in &mut self.sent {
            sent.stands = same(sent);
        }
    }

    /// Takes note that `write` was carried out: those before it were bound to versions that are past, or made the record. One
    /// after it, which was refused, may be bound to the version that it made, and its double still under way.
    pub(crate) fn confirm(&mut self, write: &Sent) {
        let same = |sent: &Sent| {
            sent.acquire_time == write.acquire_time && sent.renew_time == write.renew_time
        };
        let at = self.sent.iter().position(same);
        let mut index = 0..;
        self.sent
            .retain(|sent| at.is_some_and(|at| index.next() >= Some(at)) || sent.creates);
        for sent in &mut self.sent {
            sent.stands = same(sent);
            sent.confirmed |= sent.stands;
        }
    }

    /// Takes note that a write was refused. Should it stand in the record all the same, it is still ours.
    pub(crate) fn withdraw(&mut self, write: &Sent) {
        let same = |sent: &&mut Sent| sent.renew_time == write.renew_time;
        if let Some(sent) = self.sent.iter_mut().find(same) {
            sent.refused = true;
        }
    }

    /// Returns the first time from `time` on that no write has used, so that each can be told from the others.
    ///
    /// Where the calendar ends, the last one before that instead.
    pub(crate) fn unused(&self, time: MicroTime) -> MicroTime {
        let is_used = |time: MicroTime| self.sent.iter().any(|sent| sent.renew_time == time);
        let (mut later, mut earlier) = (time, time);
        // One more than there are writes: one of these is free.
        for _ in 0..=self.sent.len() {
            if !is_used(later) {
                return later;
            }
            later = later.saturating_add(Duration::from_micros(1));
        }
        while is_used(earlier) {
            earlier = MicroTime::from_micros(earlier.as_micros() - 1);
        }
        earlier
    }

    /// Returns when the last one was handed out.
    pub(crate) fn last_at(&self) -> Option<Instant> {
        self.last.map(|(_, at)| at)
    }

    /// Returns whether none may have been carried out.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.iter().all(|sent| sent.refused)
    }

    /// Returns whether a write of `campaign` may have been carried out without our knowing.
    pub(crate) fn has_unanswered(&self, campaign: u64) -> bool {
        self.sent
            .iter()
            .any(|sent| sent.campaign == campaign && !sent.confirmed && !sent.refused)
    }

    /// Chooses a `renewTime`: the wall clock's, or later where that would not move on from the last one of this claim.
    ///
    /// A record that does not change looks dead to its observers, and one that says again what it said in an earlier
    /// tenure looks dead to those that saw that. So a frozen wall clock, or one that was set back, is overtaken: by all
    /// that passed for the first second, so that whole seconds change, and by half of it after that, so that a clock that
    /// was ahead by mistake is met again.
    pub(crate) fn next_time(&self, wall: MicroTime, now: Instant) -> MicroTime {
        let Some((last, at)) = self.last else {
            return wall;
        };
        let passed = now.saturating_duration_since(at);
        let passed = passed
            .min(Duration::from_secs(1))
            .max(passed / 2)
            .max(Duration::from_micros(1));
        wall.max(last.saturating_add(passed))
    }
}
