//! The API server of the cluster that a program runs in, as every pod is told.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Access, Material, ServerUrl, ServerUrlError};

/// Where Kubernetes mounts the service account of a pod.
pub const SERVICE_ACCOUNT_ROOT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The access of a pod. Its namespace stands in a file, which is the caller's to read.
///
/// ```
/// use lease_proto::access::{InCluster, in_cluster};
///
/// let env = |name: &str| match name {
///     "KUBERNETES_SERVICE_HOST" => Some("10.96.0.1".to_owned()),
///     "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
///     _ => None,
/// };
/// let InCluster { access, namespace_file, .. } = in_cluster(&env)?;
/// assert_eq!(access.server.to_string(), "https://10.96.0.1");
/// println!("the namespace stands in {}", namespace_file.display());
/// # Ok::<(), lease_proto::access::InClusterError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InCluster {
    /// Where the API server is, with the service account's token and CA as files.
    pub access: Access,
    /// The file that holds the pod's namespace.
    pub namespace_file: PathBuf,
}

/// Reads from the environment where the API server of this cluster is.
///
/// # Errors
///
/// [`InClusterError::NotInCluster`] where `KUBERNETES_SERVICE_HOST` or `KUBERNETES_SERVICE_PORT` is absent or empty.
pub fn in_cluster(env: &dyn Fn(&str) -> Option<String>) -> Result<InCluster, InClusterError> {
    in_cluster_under(Path::new(SERVICE_ACCOUNT_ROOT), env)
}

/// Does as [`in_cluster`], with the service account mounted at another place.
///
/// # Errors
///
/// As [`in_cluster`].
pub fn in_cluster_under(
    root: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<InCluster, InClusterError> {
    let variable = |name: &'static str| {
        let value = env(name)
            .map(|value| value.trim().to_owned())
            .unwrap_or_default();
        if value.is_empty() {
            return Err(InClusterError::NotInCluster { variable: name });
        }
        Ok(value)
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host
    };
    let server =
        ServerUrl::parse(&format!("https://{host}:{port}")).map_err(InClusterError::Server)?;
    let mut access = Access::new(server);
    access.tls.ca = Some(Material::File(root.join("ca.crt")));
    access.auth.token = Some(Material::File(root.join("token")));
    Ok(InCluster {
        access,
        namespace_file: root.join("namespace"),
    })
}

/// The environment does not say where the API server of this cluster is.
///
/// ```
/// use lease_proto::access::{InClusterError, in_cluster};
///
/// let error = in_cluster(&|_| None).unwrap_err();
/// assert_eq!(error, InClusterError::NotInCluster { variable: "KUBERNETES_SERVICE_HOST" });
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InClusterError {
    /// This is not a pod.
    NotInCluster {
        /// The variable that is absent or empty.
        variable: &'static str,
    },
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` make no address.
    Server(ServerUrlError),
}

impl fmt::Display for InClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInCluster { variable } => write!(
                f,
                "not inside a cluster: {variable} is not set; it is in every pod that has a service account"
            ),
            Self::Server(_) => f.write_str(
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be an address and a port",
            ),
        }
    }
}

impl std::error::Error for InClusterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotInCluster { .. } => None,
            Self::Server(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_finds_its_server_and_its_files() {
        let found = in_cluster(&env("10.96.0.1", "443")).unwrap();
        assert_eq!(found.access.server.to_string(), "https://10.96.0.1");
        let root = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
        assert_eq!(
            found.access.auth.token,
            Some(Material::File(root.join("token")))
        );
        assert_eq!(
            found.access.tls.ca,
            Some(Material::File(root.join("ca.crt")))
        );
        assert_eq!(found.namespace_file, root.join("namespace"));
    }

    #[test]
    fn an_ipv6_host_gets_its_brackets_once() {
        for host in ["fd00::1", "[fd00::1]"] {
            let found = in_cluster(&env(host, "6443")).unwrap();
            assert_eq!(found.access.server.to_string(), "https://[fd00::1]:6443");
        }
    }

    #[test]
    fn a_variable_that_is_set_but_empty_means_outside() {
        for (host, port, missing) in [
            ("", "443", "KUBERNETES_SERVICE_HOST"),
            ("h", " ", "KUBERNETES_SERVICE_PORT"),
        ] {
            let error = in_cluster(&env(host, port)).unwrap_err();
            assert_eq!(error, InClusterError::NotInCluster { variable: missing });
            assert!(error.to_string().contains(missing));
        }
        assert!(in_cluster(&|_| None).is_err());
    }

    #[test]
    fn a_port_that_is_none_is_an_error_of_its_own() {
        for port in ["https", "0", "tcp://10.0.0.1:443"] {
            assert!(
                matches!(in_cluster(&env("h", port)), Err(InClusterError::Server(_))),
                "{port}"
            );
        }
    }

    fn env<'a>(host: &'a str, port: &'a str) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| match name {
            "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
            "KUBERNETES_SERVICE_PORT" => Some(port.to_owned()),
            _ => None,
        }
    }
}
