//! The holes of others, shown: scenarios that were reported of them, run with our claims and with the model of client-go.

use super::Violation;
use super::World;

/// A step of a scenario.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Act {
    /// Nothing.
    Nothing,
}

impl World {
    pub(super) fn act(&mut self, _act: Act) -> Result<(), Violation> {
        Ok(())
    }
}
