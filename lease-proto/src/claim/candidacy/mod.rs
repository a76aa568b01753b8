//! Waiting by priority: the announcement of this waiter, those of others, and what is to be asked for next.

mod errand;
mod ranking;

use std::time::{Duration, Instant};

pub(super) use self::errand::{Errand, Outcome};
use self::ranking::{Ahead, Ranking};
use super::budget::Budget;
use crate::{
    call::RequestId,
    candidate::{self, Candidate},
    config::Config,
    plain::Preconditions,
    wire::{Identity, Lease, LeaseName, MicroTime},
};

/// For how long nothing is asked for that was refused.
const REFUSED: Duration = Duration::from_secs(300);
/// The pause after the first request in a row that failed, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often it is tried to withdraw an announcement, which is dead soon if it stays.
const WITHDRAWALS: u32 = 3;
/// How many refusals in a row are taken for those of a server that has only just been started, once something was granted.
const DOUBTS: u8 = 3;

/// What a waiter that goes by priority knows.
///
/// It renews its announcement and looks at those of others twice in each of its durations, and looks again when the Lease
/// becomes free. Then it holds back for one duration for each that goes before it and lives: long enough for all of them to
/// have noticed, and no longer. All of that may be wrong and nothing else depends on it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Candidacy {
    priority: i32,
    duration: Duration,
    own: Own,
    /// Its place among all, as its announcement last said, whether or not that is being renewed.
    place: Option<Candidate>,
    /// Which of the names for its announcement it uses.
    attempt: u32,
    since: Option<MicroTime>,
    renew_at: Instant,
    list_at: Instant,
    /// When the last list that has come was asked for.
    listed: Option<Instant>,
    others: Ranking,
    /// Since when the Lease is free, as far as it is known in this campaign.
    free_since: Option<Instant>,
    /// Until when it waits for a list before it takes what is free.
    turn_by: Option<Instant>,
    /// Until when it holds back for those that go before it.
    held_back_until: Option<Instant>,
    under_way: Option<UnderWay>,
    /// Nothing is asked for before this instant, after a failure.
    not_before: Option<Instant>,
    failures: u32,
    /// How often in a row the own announcement was not as it was last seen.
    collisions: u32,
    doubts: Doubts,
    /// What is left of what may be asked beside the requests for the Lease.
    pub(super) budget: Budget,
    /// Until when it neither announces itself nor lists, since that was refused.
    no_announcing: Option<Instant>,
    no_listing: Option<Instant>,
    /// Whether the application knows that.
    told: bool,
    reloaded: bool,
    /// Whether it has had its turn, so that its announcement must go before it waits again.
    has_been: bool,
    /// Whether it has deleted something that was left behind since the last list: one for each is enough.
    has_tidied: bool,
}

/// How many refusals are taken for those of a server that has only just been started: none of what was never granted.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Doubts {
    listing: u8,
    announcing: u8,
}

impl Doubts {
    fn of(&mut self, errand: &Errand) -> Option<&mut u8> {
        match errand {
            Errand::List => Some(&mut self.listing),
            Errand::Announce | Errand::Renew | Errand::Look => Some(&mut self.announcing),
            Errand::Withdraw | Errand::Bury(_) => None,
        }
    }
}

/// What is known of the own announcement.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Own {
    None,
    /// A request may or may not have been carried out.
    Unsure,
    There(Box<Lease>),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct UnderWay {
    pub(super) id: RequestId,
    pub(super) errand: Errand,
    pub(super) sent: Instant,
    pub(super) deadline: Instant,
}

/// What a waiter is to do about a Lease that is free.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// Take it.
    Ours,
    /// Wait for a list, until then at the latest.
    Unknown(Instant),
    /// Wait for whoever is first of those that go before it, until then.
    After(String, Instant),
}

impl Candidacy {
    pub(super) fn new(priority: i32, config: &Config, now: Instant) -> Self {
        Self {
            priority,
            duration: config.candidate_duration(),
            own: Own::None,
            place: None,
            attempt: 0,
            since: None,
            renew_at: now,
            list_at: now,
            listed: None,
            others: Ranking::default(),
            free_since: None,
            turn_by: None,
            held_back_until: None,
            under_way: None,
            not_before: None,
            failures: 0,
            collisions: 0,
            doubts: Doubts::default(),
            budget: Budget::default(),
            no_announcing: None,
            no_listing: None,
            told: false,
            reloaded: false,
            has_been: false,
            has_tidied: false,
        }
    }

    /// Returns whose turn it is to take the Lease, which is free.
    pub(super) fn turn(&mut self, config: &Config, identity: &Identity, now: Instant) -> Turn {
        let since = *self.free_since.get_or_insert(now);
        (self.turn_by, self.held_back_until) = (None, None);
        if is_barred(self.no_listing, now) {
            return Turn::Ours;
        }
        let is_known = self.listed.is_some_and(|listed| since <= listed);
        let ahead = self.ahead(config, identity, now).filter(|_| is_known);
        // Each of them has its own time, in which it is bound to notice.
        let until = since + ahead.as_ref().map_or(self.duration, |ahead| ahead.wait);
        match ahead {
            _ if until <= now => Turn::Ours,
            Some(ahead) => {
                self.held_back_until = Some(until);
                Turn::After(ahead.first, until)
            }
            None if is_known => Turn::Ours,
            None => {
                self.list_at = now;
                self.turn_by = Some(until);
                Turn::Unknown(until)
            }
        }
    }

