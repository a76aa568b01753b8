//! What stands in a kubeconfig is what comes out of it.

use std::path::{Path, PathBuf};

use lease_proto::access::{Kubeconfig, KubeconfigOptions, Material};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::cases;

/// A kubeconfig as it is meant.
#[derive(Clone, Debug)]
struct Meant {
    clusters: Vec<Cluster>,
    users: Vec<User>,
    /// Name, cluster, user, namespace.
    contexts: Vec<(String, usize, Option<usize>, Option<String>)>,
    /// Whether it is written with one value a line.
    pretty: bool,
}

#[derive(Clone, Debug)]
struct Cluster {
    name: String,
    port: u16,
    ca: Option<String>,
    server_name: Option<String>,
}

#[derive(Clone, Debug)]
struct User {
    name: String,
    token: Option<String>,
    token_file: Option<String>,
    basic: Option<(String, String)>,
}

impl Meant {
    /// JSON is YAML.
    fn text(&self) -> String {
        let cluster = |it: &Cluster| {
            json!({"name": it.name, "cluster": {
                "server": format!("https://10.0.0.1:{}", it.port),
                "certificate-authority": it.ca,
                "tls-server-name": it.server_name,
            }})
        };
        let user = |it: &User| {
            json!({"name": it.name, "user": {
                "token": it.token,
                "tokenFile": it.token_file,
                "username": it.basic.as_ref().map(|basic| &basic.0),
                "password": it.basic.as_ref().map(|basic| &basic.1),
            }})
        };
        let context = |it: &(String, usize, Option<usize>, Option<String>)| {
            let user = it.2.map(|user| &self.users[user % self.users.len()].name);
            json!({"name": it.0, "context": {
                "cluster": self.clusters[it.1 % self.clusters.len()].name,
                "user": user,
                "namespace": it.3,
            }})
        };
        let value = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.contexts[0].0,
            "clusters": self.clusters.iter().map(cluster).collect::<Value>(),
            "contexts": self.contexts.iter().map(context).collect::<Value>(),
            "users": self.users.iter().map(user).collect::<Value>(),
        });
        if self.pretty {
            format!("{value:#}")
        } else {
            value.to_string()
        }
    }
}

/// Text that YAML could mistake for something else.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z][a-z0-9:/@.-]{0,12}",
        1 => "[ -~]{1,12}",
        1 => prop::sample::select(vec!["null", "true", "1", "1e3", "~", "- a", "a: b", "'", "no"])
            .prop_map(str::to_owned),
    ]
}

fn meant() -> impl Strategy<Value = Meant> {
    let cluster = (1_u16.., prop::option::of(name()), prop::option::of(name()));
    let user = (
        prop::option::of(name()),
        prop::option::of(name()),
        prop::option::of((name(), name())),
    );
    let context = (
        0_usize..9,
        prop::option::of(0_usize..9),
        prop::option::of(name()),
    );
    (
        prop::collection::btree_map(name(), cluster, 1..4),
        prop::collection::btree_map(name(), user, 1..4),
        prop::collection::btree_map(name(), context, 1..4),
        any::<bool>(),
    )
        .prop_map(|(clusters, users, contexts, pretty)| Meant {
            clusters: clusters
                .into_iter()
                .map(|(name, (port, ca, server_name))| Cluster {
                    name,
                    port,
                    ca,
                    server_name,
                })
                .collect(),
            users: users
                .into_iter()
                .map(|(name, (token, token_file, basic))| User {
                    name,
                    token,
                    token_file,
                    basic,
                })
                .collect(),
            contexts: contexts
                .into_iter()
                .map(|(name, (cluster, user, namespace))| (name, cluster, user, namespace))
                .collect(),
            pretty,
        })
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_context_is_put_together_from_what_it_names(meant in meant()) {
        let folder = Path::new("/home/u/.kube");
        let text = meant.text();
        let config = Kubeconfig::parse(&folder.join("config"), text.as_bytes());
        let config = config.map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        let names: Vec<_> = meant.contexts.iter().map(|context| context.0.as_str()).collect();
        prop_assert_eq!(config.contexts().collect::<Vec<_>>(), names);
        prop_assert_eq!(config.current_context(), Some(meant.contexts[0].0.as_str()));
        for (name, cluster, user, namespace) in &meant.contexts {
            let access = config.access(&KubeconfigOptions::new().context(name));
            let access = access.map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            let cluster = &meant.clusters[cluster % meant.clusters.len()];
            prop_assert_eq!(access.server.port(), cluster.port);
            let file = |path: &String| Material::File(folder.join(path));
            prop_assert_eq!(&access.tls.ca, &cluster.ca.as_ref().map(file));
            prop_assert_eq!(&access.tls.server_name, &cluster.server_name);
            prop_assert_eq!(&access.namespace, namespace);
            let user = user.map(|user| &meant.users[user % meant.users.len()]);
            let token = user.and_then(|user| match (&user.token_file, &user.token) {
                (Some(path), _) => Some(file(path)),
                (None, token) => token.as_ref().map(|token| Material::from(token.clone().into_bytes())),
            });
            prop_assert_eq!(&access.auth.token, &token);
            let basic = user.and_then(|user| user.basic.as_ref());
            let found = access.auth.basic.as_ref();
            let found = found.map(|basic| (basic.username.as_str(), basic.password.expose()));
            prop_assert_eq!(found, basic.map(|(name, password)| (name.as_str(), password.as_bytes())));
        }
    }

    #[test]
    fn of_two_files_the_first_wins(first in meant(), second in meant()) {
        let parse = |folder: &str, meant: &Meant| {
            let path = PathBuf::from(folder).join("config");
            Kubeconfig::parse(&path, meant.text().as_bytes()).expect("it is a kubeconfig")
        };
        let both = || parse("/a", &first).merge(parse("/b", &second));
        let merged = both();
        prop_assert_eq!(merged.current_context(), Some(first.contexts[0].0.as_str()));
        for (name, ..) in &first.contexts {
            let options = KubeconfigOptions::new().context(name);
            let alone = parse("/a", &first).access(&options).expect("it is whole");
            let merged = both().access(&options).expect("it is whole still");
            prop_assert_eq!(format!("{alone:?}"), format!("{merged:?}"));
        }
        let mut names: Vec<_> = first.contexts.iter().chain(&second.contexts).map(|it| it.0.clone()).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(merged.contexts().map(str::to_owned).collect::<Vec<_>>(), names);
    }

    #[test]
    fn whatever_is_cut_out_of_a_kubeconfig_it_is_read_or_refused(meant in meant(), at in any::<prop::sample::Index>(), length in 1_usize..40) {
        let text = meant.text();
        let mut bytes = text.into_bytes();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.drain(start..end);
        if let Ok(config) = Kubeconfig::parse(Path::new("c"), &bytes) {
            let _ = config.access(&KubeconfigOptions::new());
        }
    }
}
