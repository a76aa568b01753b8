//! From when until when each process believed to hold its Lease.

use std::collections::BTreeMap;

use crate::{
    boot::Micros,
    chaos::log::{Entry, Process, Program, What},
};

/// What a process may be late by with saying that its grant has ended, on a loaded machine. It cannot act in this time: each
/// act is preceded by a look at the clock. Whoever says nothing for longer is taken to believe.
pub const GRACE: Micros = 3_000_000;

/// A time for which a process believed to hold its Lease.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tenure {
    /// Who.
    pub process: Process,
    /// The fencing token.
    pub token: Option<u128>,
    /// When it said so; it may have believed a little earlier.
    pub from: Micros,
    /// Until when it believed.
    pub to: Micros,
    /// When it said that it lost it, or ended.
    pub told: Micros,
    /// How much later than the end of the grant it said so, without the time for which it was stopped.
    pub late: Micros,
    /// The last time for which it was stopped meanwhile.
    pub pause: Option<(Micros, Micros)>,
}

impl Tenure {
    /// Returns for how long both believed, without the time for which this one was stopped.
    pub fn overlap(&self, other: &Self) -> Micros {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        let stopped = self.pause.map_or(0, |(stopped, continued)| {
            continued.min(to).saturating_sub(stopped.max(from))
        });
        to.saturating_sub(from).saturating_sub(stopped)
    }

    /// Tells whether it lasts for all of that time.
    pub fn covers(&self, from: Micros, to: Micros) -> bool {
        self.from < from && to < self.to
    }
}

/// A break of the order in which a process may say things.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Disorder {
    /// Who.
    pub process: Process,
    /// When.
    pub at: Micros,
    /// What it did.
    pub what: String,
}

/// Finds all tenures, in the order in which they began, and what was said out of turn. `now` is the end of the log.
pub fn tenures(entries: &[Entry], now: Micros) -> (Vec<Tenure>, Vec<Disorder>) {
    let mut by_process: BTreeMap<&Process, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        by_process.entry(&entry.process).or_default().push(entry);
    }
    let mut tenures = Vec::new();
    let mut disorders = Vec::new();
    for (process, mut entries) in by_process {
        entries.sort_by_key(|entry| entry.at);
        let mut reader = Reader::new(process);
        for entry in entries {
            reader.read(entry);
        }
        reader.close(now);
        tenures.append(&mut reader.tenures);
        disorders.append(&mut reader.disorders);
    }
    tenures.sort_by_key(|tenure| tenure.from);
    (tenures, disorders)
}

/// Reads what happened to one process.
#[derive(Debug)]
struct Reader<'a> {
    process: &'a Process,
    open: Option<Open>,
    stopped: Option<Micros>,
    has_ended: bool,
    /// The grant ended while it was stopped: what it says next must be that.
    must_say_lost: bool,
    tenures: Vec<Tenure>,
    disorders: Vec<Disorder>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    token: Option<u128>,
    from: Micros,
    until: Option<Micros>,
    /// The last time it was stopped, while the grant lasted or shortly after.
    pause: Option<(Micros, Micros)>,
}

impl<'a> Reader<'a> {
    fn new(process: &'a Process) -> Self {
        Self {
            process,
            open: None,
            stopped: None,
            has_ended: false,
            must_say_lost: false,
            tenures: Vec::new(),
            disorders: Vec::new(),
        }
    }

    fn read(&mut self, entry: &Entry) {
        // The signal that kills is written down before it is sent.
        if self.has_ended {
            return;
        }
        if self.must_say_lost && entry.what.was_said() && !self.is_stale(entry.what) {
            self.must_say_lost = false;
            if entry.what != What::Lost {
                let what = format!("was continued after its grant and said {:?}", entry.what);
                self.complain(entry.at, what);
            }
        }
        match entry.what {
            What::Acquired { token, until } => {
                if self.open.is_some() {
                    self.complain(entry.at, "acquired twice without a loss".to_owned());
                    self.close(entry.at);
                }
                self.open = Some(Open {
                    token,
                    from: entry.at,
                    until,
                    pause: None,
                });
            }
            What::Renewed { until } => match &mut self.open {
                Some(open) => open.until = open.until.max(Some(until)),
                None => self.complain(entry.at, "renewed what it does not hold".to_owned()),
            },
            What::Lost if self.open.is_none() => {
                self.complain(entry.at, "lost what it does not hold".to_owned());
            }
            What::Lost => self.close(entry.at),
            What::Started => {}
            What::Stopped => self.stopped = Some(entry.at),
            What::Continued => {
                let stopped = self.stopped.take();
                if let (Some(from), Some(open)) = (stopped, &mut self.open) {
                    open.pause = Some((from, entry.at));
                    self.must_say_lost = open.until.is_some_and(|until| until < entry.at);
                }
            }
            What::Ended => {
                self.has_ended = true;
                self.must_say_lost = false;
                self.close(entry.at);
            }
        }
    }

    /// A renewal that it had heard of before it was stopped, and says afterwards: it is no longer than what has ended.
    fn is_stale(&self, what: What) -> bool {
        let continued = self.open.and_then(|open| open.pause).map(|(_, to)| to);
        matches!((what, continued), (What::Renewed { until }, Some(continued)) if until < continued)
    }

    /// Ends the tenure that is open.
    fn close(&mut self, at: Micros) {
        let Some(open) = self.open.take() else {
            return;
        };
        // Whoever cannot run does not act.
        let at = self.stopped.map_or(at, |stopped| stopped.min(at));
        let due = match (open.until, open.pause) {
            (Some(until), Some((from, to))) if from <= until + GRACE => Some(until.max(to)),
            (until, _) => until,
        };
        let late = due.map_or(0, |due| at.saturating_sub(due));
        let to = match open.until {
            Some(until) if late <= GRACE => at.min(until),
            _ => at,
        };
        if late > GRACE {
            let what = format!("went on for {} ms after its grant", late / 1_000);
            self.complain(at, what);
        }
        self.tenures.push(Tenure {
            process: self.process.clone(),
            token: open.token,
            from: open.from.min(to),
            to,
            told: at,
            late,
            pause: open.pause,
        });
    }

    fn complain(&mut self, at: Micros, what: String) {
        // The rival is known for it, and is not what is tested.
        if self.process.program != Program::Rival {
            self.disorders.push(Disorder {
                process: self.process.clone(),
                at,
                what,
            });
        }
    }
}
