//! Pictures of real processes, by what they told: who acquired and lost when, and what was done to them, by their machines'
//! clocks.

use serde::Deserialize;

use super::{Belief, Micros, Picture};
use crate::audit;

/// A line that a process told, or that was added by whoever did something to it.
#[derive(Debug, Deserialize)]
struct Line {
    /// In seconds since 1970.
    t: f64,
    event: String,
    /// Missing where something was done to the whole process.
    lease: Option<String>,
    /// What was done.
    what: Option<String>,
    /// Until when that lasted, if it did.
    until: Option<f64>,
}

/// A line, and which it is.
struct Told<'a> {
    name: &'a str,
    number: usize,
    line: Line,
}

impl Picture {
    /// Reads what processes told, each with its name, of one Lease or of all; of several each has a lane of its own.
    ///
    /// With the audit log of their API server the requests are drawn, and on the level `RequestResponse` whom the record named:
    /// of one Lease alone. A process is known there by its name, with which the holder's begins, or its `User-Agent`.
    ///
    /// # Errors
    ///
    /// Says which line is none that a process tells; that there is none at all; or that there is a log and it is not known which
    /// Lease is meant, or it has nothing about it.
    pub fn of_events(
        texts: &[(String, String)],
        lease: Option<&str>,
        log: Option<&str>,
    ) -> Result<Self, String> {
        let told = read(texts, lease)?;
        let (mut lanes, mut names) = (Vec::new(), Vec::new());
        for (name, of) in told
            .iter()
            .filter_map(|it| Some((it.name, it.line.lease.as_ref()?)))
        {
            let lane = format!("{name} {of}");
            if !lanes.contains(&lane) {
                lanes.push(lane);
                names.push(name.to_owned());
            }
        }
        let lease = log.map(|_| only_lease(&told)).transpose()?;
        if let Some(lease) = &lease {
            // Whoever has only waited has told nothing, and is known to the log.
            for (name, _) in texts
                .iter()
                .filter(|(name, _)| !names.contains(name))
                .collect::<Vec<_>>()
            {
                lanes.push(format!("{name} {lease}"));
                names.push(name.clone());
            }
        }
        // What led to the first word is drawn too, where it is known.
        let margin = if log.is_some() { 1.0 } else { 0.0 };
        let began = told.first().map_or(0.0, |it| it.line.t) - margin;
        let mut picture = Self::new("What processes told", lanes);
        for Told { name, number, line } in &told {
            let wrong = |what| format!("{name}, line {number}: {what}");
            picture.tell(name, line, began).map_err(wrong)?;
        }
        picture.silence();
        if let (Some(log), Some(lease)) = (log, lease) {
            let lines: Vec<_> = audit::lines(log).filter(|it| it.lease == lease).collect();
            if lines.is_empty() {
                return Err(format!(
                    "the audit log says nothing about the Lease {lease}"
                ));
            }
            picture.title = format!("What processes told of {lease}, and what the API server saw");
            let began = i64::try_from(micros(began)).unwrap_or(i64::MAX);
            picture.see(&lines, &names, began);
            // There is one Lease, and the title names it.
            for (lane, name) in picture.lanes.iter_mut().zip(names) {
                *lane = name;
            }
        }
        Ok(picture)
    }

    /// When the last thing happened that is drawn.
    pub fn end(&self) -> Micros {
        let beliefs = self.beliefs.iter().map(|it| it.until.unwrap_or(it.from));
        let faults = self.faults.iter().map(|it| it.until.unwrap_or(it.from));
        let requests = self.requests.iter().filter_map(|it| it.arrived);
        let last = beliefs.chain(faults).chain(requests).max();
        last.unwrap_or(0).saturating_add(1_000_000)
    }

