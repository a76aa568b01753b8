//! The world: what happens when, and what everybody makes of it.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use http::Response;
use lease_proto::{Event, Loss, server::Version};

use super::{
    Counts, Faults, Kind, Micros, SECOND, Violation,
    cast::{Node, Player, Tag, Terms},
    claimant::{Claimant, Say},
    clock::Clock,
    exchange::{Message, Reply},
    oracle::Terms as Told,
    plants::Bug,
    record::Record,
    rivals::{Moment, Wish},
    servers::Servers,
    streams::{Delivery, Flow},
    suspect::Suspect,
};
use crate::{picture::Picture, random::Random};

/// The world.
#[derive(Debug)]
pub struct World {
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) terms: Terms,
    pub(super) suspect: Suspect,
    pub(super) bug: Option<Bug>,
    pub(super) servers: Servers,
    pub(super) record: Option<Arc<Record>>,
    pub(super) nodes: Vec<Node>,
    pub(super) flows: Vec<Flow>,
    /// When the record last got another `renewTime`.
    pub(super) renewed_at: Micros,
    /// The latest versions of the record.
    pub(super) history: VecDeque<Arc<Record>>,
    pub(super) now: Micros,
    sequence: u64,
    agenda: BTreeMap<(Micros, u64), Happening>,
    pub(super) writes: u64,
    /// When the store last went back.
    pub(super) restored_at: Option<Micros>,
    /// What it would go back to.
    pub(super) backup: Option<Arc<Record>>,
    /// The last answer to a read, as a cache would give it again, and what it shows.
    pub(super) last_read: Option<LastRead>,
    pub(super) highest: Option<u128>,
    /// The longest time for which the record may hold others back.
    pub(super) longest: Micros,
    pub(super) counts: Counts,
    pub(super) done: bool,
    /// In the quiet tail: whether the record is annotated all the time, when counting began, and what was lost before.
    pub(super) storm: bool,
    pub(super) tail_since: Micros,
    pub(super) lost_before: u64,
    trace: Option<String>,
    /// What is drawn, if anything is.
    pub(super) picture: Option<Box<Picture>>,
}

/// An answer, and the record that it shows.
type LastRead = (Response<Vec<u8>>, Option<Arc<Record>>);

#[derive(Debug)]
pub(super) enum Happening {
    Wake(usize),
    Arrive(Box<Message>),
    Answer(Box<Reply>),
    Deliver(Box<Delivery>),
    Pump,
    Acquire(usize, u64),
    Mischief,
    Annotate(Micros),
    Tail(u8),
    /// A step of a script.
    Script(super::peers::Act),
}

impl World {
    /// An empty world with these faults.
    pub(super) fn empty(
        random: Random,
        faults: Faults,
        terms: Terms,
        bug: Option<Bug>,
        fronts: usize,
        version: Version,
    ) -> Self {
        let mut random = random;
        Self {
            servers: Servers::new(random.draw(), fronts, version, bug),
            random,
            faults,
            terms,
            suspect: Suspect::Servers,
            bug,
            record: None,
            nodes: Vec::new(),
            flows: Vec::new(),
            renewed_at: 0,
            history: VecDeque::new(),
            now: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            writes: 0,
            restored_at: None,
            backup: None,
            last_read: None,
            highest: None,
            longest: 0,
            counts: Counts::default(),
            done: false,
            storm: false,
            tail_since: 0,
            lost_before: 0,
            trace: None,
            picture: None,
        }
    }

