//! The promises about what claimants say and believe, checked as they say it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lease_proto::{Event, Grant, Loss, Verb};

use super::{Micros, Violation, audit::Since};

/// A write that a claimant handed out.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// On its own clock.
    pub(crate) sent: Instant,
    /// The write's name, to find it again.
    pub(crate) number: u64,
    /// What came of it in the store: the record's uid and version, and the seconds that it names.
    pub(crate) stored: Option<(String, u64, u64)>,
}

/// What is known of a claimant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) holding: bool,
    until: Option<Instant>,
    uid: Option<String>,
    written: VecDeque<Written>,
    /// What happened to the record since the tenure began in the store.
    pub(crate) since: Since,
    /// Its record was taken away by somebody who does not play by the rules: until it notices, it may believe on.
    pub(crate) robbed: bool,
    robbed_at: Micros,
    /// All its clocks stood still: what it believed then lasts too long. Over with the second grant from then on.
    pub(crate) excused: u8,
    /// The store went back in its life.
    pub(crate) restored: bool,
    /// A stream told it of somebody else with its name, and it has not spoken of that yet.
    pub(crate) told_of_namesake: bool,
    /// It was told untruths, so that its losses need no reason.
    pub(crate) lied_to: bool,
    /// It was told to release.
    pub(crate) told_to_release: bool,
}

/// What a claimant is configured with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) node: usize,
    pub(crate) now: Instant,
    /// The longest that a grant may last after its write was sent.
    pub(crate) longest: Duration,
    /// The highest token that was given out before, since the store was last restored.
    pub(crate) highest: Option<u128>,
    /// The token as the claimant has it.
    pub(crate) token: Option<u128>,
}

impl Watched {
    /// Its record was taken away.
    pub(crate) fn rob(&mut self, now: Micros) {
        (self.robbed, self.robbed_at) = (true, now);
    }

    /// Its record is there again, by a write that was handed out at `departed`.
    ///
    /// One from before it was taken away was under way for long, and holds others back no longer than from then.
    pub(crate) fn restore(&mut self, departed: Micros) {
        self.robbed &= departed < self.robbed_at;
    }

    /// Takes note of a write that is handed out.
    pub(crate) fn hand_out(&mut self, number: u64, sent: Instant) {
        if self.written.len() >= 64 {
            self.written.pop_front();
        }
        self.written.push_back(Written {
            sent,
            number,
            stored: None,
        });
    }

    /// Takes note that a write was carried out.
    pub(crate) fn carry_out(&mut self, number: u64, uid: &str, version: u64, seconds: u64) {
        let stored = Some((uid.to_owned(), version, seconds));
        let mut written = self.written.iter_mut();
        match written.find(|written| written.number == number) {
            Some(written) if written.stored.is_none() => written.stored = stored,
            // One that was sent twice on its way, and carried out twice.
            Some(&mut Written { sent, .. }) => self.written.push_back(Written {
                sent,
                number,
                stored,
            }),
            None => {}
        }
    }

    /// Takes note that somebody else has lengthened what the last write left in the record, which has that version now. Writes
    /// from before the store went back may have higher ones.
    pub(crate) fn lengthen(&mut self, to: u64, version: u64) {
        let mut stored = self
            .written
            .iter_mut()
            .rev()
            .filter_map(|written| written.stored.as_mut());
        if let Some((_, _, seconds)) = stored.find(|(_, at, _)| *at < version) {
            *seconds = to.max(*seconds);
        }
    }

    /// Whether a write was carried out.
    pub(crate) fn was_carried_out(&self, number: u64) -> bool {
        let mut written = self.written.iter();
        written.any(|written| written.number == number && written.stored.is_some())
    }

    /// Hears what the claimant says, in its order.
    pub(crate) fn hear(&mut self, event: &Event, terms: &Terms) -> Result<(), Violation> {
        let node = terms.node;
        let (may_come, holds_after) = match event {
            Event::Acquired(_) => (!self.holding, true),
            Event::Renewed(_) | Event::AtRisk { .. } | Event::Recovered | Event::Verified(_) => {
                (self.holding, true)
            }
            Event::Lost(_) => (self.holding, false),
            // Whoever has its turn withdraws its announcement, and may not be permitted to.
            Event::Unranked(refusal) if refusal.verb() == Verb::Delete => (true, self.holding),
            _ => (!self.holding, false),
        };
        if !may_come {
            return Err(Violation::new(
                "I4",
                node,
                format!("said {event:?} out of turn"),
            ));
        }
        self.holding = holds_after;
        match event {
            Event::Acquired(grant) => {
                self.until = None;
                self.uid = None;
                self.check_token(grant, terms)?;
                self.check_grant(grant, terms)
            }
            Event::Renewed(grant) => self.check_grant(grant, terms),
            Event::AtRisk { until, .. } => self.check_risk(*until, terms),
            Event::Lost(loss) => self.check_loss(loss, terms),
            Event::IdentityCollision => {
                let was_told = std::mem::take(&mut self.told_of_namesake);
                if was_told || self.lied_to || self.restored || self.since.impersonated {
                    return Ok(());
                }
                let what = "complains of somebody with its identity, of whom there is none";
                Err(Violation::new("L4", node, what))
            }
            _ => Ok(()),
        }
    }