    /// Whoever is stopped or killed believes nothing, though it could not say so.
    fn silence(&mut self) {
        for fault in self.faults.clone() {
            let ends = match fault.what.as_str() {
                "killed" => None,
                "stopped" => fault.until,
                _ => continue,
            };
            let cut = |it: &&mut Belief| {
                let lasts = it.until.is_none_or(|until| fault.from < until);
                Some(it.lane) == fault.lane && it.from <= fault.from && lasts
            };
            let Some(belief) = self.beliefs.iter_mut().find(cut) else {
                continue;
            };
            let until = belief.until.replace(fault.from);
            // Unless it said right away that this is over, it went on.
            let goes_on = |ends: Micros| until.is_none_or(|until| ends + BREATH < until);
            if let Some(from) = ends.filter(|ends| goes_on(*ends)) {
                let lane = belief.lane;
                self.beliefs.push(Belief { lane, from, until });
            }
        }
    }

    fn tell(&mut self, name: &str, line: &Line, began: f64) -> Result<(), String> {
        let at = micros(line.t - began);
        if line.event == "fault" {
            let what = line
                .what
                .as_deref()
                .ok_or("it does not say what was done")?;
            let until = line.until.map(|until| micros(until - began));
            let of = |lane: &str| match &line.lease {
                Some(lease) => lane == format!("{name} {lease}"),
                None => lane
                    .rsplit_once(' ')
                    .is_some_and(|(whose, _)| whose == name),
            };
            let lanes = self.lanes.iter().enumerate().filter(|(_, lane)| of(lane));
            for index in lanes.map(|(index, _)| index).collect::<Vec<_>>() {
                self.fault(Some(index), what, at, until);
            }
            return Ok(());
        }
        let lease = line
            .lease
            .as_deref()
            .ok_or("it does not say which Lease it is about")?;
        let lane = format!("{name} {lease}");
        let lane = self.lanes.iter().position(|it| *it == lane);
        let lane = lane.ok_or("nobody knows whose it is")?;
        match line.event.as_str() {
            "acquired" => self.believe(lane, true, at),
            "lost" | "released" => self.believe(lane, false, at),
            other => return Err(format!("{other:?} is no event")),
        }
        Ok(())
    }
}

/// Reads all lines, of one Lease if there is one, in the order of their times.
fn read<'a>(texts: &'a [(String, String)], lease: Option<&str>) -> Result<Vec<Told<'a>>, String> {
    let mut told = Vec::new();
    for (name, text) in texts {
        for (number, line) in (1..).zip(text.lines()) {
            let line: Line = serde_json::from_str(line)
                .map_err(|error| format!("{name}, line {number}: {error}"))?;
            let is_meant = |of: &String| lease.is_none_or(|lease| lease == of);
            if line.lease.as_ref().is_none_or(is_meant) {
                told.push(Told { name, number, line });
            }
        }
    }
    if told.iter().all(|it| it.line.lease.is_none()) {
        let names: Vec<_> = texts.iter().map(|(name, _)| name.as_str()).collect();
        let of = lease.map_or_else(String::new, |lease| format!(" of {lease}"));
        return Err(format!(
            "{}: no process has told anything{of}, so there is nothing to draw",
            names.join(", ")
        ));
    }
    told.sort_by(|a, b| a.line.t.total_cmp(&b.line.t));
    Ok(told)
}

/// The Lease that all of this is about.
fn only_lease(told: &[Told<'_>]) -> Result<String, String> {
    let mut leases: Vec<_> = told
        .iter()
        .filter_map(|it| it.line.lease.as_deref())
        .collect();
    leases.sort_unstable();
    leases.dedup();
    match leases.as_slice() {
        [lease] => Ok((*lease).to_owned()),
        several => Err(format!(
            "processes tell of several Leases, and a log is drawn of one: choose with --lease ({})",
            several.join(", ")
        )),
    }
}

/// What a loaded machine takes to let a process say something.
const BREATH: Micros = 1_000_000;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the clock of a machine, from when the first process told something"
)]
fn micros(seconds: f64) -> Micros {
    // A century is longer than anybody looks at.
    (seconds.clamp(0.0, 3.2e9) * 1e6) as Micros
}
