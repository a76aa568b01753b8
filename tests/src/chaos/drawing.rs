//! Pictures of what happened to one Lease in a run: what the claimants believed, what the API server saw, and what went wrong.

use std::{
    collections::BTreeSet,
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    audit::Line,
    boot::Micros,
    chaos::{
        check::{Findings, Violation},
        history,
        log::{Entry, Harm, What},
        report::{Happened, Report},
    },
    picture::Picture,
};

/// What is drawn of a run.
#[derive(Debug)]
pub(crate) struct Drawing<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) harms: &'a [Harm],
    /// What the API server saw of all Leases.
    pub(crate) seen: Vec<Line>,
    /// When all claimants were ended, with the run.
    pub(crate) end: Micros,
}

impl Drawing<'_> {
    /// Draws what broke a promise, and all episodes if there is a directory for them; returns the files.
    pub(crate) fn draw(
        &self,
        report: &Report,
        directory: Option<&Path>,
    ) -> io::Result<Vec<PathBuf>> {
        let broken = report.findings.violations.iter().take(MOST_BROKEN);
        let broken = (1..).zip(broken).map(|(number, violation)| Scene {
            name: format!("broken-{number:02}-{}", violation.lease),
            title: format!("What led to a broken promise about {}", violation.lease),
            lease: &violation.lease,
            from: violation.at.saturating_sub(BEFORE),
            until: violation.at + AFTER,
            broken: Some(violation),
        });
        let mut scenes: Vec<_> = broken.collect();
        if directory.is_some() {
            let all = (1..).zip(&report.happened);
            scenes.extend(all.flat_map(|(number, happened)| self.episode(number, happened)));
        }
        let aside = || env::temp_dir().join(format!("lease-chaos-{}", report.seed));
        let directory = directory.map_or_else(aside, Path::to_owned);
        let mut drawn = Vec::new();
        for scene in &mut scenes {
            // Before anybody was there, and after all were ended, there is nothing to see.
            let entries = self.entries.iter();
            let of_lease = entries.filter(|it| it.process.lease == scene.lease);
            let first = of_lease.map(|it| it.at).min();
            scene.from = scene
                .from
                .max(first.unwrap_or(0).saturating_sub(MARGIN / 4));
            scene.until = scene.until.min(self.end.max(scene.from + 1));
            fs::create_dir_all(&directory)?;
            let file = directory.join(format!("{}.svg", scene.name));
            let svg = self
                .picture(&report.findings, scene)
                .svg(0, scene.until - scene.from);
            fs::write(&file, svg)?;
            drawn.push(file);
        }
        Ok(drawn)
    }

    /// An episode, for each Lease that it concerned.
    fn episode(&self, number: usize, happened: &Happened) -> Vec<Scene<'_>> {
        let concerned = |lease: &&str| happened.lease.as_deref().is_none_or(|it| it == *lease);
        let leases: BTreeSet<_> = self
            .entries
            .iter()
            .map(|it| it.process.lease.as_str())
            .collect();
        let scene = |lease| Scene {
            name: format!("{number:03}-{}-{lease}", happened.kind),
            title: format!("{}: what happened to {lease}", happened.kind),
            lease,
            from: happened.from.saturating_sub(MARGIN),
            until: happened.to + MARGIN,
            broken: None,
        };
        leases.into_iter().filter(concerned).map(scene).collect()
    }

    /// What happened in a scene, in the time since it began.
    fn picture(&self, findings: &Findings, scene: &Scene<'_>) -> Picture {
        let at = |time: Micros| time.saturating_sub(scene.from);
        let names = self.present(scene);
        let mut picture = Picture::new(scene.title.as_str(), names.clone());
        let lane = |name: &str| names.iter().position(|it| it == name);
        let of_lease = findings
            .tenures
            .iter()
            .filter(|it| it.process.lease == scene.lease);
        for tenure in of_lease {
            if let Some(lane) = lane(&tenure.process.name)
                && tenure.to >= scene.from
            {
                picture.believe(lane, true, at(tenure.from));
                // Whoever is stopped believes nothing.
                if let Some((stopped, continued)) = tenure.pause {
                    picture.believe(lane, false, at(stopped.clamp(tenure.from, tenure.to)));
                    if continued < tenure.to {
                        picture.believe(lane, true, at(continued));
                    }
                }
                picture.believe(lane, false, at(tenure.to));
            }
        }
        let concerns = |it: &&Harm| it.lease.as_deref().is_none_or(|it| it == scene.lease);
        for harm in self
            .harms
            .iter()
            .filter(concerns)
            .filter(|it| it.until >= scene.from)
        {
            let whom = harm.process.as_deref().map(lane);
            // Somebody else's is not shown as everybody's.
            if whom != Some(None) {
                picture.fault(
                    whom.flatten(),
                    harm.what.as_str(),
                    at(harm.from),
                    Some(at(harm.until)),
                );
            }
        }
        if let Some(broken) = scene.broken {
            picture.break_promise(at(broken.at), broken.what.as_str());
        }
        let seen: Vec<_> = self
            .seen
            .iter()
            .filter(|it| it.lease == scene.lease && it.came <= history::wall(scene.until))
            .cloned()
            .collect();
        picture.see(&seen, &names, history::wall(scene.from));
        picture
    }

    /// Who was there, by name.
    fn present(&self, scene: &Scene<'_>) -> Vec<String> {
        let mut names = BTreeSet::new();
        let of_lease = || {
            self.entries
                .iter()
                .filter(|it| it.process.lease == scene.lease)
        };
        for entry in of_lease().filter(|it| it.at <= scene.until) {
            names.insert(entry.process.name.as_str());
        }
        for entry in of_lease().filter(|it| it.what == What::Ended && it.at < scene.from) {
            names.remove(entry.process.name.as_str());
        }
        names.into_iter().map(str::to_owned).collect()
    }
}

