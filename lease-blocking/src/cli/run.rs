//! `lease run`: a program that runs while the lease is held, and no longer.

use std::{
    env,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use lease_blocking::{
    Clock, Keeper,
    proto::{Config, Event, Failure as Refused, GaveUp, Grant, Loss, Patience, Trouble},
};
use rustix::process::Signal;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};

use super::{
    args::Run,
    connect,
    exit_code::Exit,
    failure::{Failure, chain},
    held, program,
    program::Program,
    say,
};

/// What happens while `lease run` waits.
enum Happening {
    Lease(Event),
    /// The keeper of the lease has ended.
    Over,
    Ended,
    Signal(i32),
}

pub(crate) fn run(args: Run) -> Result<Exit, Failure> {
    let name = args
        .program
        .first()
        .map(|name| name.as_os_str())
        .unwrap_or_default();
    let path = program::find(name)?;
    let grace = grace(&args)?;
    let as_run = |mut failure: Failure| {
        // Its own codes are those of timeout(1): 1 to 5 are the program's.
        if failure.exit != Exit::Usage {
            failure.exit = Exit::RunFailed;
        }
        failure
    };
    let client = connect::client(&args.cluster).map_err(as_run)?;
    let holder = args
        .holder
        .as_ref()
        .map_or_else(default_holder, ToString::to_string);
    let config = Config::builder(client.namespace(), args.name.as_str(), holder)
        .lease_duration(args.ttl)
        // The program is killed in time, so it needs no time of its own after the grant.
        .renew_deadline(args.ttl)
        .whole_second_observers(args.cluster.embedded.is_none())
        .build()
        .map_err(|error| held::unusable(&error))?;
    let (sender, happenings) = mpsc::channel();
    // Before the lease is held: a signal that comes now must not leave anything behind.
    listen(sender.clone())?;
    let mut claim = client.claim(config);
    claim.acquire(patience(&args));
    let keeper = claim
        .keep()
        .map_err(|error| Failure::chain(Exit::RunFailed, &error))?;
    let keeper = Arc::new(keeper);
    pump(&keeper, sender.clone())?;
    let running = Running {
        namespace: client.namespace().to_owned(),
        args,
        path,
        grace,
        keeper,
        happenings,
        sender,
        said: None,
        is_over: false,
    };
    running.run()
}

/// A lease that is waited for or held, and the program that runs meanwhile.
struct Running {
    args: Run,
    namespace: String,
    path: std::path::PathBuf,
    grace: Duration,
    keeper: Arc<Keeper>,
    happenings: mpsc::Receiver<Happening>,
    sender: mpsc::Sender<Happening>,
    /// What was said last, so that it is not said again.
    said: Option<String>,
    /// Whether the keeper of the lease has ended.
    is_over: bool,
}

impl Running {
    fn run(mut self) -> Result<Exit, Failure> {
        let grant = match self.wait() {
            Ok(grant) => grant,
            Err(failure) => {
                self.let_go();
                return Err(failure);
            }
        };
        let sender = self.sender.clone();
        let ended = move || {
            let _over = sender.send(Happening::Ended);
        };
        let started = Program::start(
            &self.path,
            &self.args.program,
            &self.variables(&grant),
            ended,
        );
        let result = started.map(|program| self.accompany(program));
        self.let_go();
        result
    }

    /// Waits until the lease is held.
    fn wait(&mut self) -> Result<Grant, Failure> {
        let mut why = Failure::new(Exit::RunFailed, "the lease was not acquired");
        let mut interrupted = None;
        while let Ok(happening) = self.happenings.recv() {
            match happening {
                Happening::Lease(event) => {
                    self.tell(&event);
                    match event {
                        Event::Acquired(grant) if interrupted.is_none() => return Ok(grant),
                        Event::Failed(refused) => {
                            why = refused_to_run(&refused);
                            self.keeper.stop();
                        }
                        Event::GaveUp(GaveUp::Stopped) => {}
                        Event::GaveUp(gave_up) => why = self.not_acquired(&gave_up),
                        _ => {}
                    }
                }
                Happening::Signal(signal) => {
                    let number = u8::try_from(signal).unwrap_or_default();
                    interrupted = Some(Exit::Signal(number));
                    self.keeper.stop();
                }
                Happening::Over => {
                    self.is_over = true;
                    break;
                }
                Happening::Ended => {}
            }
        }
        match interrupted {
            Some(exit) => Err(Failure::new(
                exit,
                "interrupted while waiting for the lease",
            )),
            None => Err(why),
        }
    }

    /// Stays beside the program until it has ended.
    fn accompany(&mut self, mut program: Program) -> Exit {
        let mut stop = Stop::No;
        loop {
            let left = self.keeper.remaining();
            if left <= KILL_BEFORE && stop < Stop::Killed {
                if stop == Stop::No {
                    say(format_args!(
                        "lease {} runs out; the program is killed",
                        self.args.name
                    ));
                }
                stop = Stop::Killed;
                program.signal(Signal::KILL);
            } else if left <= self.grace && stop < Stop::Asked {
                let left = left.as_secs_f32();
                say(format_args!(
                    "lease {} cannot be renewed; the program has {left:.1}s to stop",
                    self.args.name
                ));
                stop = Stop::Asked;
                program.signal(Signal::TERM);
            }
            let next = match stop {
                Stop::No => left.saturating_sub(self.grace),
                Stop::Asked => left.saturating_sub(KILL_BEFORE),
                Stop::Killed => TICK,
            };
            match self.happenings.recv_timeout(next.min(TICK)) {
                Ok(Happening::Ended) => break,
                Ok(Happening::Signal(signal)) => {
                    if let Some(signal) = Signal::from_named_raw(signal) {
                        program.signal(signal);
                    }
                }
                Ok(Happening::Lease(event)) => {
                    self.tell(&event);
                    if let Event::Lost(loss) = event
                        && loss != Loss::Released
                        && stop < Stop::Killed
                    {
                        // Somebody else may hold it at this moment.
                        say(format_args!(
                            "lease {} is lost, the program is killed: {loss}",
                            self.args.name
                        ));
                        stop = Stop::Killed;
                        program.signal(Signal::KILL);
                    }
                }
                Ok(Happening::Over) => self.is_over = true,
                Err(_) => {}
            }
        }
        let status = program.end();
        match (stop, status) {
            (Stop::No, Some(status)) => program::exit_of(status),
            (Stop::No, None) => Exit::RunFailed,
            (Stop::Asked | Stop::Killed, _) => Exit::Lost,
        }
    }