    /// Writes down what happens from here on.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.trace = Some(format!("{}\n{:?}\n", self.faults, self.terms));
        self
    }

    /// Returns what was written down.
    pub fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Returns what has happened so far.
    pub fn counts(&self) -> Counts {
        let micros = self.now;
        let claimants = u64::try_from(self.nodes.len()).unwrap_or(0);
        Counts {
            micros,
            claimants,
            ..self.counts
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// Stops at the first promise that is broken.
    pub fn run(&mut self, until: Micros) -> Result<(), Violation> {
        while self.step(until)? {}
        Ok(())
    }

    /// Lets the next thing happen, unless that is after `until` or all is done.
    pub(super) fn step(&mut self, until: Micros) -> Result<bool, Violation> {
        // What comes later stays on the agenda.
        let is_due = |(at, _): &(Micros, u64)| *at <= until;
        if self.done
            || !self
                .agenda
                .first_key_value()
                .is_some_and(|(key, _)| is_due(key))
        {
            return Ok(false);
        }
        let Some(((at, _), happening)) = self.agenda.pop_first() else {
            return Ok(false);
        };
        self.now = at;
        self.happen(happening)?;
        self.draw_beliefs();
        self.check()?;
        Ok(true)
    }

    /// Adds a claimant of this library.
    pub(super) fn add_ours(&mut self) {
        let index = self.nodes.len();
        let node = self.birth(index, 0);
        self.add(node);
    }

    pub(super) fn add(&mut self, node: Node) {
        let index = self.nodes.len();
        self.nodes.push(node);
        let at = self.now + self.random.between(0, 5 * SECOND);
        self.schedule(at, Happening::Wake(index));
        self.schedule(at, Happening::Acquire(index, 0));
    }

    /// Makes a claimant that has just been started.
    pub(super) fn birth(&mut self, index: usize, life: u64) -> Node {
        let clock = self.draw_clock(index);
        let mixed = self.faults.has(Kind::Mixed);
        let config = self.terms.config(index, &mut self.random, mixed);
        self.longest = self
            .longest
            .max(config.published_seconds().unsigned_abs() * SECOND);
        let seed = self.random.draw();
        let bug = self.bug.filter(|_| index == 0);
        let now = clock.boot(self.now);
        let kept = self.keep(index, config, seed, now, bug);
        let claimant = Claimant::new(kept, now, bug);
        Node::new(Player::Ours(Box::new(claimant)), clock, life)
    }

    /// The clocks of a machine.
    pub(super) fn draw_clock(&mut self, index: usize) -> Clock {
        let drift = match self.bug {
            Some(Bug::SlowClock) if index == 0 => -500_000,
            _ if !self.faults.has(Kind::Drift) => 0,
            _ if self.random.chance(50) => 1_000,
            _ => -1_000,
        };
        let mut wall_error = 0;
        if self.faults.has(Kind::WallSkew) && self.suspect.is_node(index) {
            let most = *super::cast::pick(
                &mut self.random,
                &[1_000, 3_600_000_000, 315_360_000_000_000],
            );
            let error = self.random.between(0, 2 * most);
            wall_error = error.cast_signed() - most.cast_signed();
        }
        Clock {
            drift,
            wall_error,
            ..Clock::default()
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Wake(index) => self.wake(index),
            Happening::Arrive(message) => self.arrive(*message),
            Happening::Answer(reply) => self.answered(*reply),
            Happening::Deliver(delivery) => self.delivered(*delivery),
            Happening::Pump => {
                self.pump();
                Ok(())
            }
            Happening::Acquire(index, life) => self.acquire(index, life),
            Happening::Mischief => self.mischief(),
            Happening::Annotate(until) => self.annotate(until),
            Happening::Tail(step) => self.tail(step),
            Happening::Script(act) => {
                self.act(act);
                Ok(())
            }
        }
    }

    fn acquire(&mut self, index: usize, life: u64) -> Result<(), Violation> {
        let (now, faults) = (self.now, self.faults.clone());
        let node = &mut self.nodes[index];
        if node.life != life || node.dead || node.resting {
            return Ok(());
        }
        let patience = node.patience(&mut self.random, &faults, now);
        let local = node.now(now);
        node.load.end_pause();
        node.load.begin(now);
        if let Some(claimant) = node.ours_mut() {
            claimant.acquire(patience, local);
        }
        self.wake(index)
    }

    /// Lets a participant do all that it can do now.
    pub(super) fn wake(&mut self, index: usize) -> Result<(), Violation> {
        let node = &self.nodes[index];
        if node.dead {
            return Ok(());
        }
        if node.paused_until > self.now {
            self.schedule(node.paused_until, Happening::Wake(index));
            return Ok(());
        }
        if node.ours().is_none() {
            self.wake_rival(index);
            return Ok(());
        }
        for _ in 0..100 {
            let node = &self.nodes[index];
            let (now, wall) = (node.now(self.now), node.wall(self.now));
            let mut read = now;
            if self.faults.has(Kind::Sloppy) && self.random.chance(5) {
                // A clock that was read a moment ago, before another reading.
                read -= Duration::from_micros(self.random.between(0, 1_000));
            }
            let Some(claimant) = self.nodes[index].ours_mut() else {
                return Ok(());
            };
            match claimant.poll(read, wall) {
                Say::Ask(id, request) => self.ask(index, Tag::Ours(id), request)?,
                Say::Watch(id, request) => self.watch(index, id, request)?,
                Say::Cancel(id) => self.give_up(index, Tag::Ours(id)),
                Say::Close(id) => self.close_stream(index, id),
                Say::Aside(aside) => self.ask_aside(index, &aside, read),
                Say::Event(event) => self.tell(index, event)?,
                Say::Rest(until) => {
                    self.rest(index);
                    self.sleep(index, until.saturating_duration_since(now));
                    return Ok(());
                }
                Say::Wait(until) if until <= read => {
                    return Err(Violation::new("I10", index, "waits for what is past"));
                }
                Say::Wait(until) => {
                    self.sleep(index, until.saturating_duration_since(now));
                    return Ok(());
                }
                Say::Done => {
                    self.rest(index);
                    return Ok(());
                }
            }
        }
        Err(Violation::new("I10", index, "never comes to rest"))
    }

    fn wake_rival(&mut self, index: usize) {
        for _ in 0..10 {
            let node = &mut self.nodes[index];
            let (now, wall) = (node.now(self.now), node.wall(self.now));
            let Player::Rival(rival) = &mut node.player else {
                return;
            };
            let random = &mut self.random;
            match rival.poll(&mut Moment { now, wall, random }) {
                Wish::Ask(id, request) => self.depart(index, Tag::Rival(id), *request, None),
                Wish::Wait(until) => {
                    self.sleep(index, until.saturating_duration_since(now));
                    return;
                }
            }
        }
    }

    fn sleep(&mut self, index: usize, wait: Duration) {
        let mut later = self.nodes[index].clock.true_time(wait);
        if self.faults.has(Kind::Sloppy) {
            match self.random.between(0, 9) {
                0 => later += self.random.between(0, SECOND),
                1 => later = self.random.between(1, later.max(1)),
                _ => {}
            }
        }
        let at = self.now + later;
        let node = &mut self.nodes[index];
        if node.wake_at <= self.now || at < node.wake_at {
            node.wake_at = at;
            self.schedule(at, Happening::Wake(index));
        }
    }

    fn tell(&mut self, index: usize, event: Event) -> Result<(), Violation> {
        self.note(format_args!("{index} says {event:?}"));
        let (now, doubled) = (self.now, self.is_doubled());
        let node = &mut self.nodes[index];
        let (token, longest) = match (node.ours(), &event) {
            (Some(ours), Event::Acquired(grant)) => {
                (ours.token(grant), ours.config().grant_length())
            }
            (Some(ours), _) => (None, ours.config().grant_length()),
            (None, _) => (None, Duration::ZERO),
        };
        let told = Told {
            node: index,
            now: node.now(now),
            longest,
            highest: self.highest.filter(|_| !doubled),
            token,
        };
        node.watched.hear(&event, &told)?;
        match &event {
            Event::Acquired(_) => {
                self.counts.acquired += 1;
                if !doubled {
                    self.highest = self.highest.max(token);
                }
            }
            Event::Renewed(_) => self.counts.renewed += 1,
            Event::Lost(loss) => {
                node.load.end_pause();
                self.counts.lost += 1;
                match loss {
                    Loss::Expired => self.counts.expired += 1,
                    Loss::Released => self.counts.released += 1,
                    _ => self.counts.dispossessed += 1,
                }
            }
            Event::GaveUp(_) | Event::Released(_) => node.load.end_pause(),
            _ => {}
        }
        Ok(())
    }

    /// At most one may act as the holder.
    fn check(&self) -> Result<(), Violation> {
        let mut holder = None;
        for (index, node) in self.nodes.iter().enumerate() {
            if node.ours().is_none() || !node.watched.is_bound() || !node.believes(self.now) {
                continue;
            }
            if let Some(other) = holder {
                let what = format!(
                    "and claimant {other} both hold the Lease at {} µs",
                    self.now
                );
                return Err(Violation::new("I1", index, what));
            }
            holder = Some(index);
        }
        Ok(())
    }

    pub(super) fn schedule(&mut self, at: Micros, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), happening);
    }

    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace {
            let seconds = Duration::from_micros(self.now);
            let _written = writeln!(trace, "{seconds:>15.6?} {what}");
        }
    }
}
