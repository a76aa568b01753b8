//! client-go's leader election against it: the rival of `.ci/rival`, which `.ci/cluster` names.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, SystemTime},
};

use lease_tokio::proto::Config;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, SOON, Server};

/// What it says in one line.
#[derive(Debug)]
struct Said {
    event: String,
    time: f64,
    holder: String,
}

impl Said {
    fn read(line: &str) -> Option<Self> {
        let said: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| Some(said.get(name)?.as_str()?.to_owned());
        Some(Self {
            event: text("event")?,
            time: said.get("time")?.as_f64()?,
            holder: text("holder")?,
        })
    }
}

/// A process that elects on client-go.
struct Rival {
    process: Child,
    said: mpsc::Receiver<Said>,
}

impl Rival {
    fn start(binary: &str, server: &Server, id: &str) -> Result<Self> {
        let mut process = Command::new(binary)
            .args(["--server", &server.url, "--lease", "leader", "--id", id])
            .args(["--lease-duration=4s", "--renew-deadline=3s"])
            .arg("--retry-period=500ms")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("its output is piped")?;
        let (outbox, said) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(io::Result::ok) {
                if Said::read(&line).is_none_or(|said| outbox.send(said).is_err()) {
                    return;
                }
            }
        });
        Ok(Self { process, said })
    }

    /// Waits until it says that.
    fn hears(&self, event: &str) -> Result<Said> {
        loop {
            let said = self.said.recv_timeout(SOON)?;
            if said.event == event {
                return Ok(said);
            }
        }
    }

    fn terminate(&self) -> Result {
        Ok(kill_process(Pid::from_child(&self.process), Signal::TERM)?)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _over = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn now() -> Result<f64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(since.as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
async fn client_go_elects_and_hands_over_to_ours_and_back() -> Result {
    let Ok(binary) = std::env::var("LEASE_LIVE_RIVAL") else {
        let missing = "client-go was not tried, since LEASE_LIVE_RIVAL names no binary";
        if std::env::var_os("LEASE_LIVE_REQUIRED").is_some() {
            return Err(missing.into());
        }
        // Past the harness, which keeps what is printed by tests that succeed.
        writeln!(io::stderr(), "SKIPPED: {missing}")?;
        return Ok(());
    };
    let server = Server::start(&[])?;
    let client = server.client()?;
    let first = Rival::start(&binary, &server, "first")?;
    first.hears("acquired")?;
    let config = Config::builder("default", "leader", "ours")
        .lease_duration(Duration::from_secs(4))
        .build()?;
    let keeper = client.keep(config);
    // It is held by a rival that renews for longer than its record lasts without that.
    let waited = tokio::time::timeout(Duration::from_secs(6), keeper.held()).await;
    assert!(waited.is_err(), "it was taken from one that renews it");

    // From a rival that gives it back.
    first.terminate()?;
    let lost = first.hears("lost")?;
    let held = tokio::time::timeout(SOON, keeper.held()).await?;
    assert!(held.is_some());
    let acquired = now()?;
    assert!(lost.time <= acquired, "{lost:?} {acquired}");

    // To a rival that waits, and from one that is killed.
    let second = Rival::start(&binary, &server, "second")?;
    let seen = second.hears("observed")?;
    assert!(seen.holder.starts_with("ours"), "{seen:?}");
    let given = now()?;
    keeper.release().await;
    let acquired = second.hears("acquired")?;
    assert!(given <= acquired.time, "{given} {acquired:?}");
    let transitions = |lease: Option<lease_tokio::proto::wire::Lease>| {
        lease.and_then(|lease| lease.spec.lease_transitions)
    };
    assert_eq!(transitions(client.get("leader").await?), Some(2));
    drop(second);
    let config = Config::builder("default", "leader", "heir").build()?;
    let heir = client.keep(config);
    assert!(tokio::time::timeout(SOON, heir.held()).await?.is_some());
    assert_eq!(transitions(client.get("leader").await?), Some(3));
    heir.release().await;
    Ok(())
}
