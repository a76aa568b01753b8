//! Where an API server is and how to be let in, as plain data.
//!
//! Nothing here does IO: files come in as bytes, the environment as a function. What a file holds that must be read
//! again later (a token that is rotated) stays a path in [`Access`], and reading it is the driver's work.
//!
//! [`in_cluster()`] gives the [`Access`] of a pod, [`Access::new`] starts one from a URL. With the feature `kubeconfig`,
//! `Kubeconfig` gives one as kubectl has it, and `discover` says which of the ways applies.

mod authorization;
mod base64;
#[cfg(feature = "rustls")]
mod certificate_files;
#[cfg(feature = "rustls")]
mod changing_certificate;
mod credentials_error;
#[cfg(feature = "kubeconfig")]
mod discover;
mod echo;
mod exec;
#[cfg(feature = "rustls")]
mod exec_answers;
mod exec_credential;
mod failure;
mod file_stamp;
mod in_cluster;
#[cfg(feature = "kubeconfig")]
mod kubeconfig;
mod proxy;
mod proxy_error;
#[cfg(feature = "rustls")]
pub mod rustls;
mod secret;
mod server_url;
mod server_url_error;
mod token_file;

pub use authorization::{Basic, InvalidToken, bearer};
pub use credentials_error::{CredentialsError, ExecProblem};
#[cfg(feature = "kubeconfig")]
pub use discover::{KubeconfigOptions, NothingConfigured, Way, discover};
pub use echo::Echo;
pub use exec::{EXEC_TIMEOUT, Exec};
pub use exec_credential::{ExecCredential, ExecCredentialError};
pub use failure::{Origin, TlsProblem, TransportError};
pub use file_stamp::FileStamp;
pub use in_cluster::{
    InCluster, InClusterError, SERVICE_ACCOUNT_ROOT, in_cluster, in_cluster_under,
};
#[cfg(feature = "kubeconfig")]
pub use kubeconfig::{Kubeconfig, KubeconfigEntry, KubeconfigError};
pub use proxy::{Proxy, ProxyKind};
pub use proxy_error::ProxyError;
pub use secret::Secret;
pub use server_url::ServerUrl;
pub use server_url_error::ServerUrlError;
pub use token_file::TokenFile;

use std::path::{Path, PathBuf};

/// Where an API server is and how to be let in.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::{Access, Material, ServerUrl};
///
/// let mut access = Access::new(ServerUrl::parse("https://kubernetes.example")?);
/// access.tls.ca = Some(Material::from(Path::new("ca.crt")));
/// access.auth.token = Some(Material::from(Path::new("token"))); // read again when it changes
/// access.namespace = Some("batch".to_owned());
/// # Ok::<(), lease_proto::access::ServerUrlError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Access {
    /// The address that requests go to.
    pub server: ServerUrl,
    /// How the server proves who it is.
    pub tls: Tls,
    /// How the client proves who it is.
    pub auth: Auth,
    /// The namespace to use where none is named. Defaults to none.
    pub namespace: Option<String>,
    /// What connections go through. Defaults to none: the environment is not asked.
    pub proxy: Option<Proxy>,
}

impl Access {
    /// Starts from an address, verified by the platform's certificates, without credentials.
    pub fn new(server: ServerUrl) -> Self {
        Self {
            server,
            tls: Tls::default(),
            auth: Auth::default(),
            namespace: None,
            proxy: None,
        }
    }

    /// Has the files that it names, and its plugin where that is named by a path, stand where `resolve` says.
    ///
    /// Some are read again as long as the client lives. With `std::path::absolute` they are found even when the program has
    /// gone to another directory; the drivers do that for every access that they are given.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use lease_proto::access::{Access, Material, ServerUrl};
    ///
    /// let mut access = Access::new(ServerUrl::parse("https://kubernetes.example")?);
    /// access.auth.token = Some(Material::from(Path::new("token")));
    /// access.resolve_paths(&|path| Path::new("/run/secrets").join(path));
    /// assert_eq!(access.auth.token, Some(Material::from(Path::new("/run/secrets/token"))));
    /// # Ok::<(), lease_proto::access::ServerUrlError>(())
    /// ```
    pub fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        let client = self.auth.client_certificate.as_mut();
        let (certificate, key) = client
            .map(|client| (&mut client.certificate, &mut client.key))
            .unzip();
        let (ca, token) = (self.tls.ca.as_mut(), self.auth.token.as_mut());
        for material in [ca, token, certificate, key].into_iter().flatten() {
            if let Material::File(path) = material {
                *path = resolve(path);
            }
        }
        if let Some(exec) = &mut self.auth.exec
            && !exec::is_bare(&exec.command)
        {
            exec.command = resolve(&exec.command);
        }
    }
}

