//! Kubeconfig files: where an API server is, as kubectl is told.

mod error;
mod file;
#[cfg(test)]
mod tests;

pub use error::{KubeconfigEntry, KubeconfigError};

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{
    Access, Basic, ClientCertificate, Exec, KubeconfigOptions, Material, Proxy, Secret, ServerUrl,
    base64,
};
use KubeconfigEntry as Entry;
use file::{Cluster, Context, ExecEntry, File, User};

/// One kubeconfig file, or several merged.
///
/// `Debug` shows the names of the entries only.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::access::{Kubeconfig, KubeconfigOptions};
///
/// let text = b"current-context: local
/// contexts: [{name: local, context: {cluster: local, user: me}}]
/// clusters: [{name: local, cluster: {server: 'http://localhost:8001'}}]
/// users: [{name: me, user: {}}]";
/// let access = Kubeconfig::parse(Path::new("config"), text)?.access(&KubeconfigOptions::new())?;
/// assert_eq!(access.server.port(), 8001);
/// # Ok::<(), lease_proto::access::KubeconfigError>(())
/// ```
#[derive(Default)]
pub struct Kubeconfig {
    files: Vec<PathBuf>,
    current_context: Option<String>,
    clusters: BTreeMap<String, Filed<Cluster>>,
    contexts: BTreeMap<String, Filed<Context>>,
    users: BTreeMap<String, Filed<User>>,
}

impl Kubeconfig {
    /// Parses the content of one file. The path is for messages, and for what relative paths in it mean.
    ///
    /// An empty file is a kubeconfig without entries.
    ///
    /// # Errors
    ///
    /// It is not YAML, not of a kubeconfig's shape, or names an entry twice.
    pub fn parse(path: &Path, content: &[u8]) -> Result<Self, KubeconfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let file: Option<File> = serde_saphyr::from_slice_with_options(content, options)
            .map_err(|error| broken(path, &error))?;
        let file = file.unwrap_or_default();
        let mut config = Self {
            files: vec![path.to_owned()],
            current_context: given(file.current_context),
            ..Self::default()
        };
        let duplicate = |entry| KubeconfigError::Duplicate {
            file: path.to_owned(),
            entry,
        };
        for named in file.clusters.unwrap_or_default() {
            insert(&mut config.clusters, path, named.name, named.cluster)
                .map_err(|name| duplicate(Entry::Cluster(name)))?;
        }
        for named in file.contexts.unwrap_or_default() {
            insert(&mut config.contexts, path, named.name, named.context)
                .map_err(|name| duplicate(Entry::Context(name)))?;
        }
        for named in file.users.unwrap_or_default() {
            insert(&mut config.users, path, named.name, named.user)
                .map_err(|name| duplicate(Entry::User(name)))?;
        }
        Ok(config)
    }

    /// Adds what another file has and this one has not, as kubectl does: of two entries of a name the first stays, whole.
    #[must_use]
    pub fn merge(mut self, later: Self) -> Self {
        self.files.extend(later.files);
        self.current_context = self.current_context.or(later.current_context);
        keep_first(&mut self.clusters, later.clusters);
        keep_first(&mut self.contexts, later.contexts);
        keep_first(&mut self.users, later.users);
        self
    }

    /// The names of the contexts, in order.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.contexts.keys().map(String::as_str)
    }

    /// The context that is used where none is named.
    pub fn current_context(&self) -> Option<&str> {
        self.current_context.as_deref()
    }

    /// Puts together what the context says: the one that the options name, else the current one.
    ///
    /// # Errors
    ///
    /// An entry or a field is missing or cannot be used, or something is not allowed or not supported. The error says which, in
    /// which file, and what would be right.
    pub fn access(&self, options: &KubeconfigOptions) -> Result<Access, KubeconfigError> {
        let Some(name) = options.context.as_ref().or(self.current_context.as_ref()) else {
            return Err(KubeconfigError::NoCurrentContext {
                files: self.files.clone(),
                contexts: self.contexts.keys().cloned().collect(),
            });
        };
        let context = self.find(&self.contexts, name, Entry::Context)?;
        let field = |field, problem| KubeconfigError::Field {
            file: context.file.clone(),
            entry: Entry::Context(name.clone()),
            field,
            problem,
        };
        let Some(cluster_name) = present(context.value.cluster.as_ref()) else {
            return Err(field(
                "cluster",
                "is missing; it is the name of an entry of clusters",
            ));
        };
        let cluster = self.find(&self.clusters, cluster_name, Entry::Cluster)?;
        let mut access = cluster.access(cluster_name, options)?;
        if let Some(user_name) = present(context.value.user.as_ref()) {
            let user = self.find(&self.users, user_name, Entry::User)?;
            user.add_to(user_name, options, &mut access)?;
        }
        access.namespace = present(context.value.namespace.as_ref()).cloned();
        Ok(access)
    }

    fn find<'a, T>(
        &self,
        entries: &'a BTreeMap<String, Filed<T>>,
        name: &str,
        entry: fn(String) -> Entry,
    ) -> Result<&'a Filed<T>, KubeconfigError> {
        entries.get(name).ok_or_else(|| KubeconfigError::Unknown {
            files: self.files.clone(),
            entry: entry(name.to_owned()),
            known: entries.keys().cloned().collect(),
        })
    }
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("files", &self.files)
            .field("current_context", &self.current_context)
            .field("clusters", &self.clusters.keys())
            .field("contexts", &self.contexts.keys())
            .field("users", &self.users.keys())
            .finish()
    }
}

