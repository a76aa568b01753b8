//! The holes of others, shown: what was reported of them, played with claims of this library and with the model of client-go.
//!
//! Each scenario does one thing to whoever holds the Lease, and measures for how long two act as its holder at once. Those
//! of ours are found to do so for no time at all, and those of client-go for about as long as was reported.

use std::time::Duration;

use lease_proto::server::Version;

use super::{
    Faults, Micros, SECOND, Violation, World,
    cast::Terms,
    rivals::{ClientGo, Habits},
    world::Happening,
};
use crate::random::Random;

/// When it happens: somebody holds the Lease by then.
const BEGINNING: Micros = 60 * SECOND;
/// When it is over, whatever it was.
const END: Micros = 180 * SECOND;

/// What is done to the holder.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// It is cut off for so long.
    Cut(Micros),
    /// Its process is stopped for so long, and continued.
    Stop(Micros),
    /// The answer to its next write takes so long, and then it is cut off.
    SlowAnswer(Micros),
}

/// A scenario.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// What happens.
    pub name: &'static str,
    /// Where it was reported.
    pub source: &'static str,
    act: Act,
    candidates: usize,
    habits: fn() -> Habits,
    /// The duration of our Leases, in seconds.
    seconds: u64,
    /// Whether those that wait beside ours are client-go's.
    mixed: bool,
}

/// What came of a scenario, in microseconds in which two acted as the holder.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Overlap {
    /// Of how many runs.
    pub runs: u64,
    /// In how many there was any.
    pub overlapping: u64,
    /// The longest.
    pub longest: Micros,
}

/// Who plays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are no others")]
pub enum Side {
    /// Claims of this library.
    Ours,
    /// client-go, as modelled.
    ClientGo,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "an answer that takes 9.5 s, then silence",
        source: "holder's clock starts at the answer; no HTTP timeout",
        act: Act::SlowAnswer(9_500_000),
        candidates: 3,
        habits: || Habits {
            timeout: Duration::from_secs(10),
            releases: false,
            ..Habits::usual()
        },
        seconds: 15,
        mixed: false,
    },
    Scenario {
        name: "cut off for 16.6 s, with release on cancel",
        source: "kubernetes#132849: the release wipes the successor",
        act: Act::Cut(16_600_000),
        candidates: 5,
        habits: Habits::usual,
        seconds: 15,
        mixed: false,
    },
    Scenario {
        name: "cut off for longer than the ttl, and let back",
        source: "OnStoppedLeading comes after a release that hangs",
        act: Act::Cut(20_000_000),
        candidates: 3,
        habits: || Habits {
            release_looks: false,
            ..Habits::usual()
        },
        seconds: 15,
        mixed: false,
    },
    Scenario {
        name: "stopped for longer than the ttl, and continued",
        source: "leads on until the renew deadline, which begins anew",
        act: Act::Stop(30_000_000),
        candidates: 3,
        habits: Habits::usual,
        seconds: 15,
        mixed: false,
    },
    Scenario {
        name: "observed by those who see whole seconds",
        source: "two renewals in one second are one to client-go",
        act: Act::Cut(30_000_000),
        candidates: 2,
        habits: || Habits {
            lease_duration: Duration::from_secs(3),
            renew_deadline: Duration::from_millis(2_500),
            retry_period: Duration::from_millis(300),
            timeout: Duration::from_secs(1),
            releases: false,
            ..Habits::usual()
        },
        seconds: 3,
        mixed: true,
    },
];

impl Scenario {
    /// Plays it with this many seeds.
    ///
    /// # Errors
    ///
    /// Says which promise one of our claims has broken.
    pub fn play(&self, side: Side, seeds: u64) -> Result<Overlap, Violation> {
        let mut total = Overlap::default();
        for seed in 0..seeds {
            let overlap = self.world(side, seed).overlap(END)?;
            total.runs += 1;
            total.overlapping += u64::from(overlap > 0);
            total.longest = total.longest.max(overlap);
        }
        Ok(total)
    }

    fn world(&self, side: Side, seed: u64) -> World {
        let mut random = Random::new(seed);
        let at = BEGINNING + random.between(0, 5 * SECOND);
        let terms = Terms::usual().lasting(self.seconds);
        let mut world = World::empty(random, Faults::none(), terms, None, 1, Version::V1_31);
        for index in 0..self.candidates {
            if side == Side::Ours && !(self.mixed && index > 0) {
                world.add_ours();
            } else {
                let name = format!("client-go-{index}");
                world.add_rival(Box::new(ClientGo::new(name, (self.habits)())));
            }
        }
        world.schedule(at, Happening::Script(self.act));
        world
    }
}

impl World {
    /// Lets time pass until `end`, and says for how long two acted as the holder, in microseconds.
    fn overlap(&mut self, end: Micros) -> Result<Micros, Violation> {
        let mut overlap = 0;
        loop {
            let (since, several) = (self.now, self.actors() > 1);
            if !self.step(end)? {
                return Ok(overlap);
            }
            overlap += if several { self.now - since } else { 0 };
        }
    }

    /// How many act as the holder now.
    fn actors(&self) -> usize {
        let acts = |node: &&super::cast::Node| {
            !node.dead && node.paused_until <= self.now && node.believes(self.now)
        };
        self.nodes.iter().filter(acts).count()
    }

    pub(super) fn act(&mut self, act: Act) {
        let now = self.now;
        let holder = self.nodes.iter_mut().find(|node| node.believes(now));
        let Some(node) = holder else {
            // Between two tenures: a moment later.
            self.schedule(now + SECOND / 10, Happening::Script(act));
            return;
        };
        match act {
            Act::Cut(length) => {
                node.link.cut_requests_until = now + length;
                node.link.cut_answers_until = now + length;
                node.link.holds = true;
            }
            Act::Stop(length) => node.paused_until = now + length,
            Act::SlowAnswer(length) => node.link.slow = Some((length, 60 * SECOND)),
        }
    }
}
