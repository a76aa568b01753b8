//! Kubeconfig files: where an API server is, as kubectl is told.

mod entry;
mod error;
mod file;
#[cfg(test)]
mod tests;

pub use error::{KubeconfigEntry, KubeconfigError};

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Access, KubeconfigOptions};
use KubeconfigEntry as Entry;
use entry::{Filed, present};
use file::{Cluster, Context, File, User};

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
        if let Some(exec) = &mut access.auth.exec {
            cluster.tell(exec);
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
