//! A lease that is waited for or held, and the program that runs meanwhile.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use lease_blocking::{
    Client, Clock, Keeper,
    proto::{Event, GaveUp, Grant, Loss, Parting, Patience, Released},
};
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};

use super::{
    super::{
        args::{OnLost, Run},
        events,
        exit_code::Exit,
        failure::Failure,
        say, status, unranked,
    },
    deadline::{Limit, now},
    lines,
    message::{Order, Report},
    once::Task,
    program,
    program::Program,
    pump,
    stop::Stop,
    terminal::{self, Terminal},
    verdict,
};

/// What happens while `lease run` waits.
pub(super) enum Happening {
    Lease(Event),
    /// The keeper of the lease has ended.
    Over,
    /// What the program's guard reports; `None` once it is gone.
    Program(Option<Report>),
    Signal(i32),
}

/// A lease that is waited for or held, and the program that runs meanwhile.
pub(super) struct Running {
    args: Run,
    client: Client,
    path: PathBuf,
    grace: Duration,
    keeper: Arc<Keeper>,
    happenings: mpsc::Receiver<Happening>,
    sender: mpsc::Sender<Happening>,
    terminal: Terminal,
    /// The program's process group, once it runs.
    group: Option<Pid>,
    /// How far the program has been told to stop.
    stop: Stop,
    /// What was said last, so that it is not said again.
    said: Option<String>,
    /// Whether the keeper of the lease has ended.
    is_over: bool,
}

impl Running {
    pub(super) fn new(
        args: Run,
        client: Client,
        path: PathBuf,
        grace: Duration,
        keeper: Keeper,
        happenings: mpsc::Receiver<Happening>,
        sender: mpsc::Sender<Happening>,
    ) -> std::io::Result<Self> {
        let keeper = Arc::new(keeper);
        pump(&keeper, sender.clone())?;
        Ok(Self {
            args,
            client,
            path,
            grace,
            keeper,
            happenings,
            sender,
            terminal: Terminal::open(),
            group: None,
            stop: Stop::No,
            said: None,
            is_over: false,
        })
    }

