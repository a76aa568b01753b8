//! How a server is set up: its seed, its namespaces, who may do what, which version it is.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ApiServer, SnapshotError,
    namespaces::Namespaces,
    rbac::{Access, Rule, User},
    snapshot,
    store::Store,
    uids::Uids,
};

/// How many writes a server remembers unless told otherwise.
const HISTORY: usize = 1_024;

/// Sets up an [`ApiServer`].
///
/// ```
/// use lease_proto::server::{ApiServer, Rule, Verb};
///
/// let server = ApiServer::builder()
///     .namespaces(["demo"])
///     .user("t0p", "reader")
///     .rule(Rule::new("reader").verbs([Verb::Get, Verb::List]))
///     .build();
/// assert!(server.lease("demo", "leader").is_none());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ApiServerBuilder {
    seed: u64,
    resource_version: u64,
    history: usize,
    namespaces: Option<Vec<String>>,
    access: Access,
    version: Version,
}

/// Which kube-apiserver a server is like.
///
/// ```
/// use lease_proto::server::{ApiServer, Version};
///
/// // Keeps spec.strategy, as coordinated leader election needs it.
/// let server = ApiServer::builder().version(Version::V1_31).build();
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Version {
    /// 1.20: drops `spec.strategy` and `spec.preferredHolder`; a write of values alone leaves the time in
    /// `managedFields` as it is.
    #[default]
    V1_20,
    /// 1.31 and later: keeps both fields and checks them; every write moves the time.
    V1_31,
}

/// What does not change while a server runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) version: Version,
}

impl ApiServerBuilder {
    /// From what uids are made. Defaults to 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The `resourceVersion` that an empty store starts from. Defaults to 1, as in etcd.
    pub fn resource_version(mut self, version: u64) -> Self {
        self.resource_version = version;
        self
    }

    /// How many writes are remembered for watches that start from an older `resourceVersion`; from before
    /// that they get 410. Clones of the server cost in proportion. Defaults to 1,024.
    pub fn history(mut self, writes: usize) -> Self {
        self.history = writes;
        self
    }

    /// Only these namespaces exist; more can be made by POST. Defaults to all.
    pub fn namespaces<I>(mut self, namespaces: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.namespaces = Some(namespaces.into_iter().map(Into::into).collect());
        self
    }

    /// Somebody who is known by a token, and who may do what [`rule`](Self::rule)s allow. As soon as one
    /// user is known, other tokens get 401 and requests without a token are `system:anonymous`. Defaults
    /// to no users, and to everybody being allowed everything.
    pub fn user(mut self, token: impl Into<String>, name: impl Into<String>) -> Self {
        let user = User {
            name: name.into(),
            is_admin: false,
        };
        self.access.users.insert(token.into(), user);
        self
    }

    /// Somebody who is known by a token and may do everything.
    pub fn admin(mut self, token: impl Into<String>, name: impl Into<String>) -> Self {
        let user = User {
            name: name.into(),
            is_admin: true,
        };
        self.access.users.insert(token.into(), user);
        self
    }

    /// Lets a user do something.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.access.rules.push(rule);
        self
    }

    /// Which kube-apiserver to be like. Defaults to [`Version::V1_20`].
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Starts with nothing stored.
    #[must_use]
    pub fn build(self) -> ApiServer {
        let mut uids = Uids::new(self.seed);
        let namespaces = self.namespaces.map(|names| {
            let mut namespaces = BTreeMap::new();
            for name in names {
                namespaces.insert(name, uids.uid());
            }
            namespaces
        });
        ApiServer {
            config: Arc::new(Config {
                version: self.version,
            }),
            access: Arc::new(self.access),
            store: Store::new(self.resource_version, self.history),
            uids,
            namespaces: Namespaces::new(namespaces, self.resource_version),
            watches: BTreeMap::new(),
            next_watch: 1,
            date: None,
        }
    }

    /// Starts with what a snapshot holds. Its namespaces, versions and uids go on from there; users, rules
    /// and the version are those of the builder.
    ///
    /// # Errors
    ///
    /// If the bytes are not a whole snapshot, and a consistent one.
    pub fn restore(self, snapshot: &[u8]) -> Result<ApiServer, SnapshotError> {
        let contents = snapshot::read(snapshot)?;
        let mut server = self.build();
        server.load(contents);
        Ok(server)
    }
}

impl Default for ApiServerBuilder {
    fn default() -> Self {
        Self {
            seed: 0,
            resource_version: 1,
            history: HISTORY,
            namespaces: None,
            access: Access::default(),
            version: Version::default(),
        }
    }
}

impl Version {
    /// Whether `spec.strategy` and `spec.preferredHolder` are known.
    pub(super) fn knows_strategy(self) -> bool {
        self == Self::V1_31
    }

    /// Whether every write moves the time in `managedFields`.
    pub(super) fn always_stamps(self) -> bool {
        self == Self::V1_31
    }
}
