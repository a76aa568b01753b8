//! Which of the ways to an API server applies.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{InCluster, InClusterError, in_cluster};

/// Which kubeconfig to read, which of its contexts, and what of it to allow.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::KubeconfigOptions;
///
/// let options = KubeconfigOptions::new().path("staging.yaml").context("staging").allow_exec(true);
/// let files = options.files(&|name| std::env::var(name).ok(), &|path| path.exists())?;
/// assert_eq!(files, [Path::new("staging.yaml")]);
/// # Ok::<(), lease_proto::access::NothingConfigured>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct KubeconfigOptions {
    pub(super) path: Option<PathBuf>,
    pub(super) context: Option<String>,
    pub(super) allow_exec: bool,
    pub(super) exec_timeout: Option<Duration>,
    pub(super) allow_plain_http: bool,
}

impl KubeconfigOptions {
    /// Starts from what kubectl does where nothing is said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this file and no other. Defaults to those that `KUBECONFIG` lists, else `~/.kube/config`.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Uses this context. Defaults to the file's `current-context`.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Runs the program that a user entry names under `exec`: whoever can write the file can then run programs. Defaults to no.
    pub fn allow_exec(mut self, allow: bool) -> Self {
        self.allow_exec = allow;
        self
    }

    /// Gives that program so long before it is stopped. Defaults to 60 s: [`EXEC_TIMEOUT`](super::EXEC_TIMEOUT).
    pub fn exec_timeout(mut self, timeout: Duration) -> Self {
        self.exec_timeout = Some(timeout);
        self
    }

    /// Takes `http://` servers on other machines: anyone on the way can then read the credentials. Defaults to no.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.allow_plain_http = allow;
        self
    }

    /// The files to read, first wins.
    ///
    /// A path that was given stands as it is, whether or not the file exists. Of those that `KUBECONFIG` lists, the
    /// ones that do not exist are left out, as kubectl does.
    ///
    /// # Errors
    ///
    /// `KUBECONFIG` is set, and none of its files exists; or it is not set, and there is no `~/.kube/config`.
    pub fn files(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Result<Vec<PathBuf>, NothingConfigured> {
        if let Some(path) = &self.path {
            return Ok(vec![path.clone()]);
        }
        let listed = listed(env);
        if listed.is_empty() {
            return match home_file(env) {
                Some(path) if exists(&path) => Ok(vec![path]),
                home => Err(NothingConfigured::NoWay { home }),
            };
        }
        let found: Vec<PathBuf> = listed.iter().filter(|path| exists(path)).cloned().collect();
        if found.is_empty() {
            return Err(NothingConfigured::KubeconfigMissing { files: listed });
        }
        Ok(found)
    }
}

/// One of the ways to an API server.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::{KubeconfigOptions, Way, discover};
///
/// let env = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
/// match discover(&KubeconfigOptions::new(), &env, &|_| true)? {
///     Way::InCluster(pod) => println!("{}", pod.access.server),
///     Way::Kubeconfig(files) => assert_eq!(files, [Path::new("/home/me/.kube/config")]),
/// }
/// # Ok::<(), lease_proto::access::NothingConfigured>(())
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every way")]
#[expect(clippy::large_enum_variant, reason = "made once and taken apart")]
pub enum Way {
    /// The pod's own cluster.
    InCluster(InCluster),
    /// These files, first wins.
    Kubeconfig(Vec<PathBuf>),
}