/// What is drawn in one picture.
#[derive(Debug)]
struct Scene<'a> {
    name: String,
    title: String,
    lease: &'a str,
    from: Micros,
    until: Micros,
    broken: Option<&'a Violation>,
}

/// What led to a broken promise, and what came of it.
const BEFORE: Micros = 20_000_000;
const AFTER: Micros = 5_000_000;

/// Around an episode.
const MARGIN: Micros = 2_000_000;

/// One mistake breaks a promise many times a second.
const MOST_BROKEN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit,
        chaos::{
            check::check,
            episode::Kind,
            log::{Log, Process, Program},
        },
    };

    const S: Micros = 1_000_000;

    fn entries(lease: &str, from: Micros) -> [Entry; 3] {
        let process = Process {
            lease: lease.to_owned(),
            // Each arena counts anew.
            name: "n0001-tokio".to_owned(),
            program: Program::Tokio,
        };
        let entry = |at, what| Entry {
            at,
            process: process.clone(),
            what,
        };
        let until = Some(from + 10 * S);
        let acquired = What::Acquired {
            token: Some(1),
            until,
        };
        [
            entry(from - S, What::Started),
            entry(from, acquired),
            entry(from + 5 * S, What::Lost),
        ]
    }

    fn harm(lease: &str, what: &str, from: Micros) -> Harm {
        Harm {
            lease: Some(lease.to_owned()),
            process: Some("n0001-tokio".to_owned()),
            what: what.to_owned(),
            from,
            until: from + S,
        }
    }

    #[test]
    fn an_episode_is_drawn_of_the_lease_that_it_concerned_and_a_broken_promise_without_being_asked()
    {
        let log = Log {
            entries: [entries("a", 100 * S), entries("b", 101 * S)].concat(),
            ..Log::default()
        };
        let findings = check(&log, 120 * S);
        let mut report = Report {
            seed: 7,
            took: std::time::Duration::ZERO,
            happened: vec![Happened {
                lease: Some("a".to_owned()),
                kind: Kind::Stop,
                from: 101 * S,
                to: 104 * S,
            }],
            findings,
            writes: Vec::new(),
            failures: Vec::new(),
            drawn: Vec::new(),
        };
        let harms = [harm("a", "stop", 101 * S), harm("b", "hang", 102 * S)];
        let wall = history::wall(102 * S);
        let came = lease_proto::wire::MicroTime::from_micros(wall);
        let line = format!(
            r#"{{"auditID":"1","stage":"ResponseComplete","verb":"get","userAgent":"n0001-tokio","objectRef":{{"resource":"leases","name":"a"}},"responseStatus":{{"code":200}},"requestReceivedTimestamp":"{came}","stageTimestamp":"{came}"}}"#
        );
        let drawing = Drawing {
            entries: &log.entries,
            harms: &harms,
            seen: audit::lines(&line).collect(),
            end: 105 * S,
        };
        let folder = tempfile::tempdir().expect("there is room");
        let drawn = drawing
            .draw(&report, Some(folder.path()))
            .expect("it is written");
        let [file] = drawn.as_slice() else {
            panic!("{drawn:?}");
        };
        assert!(file.ends_with("001-stop-a.svg"), "{file:?}");
        let svg = fs::read_to_string(file).expect("it is there");
        assert!(svg.contains("stop") && !svg.contains("hang"), "{svg}");
        // The margin after it is shorter, because all ends.
        assert!(!svg.contains(">7 s<") && svg.contains(">6 s<"), "{svg}");
        let scene = drawing.episode(1, &report.happened[0]).remove(0);
        let picture = drawing.picture(&report.findings, &scene);
        let beliefs: Vec<_> = picture
            .beliefs
            .iter()
            .map(|it| (it.from, it.until))
            .collect();
        assert_eq!(beliefs, [(S, Some(6 * S))]);
        assert_eq!(picture.requests.len(), 1);

        assert_eq!(
            drawing
                .draw(&report, None)
                .expect("nothing is to be written"),
            [] as [PathBuf; 0]
        );
        report.findings.violations.push(Violation {
            at: 103 * S,
            lease: "b".to_owned(),
            what: "it went on".to_owned(),
        });
        let drawn = drawing
            .draw(&report, Some(folder.path()))
            .expect("it is written");
        let svg = fs::read_to_string(&drawn[0]).expect("it is there");
        assert!(
            svg.contains("red line: it went on") && svg.contains("hang"),
            "{svg}"
        );
    }
}
