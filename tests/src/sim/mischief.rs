//! What goes wrong now and then: to machines, to servers, and by the hands of third parties.

use http::Request;
use lease_proto::wire::MicroTime;

use super::{
    Kind, Micros, SECOND, Violation, World, cast::pick, clock::Rest, record::Author,
    servers::LEASE, suspect::Suspect, world::Happening,
};

/// What comes by chance, as against what is always there: to a machine, or the process on it.
const OF_MACHINES: &[Kind] = &[
    Kind::WallSteps,
    Kind::WallStands,
    Kind::Suspends,
    Kind::Freezes,
    Kind::Pauses,
    Kind::Crashes,
    Kind::Cuts,
];

/// The same, to the servers or to the record.
const OF_ALL: &[Kind] = &[
    Kind::Fronts,
    Kind::ServerSteps,
    Kind::Restores,
    Kind::Annotations,
    Kind::Writes,
    Kind::Deletes,
    Kind::Webhook,
];

/// What claimants are told by chance.
const COMMANDS: &[Kind] = &[Kind::Releases, Kind::Verifies];

impl World {
    /// Something goes wrong.
    pub(super) fn mischief(&mut self) -> Result<(), Violation> {
        let on: Vec<Kind> = [OF_MACHINES, OF_ALL, COMMANDS]
            .into_iter()
            .flatten()
            .copied()
            .filter(|kind| self.faults.has(*kind))
            .collect();
        if on.is_empty() {
            return Ok(());
        }
        let pause = self.random.between(SECOND / 5, self.faults.calm);
        self.schedule(self.now + pause, Happening::Mischief);
        let kind = *pick(&mut self.random, &on);
        self.counts.faults += 1;
        self.note(format_args!("{kind:?}"));
        let most = u64::try_from(self.nodes.len()).unwrap_or(1) - 1;
        let index = usize::try_from(self.random.between(0, most)).unwrap_or(0);
        // Where one clock may be wrong, it is that one.
        let index = match (kind, self.suspect) {
            (Kind::WallSteps | Kind::WallStands, Suspect::Node(node)) => node,
            _ => index,
        };
        let length = self
            .random
            .between(SECOND / 10, 3 * self.longest.max(SECOND));
        if OF_ALL.contains(&kind) {
            self.draw_fault(None, kind.words(), None);
        }
        match kind {
            Kind::Restores => self.restore(),
            // Longer than a Lease lasts, and no longer than it takes: ten versions a second cost more time than all else.
            Kind::Annotations if self.random.chance(10) => {
                self.annotate(self.now + length.min(20 * SECOND))
            }
            Kind::Annotations => self.annotate(self.now),
            Kind::Writes => self.interfere(),
            Kind::Deletes => self.delete(),
            Kind::Webhook => {
                let webhook = self.servers.webhook;
                self.servers.webhook = webhook.is_none().then_some(2);
                Ok(())
            }
            Kind::Fronts | Kind::ServerSteps => {
                self.disturb_servers(kind, length);
                Ok(())
            }
            _ => self.disturb(kind, index, length),
        }
    }

