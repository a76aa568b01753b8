//! Where scripts run: a folder, and an API server that a kubeconfig leads to.

use std::{
    env, fmt, fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use lease_tests::{chaos::proxy::Proxy, processes};
use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::{journal::Journal, script::Script};

/// Which API server there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum World {
    Live,
    Server,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Server => "server",
        })
    }
}

pub(crate) struct Place {
    folder: TempDir,
    /// The name of the case, and of its Lease.
    name: String,
    kubeconfig: PathBuf,
    url: String,
    runtime: tokio::runtime::Runtime,
    server: Option<Child>,
}

impl Place {
    pub(crate) fn new(world: World, name: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("bin"))?;
        symlink(lease_command(), folder.path().join("bin/lease"))?;
        let (kubeconfig, url, server) = match world {
            World::Live => (
                env::var_os("LEASE_LIVE_KUBECONFIG")
                    .ok_or("LEASE_LIVE_KUBECONFIG is not set")?
                    .into(),
                env::var("LEASE_LIVE_SERVER")?,
                None,
            ),
            World::Server => {
                let file = folder.path().join("kubeconfig");
                let mut server = Command::new(lease_server())
                    .args(["--listen", "127.0.0.1:0", "--kubeconfig"])
                    .arg(&file)
                    .stdout(Stdio::piped())
                    .spawn()?;
                let stdout = server.stdout.take().ok_or("its output is piped")?;
                let mut line = String::new();
                BufReader::new(stdout).read_line(&mut line)?;
                let url = line.trim().strip_prefix("listening on ");
                (
                    file,
                    url.ok_or("it does not listen")?.to_owned(),
                    Some(server),
                )
            }
        };
        Ok(Self {
            folder,
            name: name.replace('_', "-"),
            kubeconfig,
            url,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
            server,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn journal(&self) -> Journal {
        Journal::read(&self.text("journal"))
    }

    /// A script by its name, to be run by the pod of that name.
    pub(crate) fn script(&self, script: &str, pod: &str) -> Script {
        let scripts = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"));
        let path = env::var_os("PATH").unwrap_or_default();
        let paths = [self.path("bin")]
            .into_iter()
            .chain(env::split_paths(&path));
        let mut command = Command::new(scripts.join(script));
        command
            .env("PATH", env::join_paths(paths).unwrap_or_default())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("SCRIPTS", scripts)
            .env("NAME", format!("script-{}", self.name))
            .env("POD", pod)
            .env("PLACE", self.folder.path())
            .env("JOURNAL", self.path("journal"))
            .env_remove("POD_NAME")
            .stdin(Stdio::null());
        Script::new(command, self.path(&format!("{pod}.stderr")))
    }

    /// A way to the server that can be cut, and the kubeconfig for it.
    pub(crate) fn proxy(&self) -> Result<(Proxy, PathBuf), Failed> {
        let (_, address) = self.url.split_once("://").ok_or("the URL has no scheme")?;
        let proxy = Proxy::open(self.runtime.handle(), address.parse()?)?;
        let text = fs::read_to_string(&self.kubeconfig)?;
        let detour = text.replace(address, &proxy.address().to_string());
        if detour == text {
            return Err(format!("{address} is not in the kubeconfig").into());
        }
        let file = self.path("detour");
        fs::write(&file, detour)?;
        Ok((proxy, file))
    }

    pub(crate) fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Failed> {
        let until = Instant::now() + SOON;
        while !holds(self) {
            if Instant::now() > until {
                return Err(format!("waited in vain for {what}").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _already_gone = server.kill();
            let _already_waited = server.wait();
        }
    }
}

fn lease_command() -> &'static Path {
    static COMMAND: OnceLock<PathBuf> = OnceLock::new();
    COMMAND.get_or_init(processes::lease_command)
}

fn lease_server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(processes::lease_server)
}

/// Nothing that comes is waited for so long, on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);
