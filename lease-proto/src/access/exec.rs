//! Credential plugins: the program to ask, as data.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Access, CredentialsError, ExecProblem, Secret, base64};

/// How long a credential plugin may take: enough for a cloud's token with a slow network, and less than a person would wait.
pub const EXEC_TIMEOUT: Duration = Duration::from_secs(60);

/// A program that is asked for credentials, as a kubeconfig names it.
///
/// Nothing here runs it; a driver does, and only where that was allowed. `Debug` shows neither arguments nor environment.
///
/// ```
/// use lease_proto::access::{Access, Exec, ServerUrl};
///
/// let mut access = Access::new(ServerUrl::parse("https://kubernetes.example")?);
/// let plugin = Exec::new("gke-gcloud-auth-plugin", "client.authentication.k8s.io/v1");
/// let info = plugin.info(&access, None); // for its environment, as KUBERNETES_EXEC_INFO
/// assert!(info.contains("ExecCredential"));
/// access.auth.exec = Some(plugin);
/// # Ok::<(), lease_proto::access::ServerUrlError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Exec {
    /// The program: a bare name to be looked for in `PATH`, or a path.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<Secret>,
    /// What is added to its environment.
    pub env: Vec<(String, Secret)>,
    /// The version of the API that it answers in, such as `client.authentication.k8s.io/v1`.
    pub api_version: String,
    /// What to tell people who lack the program.
    pub install_hint: Option<String>,
    /// Whether it is told about the cluster.
    pub provide_cluster_info: bool,
    /// What the cluster's entry has for it under `extensions`, in JSON: `spec.cluster.config`, if it is told about the cluster.
    pub cluster_config: Option<Secret>,
    /// Whether the cluster's entry asks for answers that are not compressed: for it to be told, likewise.
    pub disable_compression: bool,
    /// The proxy that the cluster's entry names: for it to be told, likewise. What the environment names it finds there itself.
    pub proxy_url: Option<Secret>,
    /// How long it may take; after that it is stopped, with all that it has started. Defaults to [`EXEC_TIMEOUT`].
    pub timeout: Duration,
}

impl Exec {
    /// Starts from the program and the version of the API that it answers in.
    pub fn new(command: impl Into<PathBuf>, api_version: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            args: Vec::new(),
            env: Vec::new(),
            api_version: api_version.into(),
            install_hint: None,
            provide_cluster_info: false,
            cluster_config: None,
            disable_compression: false,
            proxy_url: None,
            timeout: EXEC_TIMEOUT,
        }
    }

    /// Returns why there are no credentials, with the name of the program.
    pub fn failed(&self, problem: ExecProblem) -> CredentialsError {
        let first = self
            .args
            .first()
            .and_then(|arg| str::from_utf8(arg.expose()).ok());
        // An argument may be a secret; none looks like this.
        let is_word = |word: &&str| {
            let mut letters = word.bytes();
            (1..=20).contains(&word.len())
                && !word.starts_with('-')
                && letters.all(|letter| letter.is_ascii_lowercase() || letter == b'-')
        };
        CredentialsError::Exec {
            command: self.command.clone(),
            subcommand: first.filter(is_word).map(str::to_owned),
            problem,
        }
    }

    /// What the program finds in `KUBERNETES_EXEC_INFO`. `ca` is the content of the cluster's CA, where there is one.
    pub fn info(&self, access: &Access, ca: Option<&[u8]>) -> String {
        let mut spec = serde_json::Map::new();
        spec.insert("interactive".to_owned(), false.into());
        if self.provide_cluster_info {
            let mut cluster = serde_json::Map::new();
            cluster.insert("server".to_owned(), access.server.to_string().into());
            if let Some(name) = &access.tls.server_name {
                cluster.insert("tls-server-name".to_owned(), name.clone().into());
            }
            if access.tls.insecure_skip_verify {
                cluster.insert("insecure-skip-tls-verify".to_owned(), true.into());
            }
            if let Some(ca) = ca {
                let data = String::from_utf8_lossy(&base64::encode(ca)).into_owned();
                cluster.insert("certificate-authority-data".to_owned(), data.into());
            }
            if let Some(url) = &self.proxy_url {
                let url = String::from_utf8_lossy(url.expose()).into_owned();
                cluster.insert("proxy-url".to_owned(), url.into());
            }
            if self.disable_compression {
                cluster.insert("disable-compression".to_owned(), true.into());
            }
            // kubectl gives a null where there is none, and plugins may be used to it.
            let config = self.cluster_config.as_ref().map(|config| {
                serde_json::from_slice::<serde_json::Value>(config.expose()).unwrap_or_default()
            });
            cluster.insert("config".to_owned(), config.into());
            spec.insert("cluster".to_owned(), cluster.into());
        }
        serde_json::json!({ "apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec }).to_string()
    }
}

/// Whether a program is looked for in `PATH`, as only those are that are named without a directory.
pub(super) fn is_bare(command: &Path) -> bool {
    command.components().count() == 1
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec")
            .field("command", &self.command)
            .field("args", &self.args.len())
            .field("env", &self.env.len())
            .field("api_version", &self.api_version)
            .field("provide_cluster_info", &self.provide_cluster_info)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerUrl;
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    #[test]
    fn a_failure_names_the_program_and_no_argument_that_may_be_a_secret() {
        for (arg, shown) in [
            ("eks", "the credential plugin aws eks wrote"),
            ("get-token", "the credential plugin aws get-token wrote"),
            ("canary1", "the credential plugin aws wrote"),
            ("Canary", "the credential plugin aws wrote"),
            ("--canary", "the credential plugin aws wrote"),
            (
                "canarycanarycanarycanary",
                "the credential plugin aws wrote",
            ),
            ("", "the credential plugin aws wrote"),
        ] {
            let mut exec = Exec::new("aws", V1);
            exec.args = vec![Secret::from(arg), Secret::from("second")];
            let error = exec.failed(ExecProblem::TooMuchOutput { limit: 1 });
            assert!(error.to_string().starts_with(shown), "{error}");
        }
    }

    #[test]
    fn the_cluster_is_told_only_where_that_is_asked_for() {
        let mut access = Access::new(ServerUrl::parse("https://h:6443").unwrap());
        access.tls.server_name = Some("api".to_owned());
        let mut exec = Exec::new("plugin", V1);
        exec.args.push(Secret::from("canary"));
        let plain = exec.info(&access, Some(b"foo"));
        assert_eq!(
            plain,
            r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}"#
        );
        exec.provide_cluster_info = true;
        let info = exec.info(&access, Some(b"foo"));
        assert!(
            info.contains(r#""server":"https://h:6443""#)
                && info.contains(r#""tls-server-name":"api""#),
            "{info}"
        );
        assert!(
            info.contains(r#""certificate-authority-data":"Zm9v""#),
            "{info}"
        );
        assert!(info.contains(r#""config":null"#), "{info}");
        assert!(!info.contains("disable-compression") && !info.contains("proxy-url"));
        exec.cluster_config = Some(Secret::from(r#"{"audience":"canary"}"#));
        exec.disable_compression = true;
        exec.proxy_url = Some(Secret::from("http://u:canary@p"));
        let info = exec.info(&access, None);
        for told in [
            r#""config":{"audience":"canary"}"#,
            r#""disable-compression":true"#,
            r#""proxy-url":"http://u:canary@p""#,
        ] {
            assert!(info.contains(told), "{told}: {info}");
        }
        assert!(!format!("{exec:?}").contains("canary"));
    }
}