/// Decides between them, in this order: a kubeconfig, if a path or a context was given or `KUBECONFIG` is set; the
/// cluster that the program runs in; `~/.kube/config`.
///
/// # Errors
///
/// None of them applies, or the one that does is broken.
pub fn discover(
    options: &KubeconfigOptions,
    env: &dyn Fn(&str) -> Option<String>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<Way, NothingConfigured> {
    let chosen = options.path.is_some() || options.context.is_some() || !listed(env).is_empty();
    if !chosen {
        match in_cluster(env) {
            Ok(found) => return Ok(Way::InCluster(found)),
            Err(InClusterError::NotInCluster { .. }) => {}
            Err(error @ InClusterError::Server(_)) => {
                return Err(NothingConfigured::InCluster(error));
            }
        }
    }
    options.files(env, exists).map(Way::Kubeconfig)
}

/// Nothing says where the API server is.
///
/// ```
/// use lease_proto::access::{KubeconfigOptions, NothingConfigured, discover};
///
/// let error = discover(&KubeconfigOptions::new(), &|_| None, &|_| false).unwrap_err();
/// assert!(matches!(error, NothingConfigured::NoWay { .. }));
/// println!("{error}"); // says what to set
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NothingConfigured {
    /// This is a pod, and its environment makes no address.
    InCluster(InClusterError),
    /// `KUBECONFIG` lists files, and none exists.
    KubeconfigMissing {
        /// Those that it lists.
        files: Vec<PathBuf>,
    },
    /// There is no kubeconfig, and this is no pod.
    NoWay {
        /// Where a kubeconfig was looked for last.
        home: Option<PathBuf>,
    },
}

impl fmt::Display for NothingConfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCluster(_) => {
                f.write_str("cannot tell where the API server of this cluster is")
            }
            Self::KubeconfigMissing { files } => {
                f.write_str("KUBECONFIG lists no file that exists:")?;
                files
                    .iter()
                    .try_for_each(|file| write!(f, " {}", file.display()))?;
                f.write_str("; correct it or unset it")
            }
            Self::NoWay { home } => {
                f.write_str(
                    "nothing says where the API server is: give its URL, or a kubeconfig by its path, in KUBECONFIG or ",
                )?;
                match home {
                    Some(home) => write!(f, "as {} (which does not exist)", home.display())?,
                    None => f.write_str("as ~/.kube/config (HOME is not set)")?,
                }
                f.write_str(", or run inside a cluster")
            }
        }
    }
}

impl std::error::Error for NothingConfigured {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InCluster(error) => Some(error),
            Self::KubeconfigMissing { .. } | Self::NoWay { .. } => None,
        }
    }
}

fn listed(env: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let list = env("KUBECONFIG").unwrap_or_default();
    std::env::split_paths(&list)
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

fn home_file(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let home = ["HOME", "USERPROFILE"]
        .into_iter()
        .filter_map(env)
        .find(|home| !home.is_empty())?;
    Some(Path::new(&home).join(".kube").join("config"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: [(&str, &str); 2] = [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ];
    const HOME: (&str, &str) = ("HOME", "/home/u");

    #[test]
    fn the_ways_have_an_order() {
        let everywhere = [POD[0], POD[1], HOME, ("KUBECONFIG", "/a")];
        assert_eq!(
            files(&KubeconfigOptions::new().path("/p"), &everywhere),
            ["/p"]
        );
        assert_eq!(files(&KubeconfigOptions::new(), &everywhere), ["/a"]);
        let pod = [POD[0], POD[1], HOME, ("KUBECONFIG", "")];
        assert!(matches!(
            found(&KubeconfigOptions::new(), &pod, true),
            Ok(Way::InCluster(_))
        ));
        assert_eq!(
            files(&KubeconfigOptions::new().context("c"), &pod),
            ["/home/u/.kube/config"]
        );
        assert_eq!(
            files(&KubeconfigOptions::new(), &[HOME]),
            ["/home/u/.kube/config"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn files_of_the_list_that_do_not_exist_are_left_out() {
        let env = |name: &str| (name == "KUBECONFIG").then(|| ":/a::/b:/c".to_owned());
        let way = discover(&KubeconfigOptions::new(), &env, &|path| {
            path != Path::new("/b")
        });
        let Ok(Way::Kubeconfig(files)) = way else {
            panic!("{way:?}")
        };
        assert_eq!(files, [Path::new("/a"), Path::new("/c")]);
        let error = discover(&KubeconfigOptions::new(), &env, &|_| false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "KUBECONFIG lists no file that exists: /a /b /c; correct it or unset it"
        );
    }

    #[test]
    fn with_nothing_configured_the_ways_are_listed() {
        let error = found(&KubeconfigOptions::new(), &[HOME], false)
            .unwrap_err()
            .to_string();
        for way in [
            "URL",
            "KUBECONFIG",
            "/home/u/.kube/config",
            "inside a cluster",
        ] {
            assert!(error.contains(way), "{way} is missing: {error}");
        }
        let homeless = found(&KubeconfigOptions::new(), &[], false)
            .unwrap_err()
            .to_string();
        assert!(homeless.contains("HOME is not set"), "{homeless}");
    }

    fn found(
        options: &KubeconfigOptions,
        env: &[(&str, &str)],
        exists: bool,
    ) -> Result<Way, NothingConfigured> {
        let lookup = |name: &str| {
            let pair = env.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| (*value).to_owned())
        };
        discover(options, &lookup, &|_| exists)
    }

    fn files(options: &KubeconfigOptions, env: &[(&str, &str)]) -> Vec<String> {
        match found(options, env, true) {
            Ok(Way::Kubeconfig(files)) => files
                .iter()
                .map(|file| file.display().to_string())
                .collect(),
            other => panic!("{other:?}"),
        }
    }
}