/// An entry, and the file that it came from.
struct Filed<T> {
    file: PathBuf,
    value: T,
}

impl<T> Filed<T> {
    fn resolve(&self, path: &str) -> PathBuf {
        self.file
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .join(path)
    }

    /// Inline data goes before a file, as with kubectl.
    fn material(
        &self,
        entry: &dyn Fn() -> Entry,
        field: &'static str,
        data: Option<&Secret>,
        path: Option<&String>,
    ) -> Result<Option<Material>, KubeconfigError> {
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return Ok(present(path).map(|path| Material::File(self.resolve(path))));
        };
        match base64::decode(data.expose()) {
            Some(content) => Ok(Some(Material::Inline(content))),
            None => Err(KubeconfigError::Field {
                file: self.file.clone(),
                entry: entry(),
                field,
                problem: "is not base64; it is what `base64 -w0 FILE` prints",
            }),
        }
    }
}

impl Filed<Cluster> {
    fn access(&self, name: &str, options: &KubeconfigOptions) -> Result<Access, KubeconfigError> {
        let entry = || Entry::Cluster(name.to_owned());
        let cluster = &self.value;
        let text = cluster.server.as_deref().unwrap_or_default();
        let server = if options.allow_plain_http {
            ServerUrl::parse_plain_http(text)
        } else {
            ServerUrl::parse(text)
        };
        let server = server.map_err(|error| KubeconfigError::Server {
            file: self.file.clone(),
            cluster: name.to_owned(),
            error,
        })?;
        let mut access = Access::new(server);
        if let Some(url) = cluster.proxy_url.as_ref().filter(|url| !url.is_empty()) {
            let proxy = Proxy::parse(&String::from_utf8_lossy(url.expose())).map_err(|error| {
                KubeconfigError::Proxy {
                    file: self.file.clone(),
                    cluster: name.to_owned(),
                    error,
                }
            })?;
            access.proxy = Some(proxy);
        }
        access.tls.ca = self.material(
            &entry,
            "certificate-authority-data",
            cluster.certificate_authority_data.as_ref(),
            cluster.certificate_authority.as_ref(),
        )?;
        access.tls.insecure_skip_verify = cluster.insecure_skip_tls_verify.unwrap_or(false);
        access.tls.server_name = present(cluster.tls_server_name.as_ref()).cloned();
        if access.tls.insecure_skip_verify && access.tls.ca.is_some() {
            return Err(KubeconfigError::Field {
                file: self.file.clone(),
                entry: entry(),
                field: "insecure-skip-tls-verify",
                problem: "contradicts the certificate authority beside it; remove one",
            });
        }
        Ok(access)
    }
}

