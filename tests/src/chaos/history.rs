//! The versions of all records, read from the API server by watching.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use lease_proto::wire::{Lease, LeaseList};
use serde_json::Value;

use crate::{
    boot::{self, Micros},
    chaos::{cluster::Cluster, journal::Journal, log::Version},
    contender::Error,
};

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct History {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl History {
    /// Begins to write down all versions.
    pub(crate) fn begin(cluster: Arc<Cluster>, journal: Journal) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut watcher = Watcher {
            cluster,
            journal,
            at: String::new(),
        };
        watcher.list(false)?;
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // The server is stopped and restarted; what was committed meanwhile comes later.
                if watcher.watch().is_err() {
                    thread::sleep(Duration::from_millis(200));
                }
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

#[derive(Debug)]
struct Watcher {
    cluster: Arc<Cluster>,
    journal: Journal,
    /// The version after which to go on.
    at: String,
}

impl Watcher {
    /// Reads what there is.
    fn list(&mut self, follows_gap: bool) -> Result<(), Error> {
        let answer = self.cluster.ask("")?;
        let list: LeaseList = serde_json::from_slice(answer.body())?;
        let list_version: Value = serde_json::from_slice(answer.body())?;
        let at = list_version["metadata"]["resourceVersion"].as_str();
        self.at = at.ok_or("a list without a version")?.to_owned();
        for lease in &list.items {
            self.enter(lease, false, follows_gap);
        }
        Ok(())
    }

    /// Asks the server for a watch that it ends after a second, and reads what came.
    fn watch(&mut self) -> Result<(), Error> {
        let query = format!("?watch=1&timeoutSeconds=1&resourceVersion={}", self.at);
        let answer = self.cluster.ask(&query)?;
        if answer.status().as_u16() == 410 {
            return self.list(true);
        }
        if !answer.status().is_success() {
            return Err(format!("a watch was answered with {}", answer.status()).into());
        }
        for event in serde_json::Deserializer::from_slice(answer.body()).into_iter::<Value>() {
            let mut event = event?;
            let kind = event["type"].take();
            match kind.as_str() {
                Some("ADDED" | "MODIFIED" | "DELETED") => {}
                // Too old: the server was started anew, and does not know what was before.
                Some("ERROR") => return self.list(true),
                _ => continue,
            }
            let lease: Lease = serde_json::from_value(event["object"].take())?;
            self.enter(&lease, kind == "DELETED", false);
        }
        Ok(())
    }

    fn enter(&mut self, lease: &Lease, is_deletion: bool, follows_gap: bool) {
        let Some(version) = &lease.metadata.resource_version else {
            return;
        };
        if !follows_gap {
            self.at = version.as_str().to_owned();
        }
        let renewed = lease.spec.renew_time.as_ref().and_then(|time| time.time());
        let seconds = lease.spec.lease_duration_seconds.unwrap_or_default();
        self.journal.enter_version(Version {
            lease: lease.metadata.name.clone(),
            number: version.number().unwrap_or_default(),
            is_deletion,
            follows_gap,
            holder: lease.spec.holder().map(str::to_owned),
            renewed: renewed.map(|time| shared(time.as_micros())),
            duration: boot::micros(Duration::from_secs(seconds.unsigned_abs())),
        });
    }
}

/// Converts microseconds by the machine's time of day to the clock that all share.
pub(crate) fn shared(wall: i64) -> Micros {
    let at = i128::from(wall) - i128::from(wall_at_start());
    Micros::try_from(at).unwrap_or_default()
}

/// Converts an instant of the clock that all share to microseconds by the machine's time of day.
pub(crate) fn wall(at: Micros) -> i64 {
    wall_at_start().saturating_add_unsigned(at)
}

/// The time of day when the clock that all share began, as far as the time of day has not been set since.
fn wall_at_start() -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(boot::micros(now)).unwrap_or(i64::MAX);
    now.saturating_sub_unsigned(boot::now())
}