    /// Releases the lease, and waits until that is over.
    fn let_go(&mut self) {
        self.keeper.stop();
        while !self.is_over {
            let Ok(happening) = self.happenings.recv() else {
                return;
            };
            match happening {
                Happening::Lease(event) => self.tell(&event),
                Happening::Over => self.is_over = true,
                Happening::Ended | Happening::Signal(_) => {}
            }
        }
    }

    fn variables(&self, grant: &Grant) -> Vec<(&'static str, String)> {
        let token = grant.token.map(|token| token.to_string());
        vec![
            ("LEASE_NAME", self.args.name.to_string()),
            ("LEASE_NAMESPACE", self.namespace.clone()),
            ("LEASE_HOLDER", self.keeper.identity().to_string()),
            ("LEASE_TOKEN", token.unwrap_or_default()),
            ("LEASE_TRANSITIONS", grant.transitions.to_string()),
        ]
    }

    /// Says what stands in the way, once; with `--verbose` everything.
    fn tell(&mut self, event: &Event) {
        if self.args.cluster.verbose {
            say(format_args!("{event:?}"));
        }
        let (Event::Retrying { trouble, .. } | Event::AtRisk { trouble, .. }) = event else {
            return;
        };
        let line = match (trouble, self.keeper.last_error()) {
            (Trouble::NoAnswer, Some(error)) => chain(&*error),
            _ => trouble.to_string(),
        };
        if self.said.as_ref() != Some(&line) {
            say(format_args!("{line}"));
            self.said = Some(line);
        }
    }

    fn not_acquired(&self, gave_up: &GaveUp) -> Failure {
        let mut failure = match (gave_up, self.keeper.last_error()) {
            (GaveUp::Trouble(_) | GaveUp::TimedOut { holder: None }, Some(error)) => {
                Failure::gave_up(gave_up, self.args.name.as_str(), Some(&*error))
            }
            _ => Failure::gave_up(gave_up, self.args.name.as_str(), None),
        };
        failure.exit = match gave_up {
            GaveUp::Held(_) | GaveUp::Outrun | GaveUp::TimedOut { .. } => Exit::NotAcquired,
            _ => Exit::RunFailed,
        };
        failure
    }
}

/// How far the program has been told to stop.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stop {
    No,
    Asked,
    Killed,
}

fn refused_to_run(refused: &Refused) -> Failure {
    let mut failure = Failure::refused(refused);
    failure.exit = Exit::RunFailed;
    failure
}

fn patience(args: &Run) -> Patience {
    match args.timeout {
        _ if args.no_wait => Patience::Once,
        Some(Duration::ZERO) => Patience::Once,
        Some(timeout) => {
            let until = Clock::new().now().checked_add(timeout);
            until.map_or(Patience::Forever, Patience::Until)
        }
        None => Patience::Forever,
    }
}

/// How long before the lease runs out the program is told to stop.
///
/// A renewal is due when two thirds of the lease are left, so a program that is renewed for is never told.
fn grace(args: &Run) -> Result<Duration, Failure> {
    let grace = args
        .grace
        .unwrap_or_else(|| (args.ttl / 3).min(Duration::from_secs(10)));
    if grace <= args.ttl / 2 {
        Ok(grace)
    } else {
        let line = format!(
            "--grace {grace:?} is too long: it must be at most half of --ttl {:?}",
            args.ttl
        );
        Err(Failure::new(Exit::Usage, line))
    }
}

fn default_holder() -> String {
    let pod = env::var("POD_NAME").ok().filter(|pod| !pod.is_empty());
    pod.unwrap_or_else(|| {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    })
}

fn listen(sender: mpsc::Sender<Happening>) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::chain(Exit::RunFailed, error);
    let signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]);
    let mut signals = signals.map_err(|error| failed(&error))?;
    let listen = move || {
        for signal in signals.forever() {
            if sender.send(Happening::Signal(signal)).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new()
        .name("lease-signals".to_owned())
        .spawn(listen);
    thread.map(|_| ()).map_err(|error| failed(&error))
}

fn pump(keeper: &Arc<Keeper>, sender: mpsc::Sender<Happening>) -> Result<(), Failure> {
    let keeper = Arc::clone(keeper);
    let pump = move || {
        while let Some(event) = keeper.next_event() {
            let _over = sender.send(Happening::Lease(event));
        }
        let _over = sender.send(Happening::Over);
    };
    let thread = thread::Builder::new()
        .name("lease-events".to_owned())
        .spawn(pump);
    thread
        .map(|_| ())
        .map_err(|error| Failure::chain(Exit::RunFailed, &error))
}

/// How long before the end of the lease the program is killed, so that it is gone when others may take it.
const KILL_BEFORE: Duration = Duration::from_millis(250);
/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);