    /// Something happens to one machine, or the process on it.
    fn disturb(&mut self, kind: Kind, index: usize, length: Micros) -> Result<(), Violation> {
        let until = self.now + length;
        self.note(format_args!("to {index} for {length} µs"));
        let lasts = matches!(
            kind,
            Kind::Cuts | Kind::Pauses | Kind::Suspends | Kind::Freezes
        );
        self.draw_fault(Some(index), kind.words(), lasts.then_some(until));
        let (both, requests) = (self.random.chance(50), self.random.chance(50));
        let step = self.random.between(0, 7_200 * SECOND).cast_signed() - 3_600_000_000;
        let node = &mut self.nodes[index];
        let now = node.now(self.now);
        match kind {
            Kind::Cuts => {
                if both || requests {
                    node.link.cut_requests_until = until;
                }
                if both || !requests {
                    node.link.cut_answers_until = until;
                }
            }
            // One at a time, lest they be counted twice.
            Kind::Pauses | Kind::Suspends | Kind::Freezes if node.paused_until > self.now => {}
            Kind::Pauses => {
                node.paused_until = until;
                node.clock.rests = None;
            }
            Kind::Suspends => {
                node.paused_until = until;
                node.clock.rest(Rest::Asleep, length);
                // Timers do not count the sleep; whoever drives a claim looks at least once a second.
                let late = self.random.between(0, SECOND);
                self.schedule(until + late, Happening::Wake(index));
            }
            Kind::Freezes => {
                node.paused_until = until;
                node.clock.rest(Rest::Frozen, length);
                node.watched.excused = 2;
            }
            Kind::WallSteps => {
                node.clock.wall_error += step;
                node.clock.wall_stands_at = None;
            }
            Kind::WallStands => {
                node.clock.wall_stands_at = match node.clock.wall_stands_at {
                    None => Some(self.now),
                    Some(_) => None,
                };
            }
            Kind::Crashes if node.ours().is_some() => {
                let life = node.life + 1;
                let reborn = self.birth(index, life);
                self.nodes[index] = reborn;
                self.pump();
                let at = self.now + self.random.between(1, 5 * SECOND);
                self.schedule(at, Happening::Acquire(index, life));
            }
            Kind::Releases if node.paused_until <= self.now => {
                let (parting, _) = self.parting(index);
                let node = &mut self.nodes[index];
                node.load.command(self.now);
                node.watched.told_to_release = true;
                if let Some(claimant) = node.ours_mut() {
                    claimant.release_with(parting, now);
                    return self.wake(index);
                }
            }
            Kind::Verifies if node.paused_until <= self.now => {
                node.load.command(self.now);
                if let Some(claimant) = node.ours_mut() {
                    claimant.verify(now);
                    return self.wake(index);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn disturb_servers(&mut self, kind: Kind, length: Micros) {
        let fronts = u64::try_from(self.servers.len()).unwrap_or(1);
        let front = usize::try_from(self.random.between(0, fronts - 1)).unwrap_or(0);
        if kind == Kind::Fronts {
            self.servers.take_down(front, self.now + length);
            self.break_streams(Some(front));
        } else {
            let error = self.random.between(0, 7_200 * SECOND).cast_signed() - 3_600_000_000;
            self.servers.set_clock(front, error);
        }
    }

    /// The store is backed up, or goes back to the backup.
    fn restore(&mut self) -> Result<(), Violation> {
        if self.random.chance(60) || !self.servers.restore() {
            self.servers.back_up();
            self.backup.clone_from(&self.record);
        } else {
            let record = self.backup.clone();
            self.note(format_args!("the store goes back to {record:?}"));
            self.went_back(record);
            if self.random.chance(70) {
                self.break_streams(None);
            }
        }
        Ok(())
    }

    /// Somebody annotates the record, at 10 Hz until then.
    pub(super) fn annotate(&mut self, until: Micros) -> Result<(), Violation> {
        if self.now < until {
            self.schedule(self.now + SECOND / 10, Happening::Annotate(until));
        }
        let now = self.now;
        self.patch(&format!(
            r#"{{"metadata":{{"annotations":{{"at":"{now}"}},"labels":{{"seen":"{}"}}}}}}"#,
            now % 7
        ))
    }

    /// Somebody changes what is none of their business.
    fn interfere(&mut self) -> Result<(), Violation> {
        let wall = self.nodes.first().map(|node| node.wall(self.now));
        let time = wall
            .map(|wall| MicroTime::from(wall).to_string())
            .unwrap_or_default();
        let spec = match self.random.between(0, 10) {
            0 => r#""leaseDurationSeconds":1"#.to_owned(),
            1 => r#""leaseDurationSeconds":3"#.to_owned(),
            2 => r#""leaseDurationSeconds":40"#.to_owned(),
            3 => r#""leaseDurationSeconds":null"#.to_owned(),
            4 => r#""renewTime":null"#.to_owned(),
            5 => r#""renewTime":null,"acquireTime":null,"leaseDurationSeconds":null"#.to_owned(),
            6 => r#""holderIdentity":"""#.to_owned(),
            7 => r#""holderIdentity":null,"renewTime":null,"leaseDurationSeconds":null"#.to_owned(),
            8 => format!(
                r#""holderIdentity":"intruder","leaseDurationSeconds":20,"acquireTime":"{time}","renewTime":"{time}""#
            ),
            9 => r#""strategy":"OldestEmulationVersion""#.to_owned(),
            _ => r#""strategy":"OldestEmulationVersion","preferredHolder":"somebody""#.to_owned(),
        };
        self.patch(r#"{"spec":{"strategy":null,"preferredHolder":null}}"#)?;
        self.patch(&format!(r#"{{"spec":{{{spec}}}}}"#))
    }

    /// Somebody deletes the record, and perhaps makes another.
    pub(super) fn delete(&mut self) -> Result<(), Violation> {
        let request = Request::delete(LEASE).body(Vec::new());
        self.third_party(request)?;
        if self.random.chance(30) {
            let body = br#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"leader"}}"#;
            let request = Request::post(super::servers::LEASES)
                .header("content-type", "application/json")
                .body(body.to_vec());
            self.third_party(request)?;
        }
        Ok(())
    }

    pub(super) fn patch(&mut self, patch: &str) -> Result<(), Violation> {
        let request = Request::patch(LEASE)
            .header("content-type", "application/merge-patch+json")
            .body(patch.as_bytes().to_vec());
        self.third_party(request)
    }

    fn third_party(&mut self, request: http::Result<Request<Vec<u8>>>) -> Result<(), Violation> {
        let Ok(request) = request else {
            return Err(Violation::new(
                "I10",
                0,
                "the request of a third party is no request",
            ));
        };
        let before = self.servers.version();
        let (_answer, _) = self.servers.handle(0, &request, self.now);
        if self.servers.version() != before {
            self.committed(Author::ThirdParty, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_words_for_all_that_is_drawn() {
        for kind in [OF_MACHINES, OF_ALL, COMMANDS].into_iter().flatten() {
            assert_ne!(kind.words(), "something else", "{kind:?}");
        }
    }
}
