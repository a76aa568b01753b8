//! The checker: what may never be in a log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    boot::Micros,
    chaos::{
        log::{Log, Program, Version},
        tenure::{Tenure, tenures},
    },
};

/// A promise that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// When.
    pub at: Micros,
    /// With which Lease.
    pub lease: String,
    /// Who did what.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at {}.{:06} s: ",
            self.at / 1_000_000,
            self.at % 1_000_000
        )?;
        f.write_str(&self.what)
    }
}

/// Two that held a Lease at once.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Overlap {
    /// The Lease.
    pub lease: String,
    /// When the second began.
    pub at: Micros,
    /// For how long both did.
    pub both: Micros,
}

/// What a log shows.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Findings {
    /// What may never be.
    pub violations: Vec<Violation>,
    /// Who held what and when, in order.
    pub tenures: Vec<Tenure>,
    /// How often one of ours held a Lease at the same time as another claimant, and was wrong.
    pub overlaps: usize,
    /// The rival went on while one of ours had rightly taken over.
    pub rival_was_late: Vec<Overlap>,
    /// The rival took a deleted record at once, while one of ours did not know of the deletion.
    pub rival_after_deletion: Vec<Overlap>,
    /// Times at which a claimant took the record from a rival, with the proof that it had expired.
    pub taken_from_rival: usize,
    /// How often the history of a record has a gap.
    pub gaps_in_history: usize,
}

/// Looks at a log that ends at `now`.
pub fn check(log: &Log, now: Micros) -> Findings {
    let (tenures, disorders) = tenures(&log.entries, now);
    let mut findings = Findings {
        tenures,
        gaps_in_history: log
            .versions
            .iter()
            .filter(|version| version.follows_gap)
            .count(),
        ..Findings::default()
    };
    for disorder in disorders {
        let what = format!("{} {}", disorder.process.name, disorder.what);
        findings.violate(disorder.at, &disorder.process.lease, what);
    }
    let mut by_lease: BTreeMap<String, Vec<Tenure>> = BTreeMap::new();
    for tenure in &findings.tenures {
        let lease = by_lease.entry(tenure.process.lease.clone()).or_default();
        lease.push(tenure.clone());
    }
    for (lease, tenures) in &by_lease {
        let versions: Vec<&Version> = log
            .versions
            .iter()
            .filter(|version| version.lease == *lease)
            .collect();
        findings.overlaps(tenures, &versions);
        findings.tokens(tenures);
        findings.takings(tenures, &versions);
        findings.writes(log, lease, tenures);
    }
    findings.violations.sort_by_key(|violation| violation.at);
    findings
}

impl Findings {
    fn violate(&mut self, at: Micros, lease: &str, what: String) {
        let lease = lease.to_owned();
        self.violations.push(Violation { at, lease, what });
    }

    /// No two at once.
    fn overlaps(&mut self, tenures: &[Tenure], versions: &[&Version]) {
        for (index, first) in tenures.iter().enumerate() {
            for second in tenures.iter().skip(index + 1) {
                let both = first.overlap(second);
                if both == 0 || first.process == second.process {
                    continue;
                }
                let overlap = Overlap {
                    lease: second.process.lease.clone(),
                    at: second.from,
                    both,
                };
                match (is_rival(first), is_rival(second)) {
                    (true, true) => {}
                    (true, false) => self.rival_was_late.push(overlap),
                    (false, true) if was_deleted(versions, second) => {
                        self.rival_after_deletion.push(overlap);
                    }
                    (false, true | false) => {
                        self.overlaps += 1;
                        let what = format!(
                            "{} began to hold what {} held for {} ms more",
                            second.process.name,
                            first.process.name,
                            both.div_ceil(1_000)
                        );
                        self.violate(second.from, &second.process.lease, what);
                    }
                }
            }
        }
    }

    /// Each token is higher than all before it.
    fn tokens(&mut self, tenures: &[Tenure]) {
        let mut highest = 0;
        for tenure in tenures.iter().filter(|tenure| !is_rival(tenure)) {
            let Some(token) = tenure.token else {
                continue;
            };
            if token <= highest {
                let name = &tenure.process.name;
                let what =
                    format!("{name} was given the token {token}, and {highest} was given before");
                self.violate(tenure.from, &tenure.process.lease, what);
            }
            highest = highest.max(token);
        }
    }

    /// None of ours takes from the rival before the time that its record names is over.
    fn takings(&mut self, tenures: &[Tenure], versions: &[&Version]) {
        for pair in versions.windows(2) {
            let [before, after] = pair else { continue };
            let Some(tenure) = tenures
                .iter()
                .find(|tenure| tenure.token == Some(after.number))
            else {
                continue;
            };
            let (Some(holder), Some(renewed)) = (&before.holder, before.renewed) else {
                continue;
            };
            if after.follows_gap || before.is_deletion || !names_a_rival(tenures, holder) {
                continue;
            }
            self.taken_from_rival += 1;
            // It wrote before it said so, and says of the write when that was, unless the server's clock was ahead.
            let taken = after
                .renewed
                .map_or(tenure.from, |renewed| renewed.min(tenure.from));
            let free = renewed + before.duration;
            if taken < free {
                let name = &tenure.process.name;
                let early = (free - taken).div_ceil(1_000);
                self.violate(
                    taken,
                    &tenure.process.lease,
                    format!("{name} took over from {holder} {early} ms early"),
                );
            }
        }
    }

    /// No write goes in with a lower token than one before it, and none is begun while another one holds the Lease.
    fn writes(&mut self, log: &Log, lease: &str, tenures: &[Tenure]) {
        let mut highest = 0;
        // Whoever is wrong is so many times a second.
        let mut said = BTreeSet::new();
        for write in log.writes.iter().filter(|write| write.lease == lease) {
            let writer = &write.writer;
            if write.accepted && write.token < highest {
                let what = format!(
                    "a write of {writer} went in with {} after {highest}",
                    write.token
                );
                self.violate(write.came, lease, what);
            }
            if write.accepted {
                highest = highest.max(write.token);
            }
            let own = tenures
                .iter()
                .find(|tenure| tenure.token == Some(write.token));
            if let Some(own) = own
                && own.told < write.looked_from
                && said.insert((write.token, None))
            {
                let what = format!(
                    "{writer} looked after its loss and wrote with {}",
                    write.token
                );
                self.violate(write.looked_from, lease, what);
            }
            let other = tenures.iter().find(|tenure| {
                !writer.starts_with(&tenure.process.name)
                    && tenure.covers(write.looked_from, write.looked_until)
            });
            if let Some(other) = other
                && !is_rival(other)
                && said.insert((write.token, Some(&other.process)))
            {
                let name = &other.process.name;
                let what = format!("{writer} wrote with {} while {name} held it", write.token);
                self.violate(write.looked_from, lease, what);
            }
        }
    }
}

fn is_rival(tenure: &Tenure) -> bool {
    tenure.process.program == Program::Rival
}

fn names_a_rival(tenures: &[Tenure], holder: &str) -> bool {
    tenures
        .iter()
        .any(|tenure| is_rival(tenure) && tenure.process.name == holder)
}

/// Tells whether the record that began with a rival's tenure was a new one.
fn was_deleted(versions: &[&Version], rival: &Tenure) -> bool {
    let name = rival.process.name.as_str();
    let first = versions.iter().position(|version| {
        version.holder.as_deref() == Some(name)
            && version
                .renewed
                .is_some_and(|renewed| renewed + version.duration > rival.from)
    });
    let before = first.and_then(|first| versions.get(first.checked_sub(1)?));
    before.is_some_and(|before| before.is_deletion)
}
