//! Programs of this workspace as processes: where they are, and signals to them.

use std::{
    io,
    path::PathBuf,
    process::{Child, Command},
};

pub use rustix::process::Signal;

/// Sends a signal to a child.
///
/// # Errors
///
/// Fails if the child has ended and was waited for.
pub fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the process id is out of range"))?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Builds the claimants of this package beside a program of it that cargo runs, as that one is built.
///
/// Cargo builds only the program that it is told to run. Run without cargo, it takes those that are there.
///
/// # Errors
///
/// Fails if they cannot be built.
pub fn build_contenders() -> io::Result<()> {
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Ok(());
    };
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "lease-tests"])
        .args(["--profile", profile])
        .args(["--bin", "contender-blocking", "--bin", "contender-tokio"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("the claimants cannot be built"))
    }
}

/// Builds the command `lease` as the tests are built, and returns where it is.
///
/// # Panics
///
/// Panics if it cannot be built.
pub fn lease_command() -> PathBuf {
    built("lease-blocking", "cli", "lease")
}

/// Builds the command `lease-server`, as [`lease_command`] does.
///
/// # Panics
///
/// Panics if it cannot be built.
pub fn lease_server() -> PathBuf {
    built("lease-tokio", "server", "lease-server")
}

/// Cargo tells a test only of the programs of its own package.
fn built(package: &str, feature: &str, name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo tells a test of its package would have some dependencies built anew, such as ring.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    let output = command
        .args(["build", "--quiet", "--package", package])
        .args(["--features", feature, "--bin", name])
        .args(["--message-format", "json"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == name)
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.expect("cargo names what it has built")
}