    /// A grant lasts longer with each renewal, and never longer than from the handing out of a write that was carried out.
    fn check_grant(&mut self, grant: &Grant, terms: &Terms) -> Result<(), Violation> {
        let (node, until) = (terms.node, grant.valid_until);
        if self.until.is_some_and(|last| until <= last) {
            return Err(Violation::new("I5", node, "was renewed for no longer"));
        }
        // The last one first: an earlier one may be of a tenure before this one, of another record.
        let mut written = self.written.iter().rev();
        let basis = written.find_map(|written| {
            let (uid, _, seconds) = written.stored.as_ref()?;
            let lasts = terms.longest.min(Duration::from_secs(*seconds));
            let covers = written.sent + lasts >= until;
            let is_same = self.uid.as_ref().is_none_or(|own| own == uid);
            (covers && is_same).then(|| uid.clone())
        });
        if basis.is_none() {
            let what = format!("believes until {until:?} without a write that would allow it");
            return Err(Violation::new("I5", node, what));
        }
        self.until = Some(until);
        self.uid = self.uid.take().or(basis);
        self.excused = self.excused.saturating_sub(1);
        Ok(())
    }

    /// A grant ends earlier than was said only if the record was shortened.
    fn check_risk(&mut self, until: Instant, terms: &Terms) -> Result<(), Violation> {
        let is_earlier = self.until.is_some_and(|said| until < said);
        let is_same = self.until == Some(until);
        if !(is_same || is_earlier && (self.since.shortened || self.lied_to || self.restored)) {
            let what = format!("believes until {until:?}, having said {:?}", self.until);
            return Err(Violation::new("I5", terms.node, what));
        }
        self.until = Some(until);
        Ok(())
    }

    /// Until when a claimant may believe that has seen its own record name so many seconds; `version` is the record's.
    pub(crate) fn may_believe_until(
        &self,
        seconds: u64,
        uid: &str,
        version: u64,
    ) -> Option<Instant> {
        let mut written = self.written.iter().rev();
        let last = written.find(|written| {
            let stored = written.stored.as_ref();
            stored.is_some_and(|(its, at, _)| its == uid && *at <= version)
        });
        last.map(|written| written.sent + Duration::from_secs(seconds))
    }

    fn check_token(&self, grant: &Grant, terms: &Terms) -> Result<(), Violation> {
        let stored = |version: u128| {
            let mut all = self
                .written
                .iter()
                .filter_map(|written| written.stored.as_ref());
            all.any(|(_, stored, _)| u128::from(*stored) <= version)
        };
        let what = match terms.token {
            None if self.restored || self.lied_to => return Ok(()),
            None => format!("was given no token: {grant:?}"),
            // Where time stood still, what is said when it goes on was true when it stopped; and who was robbed meanwhile
            // acts beside a successor.
            Some(token)
                if self.is_bound() && terms.highest.is_some_and(|highest| token <= highest) =>
            {
                format!(
                    "was given the token {token}, and {:?} was given before",
                    terms.highest
                )
            }
            Some(token) if !stored(token) => {
                format!("was given the token {token}, and had written nothing by then")
            }
            Some(_) => return Ok(()),
        };
        Err(Violation::new("I3", terms.node, what))
    }

    /// A tenure ends for a reason, and the reason is true.
    fn check_loss(&mut self, loss: &Loss, terms: &Terms) -> Result<(), Violation> {
        let is_true = match loss {
            // The record that it was last told of may have ended it at once.
            Loss::Expired => {
                self.since.shortened || self.until.is_some_and(|until| until <= terms.now)
            }
            Loss::Released => self.told_to_release,
            Loss::Cleared => self.since.passed_on || self.restored,
            Loss::Deleted => self.since.gone || self.restored || self.was_made_twice(),
            Loss::TakenOver { by } => self.since.holders.contains(by) || self.restored,
            Loss::IdentityCollision => self.since.impersonated || self.restored,
            Loss::StoreRegressed => self.restored,
            Loss::Yielded { .. } => self.since.yielded,
            _ => false,
        };
        if is_true || self.lied_to {
            return Ok(());
        }
        let what = format!("says that it lost the Lease because {loss}, which is not so");
        Err(Violation::new("L4", terms.node, what))
    }

    /// Whether one of its writes made the record twice, since a double of it came when the first was deleted already.
    fn was_made_twice(&self) -> bool {
        self.written.iter().any(|one| {
            let uid = |it: &Written| it.stored.as_ref().map(|(uid, ..)| uid.clone());
            let mut others = self
                .written
                .iter()
                .filter(|other| other.number == one.number);
            others.any(|other| uid(other).is_some() && uid(one).is_some() && uid(other) != uid(one))
        })
    }

    /// Whether its belief counts against others'.
    pub(crate) fn is_bound(&self) -> bool {
        !self.robbed && self.excused == 0
    }
}
