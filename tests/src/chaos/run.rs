//! A run: rounds of episodes, and what the checker says of them.

use std::{
    fs, io,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    audit, boot,
    chaos::{
        arena::{Arena, Ground},
        check::check,
        cluster::{Cluster, Server},
        drawing::Drawing,
        episode::{Episode, Kind},
        fenced::Fenced,
        history::History,
        journal::Journal,
        log::{Harm, Log},
        options::Options,
        report::{Happened, Report},
    },
    contender::{Error, say},
    processes,
    random::Random,
};

/// Lets all episodes happen, and checks what the claimants said.
///
/// # Errors
///
/// Fails if something that the run itself needs does not work. A broken promise is no error: the report has it.
pub fn run(options: &Options) -> Result<Report, Error> {
    let seed = options.seed.unwrap_or_else(boot::now);
    let cluster = Arc::new(Cluster::from_environment()?);
    processes::build_contenders()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let folder = tempfile::Builder::new().prefix("lease-chaos.").tempdir()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let ground = Ground {
        journal: Journal::default(),
        fenced: Fenced::open()?,
        runtime: runtime.handle().clone(),
        folder: folder.path().into(),
        plant: options.plant,
        interrupted,
        cluster,
    };
    let begun = Instant::now();
    let history = History::begin(Arc::clone(&ground.cluster), ground.journal.clone())?;
    let mut arenas = Vec::new();
    for number in 0..options.arenas {
        arenas.push(Arena::open(&ground, number)?);
    }
    let mut stage = Stage {
        ground,
        random: Random::new(seed),
        bag: Vec::new(),
        global: 0,
        happened: Vec::new(),
    };
    let ended = stage.play(&mut arenas, options);
    let end = boot::now();
    drop(arenas);
    // What was committed last comes with the watch that is open.
    thread::sleep(Duration::from_secs(2));
    drop(history);
    let now = boot::now();
    let pages = stage.ground.journal.read();
    let log = Log {
        entries: pages.entries,
        versions: pages.versions,
        writes: stage.ground.fenced.writes(),
    };
    let findings = check(&log, now);
    let mut report = Report {
        seed,
        took: begun.elapsed(),
        happened: stage.happened,
        findings,
        writes: log.writes,
        failures: pages.failures,
        drawn: Vec::new(),
    };
    if let Err(error) = ended {
        report.failures.push((now, error.to_string()));
    }
    let seen = fs::read_to_string(&stage.ground.cluster.audit_log)?;
    let drawing = Drawing {
        entries: &log.entries,
        harms: &pages.harms,
        seen: audit::lines(&seen).collect(),
        end,
    };
    report.drawn = drawing.draw(&report, options.pictures.as_deref())?;
    Ok(report)
}

/// Where episodes happen.
#[derive(Debug)]
struct Stage {
    ground: Ground,
    random: Random,
    /// Kinds that have not had their turn.
    bag: Vec<Kind>,
    /// How many episodes have concerned all arenas.
    global: usize,
    happened: Vec<Happened>,
}

impl Stage {
    fn play(&mut self, arenas: &mut [Arena], options: &Options) -> Result<(), Error> {
        for arena in &mut *arenas {
            arena.await_holder()?;
        }
        for round in 1.. {
            if self.happened.len() >= options.episodes {
                break;
            }
            match options.only {
                Some(kind) if kind.is_global() => self.play_globally(kind, arenas)?,
                only => {
                    self.play_side_by_side(only, arenas)?;
                    if only.is_none() && round % 2 == 0 {
                        let kind = Kind::GLOBAL.get(self.global % Kind::GLOBAL.len());
                        self.play_globally(kind.copied().unwrap_or(Kind::ApiserverStop), arenas)?;
                    }
                }
            }
            say(format_args!(
                "round {round}: {} of {} episodes",
                self.happened.len(),
                options.episodes
            ));
        }
        Ok(())
    }

    /// An episode in each arena.
    fn play_side_by_side(&mut self, only: Option<Kind>, arenas: &mut [Arena]) -> Result<(), Error> {
        let mut drawn = Vec::new();
        for arena in &*arenas {
            let kind = only.unwrap_or_else(|| self.draw_kind());
            drawn.push(Episode::draw(kind, arena.ttl(), &mut self.random));
        }
        let results = thread::scope(|scope| {
            let running: Vec<_> = arenas
                .iter_mut()
                .zip(&drawn)
                .map(|(arena, episode)| {
                    scope.spawn(move || {
                        let from = boot::now();
                        let result = arena.run(episode);
                        let happened = Happened {
                            lease: Some(arena.lease().to_owned()),
                            kind: episode.kind,
                            from,
                            to: boot::now(),
                        };
                        result.map(|()| happened)
                    })
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<Happened, Error>>| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("an arena panicked").into()))
            };
            running.into_iter().map(join).collect::<Vec<_>>()
        });
        for result in results {
            self.happened.push(result?);
        }
        Ok(())
    }

    /// One episode for all arenas.
    fn play_globally(&mut self, kind: Kind, arenas: &mut [Arena]) -> Result<(), Error> {
        self.global += 1;
        let from = boot::now();
        let episode = Episode::draw(kind, 4, &mut self.random);
        let cluster = &self.ground.cluster;
        let harmed = || Harm {
            lease: None,
            process: None,
            what: kind.to_string(),
            from,
            until: boot::now(),
        };
        match kind {
            Kind::ApiserverStop => self.stop(Server::Apiserver, episode.during)?,
            Kind::EtcdStop => self.stop(Server::Etcd, episode.during)?,
            Kind::ApiserverRestart => cluster.restart(Server::Apiserver)?,
            Kind::EtcdRestart => cluster.restart(Server::Etcd)?,
            // These are about one arena.
            _ => {}
        }
        let until = Instant::now() + Duration::from_secs(60);
        self.ground.pause(Duration::from_millis(300))?;
        while !cluster.is_ready() {
            if Instant::now() > until {
                return Err("the API server is not ready 60 s after all was well again".into());
            }
            self.ground.pause(Duration::from_millis(200))?;
        }
        self.ground.journal.enter_harm(harmed());
        for arena in &mut *arenas {
            arena.await_holder()?;
        }
        self.happened.push(Happened {
            lease: None,
            kind,
            from,
            to: boot::now(),
        });
        Ok(())
    }

    /// Stops a server for a while; whatever happens, it is continued.
    fn stop(&self, server: Server, during: Duration) -> Result<(), Error> {
        self.ground.cluster.signal(server, Signal::STOP)?;
        let paused = self.ground.pause(during);
        self.ground.cluster.signal(server, Signal::CONT)?;
        paused
    }

    /// Every kind has its turn before one comes again.
    fn draw_kind(&mut self) -> Kind {
        if self.bag.is_empty() {
            self.bag = Kind::LOCAL.to_vec();
        }
        let last = self.bag.len() as u64 - 1;
        let index = usize::try_from(self.random.between(0, last)).unwrap_or_default();
        self.bag.swap_remove(index)
    }
}
