//! How much a claimant asks of the server, whatever goes wrong.

use std::collections::VecDeque;

use super::{Micros, Violation};

/// In how many retry periods requests are counted together.
const PERIODS: u64 = 5;
/// How many requests are allowed in that time: two for each second of a Lease with the defaults, and a few at once.
const MOST: usize = 23;

/// What a claimant has asked for lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    asked: VecDeque<Micros>,
    /// Not before this instant, as the server has asked for.
    quiet_until: Option<Micros>,
    tries_in_quiet: u32,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

impl Load {
    /// Takes note of a request.
    ///
    /// One request before a pause is over is allowed to a holder whose grant would end first.
    pub(crate) fn ask(
        &mut self,
        node: usize,
        now: Micros,
        period: Micros,
        is_read: bool,
        is_held: bool,
    ) -> Result<(), Violation> {
        if is_read {
            self.reads += 1;
        } else {
            self.writes += 1;
        }
        self.asked.push_back(now);
        let window = now.saturating_sub(PERIODS * period);
        while self.asked.front().is_some_and(|at| *at < window) {
            self.asked.pop_front();
        }
        if self.asked.len() > MOST {
            let what = format!(
                "sent {} requests in {} ms",
                self.asked.len(),
                PERIODS * period / 1_000
            );
            return Err(Violation::new("R2", node, what));
        }
        match self.quiet_until {
            Some(until) if now < until => {
                self.tries_in_quiet += 1;
                if self.tries_in_quiet > 1 || !is_held {
                    let what = format!(
                        "asked {} ms before the pause was over that the server had asked for",
                        (until - now) / 1_000
                    );
                    return Err(Violation::new("R3", node, what));
                }
            }
            _ => self.quiet_until = None,
        }
        Ok(())
    }

    /// Takes note that the server asks for a pause.
    pub(crate) fn pause(&mut self, until: Micros) {
        self.quiet_until = Some(until);
        self.tries_in_quiet = 0;
    }

    /// A command was given, or something ended, after which the pause is not the claimant's any more.
    pub(crate) fn end_pause(&mut self) {
        self.quiet_until = None;
    }

    /// Begins to count anew.
    pub(crate) fn count_anew(&mut self) {
        (self.reads, self.writes) = (0, 0);
    }
}
