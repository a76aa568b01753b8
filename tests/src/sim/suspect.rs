//! Which clock may be wrong, where claimants judge by clocks: one, or else they do not.

use super::{Faults, Kind};
use crate::random::Random;

/// Whose clock may show a wrong time of day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Suspect {
    /// One machine's.
    Node(usize),
    /// The servers': wrong, set, different from one to the next, or told wrongly.
    Servers,
    /// Anybody's, at once; claimants are told not to go by any.
    Everybody,
}

impl Suspect {
    /// Draws one of them, and of the faults those that leave the other clocks right.
    pub(crate) fn draw(random: &mut Random, faults: Faults, nodes: u64) -> (Self, Faults) {
        let node = usize::try_from(random.between(0, nodes.saturating_sub(1))).unwrap_or(0);
        match random.between(0, 9) {
            0..=3 => {
                // An old answer has an old date. A machine that froze has two wrong clocks, if its wall clock is wrong too:
                // what it knows of the servers' is aged by the one that stood still.
                let others = [
                    Kind::ServerSteps,
                    Kind::Dates,
                    Kind::StaleReads,
                    Kind::Freezes,
                ];
                (Self::Node(node), faults.without(&others))
            }
            4..=6 => {
                let others = [Kind::WallSkew, Kind::WallSteps, Kind::WallStands];
                (Self::Servers, faults.without(&others))
            }
            _ => (Self::Everybody, faults),
        }
    }

    /// Whether it is but one clock that may be wrong.
    pub(crate) fn is_one(self) -> bool {
        self != Self::Everybody
    }

    /// Whether it is, or may be, the wall clock of that machine.
    pub(crate) fn is_node(self, index: usize) -> bool {
        match self {
            Self::Node(node) => node == index,
            Self::Servers => false,
            Self::Everybody => true,
        }
    }
}
