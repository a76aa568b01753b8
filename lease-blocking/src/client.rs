//! Where the API server is, how to be let in, and one request with its answer.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{
    HeaderValue,
    header::{AUTHORIZATION, USER_AGENT},
};
use lease_proto::access::{
    self, Access, CredentialsError, Echo, InCluster, SERVICE_ACCOUNT_ROOT, Secret, ServerUrl,
    TransportError,
};
use lease_proto::observe;

use crate::client_builder::ClientBuilder;
use crate::clock::Clock;
use crate::credentials::{AskCredentials, Credentials};
use crate::echoes;
use crate::error::Error;
use crate::http_transport::HttpTransport;
use crate::plugin_cache;
use crate::transport::{Chunks, Transport};

/// A way to an API server: the address, the credentials, the connections, and the namespace where none is named.
///
/// Clones are cheap and share the connections. `Debug` shows no secret.
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// use lease_blocking::{Client, proto::Config};
///
/// let client = Client::in_memory(); // or that of a cluster: Client::try_default()?
/// let config = Config::builder(client.namespace(), "leader", "me").build()?;
/// let guard = client.acquire(config)?;
/// let lease = client.get("leader")?.expect("it is held");
/// assert_eq!(lease.spec.holder(), Some(guard.identity().as_str()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    /// Where requests go, unless the transport knows by itself.
    remote: Option<Arc<Remote>>,
    namespace: Arc<str>,
    user_agent: HeaderValue,
}

#[derive(Debug)]
struct Remote {
    server: ServerUrl,
    credentials: Credentials,
    skips_verification: bool,
}

