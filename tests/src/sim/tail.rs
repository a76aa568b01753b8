//! The quiet tail: nothing goes wrong any more, and within known bounds somebody holds, keeps and hands over the Lease.

use lease_proto::OnRelease;

use super::{Faults, Micros, SECOND, Violation, World, network::Link, world::Happening};

/// How long a request and its answer take at most when all is well.
const ROUND_TRIP: Micros = SECOND / 5;

impl World {
    /// One step of it.
    pub(super) fn tail(&mut self, step: u8) -> Result<(), Violation> {
        self.note(format_args!("quiet tail, step {step}"));
        match step {
            0 => {
                self.calm_down()?;
                // What was delayed most has arrived by then.
                self.schedule(self.now + 61 * SECOND, Happening::Tail(1));
            }
            1 => {
                self.calm_down()?;
                let wait = 2 * self.longest + 10 * self.slowest() + 5 * SECOND;
                self.schedule(self.now + wait * 1_003 / 1_000, Happening::Tail(2));
            }
            2 => {
                let holder = self.holder("L6")?;
                for node in &mut self.nodes {
                    node.load.count_anew();
                }
                self.lost_before = self.counts.lost;
                self.storm = self.random.chance(30);
                let until = self.now + 10 * self.interval(holder);
                if self.storm {
                    self.annotate(until)?;
                }
                self.tail_since = self.now;
                self.schedule(until, Happening::Tail(3));
            }
            3 if self.storm => {
                // Whoever reads and writes ten times a second meets its own next write, and may lose all its tries by chance.
                self.counts.storms += 1;
                self.counts.storms_lost += u64::from(self.counts.lost != self.lost_before);
                self.storm = false;
                let wait = self.longest + 2 * self.patience();
                self.schedule(self.now + wait, Happening::Tail(4));
            }
            3 => {
                let holder = self.holder("L5")?;
                if self.counts.lost != self.lost_before {
                    return Err(Violation::new(
                        "L4",
                        holder,
                        "lost the Lease without a reason",
                    ));
                }
                self.check_load(holder)?;
                self.hand_over(holder)?;
            }
            4 => {
                let holder = self.holder("L5")?;
                self.hand_over(holder)?;
            }
            5 => {
                let holder = self.holder("L2")?;
                let within = self.longest_of(holder) + self.patience() + self.held_back();
                self.draw_fault(Some(holder), "crashed", Some(self.now + within));
                self.nodes[holder].dead = true;
                self.schedule(self.now + within, Happening::Tail(6));
                for index in 0..self.nodes.len() {
                    if self.nodes[index].resting {
                        self.nodes[index].resting = false;
                        let life = self.nodes[index].life;
                        self.schedule(self.now, Happening::Acquire(index, life));
                    }
                }
            }
            _ => {
                self.holder("L1")?;
                self.counts.tails += 1;
                self.done = true;
            }
        }
        Ok(())
    }

