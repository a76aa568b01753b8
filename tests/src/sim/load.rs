//! How much a claimant asks of the server, whatever goes wrong.

use std::collections::VecDeque;

use super::{Micros, Violation};

/// How many requests are allowed in that time: two for each second of a Lease with the defaults, and three tries at once,
/// each of a look and a write.
const MOST: usize = 26;
/// How many more where it waits by priority: a renewal and a list twice a second at the most, where durations are short; and one for
/// each request for the Lease, which another one has given way to.
const MOST_ERRANDS: usize = 26;
/// How many for a stream that is for others as well, in that time: none of them pays for it out of what it may ask itself.
const MOST_SHARED: usize = 13;
/// How many more for each command that it was given in that time: to look, to write, to look again, and to begin anew.
const FOR_A_COMMAND: usize = 5;
/// How many more for each time that it was told to acquire.
const FOR_A_TRY: usize = 1;

/// What a claimant has asked for lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    asked: VecDeque<Micros>,
    shared: VecDeque<Micros>,
    told: VecDeque<Micros>,
    tries: VecDeque<Micros>,
    errands: VecDeque<Micros>,
    /// Not before this instant, as the server has asked for.
    quiet_until: Option<Micros>,
    tries_in_quiet: u32,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) watches: u64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    Read,
    Write,
    Watch,
    /// For others as well, whom the server has asked for nothing.
    SharedWatch,
}

impl Load {
    /// Takes note of a request.
    ///
    /// One request before a pause is over is allowed to a holder whose grant would end first.
    pub(crate) fn ask(
        &mut self,
        node: usize,
        now: Micros,
        span: Micros,
        wanted: Wanted,
        is_held: bool,
    ) -> Result<(), Violation> {
        match wanted {
            Wanted::Read => self.reads += 1,
            Wanted::Write => self.writes += 1,
            Wanted::Watch | Wanted::SharedWatch => self.watches += 1,
        }
        let is_shared = wanted == Wanted::SharedWatch;
        if is_shared {
            self.shared.push_back(now);
        } else {
            self.asked.push_back(now);
        }
        let window = now.saturating_sub(span);
        for all in [
            &mut self.asked,
            &mut self.shared,
            &mut self.told,
            &mut self.tries,
        ] {
            while all.front().is_some_and(|at| *at < window) {
                all.pop_front();
            }
        }
        let allowed = MOST + FOR_A_COMMAND * self.told.len() + FOR_A_TRY * self.tries.len();
        for (asked, allowed, whose) in [
            (self.asked.len(), allowed, "its own"),
            (self.shared.len(), MOST_SHARED, "shared"),
        ] {
            if asked > allowed {
                let what = format!("sent {asked} requests in {} ms, {whose}", span / 1_000);
                return Err(Violation::new("R2", node, what));
            }
        }
        match self.quiet_until {
            Some(until) if now < until && !is_shared => {
                self.tries_in_quiet += 1;
                if self.tries_in_quiet > 1 || !is_held {
                    let what = format!(
                        "asked {} ms before the pause was over that the server had asked for",
                        (until - now) / 1_000
                    );
                    return Err(Violation::new("R3", node, what));
                }
            }
            Some(until) if now < until => {}
            _ => self.quiet_until = None,
        }
        Ok(())
    }

    /// Takes note of a request that only waiting by priority needs.
    pub(crate) fn run(&mut self, node: usize, now: Micros, span: Micros) -> Result<(), Violation> {
        self.errands.push_back(now);
        let window = now.saturating_sub(span);
        while self.errands.front().is_some_and(|at| *at < window) {
            self.errands.pop_front();
        }
        let others = self.asked.iter().filter(|at| window <= **at).count();
        if self.errands.len() > MOST_ERRANDS + others {
            let what = format!(
                "sent {} requests in {} ms beside those for the Lease",
                self.errands.len(),
                span / 1_000
            );
            return Err(Violation::new("R2", node, what));
        }
        match self.quiet_until {
            Some(until) if now < until => {
                let what =
                    "announced itself before the pause was over that the server had asked for";
                Err(Violation::new("R3", node, what))
            }
            _ => Ok(()),
        }
    }

    /// Takes note that the server asks for a pause.
    pub(crate) fn pause(&mut self, until: Micros) {
        self.quiet_until = Some(until);
        self.tries_in_quiet = 0;
    }

    /// It was told to acquire: a look goes at once.
    pub(crate) fn begin(&mut self, now: Micros) {
        self.tries.push_back(now);
    }

    /// A command was given, which is carried out at once.
    pub(crate) fn command(&mut self, now: Micros) {
        self.told.push_back(now);
        self.end_pause();
    }

    /// Something ended, after which the pause is not the claimant's any more.
    pub(crate) fn end_pause(&mut self) {
        self.quiet_until = None;
    }

    /// Begins to count anew.
    pub(crate) fn count_anew(&mut self) {
        (self.reads, self.writes, self.watches) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Micros = 10_000_000;

    fn ask(load: &mut Load, wanted: Wanted) -> Result<(), Violation> {
        load.ask(0, SPAN, SPAN, wanted, false)
    }

    #[test]
    fn a_stream_that_others_share_has_a_bound_of_its_own() {
        let mut load = Load::default();
        for _ in 0..MOST {
            assert!(ask(&mut load, Wanted::Watch).is_ok());
        }
        for _ in 0..MOST_SHARED {
            assert!(ask(&mut load, Wanted::SharedWatch).is_ok());
        }
        assert!(ask(&mut load.clone(), Wanted::Read).is_err());
        assert!(ask(&mut load, Wanted::SharedWatch).is_err());
    }
}