impl Filed<User> {
    fn add_to(
        &self,
        name: &str,
        options: &KubeconfigOptions,
        access: &mut Access,
    ) -> Result<(), KubeconfigError> {
        let entry = || Entry::User(name.to_owned());
        let user = &self.value;
        if let Some(provider) = &user.auth_provider {
            let feature = format!(
                "auth-provider {:?}",
                provider.name.as_deref().unwrap_or_default()
            );
            return Err(self.unsupported(
                entry(),
                feature,
                "use a token, a client certificate or an exec plugin",
            ));
        }
        if present(user.impersonate.as_ref()).is_some() {
            let instead = "use the credentials of that user";
            return Err(self.unsupported(entry(), "impersonation (as)".to_owned(), instead));
        }
        let auth = &mut access.auth;
        auth.token = match present(user.token_file.as_ref()) {
            Some(path) => Some(Material::File(self.resolve(path))),
            None => user
                .token
                .clone()
                .filter(|token| !token.is_empty())
                .map(Material::Inline),
        };
        if let Some(username) = present(user.username.as_ref()) {
            auth.basic = Some(Basic {
                username: username.clone(),
                password: user.password.clone().unwrap_or_else(|| Secret::from("")),
            });
        }
        let data = user.client_certificate_data.as_ref();
        let certificate = self.material(
            &entry,
            "client-certificate-data",
            data,
            user.client_certificate.as_ref(),
        )?;
        let data = user.client_key_data.as_ref();
        let key = self.material(&entry, "client-key-data", data, user.client_key.as_ref())?;
        let missing = |field, problem| KubeconfigError::Field {
            file: self.file.clone(),
            entry: entry(),
            field,
            problem,
        };
        auth.client_certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(missing(
                    "client-key",
                    "is missing beside the client certificate",
                ));
            }
            (None, Some(_)) => {
                return Err(missing(
                    "client-certificate",
                    "is missing beside the client key",
                ));
            }
        };
        if let Some(exec) = &user.exec
            && auth.token.is_none()
            && auth.basic.is_none()
        {
            auth.exec = Some(self.exec(exec, name, options)?);
        }
        Ok(())
    }

    fn exec(
        &self,
        exec: &ExecEntry,
        user: &str,
        options: &KubeconfigOptions,
    ) -> Result<Exec, KubeconfigError> {
        let entry = || Entry::User(user.to_owned());
        let missing = |field| KubeconfigError::Field {
            file: self.file.clone(),
            entry: entry(),
            field,
            problem: "is missing",
        };
        let command = present(exec.command.as_ref()).ok_or_else(|| missing("exec.command"))?;
        if !options.allow_exec {
            return Err(KubeconfigError::ExecNotAllowed {
                file: self.file.clone(),
                user: user.to_owned(),
                command: command.clone(),
            });
        }
        let api_version =
            present(exec.api_version.as_ref()).ok_or_else(|| missing("exec.apiVersion"))?;
        if exec.interactive_mode.as_deref() == Some("Always") {
            let feature = "exec.interactiveMode: Always".to_owned();
            return Err(self.unsupported(entry(), feature, "use a plugin that needs no terminal"));
        }
        // A bare name is looked for in PATH, and only a path is relative to the file.
        let bare = Path::new(command).components().count() == 1;
        let command = if bare {
            PathBuf::from(command)
        } else {
            self.resolve(command)
        };
        let mut found = Exec::new(command, api_version);
        found.args = exec.args.clone().unwrap_or_default();
        for variable in exec.env.iter().flatten() {
            let value = variable.value.clone().unwrap_or_else(|| Secret::from(""));
            found.env.push((variable.name.clone(), value));
        }
        found.timeout = options.exec_timeout.unwrap_or(found.timeout);
        found.install_hint = exec.install_hint.clone();
        found.provide_cluster_info = exec.provide_cluster_info.unwrap_or(false);
        Ok(found)
    }
}

impl<T> Filed<T> {
    fn unsupported(&self, entry: Entry, feature: String, instead: &'static str) -> KubeconfigError {
        KubeconfigError::Unsupported {
            file: self.file.clone(),
            entry,
            feature,
            instead,
        }
    }
}

fn insert<T: Default>(
    entries: &mut BTreeMap<String, Filed<T>>,
    file: &Path,
    name: String,
    value: Option<T>,
) -> Result<(), String> {
    match entries.entry(name) {
        btree_map::Entry::Occupied(entry) => Err(entry.key().clone()),
        btree_map::Entry::Vacant(entry) => {
            entry.insert(Filed {
                file: file.to_owned(),
                value: value.unwrap_or_default(),
            });
            Ok(())
        }
    }
}

fn keep_first<T>(entries: &mut BTreeMap<String, Filed<T>>, later: BTreeMap<String, Filed<T>>) {
    for (name, entry) in later {
        entries.entry(name).or_insert(entry);
    }
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn present(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

/// Says where the file is broken. The parser's own message may quote the file, tokens included, so only what it
/// expected is repeated.
fn broken(path: &Path, error: &serde_saphyr::Error) -> KubeconfigError {
    use serde_saphyr::Error as Yaml;

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "another crate's enum, open and large"
    )]
    let expected = match error {
        Yaml::Unexpected { expected, .. } => (*expected).to_owned(),
        Yaml::SerdeInvalidType { expected, .. } | Yaml::SerdeInvalidValue { expected, .. } => {
            expected.clone()
        }
        Yaml::SerdeMissingField { field, .. } => format!("a field {field}"),
        Yaml::DuplicateMappingKey { .. } => "each key once".to_owned(),
        Yaml::InvalidUtf8Input => "UTF-8".to_owned(),
        Yaml::InvalidScalar { ty, .. } => (*ty).to_owned(),
        _ => "valid YAML".to_owned(),
    };
    let location = error.location();
    KubeconfigError::Broken {
        file: path.to_owned(),
        line: location.map_or(0, |location| location.line()),
        column: location.map_or(0, |location| location.column()),
        expected,
    }
}