    pub(super) fn run(mut self, once: Option<&Task>) -> Result<Exit, Failure> {
        let result = self.wait().and_then(|grant| {
            // Somebody else may have done it while the lease was waited for.
            if once.map_or(Ok(false), |it| it.is_done(Patience::Once))? {
                return Ok(Exit::Done);
            }
            let program = self.start(&grant)?;
            self.accompany(program)
        });
        let has_succeeded = matches!(result, Ok(Exit::Program(0)));
        let once = once.filter(|_| has_succeeded);
        let released = self.let_go(once.map(Task::parting).unwrap_or_default());
        once.map_or(Ok(()), |task| task.recorded(released))?;
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
                            why = verdict::refused(&refused);
                            self.keeper.stop();
                        }
                        Event::GaveUp(GaveUp::Stopped) => {}
                        Event::GaveUp(gave_up) => why = self.not_acquired(&gave_up),
                        _ => {}
                    }
                }
                Happening::Signal(SIGTSTP) => terminal::suspend(false),
                Happening::Signal(SIGWINCH) => {}
                Happening::Signal(signal) => {
                    let number = u8::try_from(signal).unwrap_or_default();
                    interrupted = Some(Exit::Signal(number));
                    self.keeper.stop();
                }
                Happening::Over => {
                    self.is_over = true;
                    break;
                }
                Happening::Program(_) => {}
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

    fn start(&mut self, grant: &Grant) -> Result<Program, Failure> {
        let sender = self.sender.clone();
        let report = move |report| {
            let _over = sender.send(Happening::Program(report));
        };
        let words = &self.args.program;
        Program::start(
            &self.path,
            words,
            &self.variables(grant),
            self.limit(),
            report,
        )
    }

    /// Stays beside the program until it has ended.
    fn accompany(&mut self, mut program: Program) -> Result<Exit, Failure> {
        let mut to_be_dead_at = None;
        loop {
            let left = self.keeper.remaining();
            if self.is_bound() && left <= KILL_BEFORE && to_be_dead_at.is_none() {
                program.order(Order::Kill);
                to_be_dead_at = Some(Instant::now() + PATIENCE);
            }
            let next = match to_be_dead_at {
                // The guard is stopped or stuck.
                Some(at) if at <= Instant::now() => {
                    program.kill();
                    self.terminal.take_back_from(true);
                    self.killed();
                    return Ok(Exit::Lost);
                }
                Some(at) => at.saturating_duration_since(Instant::now()),
                None => left.saturating_sub(KILL_BEFORE),
            };
            match self.happenings.recv_timeout(next.min(TICK)) {
                Ok(Happening::Program(Some(Report::Ended(status)))) => {
                    program.end();
                    return Ok(self.ended(ExitStatus::from_raw(status)));
                }
                Ok(Happening::Program(Some(report))) => self.hear(report, &program),
                Ok(Happening::Program(None)) => {
                    program.kill();
                    self.terminal.take_back_from(true);
                    return Err(Failure::new(
                        Exit::RunFailed,
                        "the process that guards the program has ended, and with it the program",
                    ));
                }
                Ok(Happening::Signal(signal)) => program.order(Order::Signal(signal)),
                Ok(Happening::Lease(event)) => {
                    self.tell(&event);
                    match event {
                        Event::Lost(loss) if loss != Loss::Released => {
                            self.lost(&loss);
                            if self.is_bound() {
                                program.order(Order::Kill);
                            }
                        }
                        Event::Lost(_) => {}
                        event => {
                            if let Some(limit) = self.limit() {
                                program.may_run_until(limit);
                            }
                            if matches!(event, Event::Renewed(_)) {
                                self.spare();
                            }
                        }
                    }
                }
                Ok(Happening::Over) => self.is_over = true,
                Err(_) => {}
            }
        }
    }

    fn hear(&mut self, report: Report, program: &Program) {
        match report {
            Report::Started(process) => {
                self.explain(format_args!("the program runs, as process {process}"));
                self.group = Pid::from_raw(process);
                if Terminal::is_for_one() && self.lend_terminal() {
                    // It may have been stopped for reading before it was allowed to.
                    program.order(Order::Signal(Signal::CONT.as_raw()));
                }
            }
            Report::Stopped(signal @ (SIGTSTP | SIGTTIN | SIGTTOU)) => {
                self.suspended(signal, program);
            }
            // Whoever sends SIGSTOP means it.
            Report::Stopped(_) | Report::Ended(_) => {}
            // Known by then to a `lease` that was stopped meanwhile.
            Report::Told if self.stop == Stop::Killed => {}
            Report::Told => {
                self.stop = self.stop.max(Stop::Asked);
                say(format_args!(
                    "lease {} cannot be renewed; the program has {} to stop",
                    self.args.name,
                    events::seconds(self.keeper.remaining())
                ));
                if self.keeper.remaining() > self.grace.max(KILL_BEFORE) {
                    // It was renewed at that very instant.
                    self.spare();
                }
            }
            Report::Killed => self.killed(),
            Report::Unkillable => say(format_args!(
                "something that the program has started belongs to another user, and could not be killed"
            )),
        }
    }

    /// Follows the program, which was suspended from the terminal: so the shell, that sees only `lease`, is back.
    fn suspended(&mut self, signal: i32, program: &Program) {
        let wants_terminal = signal != SIGTSTP;
        let go_on = Order::Signal(Signal::CONT.as_raw());
        if wants_terminal && self.lend_terminal() {
            program.order(go_on);
            return;
        }
        let was_lent = self.terminal.take_back();
        if self.is_bound() {
            say(format_args!(
                "suspended, so lease {} is not renewed: the program is killed in {} if it does not go on before",
                self.args.name,
                events::seconds(self.keeper.remaining().saturating_sub(KILL_BEFORE))
            ));
        }
        terminal::suspend(was_lent);
        let is_lent = (was_lent || wants_terminal) && self.lend_terminal();
        if !wants_terminal || is_lent {
            program.order(go_on);
        }
    }

    fn lend_terminal(&mut self) -> bool {
        self.group.is_some_and(|group| self.terminal.lend(group))
    }

    fn ended(&mut self, status: ExitStatus) -> Exit {
        self.explain(format_args!("{}", lines::of_end(status)));
        let was_killed = status.signal().is_some() || self.stop != Stop::No;
        let was_lent = self.terminal.take_back_from(was_killed);
        if was_lent && status.signal() == Some(Signal::INT.as_raw()) {
            // A script that waits for this has to be interrupted as well.
            terminal::pass_up(Signal::INT);
        }
        self.stop.judge(program::exit_of(status))
    }

    /// Takes back that the program is to stop, if it was told to: nothing was lost.
    fn spare(&mut self) {
        if self.stop == Stop::Asked {
            self.stop = Stop::Spared;
            say(format_args!(
                "lease {} is renewed again: the program was told to stop, and may go on",
                self.args.name
            ));
        }
    }

    fn lost(&mut self, loss: &Loss) {
        let name = &self.args.name;
        if !self.is_bound() {
            say(format_args!(
                "lease {name} is lost, and the program goes on: {loss}"
            ));
        } else if self.stop < Stop::Killed {
            // Somebody else may hold it at this moment.
            self.stop = Stop::Killed;
            say(format_args!(
                "lease {name} is lost, the program is killed: {loss}"
            ));
        }
    }

    fn killed(&mut self) {
        if self.stop < Stop::Killed {
            self.stop = Stop::Killed;
            say(format_args!(
                "lease {} runs out; the program is killed",
                self.args.name
            ));
        }
    }

    /// Releases the lease, leaves that in the record, and waits until it is over.
    fn let_go(&mut self, parting: Parting) -> Option<Released> {
        self.keeper.stop_with(parting);
        let mut released = None;
        while !self.is_over {
            match self.happenings.recv().ok()? {
                Happening::Lease(event) => {
                    self.tell(&event);
                    match event {
                        Event::Failed(refused) => {
                            say(format_args!("{}", verdict::refused(&refused)))
                        }
                        Event::Released(how) => released = Some(how),
                        _ => {}
                    }
                }
                Happening::Over => self.is_over = true,
                Happening::Program(_) | Happening::Signal(_) => {}
            }
        }
        if released == Some(Released::Unconfirmed) {
            say(format_args!("{}", lines::of_unconfirmed(&self.args)));
        }
        released
    }

    fn is_bound(&self) -> bool {
        self.args.on_lost == OnLost::Kill
    }

    /// How long the program may run, as things are.
    fn limit(&self) -> Option<Limit> {
        if !self.is_bound() {
            return None;
        }
        // Read first, so that what passes in between shortens it.
        let now = now();
        let left = self.keeper.remaining();
        Some(Limit {
            told_at: now + left.saturating_sub(self.grace.max(KILL_BEFORE)),
            killed_at: now + left.saturating_sub(KILL_BEFORE),
        })
    }

    fn variables(&self, grant: &Grant) -> Vec<(&'static str, String)> {
        let token = grant.token.map(|token| token.to_string());
        vec![
            ("LEASE_NAME", self.args.name.to_string()),
            ("LEASE_NAMESPACE", self.client.namespace().to_owned()),
            ("LEASE_HOLDER", self.keeper.identity().to_string()),
            ("LEASE_TOKEN", token.unwrap_or_default()),
            ("LEASE_TRANSITIONS", grant.transitions.to_string()),
        ]
    }

    /// Says what stands in the way, once; with `--verbose` everything.
    fn tell(&mut self, event: &Event) {
        if self.args.cluster.verbose {
            let line = events::of_event(event, Clock::new().now());
            self.explain(format_args!("{line}"));
        }
        if let Event::Unranked(refusal) = event {
            unranked::tell(refusal);
        }
        let (Event::Retrying { trouble, .. } | Event::AtRisk { trouble, .. }) = event else {
            return;
        };
        let line = lines::of_trouble(trouble, self.keeper.last_error().as_deref(), self.args.ttl);
        if self.said.as_ref() != Some(&line) {
            say(format_args!("{line}"));
            self.said = Some(line);
        }
    }

    /// Says what only those want to know who asked for it.
    fn explain(&self, what: std::fmt::Arguments<'_>) {
        if self.args.cluster.verbose {
            say(format_args!("{}: {what}", self.args.name));
        }
    }

    fn not_acquired(&self, gave_up: &GaveUp) -> Failure {
        let error = self.keeper.last_error();
        let (error, said) = (error.as_deref(), self.said.as_deref());
        let record = match gave_up {
            GaveUp::TimedOut {
                holder: None,
                trouble,
            } if trouble.is_some() || error.is_some() => None,
            // It may not be held, and only left to somebody.
            GaveUp::Held(_) | GaveUp::TimedOut { .. } => {
                status::read(&self.client, &self.args.name).ok().flatten()
            }
            _ => None,
        };
        verdict::not_acquired(gave_up, record.as_ref(), error, said, &self.args)
    }
}

/// How long before the end of the lease the program is killed, so that it is gone when others may take it.
const KILL_BEFORE: Duration = Duration::from_millis(250);
/// How long the guard may take to kill the program, after which it is killed itself.
const PATIENCE: Duration = Duration::from_millis(100);
/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);
