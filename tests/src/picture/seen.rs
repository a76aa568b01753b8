//! What an API server saw of claimants, by its audit log: requests as they came in and were answered, and what was in the store.

use std::collections::HashSet;

use lease_proto::wire::Lease;

use super::{Micros, Picture, Request};
use crate::audit::Line;

/// A lane for what nobody else has asked for.
const OTHERS: &str = "others";

impl Picture {
    /// Draws what the audit log says of one Lease, from an instant on that is given in microseconds since 1970.
    ///
    /// A lane is whose name the record's holder is, up to a `_`, or the `User-Agent`, up to a `/`; a request that names neither, such as a
    /// read, is ascribed to whoever wrote as the same user with the same `User-Agent` nearest in time. What no lane has asked
    /// for has one of its own. `names` are those of the first lanes.
    pub(crate) fn see(&mut self, lines: &[Line], names: &[String], zero: i64) {
        self.is_by_server = true;
        // What was before is drawn as it was at the beginning.
        let at = |time: i64| Micros::try_from(time - zero).unwrap_or(0);
        let holder_of = |lease: &Lease| named(names, lease.spec.holder()?, &['_']);
        // Who wrote as which user, with which program, and when.
        let writers: Vec<_> = lines
            .iter()
            .filter_map(|line| Some((line, holder_of(line.asked.as_ref()?)?)))
            .collect();
        let mut seen = HashSet::new();
        // The last renewal, which others may have annotated since, and when it came.
        let mut last = None;
        for line in lines {
            if !seen.insert(line.id.as_str()) {
                continue;
            }
            let lane = line.asked.as_deref().and_then(holder_of);
            let lane = lane.or_else(|| named(names, &line.agent, &['/', ' ']));
            let lane = lane.or_else(|| {
                let same = writers
                    .iter()
                    .filter(|(it, _)| it.user == line.user && it.agent == line.agent);
                let nearest = same.min_by_key(|(it, _)| it.came.abs_diff(line.came));
                nearest.map(|(_, lane)| *lane)
            });
            let (came, logged) = (at(line.came), at(line.logged));
            // A stream is logged when the first change comes, or when it ends, and begins at once.
            let heard = if line.verb == "watch" { came } else { logged };
            if zero <= line.logged {
                let lane = lane.unwrap_or_else(|| self.others());
                self.requests.push(Request {
                    lane,
                    method: method(&line.verb).to_owned(),
                    sent: came,
                    arrived: Some(came),
                    status: Some(line.code),
                    heard: Some(heard),
                });
            }
            if line.verb == "delete" && line.code < 300 {
                self.record(None, came, came);
            }
            if let Some(written) = &line.written {
                // Not by `renewTime`, which may be ahead: it is the later of two clocks, one of which tells whole seconds.
                let renewed = (written.spec.holder(), &written.spec.renew_time);
                if last.is_none_or(|(last, _)| last != renewed) {
                    last = Some((renewed, line.came));
                }
                let since = last.map_or(line.came, |(_, since)| since);
                let seconds = written.spec.lease_duration_seconds.unwrap_or_default();
                let expires = since.saturating_add(seconds.saturating_mul(1_000_000));
                self.record(holder_of(written), came, at(expires));
            }
        }
        self.records.sort_by_key(|it| it.at);
    }

    /// The lane of those who have none.
    fn others(&mut self) -> usize {
        let index = self.lanes.iter().position(|it| it == OTHERS);
        index.unwrap_or_else(|| {
            self.lanes.push(OTHERS.to_owned());
            self.lanes.len() - 1
        })
    }
}

/// Which name a text begins with, before one of those characters if there is more.
fn named(names: &[String], text: &str, ends: &[char]) -> Option<usize> {
    let is_meant = |name: &String| {
        let rest = text.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(ends))
    };
    names.iter().position(is_meant)
}

fn method(verb: &str) -> &str {
    match verb {
        "get" | "list" | "watch" => "GET",
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" | "deletecollection" => "DELETE",
        other => other,
    }
}
