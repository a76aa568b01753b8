//! What a credential plugin gave, kept while it is good; and the plugin, run again in time, once however many wait.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lease_proto::access::rustls::{ChangingCertificate, ExecAnswers, Given};
use lease_proto::access::{Access, CredentialsError, ExecCredential, ExecProblem};
use lease_proto::observe;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time;

use crate::clock::Clock;
use crate::credentials::{AskCredentials, patience};
use crate::plugin::Plugin;
use crate::transport::BoxFuture;

/// A plugin and its credentials. Dropping it ends a run that is under way.
pub(crate) struct PluginCache(Arc<Shared>);

struct Shared {
    plugin: Plugin,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: ExecAnswers,
    /// What is under way: it goes on when those who wait for it give up.
    run: Option<Run>,
}

#[derive(Clone)]
struct Run {
    started: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
    task: AbortHandle,
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
            })))))
        }
        Some(_) | None => Ok(None),
    }
}

impl AskCredentials for PluginCache {
    /// Dropping the future does not end the program: the next request has what it answers.
    fn authorization(
        &self,
        reload: bool,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Given, CredentialsError>> {
        Box::pin(async move {
            let asking = time::timeout(patience(timeout), self.ask(reload));
            let unfinished = |_| Err(self.0.unfinished());
            let outcome = asking.await.unwrap_or_else(unfinished);
            outcome.map_err(|problem| self.0.plugin.failed(problem))
        })
    }

    fn refuse(&self, number: u64) {
        self.0.state().answers.refuse(number);
    }

    fn certificate(&self) -> ChangingCertificate {
        self.0.state().answers.certificate()
    }
}

impl PluginCache {
    async fn ask(&self, reload: bool) -> Outcome {
        if reload {
            self.0.state().answers.forget_refused();
        }
        loop {
            let mut run = {
                let mut state = self.0.state();
                let wall = self.0.clock.wall();
                let State { answers, run } = &mut *state;
                // One that ended without a word was that of a runtime that is gone.
                run.take_if(|run| run.outcome.has_changed().is_err());
                if let Some(given) = answers.known(wall) {
                    if answers.is_due(wall) {
                        run.get_or_insert_with(|| Shared::start(&self.0));
                    }
                    return Ok(given.clone());
                }
                run.get_or_insert_with(|| Shared::start(&self.0)).clone()
            };
            if let Ok(outcome) = run.outcome.wait_for(Option::is_some).await
                && let Some(outcome) = &*outcome
            {
                return outcome.clone();
            }
        }
    }
}

impl Drop for PluginCache {
    fn drop(&mut self) {
        if let Some(run) = self.0.state().run.take() {
            run.task.abort();
        }
    }
}

impl Shared {
    /// Runs the plugin in a task of its own.
    fn start(shared: &Arc<Self>) -> Run {
        let (tell, outcome) = watch::channel(None);
        let shared = Arc::clone(shared);
        let started = shared.clock.now();
        let task = tokio::spawn(async move {
            let answer = shared.plugin.run().await;
            let outcome = shared.end(answer);
            tell.send_replace(Some(outcome));
        });
        Run {
            started,
            outcome,
            task: task.abort_handle(),
        }
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

    fn unfinished(&self) -> ExecProblem {
        let state = self.state();
        let started = state.run.as_ref().map(|run| run.started);
        let running = started.map(|started| self.clock.now().saturating_duration_since(started));
        ExecProblem::Unfinished {
            running: running.unwrap_or_default(),
            limit: self.plugin.limit(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PluginCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.plugin.fmt(f)
    }
}