/// How the server proves who it is.
///
/// ```
/// use lease_proto::access::Tls;
///
/// let mut tls = Tls::default();
/// tls.server_name = Some("kubernetes.default.svc".to_owned()); // reached through a tunnel
/// assert!(!tls.insecure_skip_verify);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// The certificates, in PEM, that the server's must be signed by. Defaults to those of the platform.
    pub ca: Option<Material>,
    /// Believes any certificate: whoever answers may read the credentials. Defaults to no.
    pub insecure_skip_verify: bool,
    /// The name that the server's certificate must bear. Defaults to the host of the address.
    pub server_name: Option<String>,
}

/// How the client proves who it is. Several may be given; the server picks.
///
/// ```
/// use lease_proto::access::{Auth, Material, Secret};
///
/// let mut auth = Auth::default();
/// auth.token = Some(Material::from(Secret::from("t0p")));
/// assert!(!format!("{auth:?}").contains("t0p"));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Auth {
    /// A bearer token. As a file it is read again when it changes.
    pub token: Option<Material>,
    /// A bearer token to send while the file of that one cannot be read, or has none in it. Defaults to none.
    pub spare_token: Option<Secret>,
    /// A name and a password. A token goes before it.
    pub basic: Option<Basic>,
    /// A certificate with its key.
    pub client_certificate: Option<ClientCertificate>,
    /// A program that is asked for a token, a certificate or both. A token goes before it, and so does a certificate before
    /// its certificate.
    pub exec: Option<Exec>,
}

/// A client certificate with its key.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::{Auth, ClientCertificate};
///
/// let mut auth = Auth::default();
/// auth.client_certificate = Some(ClientCertificate {
///     certificate: Path::new("client.crt").into(),
///     key: Path::new("client.key").into(),
/// });
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a certificate and its key, and nothing else"
)]
pub struct ClientCertificate {
    /// The certificate, in PEM, followed by those that link it to the server's authority.
    pub certificate: Material,
    /// Its private key, in PEM.
    pub key: Material,
}

/// Something to prove an identity with: the thing itself, or the file that holds it.
///
/// `Debug` shows the path and never the content.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::Material;
///
/// let from_file = Material::from(Path::new("ca.crt"));
/// let given = Material::from(b"-----BEGIN CERTIFICATE-----".as_slice());
/// assert_ne!(from_file, given);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle both")]
pub enum Material {
    /// The content.
    Inline(Secret),
    /// The file that holds it.
    File(PathBuf),
}

impl From<&Path> for Material {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<PathBuf> for Material {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&[u8]> for Material {
    fn from(content: &[u8]) -> Self {
        Self::Inline(Secret::new(content))
    }
}

impl From<Vec<u8>> for Material {
    fn from(content: Vec<u8>) -> Self {
        Self::Inline(Secret::new(content))
    }
}

impl From<Secret> for Material {
    fn from(secret: Secret) -> Self {
        Self::Inline(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_an_access_is_resolved_and_no_name_of_a_program() {
        let at = |name: &str| Material::from(Path::new(name));
        let mut access = Access::new(ServerUrl::parse("https://h").unwrap());
        access.tls.ca = Some(at("ca"));
        access.auth.token = Some(at("token"));
        access.auth.client_certificate = Some(ClientCertificate {
            certificate: at("crt"),
            key: Material::from(b"key".as_slice()),
        });
        access.auth.exec = Some(Exec::new("./plugin", "v1"));
        let resolve = |path: &Path| Path::new("/d").join(path);
        access.resolve_paths(&resolve);
        assert_eq!(access.tls.ca, Some(at("/d/ca")));
        assert_eq!(access.auth.token, Some(at("/d/token")));
        let client = access.auth.client_certificate.as_ref().unwrap();
        assert_eq!(client.certificate, at("/d/crt"));
        assert_eq!(client.key, Material::from(b"key".as_slice()));
        let command = |access: &Access| access.auth.exec.as_ref().unwrap().command.clone();
        assert_eq!(command(&access), Path::new("/d/./plugin"));
        access.auth.exec = Some(Exec::new("aws", "v1"));
        access.resolve_paths(&resolve);
        assert_eq!(
            command(&access),
            Path::new("aws"),
            "it is looked for in PATH"
        );
    }
}
