//! What is known of a server, before there is a client of it.

use std::path::PathBuf;

use lease_proto::access::{Access, Basic, ClientCertificate, Material, Proxy, Secret, ServerUrl};

use crate::client::{Client, environment, no_plugin};
use crate::error::Error;

/// What is known of a server, on the way to a [`Client`]. `Debug` shows no secret, and not the URL either.
///
/// ```
/// use lease_tokio::{Client, ClientBuilder};
///
/// // What `kubectl proxy` listens on.
/// let builder: ClientBuilder = Client::builder("http://localhost:8001").namespace("batch");
/// let client = builder.build()?;
/// assert_eq!(client.namespace(), "batch");
/// # Ok::<(), lease_tokio::Error>(())
/// ```
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
    pub(crate) fn new(url: Secret) -> Self {
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

    /// What the server's certificate must be signed by: PEM, or a file, read once. Defaults to what the platform believes.
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

    /// A client certificate and its key: PEM, or the files with it, which are read again when they change.
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
        Client::assemble(access, no_plugin)
    }
}
