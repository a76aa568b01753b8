//! Where the API server is, how to be let in, and one request with its answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, USER_AGENT};
use lease_proto::access::{
    self, Access, Basic, ClientCertificate, CredentialsError, InCluster, Material, Proxy,
    SERVICE_ACCOUNT_ROOT, Secret, ServerUrl, TransportError,
};

use crate::clock::Clock;
use crate::credentials::{AskCredentials, Credentials};
use crate::error::Error;
use crate::http_transport::HttpTransport;
use crate::observe;
use crate::plugin_cache;
use crate::transport::{Chunks, Transport};

/// A way to an API server: the address, the credentials, the connections, and the namespace where none is named.
///
/// Clones are cheap and share the connections. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    /// Where requests go, unless the transport knows by itself.
    remote: Option<Arc<Remote>>,
    namespace: Arc<str>,
    clock: Clock,
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
        Self::assemble(access, plugin_cache::of(access)?)
    }

    /// Takes the plugin apart from the rest: a program that never has one need not carry what runs it.
    fn assemble(access: &Access, plugin: Option<Box<dyn AskCredentials>>) -> Result<Self, Error> {
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
            clock: Clock::new(),
        })
    }

    /// Sends everything through this instead of over HTTP. It gets path and query only, and no credentials.
    pub fn with_transport(transport: Arc<dyn Transport>, namespace: impl Into<String>) -> Self {
        Self {
            transport,
            remote: None,
            namespace: namespace.into().into(),
            clock: Clock::new(),
        }
    }

    /// Has its claims live by another clock.
    #[cfg(feature = "memory")]
    pub(crate) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The same client with another namespace where none is named.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into().into();
        self
    }

    /// The namespace where none is named: the one that was set, the pod's, the kubeconfig context's, else `default`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The clock that its claims live by, and that [`Grant::valid_until`](lease_proto::Grant::valid_until) is told on:
    /// [`Clock::new`], but for those of a `Memory`, which follow the time of the runtime that they are asked in.
    pub fn clock(&self) -> Clock {
        self.clock
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
    /// Redirects are answers like any other. `reload_credentials` is for the request after a 401: a token is read or got anew.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any moment; whether the server has seen the request is then unknown. The next request
    /// makes a new connection. A credential plugin that runs goes on, and the next request has what it answers.
    ///
    /// # Errors
    ///
    /// No answer came. A status code is never an error.
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let mut request = request;
        let left = self
            .complete(&mut request, timeout, reload_credentials)
            .await?;
        let answered = tokio::time::timeout(left, self.transport.send(request, left)).await;
        answered.unwrap_or_else(|_| Err(self.silence(timeout)))
    }

    /// Adds the server's address and the credentials, and returns what is left of the time.
    async fn complete(
        &self,
        request: &mut http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<Duration, TransportError> {
        let Some(remote) = &self.remote else {
            return Ok(timeout);
        };
        let clock = Clock::new();
        let started = clock.now();
        let authorization = remote
            .credentials
            .authorization(reload_credentials, timeout)
            .await?;
        remote.address(request)?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(timeout.saturating_sub(clock.now().saturating_duration_since(started)))
    }

    /// Sends a request whose answer comes in pieces, such as a watch, and waits for its beginning. Otherwise as
    /// [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// The request may or may not have reached the server. Dropping the pieces ends the answer.
    ///
    /// # Errors
    ///
    /// No answer came, or the transport cannot carry streams. A status code is never an error.
    pub async fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
        reload_credentials: bool,
    ) -> Result<http::Response<Box<dyn Chunks>>, TransportError> {
        let mut request = request;
        let left = self
            .complete(&mut request, timeout, reload_credentials)
            .await?;
        let opened = tokio::time::timeout(left, self.transport.stream(request, left)).await;
        opened.unwrap_or_else(|_| Err(self.silence(timeout)))
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
        Self::assemble(&access, None)
    }

    #[cfg(feature = "kubeconfig")]
    fn from_kubeconfig_files(
        files: &[PathBuf],
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
            access.proxy = Proxy::from_environment(&access.server, &environment)?;
        }
        Self::from_access(&access)
    }
}

