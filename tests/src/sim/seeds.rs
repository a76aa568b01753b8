//! Worlds from seeds: drawn, run, replayed with their trace, and shrunk when they fail.

use std::path::PathBuf;

use lease_proto::server::Version;

use super::{
    Bug, Counts, Faults, Kind, Micros, SECOND, Violation, World,
    cast::{Node, Player, Terms},
    rivals::{ClientGo, Habits, Rival, WallClock},
    suspect::Suspect,
    world::Happening,
};
use crate::{picture::Picture, random::Random};

/// One run of one seed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Run {
    /// What decides everything.
    pub seed: u64,
    /// For how long things go wrong, in microseconds; the quiet tail comes after.
    pub length: Micros,
    /// What is planted.
    pub bug: Option<Bug>,
    kinds: u64,
}

/// What came of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What happened.
    pub counts: Counts,
    /// The promise that was broken.
    pub violation: Option<Violation>,
    /// What was written down, if that was asked for.
    pub trace: String,
    /// The faults that were on.
    pub faults: Faults,
}

impl Run {
    /// A run of `seed` in which things go wrong for `length`.
    pub fn new(seed: u64, length: Micros, bug: Option<Bug>) -> Self {
        Self {
            seed,
            length,
            bug,
            kinds: u64::MAX,
        }
    }

    /// Whether what is planted can show itself in this world: whoever judges by the servers' clock alone does well where that
    /// is right.
    pub fn can_show(&self) -> bool {
        let world = self.world();
        self.bug != Some(Bug::ServerClockAlone)
            || (world.suspect == Suspect::Servers && world.faults.has(Kind::ServerSteps))
    }

    /// Runs it.
    pub fn run(&self) -> Outcome {
        self.outcome(false)
    }

    /// Runs it, and writes down what happens.
    pub fn traced(&self) -> Outcome {
        self.outcome(true)
    }

    /// Runs it, and returns what is to be drawn of it, and when it ended.
    pub fn drawn(&self) -> (Picture, Micros) {
        let mut world = self.world().drawn("");
        let end = world.run(Micros::MAX).err();
        // What was said last, and may be wrong.
        world.draw_beliefs();
        let (picture, until) = world.picture().expect("it was asked for");
        let mut picture = picture.clone();
        picture.title = format!("Seed {}", self.seed);
        let Some(violation) = end else {
            return (picture, until);
        };
        picture.break_promise(until, violation.to_string());
        (picture, until + 3 * SECOND)
    }

    /// Runs it, and keeps a picture of its last minute with other temporary files.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn keep_picture(&self) -> std::io::Result<PathBuf> {
        let (picture, until) = self.drawn();
        let file = std::env::temp_dir().join(format!("lease-seed-{}.svg", self.seed));
        std::fs::write(&file, picture.svg(until.saturating_sub(60 * SECOND), until))?;
        Ok(file)
    }

    fn outcome(&self, traced: bool) -> Outcome {
        let mut world = self.world();
        let faults = world.faults.clone();
        if traced {
            world = world.traced();
        }
        let violation = world.run(Micros::MAX).err();
        Outcome {
            counts: world.counts(),
            violation,
            trace: world.trace().to_owned(),
            faults,
        }
    }

    /// The world as it begins.
    pub fn world(&self) -> World {
        let mut random = Random::new(self.seed);
        // Drawn before the kinds are chosen from, so that leaving one out changes nothing else.
        let faults = Faults::draw(&mut random).only(self.kinds);
        let mut terms = Terms::draw(&mut random, &faults);
        let size = random.between(2, 4);
        let (suspect, faults) = Suspect::draw(&mut random, faults, size);
        terms.server_time = suspect.is_one();
        // Other bugs are planted around a claim that asks for nothing else.
        terms.ranks = terms.ranks.filter(|_| self.bug.is_none());
        let fronts = if faults.has(Kind::Fronts) { 3 } else { 1 };
        let version = if random.chance(50) {
            Version::V1_20
        } else {
            Version::V1_31
        };
        let rivals = Random::new(random.draw());
        let mut world = World::empty(random, faults, terms, self.bug, fronts, version);
        world.suspect = suspect;
        for _ in 0..size {
            world.add_ours();
        }
        world.add_rivals(rivals);
        world.schedule(SECOND, Happening::Mischief);
        world.schedule(self.length, Happening::Tail(0));
        world
    }
}

impl World {
    fn add_rivals(&mut self, mut random: Random) {
        let mut habits = Habits::usual();
        habits.releases = random.chance(70);
        habits.release_looks = random.chance(50);
        if random.chance(50) {
            habits.timeout = habits.renew_deadline;
        }
        let client_go = || Box::new(ClientGo::new("client-go".to_owned(), habits));
        if self.faults.has(Kind::ClientGo) {
            self.add_rival(client_go());
        }
        for (kind, compares) in [(Kind::WallPeer, true), (Kind::Patcher, false)] {
            if self.faults.has(kind) {
                let name = format!("{kind:?}").to_lowercase();
                self.add_rival(Box::new(WallClock::new(name, compares)));
            }
        }
    }

    pub(super) fn add_rival(&mut self, rival: Box<dyn Rival>) {
        let clock = self.draw_clock(self.nodes.len());
        self.longest = self.longest.max(15 * SECOND);
        self.add(Node::new(Player::Rival(rival), clock, 0));
    }
}

/// Leaves out of a failing run what it fails without, and returns what is left.
pub fn shrink(run: &Run) -> Run {
    let Some(rule) = run.run().violation.map(|violation| violation.rule()) else {
        return *run;
    };
    let fails = |run: &Run| {
        let violation = run.run().violation;
        violation.is_some_and(|violation| violation.rule() == rule)
    };
    let mut least = *run;
    for kind in run.world().faults.kinds() {
        let mut without = least;
        without.kinds &= !kind.bit();
        if fails(&without) {
            least = without;
        }
    }
    while least.length > 60 * SECOND {
        let mut shorter = least;
        shorter.length /= 2;
        if !fails(&shorter) {
            break;
        }
        least = shorter;
    }
    least
}
