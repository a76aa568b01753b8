//! What claimants on other libraries share: how they are told what to claim, and how they tell.
//!
//! The same as those on ours: arguments `--namespace N --lease L --id ID --ttl SECONDS [--count N]`, environment
//! `LEASE_BENCH_SERVER`, `LEASE_BENCH_CA` (file) and `LEASE_BENCH_TOKEN`; one JSON line for each event on stdout; SIGTERM releases.

use std::{
    collections::HashMap,
    env,
    error::Error,
    io::Write,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// What to claim, and where.
#[derive(Clone, Debug)]
pub struct Contender {
    pub namespace: String,
    pub id: String,
    pub ttl: Duration,
    lease: String,
    count: u32,
}

impl Contender {
    pub fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let mut given: HashMap<&str, &str> = HashMap::new();
        for pair in arguments.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{pair:?} lacks a value").into());
            };
            given.insert(name, value);
        }
        let needed = |name: &str| given.get(name).copied().ok_or(format!("{name} is missing"));
        Ok(Self {
            namespace: needed("--namespace")?.to_owned(),
            lease: needed("--lease")?.to_owned(),
            id: needed("--id")?.to_owned(),
            ttl: Duration::from_secs(needed("--ttl")?.parse()?),
            count: needed("--count").unwrap_or("1").parse()?,
        })
    }

    /// The names of the Leases: the one given, or that many with a number behind it.
    pub fn leases(&self) -> Vec<String> {
        match self.count {
            1 => vec![self.lease.clone()],
            count => (0..count)
                .map(|number| format!("{}-{number}", self.lease))
                .collect(),
        }
    }
}

/// What the environment names, as a kubeconfig.
pub fn kubeconfig() -> Result<Value, Box<dyn Error>> {
    let needed = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {
            "server": needed("LEASE_BENCH_SERVER")?,
            "certificate-authority": needed("LEASE_BENCH_CA")?,
        }}],
        "users": [{"name": "it", "user": {"token": needed("LEASE_BENCH_TOKEN")?}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }))
}

/// Tells whether a Lease is held, where that has changed.
#[derive(Debug)]
pub struct Teller {
    lease: String,
    is_held: bool,
}

impl Teller {
    pub fn new(lease: &str) -> Self {
        Self {
            lease: lease.to_owned(),
            is_held: false,
        }
    }

    pub fn tell(&mut self, is_held: bool) {
        if is_held != self.is_held {
            self.is_held = is_held;
            self.say(if is_held { "acquired" } else { "lost" });
        }
    }

    pub fn released(&mut self) {
        if self.is_held {
            self.is_held = false;
            self.say("released");
        }
    }

    pub fn is_held(&self) -> bool {
        self.is_held
    }

    fn say(&self, event: &str) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let t = now.unwrap_or_default().as_secs_f64();
        let line = json!({"t": t, "event": event, "lease": self.lease});
        let mut out = std::io::stdout().lock();
        let _nobody_listens = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// Turns true once the process is told to end.
pub fn stop() -> Result<watch::Receiver<bool>, Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        terminate.recv().await;
        sender.send_replace(true);
        sender.closed().await;
    });
    Ok(receiver)
}
