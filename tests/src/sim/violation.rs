//! A promise that was broken.

use std::fmt;

/// A promise that was broken, by its number in the list of invariants, and who broke it how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// `I1` to `I10` for safety, `L1` to `L7` for liveness, `L8` for turns by priority, `L9` for what is left to somebody, `L10` for how long
    /// anybody waits for its turn, `R1` to `R4` for load.
    pub(crate) rule: &'static str,
    node: usize,
    what: String,
}

impl Violation {
    /// Says what `node` did against `rule`.
    pub(crate) fn new(rule: &'static str, node: usize, what: impl Into<String>) -> Self {
        Self {
            rule,
            node,
            what: what.into(),
        }
    }

    /// Returns the number of the rule.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: claimant {} {}", self.rule, self.node, self.what)
    }
}

impl std::error::Error for Violation {}