    /// Takes note that somebody has the Lease.
    pub(super) fn taken(&mut self) {
        (self.free_since, self.turn_by, self.held_back_until) = (None, None, None);
    }

    /// Takes note that another campaign begins.
    pub(super) fn begin_anew(&mut self) {
        self.taken();
        (self.since, self.told) = (None, false);
    }

    /// Takes note that the Lease is held by this claim.
    pub(super) fn acquired(&mut self) {
        self.taken();
        self.has_been = self.own != Own::None;
    }

    /// Returns whether a list has just shown, or not shown, who goes first, so that what is free is to be looked at again.
    pub(super) fn may_go_on(&self, now: Instant) -> bool {
        let is_barred = is_barred(self.no_listing, now);
        self.free_since
            .is_some_and(|since| is_barred || self.listed >= Some(since))
    }

    /// Returns until when a list is waited for before what is free is taken.
    pub(super) fn turn_by(&self, now: Instant) -> Option<Instant> {
        self.turn_by.filter(|by| now < *by)
    }

    /// Returns until when it holds back, if it does.
    pub(super) fn held_back_until(&self, now: Instant) -> Option<Instant> {
        self.held_back_until.filter(|until| now < *until)
    }

    pub(super) fn under_way(&self) -> Option<&UnderWay> {
        self.under_way.as_ref()
    }

    /// Gives up what is under way, since something else is more important. Whether it is carried out is unknown.
    pub(super) fn drop_errand(&mut self) -> Option<RequestId> {
        let under_way = self.under_way.take()?;
        if under_way.errand.writes_own() {
            self.own = Own::Unsure;
        }
        Some(under_way.id)
    }

    /// Returns what is to be asked for next, and when. `stands` says whether this claim waits, and `begins` whether it waits
    /// for somebody, so that it is worth an announcement.
    pub(super) fn next(
        &self,
        stands: bool,
        begins: bool,
        now: Instant,
    ) -> Option<(Instant, Errand)> {
        if self.under_way.is_some() {
            return None;
        }
        let not_before = self.not_before.unwrap_or(now).max(now);
        // Who may not know of others is not to be held back for by them.
        let is_blind = is_barred(self.no_listing, now);
        if !stands || self.has_been || is_blind {
            let errand = match self.own {
                Own::None if stands => None,
                Own::None => return None,
                Own::Unsure => Some(Errand::Look),
                Own::There(_) => Some(Errand::Withdraw),
            };
            if let Some(errand) = errand {
                return Some((not_before, errand));
            }
        }
        let own = match self.own {
            Own::None if begins => Some((now, Errand::Announce)),
            Own::None => None,
            Own::Unsure => Some((now, Errand::Look)),
            Own::There(_) => Some((self.renew_at, Errand::Renew)),
        };
        let own = own.filter(|_| !is_blind && !is_barred(self.no_announcing, now));
        let waits = begins || self.turn_by.is_some();
        let list = (waits && !is_blind).then_some((self.list_at, Errand::List));
        let first = match (own, list) {
            // Somebody may wait for nothing else.
            (Some(_), Some(list)) if self.turn_by.is_some() => Some(list),
            (Some(own), Some(list)) => Some(if list.0 < own.0 { list } else { own }),
            (own, list) => own.or(list),
        };
        let first = first.map(|(at, errand)| (at.max(not_before), errand));
        if begins
            && !self.has_tidied
            && first.as_ref().is_none_or(|(at, _)| now < *at)
            && not_before <= now
        {
            let litter = self.others.litter(now).map(|it| (now, Errand::Bury(it)));
            return litter.or(first);
        }
        first
    }

    fn ahead(&self, config: &Config, identity: &Identity, now: Instant) -> Option<Ahead> {
        let name = self.name(config, identity);
        let unannounced = || Candidate::waiting(identity, self.priority, self.duration);
        let announced = self.place.as_ref().map(|place| place.since);
        let own = self.place.clone().unwrap_or_else(unannounced);
        self.others
            .ahead_of((name.as_str(), &own), announced.or(self.since), now)
    }

    /// Returns the name of the own announcement, if there may be one.
    pub(super) fn announcement(&self, config: &Config, identity: &Identity) -> Option<LeaseName> {
        (self.own != Own::None).then(|| self.name(config, identity))
    }

    fn name(&self, config: &Config, identity: &Identity) -> LeaseName {
        candidate::name(config, identity, self.attempt)
    }

    /// Returns what names exactly the announcement that is known.
    fn preconditions(&self) -> Preconditions {
        match &self.own {
            // Its version changes with each renewal, of which the last one may not have been answered.
            Own::There(lease) => Preconditions {
                uid: lease.metadata.uid.clone(),
                ..Preconditions::default()
            },
            Own::None | Own::Unsure => Preconditions::default(),
        }
    }
}

fn is_barred(until: Option<Instant>, now: Instant) -> bool {
    until.is_some_and(|until| now < until)
}
