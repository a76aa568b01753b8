//! What the claimants that are processes of their own share: how they are told what to claim, and how they tell.
//!
//! Arguments `--namespace N --lease L --id ID --ttl SECONDS [--count N]`, environment `LEASE_BENCH_SERVER`, `LEASE_BENCH_CA`
//! (file), and `LEASE_BENCH_TOKEN` or `LEASE_BENCH_TOKEN_FILE`. On stdout one JSON line for each event,
//! `{"t": unix seconds, "event": "acquired" | "lost" | "released", "lease": name}`; everything else on stderr. SIGTERM
//! releases, and ends with exit code 0.
//!
//! With `LEASE_CHAOS_FENCED` it says more: renewals as well, and with each line the holder's name, the fencing token, and both
//! the moment and the end of the grant in microseconds of the clock that counts suspend (`at`, `until`). And it writes to the
//! fenced resource at that address for as long as it may. `LEASE_CHAOS_PLANT=ignore-lost` plants the bug that it goes on after
//! it has lost the Lease: see [`chaos`](crate::chaos).

use std::{
    collections::HashMap,
    env,
    io::Write,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lease_proto::{Config, ConfigError, Event, Grant, Loss, Trouble, access::TransportError};
use lease_tokio::Clock;

use crate::{
    boot,
    chaos::fenced::{self, Plant},
};

/// What goes wrong in a program that is told what to do.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What to claim, and where.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Contender {
    /// The API server's URL.
    pub server: String,
    /// The file with the certificate of the server's CA.
    pub ca: Option<PathBuf>,
    /// The token.
    pub token: Option<String>,
    /// The file with the token.
    pub token_file: Option<PathBuf>,
    namespace: String,
    lease: String,
    id: String,
    ttl: Duration,
    count: u32,
    fenced: Option<String>,
    plant: Option<Plant>,
}

impl Contender {
    /// Reads arguments and environment.
    ///
    /// # Errors
    ///
    /// Says which one is missing or cannot be read.
    pub fn from_environment() -> Result<Self, Error> {
        let mut given = HashMap::new();
        let mut arguments = env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            given.insert(name, value);
        }
        let mut needed = |name: &str| {
            given
                .remove(name)
                .ok_or_else(|| format!("{name} is missing"))
        };
        Ok(Self {
            server: env::var("LEASE_BENCH_SERVER").map_err(|_| "LEASE_BENCH_SERVER is not set")?,
            ca: env::var_os("LEASE_BENCH_CA").map(PathBuf::from),
            token: env::var("LEASE_BENCH_TOKEN").ok(),
            token_file: env::var_os("LEASE_BENCH_TOKEN_FILE").map(PathBuf::from),
            namespace: needed("--namespace")?,
            lease: needed("--lease")?,
            id: needed("--id")?,
            ttl: Duration::from_secs(needed("--ttl")?.parse()?),
            count: needed("--count").map_or(Ok(1), |count| count.parse())?,
            fenced: env::var("LEASE_CHAOS_FENCED").ok(),
            plant: Plant::from_environment()?,
        })
    }

    /// Begins to tell of one of the Leases, and to write to the fenced resource while `grant` says that it is held.
    ///
    /// # Errors
    ///
    /// Fails if the fenced resource cannot be reached.
    pub fn begin(
        &self,
        lease: &str,
        identity: &str,
        grant: impl Fn() -> Option<Grant> + Send + 'static,
    ) -> Result<Teller, Error> {
        if let Some(address) = &self.fenced {
            fenced::write_while_held(address, lease, identity, self.plant, grant)?;
        }
        Ok(Teller {
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            says_more: self.fenced.is_some(),
            ignores_losses: self.plant == Some(Plant::IgnoreLost),
        })
    }

    /// The names of the Leases: the one given, or that many with a number behind it.
    pub fn leases(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.count).map(|number| match self.count {
            1 => self.lease.clone(),
            _ => format!("{}-{number}", self.lease),
        })
    }

    /// By which name its API server knows it.
    ///
    /// # Errors
    ///
    /// Fails if the identity cannot stand in a header.
    pub fn user_agent(&self) -> Result<http::HeaderValue, Error> {
        Ok(self.id.parse()?)
    }

    /// How one of them is claimed.
    ///
    /// # Errors
    ///
    /// Says what cannot work.
    pub fn config(&self, lease: &str) -> Result<Config, ConfigError> {
        Config::builder(&self.namespace, lease, &self.id)
            .lease_duration(self.ttl)
            .build()
    }
}

/// Runs a claimant, and says on stderr why it could not.
pub fn main(run: impl FnOnce(&Contender) -> Result<(), Error>) -> ExitCode {
    let result = Contender::from_environment().and_then(|contender| run(&contender));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells what happens to one of the Leases.
#[derive(Clone, Debug)]
pub struct Teller {
    lease: String,
    identity: String,
    says_more: bool,
    ignores_losses: bool,
}

impl Teller {
    /// Tells an event.
    pub fn tell(&self, event: &Event, last_error: Option<Arc<TransportError>>) {
        let (name, grant) = match event {
            Event::Acquired(grant) => ("acquired", Some(grant)),
            Event::Renewed(grant) if self.says_more => ("renewed", Some(grant)),
            Event::Lost(_) if self.ignores_losses => ("", None),
            Event::Lost(Loss::Released) => ("released", None),
            Event::Lost(_) => ("lost", None),
            _ => ("", None),
        };
        if !name.is_empty() {
            self.print(name, grant);
        }
        match (event, last_error) {
            (Event::Failed(failure), _) => say(format_args!("{failure}\n{}", failure.advice())),
            (
                Event::Retrying {
                    trouble: Trouble::NoAnswer,
                    ..
                },
                Some(error),
            )
            | (
                Event::AtRisk {
                    trouble: Trouble::NoAnswer,
                    ..
                },
                Some(error),
            ) => say(format_args!("{error}")),
            (Event::Retrying { trouble, .. } | Event::AtRisk { trouble, .. }, _) => {
                say(format_args!("{trouble}"))
            }
            // Of thousands of Leases that would be most of what the process does.
            (Event::Renewed(_), _) => {}
            (event, _) => say(format_args!("{event:?}")),
        }
    }

    fn print(&self, name: &str, grant: Option<&Grant>) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut line =
            serde_json::json!({"t": now.as_secs_f64(), "event": name, "lease": self.lease});
        if self.says_more {
            line["id"] = self.identity.as_str().into();
            line["at"] = boot::now().into();
            if let Some(grant) = grant {
                let token = grant.token.map(|token| token.to_string());
                line["token"] = token.into();
                let left = grant
                    .valid_until
                    .saturating_duration_since(Clock::new().now());
                line["until"] = (boot::now() + boot::micros(left)).into();
            }
        }
        let mut stdout = std::io::stdout().lock();
        // Whoever does not listen any more has stopped the test.
        let _closed = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }
}

/// Says something for whoever looks for the reason of a failure.
#[expect(
    clippy::print_stderr,
    reason = "the programs that use this have no other place for it"
)]
pub fn say(what: std::fmt::Arguments<'_>) {
    eprintln!("{what}");
}
