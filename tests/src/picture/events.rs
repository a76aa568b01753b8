//! Pictures of real processes, by what they told: who acquired and lost when, by their machines' clocks.

use serde::Deserialize;

use super::{Micros, Picture};

/// A line that a process told.
#[derive(Debug, Deserialize)]
struct Line {
    /// In seconds since 1970.
    t: f64,
    event: String,
    lease: String,
}

impl Picture {
    /// Reads what processes told, each with its name. Of several Leases each has a lane of its own.
    ///
    /// # Errors
    ///
    /// Says which line is none that a process tells, or that there is none at all.
    pub fn of_events(texts: &[(String, String)]) -> Result<Self, String> {
        let mut told = Vec::new();
        for (name, text) in texts {
            for (number, line) in (1..).zip(text.lines()) {
                let line: Line = serde_json::from_str(line)
                    .map_err(|error| format!("{name}, line {number}: {error}"))?;
                told.push((format!("{name} {}", line.lease), line));
            }
        }
        if told.is_empty() {
            let names: Vec<_> = texts.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(", ");
            return Err(format!(
                "{names}: no process has told anything, so there is nothing to draw"
            ));
        }
        told.sort_by(|(_, a), (_, b)| a.t.total_cmp(&b.t));
        let began = told.first().map_or(0.0, |(_, line)| line.t);
        let mut picture = Self::new("What processes told", Vec::new());
        for (lane, line) in &told {
            let index = picture.lanes.iter().position(|it| it == lane);
            let index = index.unwrap_or_else(|| {
                picture.lanes.push(lane.clone());
                picture.lanes.len() - 1
            });
            let at = micros(line.t - began);
            match line.event.as_str() {
                "acquired" => picture.believe(index, true, at),
                "lost" | "released" => picture.believe(index, false, at),
                other => return Err(format!("{lane}: {other:?} is no event")),
            }
        }
        Ok(picture)
    }

    /// When the last thing happened that is drawn.
    pub fn end(&self) -> Micros {
        let beliefs = self.beliefs.iter().map(|it| it.until.unwrap_or(it.from));
        beliefs.max().unwrap_or(0).saturating_add(1_000_000)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the clock of a machine, from when the first process told something"
)]
fn micros(seconds: f64) -> Micros {
    // A century is longer than anybody looks at.
    (seconds.clamp(0.0, 3.2e9) * 1e6) as Micros
}
