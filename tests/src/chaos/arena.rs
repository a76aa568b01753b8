//! A Lease with the claimants that contend for it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::{
    boot::{self, Micros},
    chaos::{
        claimant::{Claimant, Seat, last_words},
        cluster::Cluster,
        episode::{Episode, Kind, Target},
        fenced::{Fenced, Plant},
        journal::Journal,
        log::{Harm, Program},
        proxy::{Mode, Proxy},
    },
    contender::Error,
};

/// What all arenas share.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) journal: Journal,
    pub(crate) fenced: Fenced,
    pub(crate) runtime: Handle,
    pub(crate) folder: Arc<Path>,
    pub(crate) plant: Option<Plant>,
    /// Set when it is to end before its time.
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl Ground {
    /// Does nothing for a while.
    ///
    /// # Errors
    ///
    /// Fails if all is to end.
    pub(crate) fn pause(&self, during: Duration) -> Result<(), Error> {
        let until = Instant::now() + during;
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err("interrupted".into());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// A Lease with the claimants that contend for it.
#[derive(Debug)]
pub(crate) struct Arena {
    ground: Ground,
    lease: String,
    ttl: u64,
    started: usize,
    seats: Vec<(Seat, Claimant)>,
}

impl Arena {
    /// Starts the claimants of the arena of that number.
    pub(crate) fn open(ground: &Ground, number: usize) -> Result<Self, Error> {
        let programs = PROGRAMS
            .get(number % PROGRAMS.len())
            .copied()
            .unwrap_or_default();
        let mut arena = Self {
            ground: ground.clone(),
            lease: format!("chaos-{}-{number}", std::process::id()),
            ttl: [3, 4, 3, 5, 3, 6].get(number % 6).copied().unwrap_or(3),
            started: 0,
            seats: Vec::new(),
        };
        for (place, program) in programs.iter().enumerate() {
            let user = USERS.get(place).copied().unwrap_or("holder-a");
            let file = |what: &str| ground.folder.join(format!("{what}-{number}-{place}"));
            let seat = Seat {
                program: *program,
                proxy: Proxy::open(&ground.runtime, ground.cluster.address)?,
                token_file: file("token"),
                user,
                fenced: ground.fenced.address(),
                plant: ground.plant.filter(|_| *program != Program::Rival),
                stderr: file("stderr"),
                ttl: arena.ttl,
            };
            ground.cluster.rotate(&seat.token_file, user)?;
            let claimant = arena.start(&seat)?;
            arena.seats.push((seat, claimant));
        }
        Ok(arena)
    }

    pub(crate) fn lease(&self) -> &str {
        &self.lease
    }

    pub(crate) fn ttl(&self) -> u64 {
        self.ttl
    }

    /// Lets an episode happen, and waits until somebody holds the Lease again.
    pub(crate) fn run(&mut self, episode: &Episode) -> Result<(), Error> {
        let targets = self.targets(episode.target);
        let others: Vec<bool> = targets.iter().map(|chosen| !chosen).collect();
        if let Some(mode) = episode.also {
            self.set(&others, mode);
        }
        let from = boot::now();
        // Whoever is started in the meantime was not harmed.
        let (harmed, beside) = (self.names(&targets), self.names(&others));
        self.harm(episode, &targets)?;
        let until = boot::now();
        self.set(&others, Mode::Pass);
        let harmed = match episode.kind {
            Kind::Annotate => vec![None],
            // The audit log shows the instant.
            Kind::Delete => Vec::new(),
            _ => harmed.into_iter().map(Some).collect(),
        };
        // It does not come back: another one takes its place.
        let ends = matches!(episode.kind, Kind::Kill | Kind::Terminate);
        let harmed_until = if ends { Micros::MAX } else { until };
        for process in harmed {
            self.note_harm(process, episode.kind.to_string(), (from, harmed_until));
        }
        if let Some(mode) = episode.also {
            for process in beside {
                self.note_harm(Some(process), mode.to_string(), (from, until));
            }
        }
        self.await_holder()
    }

    fn note_harm(&self, process: Option<String>, what: String, (from, until): (Micros, Micros)) {
        self.ground.journal.enter_harm(Harm {
            lease: Some(self.lease.clone()),
            process,
            what,
            from,
            until,
        });
    }

    fn names(&self, targets: &[bool]) -> Vec<String> {
        let seats = self.seats.iter().zip(targets);
        let chosen = seats.filter(|(_, chosen)| **chosen);
        chosen
            .map(|((_, claimant), _)| claimant.name().to_owned())
            .collect()
    }

    /// Waits until somebody holds the Lease, and all claimants are there.
    pub(crate) fn await_holder(&mut self) -> Result<(), Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            self.replace_ended()?;
            if self.seats.iter().any(|(_, claimant)| claimant.holds()) {
                return self.ground.pause(Duration::from_millis(500));
            }
            if Instant::now() > until {
                let said = self.seats.iter().map(|(seat, _)| last_words(&seat.stderr));
                let said = said.collect::<Vec<_>>().join("\n  and another:\n    ");
                let lease = &self.lease;
                self.ground.journal.fail(format!(
                    "nobody holds {lease} {PATIENCE:?} after all was well again; one claimant said:\n    {said}"
                ));
                return Ok(());
            }
            self.ground.pause(Duration::from_millis(50))?;
        }
    }

    fn harm(&mut self, episode: &Episode, targets: &[bool]) -> Result<(), Error> {
        if let Some(mode) = episode.mode() {
            self.set(targets, mode);
            self.ground.pause(episode.during)?;
            self.set(targets, Mode::Pass);
            return Ok(());
        }
        match episode.kind {
            Kind::Annotate => self.annotate(episode.during + Duration::from_secs(self.ttl))?,
            Kind::BadToken => self.spoil_tokens(targets, episode.during)?,
            Kind::Delete => {
                // Who has never seen the holder cannot know that a deletion is not a release.
                self.ground.pause(Duration::from_secs(self.ttl + 1))?;
                self.ground.cluster.delete(&self.lease)?;
                self.ground.pause(Duration::from_secs(self.ttl))?;
            }
            Kind::Kill => {
                for (_, claimant) in self.chosen(targets) {
                    claimant.kill();
                }
                self.ground.pause(episode.absent)?;
            }
            Kind::Stop => {
                for (_, claimant) in self.chosen(targets) {
                    claimant.stop()?;
                }
                self.ground.pause(episode.during)?;
                for (_, claimant) in self.chosen(targets) {
                    claimant.go_on()?;
                }
            }
            Kind::Terminate => self.terminate(targets, episode.absent)?,
            // These are not about one arena.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, seat: &Seat) -> Result<Claimant, Error> {
        self.started += 1;
        let name = format!("n{:04}-{}", self.started, seat.program);
        seat.start(
            &self.ground.cluster,
            &self.ground.journal,
            &self.lease,
            name,
        )
    }

    fn targets(&self, target: Target) -> Vec<bool> {
        let matches = |claimant: &Claimant| match target {
            Target::All => true,
            Target::Holder => claimant.holds(),
            Target::Waiter => !claimant.holds(),
        };
        self.seats
            .iter()
            .map(|(_, claimant)| matches(claimant))
            .collect()
    }

    fn chosen(&mut self, targets: &[bool]) -> impl Iterator<Item = &mut (Seat, Claimant)> {
        let seats = self.seats.iter_mut().zip(targets);
        seats.filter(|(_, chosen)| **chosen).map(|(seat, _)| seat)
    }

    fn set(&mut self, targets: &[bool], mode: Mode) {
        for (seat, _) in self.chosen(targets) {
            seat.proxy.set(mode);
        }
    }

    fn annotate(&self, during: Duration) -> Result<(), Error> {
        let until = Instant::now() + during;
        let mut round = 0;
        while Instant::now() < until {
            round += 1;
            // It may be gone for a moment, or somebody else may have written.
            let _refused = self.ground.cluster.annotate(&self.lease, round);
            self.ground.pause(Duration::from_millis(100))?;
        }
        Ok(())
    }

    fn spoil_tokens(&mut self, targets: &[bool], during: Duration) -> Result<(), Error> {
        let ground = self.ground.clone();
        for (seat, _) in self.chosen(targets) {
            ground.cluster.rotate(&seat.token_file, "bad")?;
        }
        ground.pause(during)?;
        for (seat, _) in self.chosen(targets) {
            ground.cluster.rotate(&seat.token_file, seat.user)?;
        }
        Ok(())
    }

    fn terminate(&mut self, targets: &[bool], absent: Duration) -> Result<(), Error> {
        let ground = self.ground.clone();
        for (_, claimant) in self.chosen(targets) {
            claimant.terminate()?;
        }
        let until = Instant::now() + PATIENCE;
        while !self
            .chosen(targets)
            .all(|(_, claimant)| claimant.has_ended())
        {
            if Instant::now() > until {
                let lease = &self.lease;
                ground.journal.fail(format!(
                    "a claimant of {lease} goes on {PATIENCE:?} after SIGTERM"
                ));
                return Ok(());
            }
            ground.pause(Duration::from_millis(20))?;
        }
        ground.pause(absent)
    }

    /// Puts another claimant in the place of each that has ended.
    fn replace_ended(&mut self) -> Result<(), Error> {
        let mut seats = std::mem::take(&mut self.seats);
        for (seat, claimant) in &mut seats {
            if claimant.has_ended() {
                *claimant = self.start(seat)?;
            }
        }
        self.seats = seats;
        Ok(())
    }
}

/// Who contends: in turn for one arena after the other.
const PROGRAMS: [&[Program]; 6] = [
    &[Program::Tokio, Program::Blocking],
    &[Program::Tokio, Program::Blocking, Program::Rival],
    &[Program::Tokio, Program::Tokio],
    &[Program::Blocking, Program::Blocking, Program::Tokio],
    &[Program::Tokio, Program::Rival],
    &[Program::Blocking, Program::Rival],
];

/// Whose tokens they have.
const USERS: [&str; 3] = ["holder-a", "holder-b", "holder-c"];

/// How long it may take a loaded machine until somebody holds a Lease after all is well again.
const PATIENCE: Duration = Duration::from_secs(60);