impl Client {
    /// Starts from the address of a server: `https://host:port`, with a base path where there is one.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(Secret::from(url.into()))
    }

    /// Takes what the pod is told: the server from the environment, token, CA and namespace from the service account.
    ///
    /// # Errors
    ///
    /// This is no pod, or its service account cannot be read.
    pub fn in_cluster() -> Result<Self, Error> {
        Self::in_cluster_under(Path::new(SERVICE_ACCOUNT_ROOT), &environment)
    }

    /// Does as [`Client::in_cluster`], with the service account mounted at another place and another environment.
    ///
    /// # Errors
    ///
    /// As [`Client::in_cluster`].
    pub fn in_cluster_under(
        root: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        Self::from_pod(access::in_cluster_under(root, env)?)
    }

    /// Reads a kubeconfig: the file that the options name, else those that `KUBECONFIG` lists, else `~/.kube/config`.
    ///
    /// # Errors
    ///
    /// A file is missing, unreadable or broken, or what it asks for is not allowed or not supported.
    #[cfg(feature = "kubeconfig")]
    pub fn from_kubeconfig(options: &crate::KubeconfigOptions) -> Result<Self, Error> {
        let files = options.files(&environment, &|path| path.exists())?;
        Self::from_kubeconfig_files(&files, options)
    }

    /// Takes the first of these that there is: the kubeconfig in `KUBECONFIG`, the cluster that the program runs in,
    /// `~/.kube/config`.
    ///
    /// # Errors
    ///
    /// There is none, and the error lists the ways; or the one that there is cannot be used.
    #[cfg(feature = "kubeconfig")]
    pub fn try_default() -> Result<Self, Error> {
        Self::discover(&crate::KubeconfigOptions::new())
    }

    /// Does as [`Client::try_default`]; a path or a context in the options goes before all else.
    ///
    /// # Errors
    ///
    /// As [`Client::try_default`].
    #[cfg(feature = "kubeconfig")]
    pub fn discover(options: &crate::KubeconfigOptions) -> Result<Self, Error> {
        match access::discover(options, &environment, &|path| path.exists())? {
            access::Way::InCluster(pod) => Self::from_pod(pod),
            access::Way::Kubeconfig(files) => Self::from_kubeconfig_files(&files, options),
        }
    }

    /// Takes an access that was put together elsewhere. An `exec` in it is run: it is the caller's to allow.
    ///
    /// # Errors
    ///
    /// A file that it names is unreadable, or what is in it cannot be used.
    pub fn from_access(access: &Access) -> Result<Self, Error> {
        Self::assemble(access.clone(), plugin_cache::of)
    }

    /// Takes the plugin apart from the rest: a program that never has one need not carry what runs it.
    pub(crate) fn assemble(mut access: Access, plugin: MakePlugin) -> Result<Self, Error> {
        // Files are read again, and plugins run, when the program may have gone to another directory.
        access.resolve_paths(&|path| {
            std::path::absolute(path).unwrap_or_else(|_nowhere| path.to_owned())
        });
        let (access, plugin) = (&access, plugin(&access)?);
        let skips_verification = access.tls.insecure_skip_verify && access.server.is_https();
        if skips_verification {
            observe::unverified(&access.server);
        }
        let certificate = plugin.as_ref().map(|plugin| plugin.certificate());
        Ok(Self {
            transport: Arc::new(HttpTransport::new(access, certificate)?),
            remote: Some(Arc::new(Remote {
                server: access.server.clone(),
                credentials: Credentials::new(access, plugin)?,
                skips_verification,
            })),
            namespace: access
                .namespace
                .as_deref()
                .unwrap_or(DEFAULT_NAMESPACE)
                .into(),
            user_agent: OUR_USER_AGENT.clone(),
        })
    }

    /// Sends everything through this instead of over HTTP. It gets path and query only, and no credentials.
    pub fn with_transport(transport: Arc<dyn Transport>, namespace: impl Into<String>) -> Self {
        Self {
            transport,
            remote: None,
            namespace: namespace.into().into(),
            user_agent: OUR_USER_AGENT.clone(),
        }
    }

    /// The same client with another namespace where none is named.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into().into();
        self
    }

    /// The same client by another name: what the API server's audit log calls it, and whom its operators ask when there are too
    /// many requests. It is the crate's name and version if it is not set, and nothing over a transport that was given.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: HeaderValue) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// The namespace where none is named: the one that was set, the pod's, the kubeconfig context's, else `default`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The address that requests go to; `None` over a transport that was given.
    pub fn server(&self) -> Option<&ServerUrl> {
        self.remote.as_ref().map(|remote| &remote.server)
    }

    /// Whether any certificate is believed, as a kubeconfig's `insecure-skip-tls-verify` asks: whoever answers may read the
    /// credentials.
    pub fn skips_verification(&self) -> bool {
        let remote = self.remote.as_ref();
        remote.is_some_and(|remote| remote.skips_verification)
    }

    /// Sends one request and waits for the whole answer, no longer than `timeout` from name look-up to last byte.
    ///
    /// The request's URI is path and query; the server's address, the credentials and the `User-Agent` are added.
    /// Redirects are answers like any other. `reload_credentials` is for the request after a 401: what was refused is got anew.
    ///
    /// # Errors
    ///
    /// No answer came. A status code is never an error.
    pub fn send(
        &self,
        mut request: http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let sent = self.complete(&mut request, timeout, reload_credentials)?;
        let mut answer = self.answered(&sent, self.transport.send(request, sent.left))?;
        if let Some(echo) = &sent.echo {
            echo.blot_answer(&mut answer);
        }
        Ok(answer)
    }

    /// Sends a request whose answer comes in pieces, such as a watch, and waits for its beginning. Otherwise as
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// No answer came, or the transport cannot carry streams. A status code is never an error.
    pub fn stream(
        &self,
        mut request: http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<http::Response<Chunks>, TransportError> {
        let sent = self.complete(&mut request, timeout, reload_credentials)?;
        let mut answer = self.answered(&sent, self.transport.stream(request, sent.left))?;
        if let Some(echo) = sent.echo {
            echo.blot_headers(answer.headers_mut());
            if !answer.status().is_success() {
                answer = answer.map(|body| echoes::blotted(body, echo));
            }
        }
        Ok(answer)
    }

    /// Adds the server's address and the credentials.
    fn complete(
        &self,
        request: &mut http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<Completed, TransportError> {
        let Some(remote) = &self.remote else {
            return Ok(Completed {
                left: timeout,
                number: 0,
                echo: None,
            });
        };
        let clock = Clock::new();
        let started = clock.now();
        let given = remote
            .credentials
            .authorization(reload_credentials, timeout)?;
        remote.address(request, &self.user_agent)?;
        let echo = given.header.as_ref().map(Echo::of);
        if let Some(authorization) = given.header {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(Completed {
            left: timeout.saturating_sub(clock.now().saturating_duration_since(started)),
            number: given.number,
            echo,
        })
    }

    fn answered<T>(&self, sent: &Completed, answer: Answer<T>) -> Answer<T> {
        if let (Some(remote), Ok(answer)) = (&self.remote, &answer) {
            remote.credentials.answered(sent.number, answer);
        }
        answer
    }

    fn from_pod(pod: InCluster) -> Result<Self, Error> {
        let mut access = pod.access;
        let namespace = fs::read_to_string(&pod.namespace_file).map_err(|source| {
            CredentialsError::Unreadable {
                what: "namespace",
                path: pod.namespace_file,
                source,
            }
        })?;
        access.namespace = Some(namespace.trim().to_owned());
        Self::assemble(access, no_plugin)
    }

    #[cfg(feature = "kubeconfig")]
    fn from_kubeconfig_files(
        files: &[std::path::PathBuf],
        options: &crate::KubeconfigOptions,
    ) -> Result<Self, Error> {
        let mut merged: Option<access::Kubeconfig> = None;
        for path in files {
            let content =
                fs::read(path)
                    .map(Secret::new)
                    .map_err(|source| CredentialsError::Unreadable {
                        what: "kubeconfig",
                        path: path.clone(),
                        source,
                    })?;
            let config = access::Kubeconfig::parse(path, content.expose())?;
            merged = Some(match merged {
                Some(first) => first.merge(config),
                None => config,
            });
        }
        let mut access = merged.unwrap_or_default().access(options)?;
        if access.proxy.is_none() {
            access.proxy = access::Proxy::from_environment(&access.server, &environment)?;
        }
        Self::assemble(access, plugin_cache::of)
    }
}

impl Remote {
    fn address(
        &self,
        request: &mut http::Request<Vec<u8>>,
        user_agent: &HeaderValue,
    ) -> Result<(), TransportError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        *request.uri_mut() = self
            .server
            .absolute(path)
            .map_err(TransportError::InvalidRequest)?;
        request.headers_mut().insert(USER_AGENT, user_agent.clone());
        Ok(())
    }
}

/// Tells whether the program runs in a pod that is told where its API server is.
pub fn is_in_cluster() -> bool {
    access::in_cluster(&environment).is_ok()
}

pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Makes what asks the plugin of an access for credentials, where it has one.
type MakePlugin = fn(&Access) -> Result<Option<Box<dyn AskCredentials>>, CredentialsError>;

/// Leaves the plugin out where there cannot be one.
pub(crate) fn no_plugin(_: &Access) -> Result<Option<Box<dyn AskCredentials>>, CredentialsError> {
    Ok(None)
}

type Answer<T> = Result<http::Response<T>, TransportError>;

/// What is known of a request that is complete.
struct Completed {
    /// What is left of its time.
    left: Duration,
    /// The number of its credentials.
    number: u64,
    /// What its answer may repeat.
    echo: Option<Echo>,
}

const DEFAULT_NAMESPACE: &str = "default";
static OUR_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!(
    env!("CARGO_PKG_NAME"),
    "/",
    env!("CARGO_PKG_VERSION")
));
