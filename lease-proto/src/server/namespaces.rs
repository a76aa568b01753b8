//! Namespaces, as far as Leases need them: they exist or not, and they may be on their way out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ApiServer, Outcome,
    go_time::{Stamp, WholeTime},
    route::{Query, Verb},
    status::{self, Cause, Details, Failure, GROUP, RESOURCE},
    validate,
};

/// Which namespaces exist.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Namespaces(
    /// Absent: every one.
    Option<BTreeMap<String, Namespace>>,
);

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Namespace {
    uid: String,
    resource_version: u64,
    created: Option<WholeTime>,
    is_terminating: bool,
}

impl Namespaces {
    /// Namespaces by name with their uids; every one if there is no list.
    pub(super) fn new(uids: Option<BTreeMap<String, String>>, version: u64) -> Self {
        Self(uids.map(|uids| {
            uids.into_iter()
                .map(|(name, uid)| {
                    let namespace = Namespace {
                        uid,
                        resource_version: version,
                        created: None,
                        is_terminating: false,
                    };
                    (name, namespace)
                })
                .collect()
        }))
    }
}

impl ApiServer {
    /// Lets a write into a namespace.
    ///
    /// # Errors
    ///
    /// 404 if it does not exist; 403 if something is to be created in it while it is being deleted.
    pub(super) fn admit(
        &self,
        namespace: &str,
        name: &str,
        is_creation: bool,
    ) -> Result<(), Failure> {
        let Some(known) = &self.namespaces.0 else {
            return Ok(());
        };
        let found = known
            .get(namespace)
            .ok_or_else(|| Failure::no_namespace(namespace))?;
        if !(found.is_terminating && is_creation) {
            return Ok(());
        }
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let cause = Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        };
        let message = format!("{RESOURCE}.{GROUP} {name:?} is forbidden: {why}");
        Err(Failure {
            details: Some(Box::new(Details {
                causes: vec![cause],
                ..Details::lease(name)
            })),
            ..Failure::new(403, "Forbidden", message)
        })
    }

    /// Requests about namespaces: GET, list, POST, and DELETE, which leaves them terminating.
    pub(super) fn namespace(
        &mut self,
        verb: Verb,
        name: Option<&str>,
        query: &Query<'_>,
        body: &[u8],
        now: Stamp,
    ) -> Result<Outcome, Failure> {
        match (verb, name) {
            (Verb::Get, Some(name)) => Ok(answer(200, &self.show(name)?)),
            (Verb::List, None) => {
                let names = self.namespaces.0.iter().flat_map(BTreeMap::keys);
                let items: Result<Vec<_>, _> = names.map(|it| self.show(it)).collect();
                let list = json!({
                    "kind": "NamespaceList",
                    "apiVersion": "v1",
                    "metadata": {"resourceVersion": self.store.version().to_string()},
                    "items": items?,
                });
                Ok(answer(200, &list))
            }
            (Verb::Create, None) => {
                let is_dry_run = query.is_dry_run("CreateOptions")?;
                self.create_namespace(body, is_dry_run, now)
            }
            (Verb::Delete, Some(name)) if query.is_dry_run("DeleteOptions")? => {
                Ok(answer(200, &self.show(name)?))
            }
            (Verb::Delete, Some(name)) => {
                let version = self.store.version() + 1;
                let known = self.namespaces.0.as_mut().and_then(|it| it.get_mut(name));
                let known = known.ok_or_else(|| Failure::no_namespace(name))?;
                known.is_terminating = true;
                known.resource_version = version;
                self.store.bump();
                Ok(answer(200, &self.show(name)?))
            }
            _ => Err(Failure::method_not_allowed()),
        }
    }

    fn create_namespace(
        &mut self,
        body: &[u8],
        is_dry_run: bool,
        now: Stamp,
    ) -> Result<Outcome, Failure> {
        let object: Value = serde_json::from_slice(body)
            .map_err(|it| Failure::bad_request(format!("couldn't read a Namespace: {it}")))?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if !validate::is_label(name) {
            let label = validate::LABEL;
            let message = format!(
                "Namespace {name:?} is invalid: metadata.name: Invalid value: {name:?}: {label}"
            );
            return Err(Failure::vague(422, "Invalid", message));
        }
        let exists = self
            .namespaces
            .0
            .as_ref()
            .is_none_or(|it| it.contains_key(name));
        if exists {
            let details = Details {
                name: name.to_owned(),
                kind: "namespaces",
                ..Details::default()
            };
            let message = format!("namespaces {name:?} already exists");
            return Err(Failure {
                details: Some(Box::new(details)),
                ..Failure::new(409, "AlreadyExists", message)
            });
        }
        let namespace = Namespace {
            uid: self.uids.uid(),
            resource_version: if is_dry_run { 0 } else { self.store.bump() },
            created: Some(now.whole()),
            is_terminating: false,
        };
        let shown = namespace.show(name);
        if let Some(known) = self.namespaces.0.as_mut().filter(|_| !is_dry_run) {
            known.insert(name.to_owned(), namespace);
        }
        Ok(answer(201, &shown))
    }

    fn show(&self, name: &str) -> Result<Value, Failure> {
        let everywhere = Namespace {
            uid: String::new(),
            resource_version: 1,
            created: None,
            is_terminating: false,
        };
        let namespace = match &self.namespaces.0 {
            Some(known) => known.get(name).ok_or_else(|| Failure::no_namespace(name))?,
            None => &everywhere,
        };
        Ok(namespace.show(name))
    }
}

impl Namespace {
    fn show(&self, name: &str) -> Value {
        let phase = if self.is_terminating {
            "Terminating"
        } else {
            "Active"
        };
        json!({
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "uid": self.uid,
                "resourceVersion": self.resource_version.to_string(),
                "creationTimestamp": self.created,
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": phase},
        })
    }
}

fn answer(code: u16, object: &Value) -> Outcome {
    let mut body = status::json(object);
    body.push(b'\n');
    Outcome::Json(code, body)
}
