//! Everything that can go wrong in a world, and which of it does in this one.

use std::fmt;

use super::Micros;
use crate::random::Random;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident $percent:literal,)+) => {
        /// A kind of fault; the numbers are those of the catalogue in the crate's documentation.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// All of them, with how many of all worlds have each, in percent.
            pub const ALL: &[(Self, u64)] = &[$((Self::$name, $percent),)+];
        }
    };
}

kinds! {
    /// F1: wall clocks are off, by up to ten years.
    WallSkew 60,
    /// F2: wall clocks are set.
    WallSteps 30,
    /// F3: a wall clock stands still.
    WallStands 10,
    /// F4: clocks run at wrong rates, within what is allowed for.
    Drift 60,
    /// F5: machines sleep; clocks count it, timers do not.
    Suspends 20,
    /// F6: machines freeze with all their clocks.
    Freezes 10,
    /// F7: processes stop, and go on as if nothing had been.
    Pauses 50,
    /// F8: processes die and are replaced.
    Crashes 50,
    /// F8: two processes have the same identity.
    Twins 10,
    /// F9: requests and answers are lost.
    Loss 50,
    /// F10: messages take seconds.
    Delays 50,
    /// F10: some take up to a minute.
    Zombies 25,
    /// F10: some requests arrive twice.
    Duplicates 25,
    /// F11: claimants are cut off, in one direction or both.
    Cuts 60,
    /// F13, F14, F15, F17, F31: the server refuses what it would do, or points elsewhere.
    Refusals 30,
    /// F18: the server is overloaded.
    Busy 30,
    /// F19, F20: the server fails, with the write carried out or without.
    Errors 40,
    /// F21: several API servers with clocks of their own, of which some stop answering.
    Fronts 40,
    /// F22: the servers' clocks are set.
    ServerSteps 20,
    /// F23: `Date` is missing or wrong.
    Dates 20,
    /// F24: the store is restored from a backup.
    Restores 10,
    /// F16: a proxy answers a read with an old answer.
    StaleReads 15,
    /// F16: streams stall, break, repeat and garble what they tell, or are refused.
    Streams 40,
    /// F27: somebody annotates and labels the record, sometimes at 10 Hz.
    Annotations 40,
    /// F27: somebody changes the duration, clears or sets the holder, hands the record to a controller.
    Writes 20,
    /// F27: somebody deletes the record, and sometimes makes another.
    Deletes 15,
    /// A webhook shortens durations on their way in.
    Webhook 8,
    /// F28: a claimant built on client-go.
    ClientGo 25,
    /// F28: a claimant that goes by wall clocks.
    WallPeer 10,
    /// F28: somebody patches without looking at versions.
    Patcher 8,
    /// F29, F30, F31: answers are mangled, or made up.
    Lies 30,
    /// F33: timers fire late or early, an answer is handed in twice, the clock is read backwards.
    Sloppy 20,
    /// Claimants are told to release.
    Releases 50,
    /// Claimants are told to verify.
    Verifies 25,
    /// Claimants give up and begin again.
    Impatience 20,
    /// Claimants differ in their timings.
    Mixed 20,
}

/// What goes wrong in a world, and how much.
#[derive(Clone, Debug)]
pub struct Faults {
    kinds: u64,
    /// How many of all messages are lost, in percent.
    pub(crate) loss: u64,
    /// The longest that an ordinary message takes.
    pub(crate) delay: Micros,
    /// How many answers are tampered with in any way that is on, in percent.
    pub(crate) tampering: u64,
    /// The longest pause between two faults.
    pub(crate) calm: Micros,
}

impl Faults {
    /// None at all.
    pub(crate) fn none() -> Self {
        Self {
            kinds: 0,
            loss: 0,
            delay: 20_000,
            tampering: 0,
            calm: 15_000_000,
        }
    }

    /// With messages that take no longer than that.
    pub(crate) fn within(mut self, delay: Micros) -> Self {
        self.delay = delay;
        self
    }

    /// Draws a subset.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut kinds = 0;
        for (kind, percent) in Kind::ALL {
            if random.chance(*percent) {
                kinds |= kind.bit();
            }
        }
        Self {
            kinds,
            loss: random.between(1, 30),
            delay: random.between(1_000, 4_000_000),
            tampering: random.between(1, 20),
            calm: random.between(1_000_000, 30_000_000),
        }
    }

    /// Returns whether a kind is among them.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds & kind.bit() != 0
    }

    /// Returns those that are on.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        let all = Kind::ALL.iter().map(|(kind, _)| *kind);
        all.filter(|kind| self.has(*kind))
    }

    /// The same with nothing but these kinds of them.
    pub(crate) fn only(mut self, kinds: u64) -> Self {
        self.kinds &= kinds;
        self
    }

    /// The same without these kinds of them.
    pub(crate) fn without(self, kinds: &[Kind]) -> Self {
        let others = kinds.iter().fold(0, |bits, kind| bits | kind.bit());
        self.only(!others)
    }

    /// The longest that a message takes.
    pub(crate) fn delay(&self) -> Micros {
        if self.has(Kind::Delays) {
            self.delay
        } else {
            self.delay.min(50_000)
        }
    }
}

impl Kind {
    pub(crate) fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// What happens then, in a word or two; only of what happens at an instant.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::WallSteps => "its clock is set",
            Self::WallStands => "its clock stands",
            Self::Suspends => "asleep",
            Self::Freezes => "frozen",
            Self::Pauses => "stopped",
            Self::Crashes => "crashes",
            Self::Cuts => "cut off",
            Self::Fronts => "a server hangs",
            Self::ServerSteps => "server's clock is set",
            Self::Restores => "restored from a backup",
            Self::Annotations => "annotated",
            Self::Writes => "somebody writes",
            Self::Deletes => "somebody deletes",
            Self::Webhook => "a webhook comes or goes",
            Self::Releases => "told to release",
            Self::Verifies => "told to look",
            Self::Impatience => "gives up, begins again",
            _ => "something else",
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.kinds().collect();
        write!(
            f,
            "{kinds:?}; loss {} %, delay {} µs, tampering {} %, calm {} µs",
            self.loss,
            self.delay(),
            self.tampering,
            self.calm
        )
    }
}
