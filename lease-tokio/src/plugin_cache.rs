//! What a credential plugin gave, kept while it is good; and the plugin, run again in time, once however many wait.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lease_proto::access::rustls::ChangingCertificate;
use lease_proto::access::{Access, CredentialsError, ExecCredential, ExecProblem, bearer};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time;

use crate::clock::Clock;
use crate::credentials::{AskCredentials, Given, patience};
use crate::observe;
use crate::plugin::Plugin;
use crate::transport::BoxFuture;

/// A plugin and its credentials. Dropping it ends a run that is under way.
pub(crate) struct PluginCache(Arc<Shared>);

struct Shared {
    plugin: Plugin,
    clock: Clock,
    certificate: ChangingCertificate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How often the plugin has given something, and the latest of that which the server has refused.
    given: u64,
    refused: u64,
    /// What is under way: it goes on when those who wait for it give up.
    run: Option<Run>,
}

struct Held {
    given: Given,
    good_until: Option<SystemTime>,
    renew_at: Option<SystemTime>,
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
                certificate: ChangingCertificate::default(),
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
        let mut state = self.0.state();
        state.refused = state.refused.max(number);
    }

    fn certificate(&self) -> ChangingCertificate {
        self.0.certificate.clone()
    }
}

impl PluginCache {
    async fn ask(&self, reload: bool) -> Outcome {
        if reload {
            // What was refused is not sent again. What was got since then stays: of many requests that are refused together
            // only one has the plugin run.
            let mut state = self.0.state();
            let refused = state.refused;
            state.held.take_if(|held| held.given.number <= refused);
        }
        loop {
            let mut run = {
                let mut state = self.0.state();
                let wall = self.0.clock.wall();
                let State { held, run, .. } = &mut *state;
                // One that ended without a word was that of a runtime that is gone.
                run.take_if(|run| run.outcome.has_changed().is_err());
                if let Some(held) = held.as_ref().filter(|held| held.lasts(wall)) {
                    if held.is_due(wall) {
                        run.get_or_insert_with(|| Shared::start(&self.0));
                    }
                    return Ok(held.given.clone());
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
