//! What a credential plugin gave, kept while it is good; and the plugin, run again in time, once however many wait.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lease_proto::access::rustls::ChangingCertificate;
use lease_proto::access::{Access, CredentialsError, ExecCredential, ExecProblem, bearer};

use crate::clock::Clock;
use crate::credentials::{AskCredentials, Given, patience};
use crate::observe;
use crate::plugin::Plugin;

/// A plugin and its credentials. Dropping it ends a run that is under way.
pub(crate) struct PluginCache(Arc<Shared>);

struct Shared {
    plugin: Plugin,
    clock: Clock,
    certificate: ChangingCertificate,
    state: Mutex<State>,
    /// Whether the cache is gone; only threads have the rest then.
    is_over: AtomicBool,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How often the plugin has given something, and the latest of that which the server has refused.
    given: u64,
    refused: u64,
    /// What is under way: it goes on when those who wait for it give up.
    run: Option<Arc<Run>>,
}

struct Held {
    given: Given,
    good_until: Option<SystemTime>,
    renew_at: Option<SystemTime>,
}

struct Run {
    started: Instant,
    outcome: Mutex<Option<Outcome>>,
    told: Condvar,
}

type Outcome = Result<Given, ExecProblem>;

/// The plugin that an access names, unless a token or a password goes before it.
pub(crate) fn of(access: &Access) -> Result<Option<Box<dyn AskCredentials>>, CredentialsError> {
    let auth = &access.auth;
    match &auth.exec {
        Some(exec) if auth.token.is_none() && auth.basic.is_none() => {
            Ok(Some(Box::new(PluginCache(Arc::new(Shared {
                plugin: Plugin::new(exec, access)?,
                clock: Clock::new(),
                certificate: ChangingCertificate::default(),
                state: Mutex::default(),
                is_over: AtomicBool::new(false),
            })))))
        }
        Some(_) | None => Ok(None),
    }
}

impl AskCredentials for PluginCache {
    fn authorization(&self, reload: bool, timeout: Duration) -> Result<Given, CredentialsError> {
        let outcome = self.ask(reload, patience(timeout));
        outcome.map_err(|problem| self.0.plugin.failed(problem))
    }

    fn refuse(&self, number: u64) {
        let mut state = self.0.state();
        state.refused = state.refused.max(number);
    }

    fn certificate(&self) -> ChangingCertificate {
        self.0.certificate.clone()
    }
}

impl PluginCache {
    fn ask(&self, reload: bool, longest: Duration) -> Outcome {
        if reload {
            // What was refused is not sent again. What was got since then stays: of many requests that are refused together
            // only one has the plugin run.
            let mut state = self.0.state();
            let refused = state.refused;
            state.held.take_if(|held| held.given.number <= refused);
        }
        let run = {
            let mut state = self.0.state();
            let wall = self.0.clock.wall();
            let State { held, run, .. } = &mut *state;
            // One that nobody else has is that of a thread that is gone.
            run.take_if(|run| Arc::strong_count(run) == 1);
            if let Some(held) = held.as_ref().filter(|held| held.lasts(wall)) {
                if held.is_due(wall) && run.is_none() {
                    *run = Shared::start(&self.0).ok();
                }
                return Ok(held.given.clone());
            }
            match run {
                Some(run) => Arc::clone(run),
                None => Arc::clone(run.insert(Shared::start(&self.0)?)),
            }
        };
        run.wait(longest).unwrap_or_else(|| {
            let running = self.0.clock.now().saturating_duration_since(run.started);
            Err(ExecProblem::Unfinished {
                running,
                limit: self.0.plugin.limit(),
            })
        })
    }
}

impl Drop for PluginCache {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Runs the plugin on a thread of its own.
    fn start(shared: &Arc<Self>) -> Result<Arc<Run>, ExecProblem> {
        let run = Arc::new(Run {
            started: shared.clock.now(),
            outcome: Mutex::default(),
            told: Condvar::new(),
        });
        let (ours, theirs) = (Arc::clone(shared), Arc::clone(&run));
        thread::Builder::new()
            .name("lease-plugin".to_owned())
            .spawn(move || {
                let answer = ours.plugin.run(&|| !ours.is_over.load(Ordering::Relaxed));
                theirs.tell(ours.end(answer));
            })
            .map_err(|error| shared.plugin.start_failed(error))?;
        Ok(run)
    }

    /// Keeps what a run gave.
    fn end(&self, answer: Result<ExecCredential, ExecProblem>) -> Outcome {
        let held = answer.and_then(|answer| self.read(&answer));
        let mut state = self.state();
        state.run = None;
        match held {
            Ok(mut held) => {
                state.given += 1;
                held.given.number = state.given;
                Ok(state.held.insert(held).given.clone())
            }
            Err(problem) => {
                if state.held.is_some() {
                    observe::not_renewed(&self.plugin.failed(problem.clone()));
                }
                Err(problem)
            }
        }
    }

    fn read(&self, answer: &ExecCredential) -> Result<Held, ExecProblem> {
        let header = answer.token.as_ref().map(bearer).transpose();
        let header = header.map_err(ExecProblem::InvalidToken)?;
        self.certificate
            .set(answer.client_certificate.as_ref(), &|path| {
                std::fs::read(path)
            })
            .map_err(|error| ExecProblem::Certificate(Arc::new(error)))?;
        Ok(Held {
            given: Given { header, number: 0 },
            good_until: answer.good_until(),
            renew_at: answer.renew_at(self.clock.wall()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Waits for the outcome, no longer than this.
    fn wait(&self, longest: Duration) -> Option<Outcome> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .told
            .wait_timeout_while(outcome, longest, |outcome| outcome.is_none());
        let (outcome, _) = waited.unwrap_or_else(PoisonError::into_inner);
        outcome.clone()
    }

    fn tell(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.told.notify_all();
    }
}

impl Held {
    fn lasts(&self, wall: SystemTime) -> bool {
        self.good_until.is_none_or(|good_until| wall < good_until)
    }

    fn is_due(&self, wall: SystemTime) -> bool {
        self.renew_at.is_some_and(|renew_at| renew_at <= wall)
    }
}

impl fmt::Debug for PluginCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.plugin.fmt(f)
    }
}
