//! What came of a run, as a table.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use crate::{
    boot::Micros,
    chaos::{check::Findings, episode::Kind, fenced::Write, log::Program, tenure::Tenure},
};

/// An episode that has happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Happened {
    /// The Lease; `None` if it concerned all.
    pub lease: Option<String>,
    /// What went wrong.
    pub kind: Kind,
    /// When it began.
    pub from: Micros,
    /// When somebody held the Lease again.
    pub to: Micros,
}

impl Happened {
    fn concerns(&self, lease: &str, at: Micros) -> bool {
        let same = self.lease.as_ref().is_none_or(|own| own == lease);
        same && (self.from..=self.to).contains(&at)
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What all chance was drawn from.
    pub seed: u64,
    /// How long it took.
    pub took: Duration,
    /// All episodes.
    pub happened: Vec<Happened>,
    /// What the checker says.
    pub findings: Findings,
    /// What came to the fenced resource.
    pub writes: Vec<Write>,
    /// What went wrong beside the checker's promises, and when: nobody held a Lease for too long, a claimant did not end.
    pub failures: Vec<(Micros, String)>,
    /// The pictures of it.
    pub drawn: Vec<PathBuf>,
}

impl Report {
    /// Tells whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.findings.violations.is_empty() && self.failures.is_empty()
    }
}

/// A line of the table.
#[derive(Clone, Debug, Default)]
struct Row {
    episodes: usize,
    tenures: usize,
    hand_overs: usize,
    longest_gap: Micros,
    rejected: usize,
    late: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs();
        writeln!(f, "seed {}, {seconds} s\n", self.seed)?;
        for (at, what) in &self.failures {
            writeln!(
                f,
                "FAILED at {}.{:06} s: {what}\n",
                at / 1_000_000,
                at % 1_000_000
            )?;
        }
        for violation in self.findings.violations.iter().take(SHOWN) {
            writeln!(f, "VIOLATION {violation}")?;
        }
        let hidden = self.findings.violations.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "and {hidden} more")?;
        }
        if let (Some(first), Some(folder)) = (
            self.drawn.first(),
            self.drawn.first().and_then(|file| file.parent()),
        ) {
            let (count, first) = (self.drawn.len(), first.display());
            writeln!(
                f,
                "{count} pictures in {}, such as {first}\n",
                folder.display()
            )?;
        }
        let (rows, all) = self.rows();
        writeln!(
            f,
            "{:18} {:>8} {:>7} {:>10} {:>14} {:>16} {:>11}",
            "kind",
            "episodes",
            "tenures",
            "hand-overs",
            "longest gap ms",
            "rejected writes",
            "rival late"
        )?;
        for (name, row) in rows.iter().chain([(&"all".to_owned(), &all)]) {
            writeln!(
                f,
                "{name:18} {:>8} {:>7} {:>10} {:>14} {:>16} {:>11}",
                row.episodes,
                row.tenures,
                row.hand_overs,
                row.longest_gap / 1_000,
                row.rejected,
                row.late
            )?;
        }
        self.sums(f)
    }
}

impl Report {
    /// A row for each kind, and one for all that happened at any time.
    fn rows(&self) -> (BTreeMap<String, Row>, Row) {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        let mut all = Row::default();
        for happened in &self.happened {
            all.episodes += 1;
            rows.entry(happened.kind.to_string()).or_default().episodes += 1;
        }
        let mut count = |lease: &str, at: Micros, add: &dyn Fn(&mut Row)| {
            add(&mut all);
            let during = self
                .happened
                .iter()
                .find(|happened| happened.concerns(lease, at));
            if let Some(happened) = during {
                add(rows.entry(happened.kind.to_string()).or_default());
            }
        };
        let mut before: BTreeMap<&str, &Tenure> = BTreeMap::new();
        for tenure in &self.findings.tenures {
            let lease = tenure.process.lease.as_str();
            let previous = before.insert(lease, tenure);
            let gap = previous.map_or(0, |previous| tenure.from.saturating_sub(previous.to));
            let changes = previous.is_some_and(|previous| previous.process != tenure.process);
            count(lease, tenure.from, &|row| {
                row.tenures += 1;
                row.hand_overs += usize::from(changes);
                row.longest_gap = row.longest_gap.max(gap);
            });
        }
        for write in self.writes.iter().filter(|write| !write.accepted) {
            count(&write.lease, write.came, &|row| row.rejected += 1);
        }
        for late in &self.findings.rival_was_late {
            count(&late.lease, late.at, &|row| row.late += 1);
        }
        (rows, all)
    }

    fn sums(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = &self.findings;
        let accepted = self.writes.iter().filter(|write| write.accepted).count();
        writeln!(f)?;
        let held = |program| {
            let of = findings
                .tenures
                .iter()
                .filter(|tenure| tenure.process.program == program);
            of.count()
        };
        writeln!(
            f,
            "tenures: {} on tokio, {} blocking, {} of the rival",
            held(Program::Tokio),
            held(Program::Blocking),
            held(Program::Rival)
        )?;
        writeln!(f, "violations: {}", findings.violations.len())?;
        writeln!(f, "overlaps: {}", findings.overlaps)?;
        writeln!(
            f,
            "fenced writes: {accepted} accepted, {} rejected",
            self.writes.len() - accepted
        )?;
        let ours = findings
            .tenures
            .iter()
            .filter(|tenure| tenure.process.program != Program::Rival);
        let late = ours.map(|tenure| tenure.late).max().unwrap_or_default();
        writeln!(
            f,
            "latest word of a loss: {} ms after the end of the grant",
            late / 1_000
        )?;
        let worst = findings.rival_was_late.iter().map(|late| late.both).max();
        writeln!(
            f,
            "the rival believed beside a rightful successor of ours: {} times, at most {} ms",
            findings.rival_was_late.len(),
            worst.unwrap_or_default() / 1_000
        )?;
        writeln!(
            f,
            "the rival took a deleted record before its holder knew: {} times",
            findings.rival_after_deletion.len()
        )?;
        writeln!(
            f,
            "taken from the rival, each after the time its record names: {}; gaps in the history: {}",
            findings.taken_from_rival, findings.gaps_in_history
        )
    }
}

/// How many violations are shown.
const SHOWN: usize = 20;