impl Remote {
    fn address(&self, request: &mut http::Request<Vec<u8>>) -> Result<(), TransportError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        *request.uri_mut() = self
            .server
            .absolute(path)
            .map_err(TransportError::InvalidRequest)?;
        request
            .headers_mut()
            .insert(USER_AGENT, http::HeaderValue::from_static(OUR_USER_AGENT));
        Ok(())
    }
}

/// Tells whether the program runs in a pod that is told where its API server is.
pub fn is_in_cluster() -> bool {
    access::in_cluster(&environment).is_ok()
}

/// What is known of a server, on the way to a [`Client`]. `Debug` shows no secret, and not the URL either.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    /// Checked only when a client is made of it: until then there may be a password in it.
    url: Secret,
    allow_plain_http: bool,
    ca: Option<Material>,
    insecure_skip_verify: bool,
    server_name: Option<String>,
    token: Option<Material>,
    basic: Option<Basic>,
    client_certificate: Option<ClientCertificate>,
    namespace: Option<String>,
    proxy: ProxyChoice,
}

/// Which proxy a client uses.
#[derive(Clone, Debug)]
enum ProxyChoice {
    Environment,
    None,
    Some(Secret),
}

impl ClientBuilder {
    fn new(url: Secret) -> Self {
        Self {
            url,
            allow_plain_http: false,
            ca: None,
            insecure_skip_verify: false,
            server_name: None,
            token: None,
            basic: None,
            client_certificate: None,
            namespace: None,
            proxy: ProxyChoice::Environment,
        }
    }

    /// Takes `http://` to other machines: anyone on the way can then read the credentials. Defaults to no.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.allow_plain_http = allow;
        self
    }

    /// What the server's certificate must be signed by: PEM, or the file with it. Defaults to what the platform believes.
    pub fn certificate_authority(mut self, ca: impl Into<Material>) -> Self {
        self.ca = Some(ca.into());
        self
    }

    /// Believes any certificate: whoever answers may read the credentials, which `tracing` is warned of. Defaults to no.
    pub fn insecure_skip_verify(mut self, skip: bool) -> Self {
        self.insecure_skip_verify = skip;
        self
    }

    /// The name that the server's certificate must bear. Defaults to the host of the URL.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// A bearer token. The last of this and [`ClientBuilder::token_file`] counts.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(Material::Inline(token.into()));
        self
    }

    /// A file with a bearer token, read again when it changes and after a 401.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = Some(Material::File(path.into()));
        self
    }

    /// A name and a password; a token goes before them.
    pub fn basic(mut self, username: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.basic = Some(Basic {
            username: username.into(),
            password: password.into(),
        });
        self
    }

    /// A client certificate and its key: PEM, or the files with it.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Material>,
        key: impl Into<Material>,
    ) -> Self {
        self.client_certificate = Some(ClientCertificate {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// The namespace where none is named. Defaults to `default`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The proxy that connections go through: `http://host:port`, with `name:password@` where it wants that; with the feature
    /// `socks` also `socks5://host:port`.
    ///
    /// Defaults to what `HTTPS_PROXY` and `NO_PROXY` say, as for kubectl; never one for a server on this machine.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxyChoice::Some(Secret::new(url.into().into_bytes()));
        self
    }

    /// Goes through no proxy, whatever the environment says.
    pub fn without_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::None;
        self
    }

    /// Reads the files, and connects to nothing yet.
    ///
    /// # Errors
    ///
    /// The URL cannot be used, a file is unreadable, or what is in it cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        let url = String::from_utf8_lossy(self.url.expose());
        let server = if self.allow_plain_http {
            ServerUrl::parse_plain_http(&url)?
        } else {
            ServerUrl::parse(&url)?
        };
        let mut access = Access::new(server);
        access.tls.ca = self.ca;
        access.tls.insecure_skip_verify = self.insecure_skip_verify;
        access.tls.server_name = self.server_name;
        access.auth.token = self.token;
        access.auth.basic = self.basic;
        access.auth.client_certificate = self.client_certificate;
        access.namespace = self.namespace;
        access.proxy = match self.proxy {
            ProxyChoice::Environment => Proxy::from_environment(&access.server, &environment)?,
            ProxyChoice::None => None,
            ProxyChoice::Some(url) => Some(Proxy::parse(&String::from_utf8_lossy(url.expose()))?),
        };
        Client::assemble(&access, None)
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

const DEFAULT_NAMESPACE: &str = "default";
const OUR_USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
