//! The promises, checked against what every claimant believes at every moment.

use std::fmt;

use lease_proto::{Event, FencingToken};

use crate::world::Micros;

/// Knows what each claimant has said, and what none may ever say.
#[derive(Debug)]
pub struct Oracle {
    holding: Vec<bool>,
    highest: Option<FencingToken>,
}

/// A promise that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    node: usize,
    what: String,
}

impl Violation {
    /// Says what `node` did.
    pub fn new(node: usize, what: impl Into<String>) -> Self {
        Self {
            node,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claimant {} {}", self.node, self.what)
    }
}

impl Oracle {
    /// Begins to watch `size` claimants that hold nothing.
    pub fn new(size: usize) -> Self {
        Self {
            holding: vec![false; size],
            highest: None,
        }
    }

    /// Hears what a claimant says, in its order.
    ///
    /// # Errors
    ///
    /// Fails if the events do not follow the grammar, or a token is not higher than all before it.
    pub fn hear(&mut self, node: usize, event: &Event) -> Result<(), Violation> {
        let Some(holding) = self.holding.get_mut(node) else {
            return Ok(());
        };
        let (may_come, holds_after) = match event {
            Event::Acquired(grant) => {
                if grant.token <= self.highest {
                    return Err(Violation::new(
                        node,
                        "was given a token that is not the highest",
                    ));
                }
                self.highest = grant.token;
                (!*holding, true)
            }
            Event::Renewed(_) | Event::AtRisk { .. } | Event::Recovered | Event::Verified(_) => {
                (*holding, true)
            }
            Event::Lost(_) => (*holding, false),
            _ => (!*holding, false),
        };
        *holding = holds_after;
        if may_come {
            Ok(())
        } else {
            Err(Violation::new(node, format!("said {event:?} out of turn")))
        }
    }

    /// Takes note that a claimant has died.
    pub fn forget(&mut self, node: usize) {
        if let Some(holding) = self.holding.get_mut(node) {
            *holding = false;
        }
    }

    /// Looks at who believes to hold the Lease now.
    ///
    /// # Errors
    ///
    /// Fails if that is more than one.
    pub fn check(now: Micros, mut believers: impl Iterator<Item = usize>) -> Result<(), Violation> {
        match (believers.next(), believers.next()) {
            (Some(one), Some(other)) => {
                let what = format!("and claimant {other} both hold the Lease at {now} µs");
                Err(Violation::new(one, what))
            }
            _ => Ok(()),
        }
    }
}
