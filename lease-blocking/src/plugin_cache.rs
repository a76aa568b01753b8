//! What a credential plugin gave, kept while it is good; and the plugin, run again in time, once however many wait.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lease_proto::access::rustls::{ChangingCertificate, ExecAnswers, Given};
use lease_proto::access::{Access, CredentialsError, ExecCredential, ExecProblem};
use lease_proto::observe;

use crate::clock::Clock;
use crate::credentials::{AskCredentials, patience};
use crate::plugin::Plugin;

/// A plugin and its credentials. Dropping it ends a run that is under way.
pub(crate) struct PluginCache(Arc<Shared>);

struct Shared {
    plugin: Plugin,
    clock: Clock,
    state: Mutex<State>,
    /// Whether the cache is gone; only threads have the rest then.
    is_over: AtomicBool,
}

#[derive(Default)]
struct State {
    answers: ExecAnswers,
    /// What is under way: it goes on when those who wait for it give up.
    run: Option<Arc<Run>>,
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
        self.0.state().answers.refuse(number);
    }

    fn certificate(&self) -> ChangingCertificate {
        self.0.state().answers.certificate()
    }
}

impl PluginCache {
    fn ask(&self, reload: bool, longest: Duration) -> Outcome {
        if reload {
            self.0.state().answers.forget_refused();
        }
        let run = {
            let mut state = self.0.state();
            let wall = self.0.clock.wall();
            let State { answers, run } = &mut *state;
            // One that nobody else has is that of a thread that is gone.
            run.take_if(|run| Arc::strong_count(run) == 1);
            if let Some(given) = answers.known(wall) {
                if answers.is_due(wall) && run.is_none() {
                    *run = Shared::start(&self.0).ok();
                }
                return Ok(given.clone());
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
        let mut state = self.state();
        state.run = None;
        let read = |path: &Path| std::fs::read(path);
        let taken = answer.and_then(|it| state.answers.take(&it, self.clock.wall(), &read));
        if let Err(problem) = &taken
            && !state.answers.is_empty()
        {
            observe::not_renewed(&self.plugin.failed(problem.clone()));
        }
        taken
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

impl fmt::Debug for PluginCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.plugin.fmt(f)
    }
}