    /// Ends all faults, and what third parties and rivals did to the record.
    fn calm_down(&mut self) -> Result<(), Violation> {
        self.faults = Faults::none();
        self.servers.heal();
        // Connections that are gone are noticed.
        self.break_streams(None);
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            node.link = Link::default();
            let early = node.paused_until.saturating_sub(self.now);
            node.clock.wake_early(early);
            node.paused_until -= early;
            node.load.end_pause();
            node.dead |= node.ours().is_none();
            self.schedule(self.now, Happening::Wake(index));
        }
        let is_odd = self.record.as_ref().is_some_and(|record| {
            record.strategy.is_some() || record.preferred.is_some() || record.duration.is_none()
        });
        if is_odd {
            self.patch(
                r#"{"spec":{"strategy":null,"preferredHolder":null,"leaseDurationSeconds":15}}"#,
            )?;
        }
        Ok(())
    }

    /// The one that holds the Lease; there must be one.
    pub(super) fn holder(&self, rule: &'static str) -> Result<usize, Violation> {
        let mut all = 0..self.nodes.len();
        let holder = all.find(|index| {
            let node = &self.nodes[*index];
            node.ours().is_some() && node.believes(self.now)
        });
        holder.ok_or_else(|| Violation::new(rule, 0, "and nobody else holds the Lease in time"))
    }

    /// The holder is told to release; somebody else takes over soon.
    fn hand_over(&mut self, holder: usize) -> Result<(), Violation> {
        let (parting, kept) = self.parting(holder);
        self.release_with(holder, parting)?;
        // A waiter that looks only after the deletion has not seen that the Lease was given up, and waits it out.
        let within = match self.terms.release {
            OnRelease::Clear => self.patience(),
            _ => self.longest_of(holder) + self.patience(),
        };
        self.schedule(self.now + within + kept, Happening::Tail(5));
        Ok(())
    }

    /// How long the slowest takes from learning that the Lease is free, or may be, until it has it.
    fn patience(&self) -> Micros {
        self.slowest() * 6 / 5 + 5 * ROUND_TRIP + SECOND / 2
    }

    /// How long whoever begins to wait only now holds back for announcements that dead ones have left, until it has seen them
    /// stand still (seed 1908 of 2000).
    fn held_back(&self) -> Micros {
        let begins = self.nodes.iter().any(|node| node.resting && !node.dead);
        if begins && self.terms.ranks.is_some() {
            self.longest + self.patience()
        } else {
            0
        }
    }

    fn slowest(&self) -> Micros {
        let periods = self.nodes.iter().map(|node| node.retry_period());
        periods.max().unwrap_or(0)
    }

    fn longest_of(&self, index: usize) -> Micros {
        self.nodes[index].seconds().unsigned_abs() * SECOND * 1_004 / 1_000
    }

    fn interval(&self, index: usize) -> Micros {
        let claimant = self.nodes[index].ours();
        let micros = claimant.map(|claimant| claimant.config().renew_interval().as_micros());
        micros
            .and_then(|micros| u64::try_from(micros).ok())
            .unwrap_or(SECOND)
    }

    /// A holder writes once in an interval and reads nothing; a waiter that is told of changes asks for nothing, and
    /// another reads once in a period and writes nothing.
    fn check_load(&self, holder: usize) -> Result<(), Violation> {
        let passed = (self.now - self.tail_since) * 1_003 / 1_000;
        for (index, node) in self.nodes.iter().enumerate() {
            if node.ours().is_none() || node.dead {
                continue;
            }
            // Whoever has seen the store go back is not told by the stream that others share, until versions are new again.
            let was_behind = node.seen.was_behind(self.tail_since);
            let may_share = node.evidence.regressed().is_none() && !was_behind;
            let streams = node.streams.iter();
            let mut streams = streams
                .filter(|stream| may_share || !stream.id.is_shared())
                .filter_map(|stream| stream.since);
            let has_a_stream = streams.any(|since| since <= self.tail_since);
            let (reads, writes) = if index == holder {
                (0, passed / self.interval(index) + 1)
            } else if has_a_stream {
                (0, 0)
            } else {
                (
                    passed / (node.retry_period() * 4 / 5) + 2 + passed / self.longest_of(holder),
                    0,
                )
            };
            // Each lasts for minutes.
            let watches = 2 + passed / (240 * SECOND);
            // Announcements soon push what a stream could go on from out of the servers' short memory.
            let watches = watches + 2 * u64::from(self.terms.ranks.is_some());
            if node.load.watches > watches {
                let what = format!("asked for {} streams in that time", node.load.watches);
                return Err(Violation::new("R1", index, what));
            }
            if node.load.reads > reads || node.load.writes > writes {
                let what = format!(
                    "made {} reads and {} writes where {reads} and {writes} would do",
                    node.load.reads, node.load.writes
                );
                return Err(Violation::new("R1", index, what));
            }
        }
        Ok(())
    }
}
