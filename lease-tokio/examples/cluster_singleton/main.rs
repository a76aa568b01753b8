//! A task that runs on exactly one of several processes: it is begun again where it fails, goes on elsewhere when its process is killed, and
//! is stopped before anybody else may begin.
//!
//! ```text
//! cargo run -p lease-tokio --example cluster_singleton
//! ```
//!
//! Start it three times, and kill the one that works; on Ctrl-C and SIGTERM it gives the Lease back first. It finds the API
//! server as kubectl does, or as a pod does: what is to be applied beside it, a Deployment of three replicas among it, stands
//! in `manifests.yaml`. `POD_NAME` is its name (default: `singleton`), `LEASE_SECONDS` the Lease's duration (default: 15); with
//! `SINGLETON_FAILS` the task fails again and again.
//!
//! Each line that it prints begins with the seconds for which the machine is up.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for people to read"
)]
#![cfg(unix)]

use std::{
    convert::Infallible, env, error::Error, io::Write as _, process::ExitCode, time::Duration,
};

use lease_tokio::{
    Client, Keeper,
    proto::{Config, Grant},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

/// The time in which the task has to stop once its process is not sure any more that it may go on.
const MARGIN: Duration = Duration::from_secs(1);
/// The pause before a task that has failed is begun again.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest that giving the Lease back may take; whoever waits has it then, or when it has expired.
const FAREWELL: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster_singleton: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    // Somebody at a terminal ends it by Ctrl-C.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let client = Client::try_default()?;
    let name = env::var("POD_NAME").unwrap_or_else(|_| "singleton".to_owned());
    let seconds = env::var("LEASE_SECONDS").ok();
    let seconds = seconds.map_or(Ok(15), |seconds| seconds.parse());
    let seconds = seconds.map_err(|error| format!("LEASE_SECONDS: {error}"))?;
    let config = Config::builder(client.namespace(), "cluster-singleton", name)
        .lease_duration(Duration::from_secs(seconds))
        .build()?;
    let keeper = client.keep(config);
    say(&format!("{} waits for its turn", keeper.identity()));
    tokio::select! {
        () = supervise(&keeper) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // The task is dropped by now, so nobody works when the Lease is given back.
    match timeout(FAREWELL, keeper.release()).await {
        Ok(Some(released)) => say(&format!("released: {released}")),
        Ok(None) => say("nothing to release"),
        Err(_) => say("not released: it expires"),
    }
    Ok(())
}

/// Has the task run for as long as this process holds the Lease, and begins it again where it fails.
async fn supervise(keeper: &Keeper) {
    while let Some(outcome) = keeper
        .run_while_held(MARGIN, |grant| work(keeper, grant))
        .await
    {
        match outcome {
            Ok(Err(error)) => say(&format!("failed: {error}")),
            Err(lost) => say(&format!("stopped: {lost}")),
        }
        sleep(AGAIN).await;
    }
}

/// The task: whatever is to be done by one process only. Where it writes it names its token, so that a resource can refuse
/// what comes late from an earlier one.
async fn work(keeper: &Keeper, grant: Grant) -> Result<Infallible, Box<dyn Error>> {
    let token = grant.token.map_or(0, |token| token.get());
    say(&format!("begins: {} with token {token}", keeper.identity()));
    loop {
        sleep(Duration::from_millis(100)).await;
        say("works");
        if env::var_os("SINGLETON_FAILS").is_some() {
            return Err("told to fail".into());
        }
    }
}

/// Prints a line, at once.
fn say(what: &str) {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, millis) = (now.tv_sec, now.tv_nsec / 1_000_000);
    println!("{seconds}.{millis:03} {what}");
    // Whoever has read enough closes the pipe.
    let _closed = std::io::stdout().flush();
}
