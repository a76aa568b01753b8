//! The two drivers as the scenarios see them.

use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use lease_proto::access::{Access, KubeconfigOptions, TransportError};
use lease_proto::plain::{ApiError, Preconditions};
use lease_proto::wire::Lease;
use lease_proto::{AcquireError, Config};
use tokio::runtime::{Builder, Runtime};

/// A client of one of the drivers.
pub(crate) trait Driver: std::fmt::Debug + Clone + Sized + Sync {
    fn from_access(access: &Access) -> Result<Self, Failure>;
    /// What a builder makes that is told of the URL, and perhaps to go through no proxy.
    fn of_url(url: &str, without_proxy: bool) -> Self;
    fn from_kubeconfig(options: &KubeconfigOptions) -> Result<Self, Failure>;
    fn in_cluster_under(
        root: &std::path::Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure>;
    fn namespace(&self) -> &str;
    fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<http::Response<Vec<u8>>, TransportError>;
    fn lease(&self, name: &str) -> Result<Option<Lease>, Failure>;
    fn create(&self, lease: &Lease) -> Result<Lease, Failure>;
    fn update(&self, lease: &Lease) -> Result<Lease, Failure>;
    fn delete(&self, name: &str, preconditions: &Preconditions) -> Result<bool, Failure>;
    fn list(&self) -> Result<Vec<Lease>, Failure>;
    /// Tries to take a Lease, once or for so long, and says why that failed.
    fn refused_lease(&self, config: Config, patience: Option<Duration>) -> AcquireError;
    /// What the server said, where it said something.
    fn api_error(failure: &Failure) -> Option<&ApiError>;
    fn with_user_agent(self, user_agent: &'static str) -> Self;
    /// What stands before the version in `User-Agent`.
    const USER_AGENT: &str;
    /// Whether an alert that comes after the handshake is told; hyper says only that the connection ended.
    const TELLS_LATE_ALERTS: bool;

    fn fetch(&self, path: &str) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.exchange(get(path), PATIENCE, false)
    }
}

/// Why a client was not made.
pub(crate) type Failure = Box<dyn std::error::Error>;

pub(crate) type Blocking = lease_blocking::Client;
pub(crate) type Tokio = lease_tokio::Client;

impl Driver for Blocking {
    fn from_access(access: &Access) -> Result<Self, Failure> {
        Ok(Self::from_access(access)?)
    }

    fn of_url(url: &str, without_proxy: bool) -> Self {
        let builder = Self::builder(url);
        let builder = if without_proxy {
            builder.without_proxy()
        } else {
            builder
        };
        builder.build().unwrap()
    }

    fn from_kubeconfig(options: &KubeconfigOptions) -> Result<Self, Failure> {
        Ok(Self::from_kubeconfig(options)?)
    }

    fn in_cluster_under(
        root: &std::path::Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        Ok(Self::in_cluster_under(root, env)?)
    }

    fn namespace(&self) -> &str {
        self.namespace()
    }

    fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.send(request, timeout, reload_credentials)
    }

    fn lease(&self, name: &str) -> Result<Option<Lease>, Failure> {
        Ok(self.get(name)?)
    }

    fn create(&self, lease: &Lease) -> Result<Lease, Failure> {
        Ok(self.create(lease)?)
    }

    fn update(&self, lease: &Lease) -> Result<Lease, Failure> {
        Ok(self.update(lease)?)
    }

    fn delete(&self, name: &str, preconditions: &Preconditions) -> Result<bool, Failure> {
        Ok(self.delete(name, preconditions)?)
    }

    fn list(&self) -> Result<Vec<Lease>, Failure> {
        Ok(self.list()?)
    }

    fn refused_lease(&self, config: Config, patience: Option<Duration>) -> AcquireError {
        match patience {
            None => self.try_acquire(config),
            Some(patience) => self.acquire_timeout(config, patience),
        }
        .unwrap_err()
    }

    fn with_user_agent(self, user_agent: &'static str) -> Self {
        self.with_user_agent(http::HeaderValue::from_static(user_agent))
    }

    fn api_error(failure: &Failure) -> Option<&ApiError> {
        let lease_blocking::Error::Api(error) = failure.downcast_ref()? else {
            return None;
        };
        Some(error)
    }

    const USER_AGENT: &str = "lease-blocking";
    const TELLS_LATE_ALERTS: bool = true;
}

impl Driver for Tokio {
    fn from_access(access: &Access) -> Result<Self, Failure> {
        Ok(Self::from_access(access)?)
    }

    fn of_url(url: &str, without_proxy: bool) -> Self {
        let builder = Self::builder(url);
        let builder = if without_proxy {
            builder.without_proxy()
        } else {
            builder
        };
        builder.build().unwrap()
    }

    fn from_kubeconfig(options: &KubeconfigOptions) -> Result<Self, Failure> {
        Ok(Self::from_kubeconfig(options)?)
    }

    fn in_cluster_under(
        root: &std::path::Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        Ok(Self::in_cluster_under(root, env)?)
    }

    fn namespace(&self) -> &str {
        self.namespace()
    }

    fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        runtime().block_on(self.send(request, timeout, reload_credentials))
    }

    fn lease(&self, name: &str) -> Result<Option<Lease>, Failure> {
        Ok(runtime().block_on(self.get(name))?)
    }

    fn create(&self, lease: &Lease) -> Result<Lease, Failure> {
        Ok(runtime().block_on(self.create(lease))?)
    }

    fn update(&self, lease: &Lease) -> Result<Lease, Failure> {
        Ok(runtime().block_on(self.update(lease))?)
    }

    fn delete(&self, name: &str, preconditions: &Preconditions) -> Result<bool, Failure> {
        Ok(runtime().block_on(self.delete(name, preconditions))?)
    }

    fn list(&self) -> Result<Vec<Lease>, Failure> {
        Ok(runtime().block_on(self.list())?)
    }

    fn refused_lease(&self, config: Config, patience: Option<Duration>) -> AcquireError {
        let acquired = runtime().block_on(async {
            match patience {
                None => self.try_acquire(config).await,
                Some(patience) => self.acquire_timeout(config, patience).await,
            }
        });
        acquired.unwrap_err()
    }

    fn with_user_agent(self, user_agent: &'static str) -> Self {
        self.with_user_agent(http::HeaderValue::from_static(user_agent))
    }

    fn api_error(failure: &Failure) -> Option<&ApiError> {
        let lease_tokio::Error::Api(error) = failure.downcast_ref()? else {
            return None;
        };
        Some(error)
    }

    const USER_AGENT: &str = "lease-tokio";
    const TELLS_LATE_ALERTS: bool = false;
}

/// The runtime of all tests, with a thread of its own, so that connections are looked after between requests.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

/// Runs a scenario of a file by another process, where that variable has this value, and returns what it said; `None` in that
/// process itself.
pub(crate) fn alone<D: Driver>(
    (file, scenario): (&str, &str),
    variable: &str,
    value: &str,
    prepare: impl FnOnce(&mut Command),
) -> Option<Output> {
    if std::env::var(variable).is_ok_and(|found| found == value) {
        return None;
    }
    let driver = D::USER_AGENT.trim_start_matches("lease-");
    let test = format!("{file}::{driver}::{scenario}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &test, "--nocapture"]);
    command.env(variable, value);
    prepare(&mut command);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
    Some(output)
}

pub(crate) fn get(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).unwrap()
}

/// An error and its sources, one after the other, as a command prints them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// Longer than anything on this machine takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
