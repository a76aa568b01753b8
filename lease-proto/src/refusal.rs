//! Why the API server refused a request, and what would make it agree.

use std::fmt;

use http::StatusCode;

use crate::wire::Status;

/// What was asked for, in the words of RBAC.
///
/// ```
/// use lease_proto::Verb;
///
/// assert_eq!(Verb::Watch.to_string(), "watch"); // as it stands in a Role
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    /// To make a new object.
    Create,
    /// To remove an object.
    Delete,
    /// To read one object.
    Get,
    /// To read several objects.
    List,
    /// To change some fields of an object.
    Patch,
    /// To replace an object.
    Update,
    /// To be told of changes.
    Watch,
}

impl Verb {
    /// Returns the word as it stands in a Role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal that trying again will not change.
///
/// `Display` says in one line what was refused and what the server said; [`advice`](Self::advice) what to do.
///
/// ```
/// use http::StatusCode;
/// use lease_proto::{Refusal, Verb, wire::Status};
///
/// let body = br#"{"kind":"Status","reason":"Forbidden","message":"not for you"}"#;
/// let said = Status::read(body);
/// let refusal = Refusal::new(Verb::Update, StatusCode::FORBIDDEN, said, body, "default", "leader");
/// assert!(refusal.is_permission_denied());
/// assert!(refusal.role().contains("update"));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Refusal {
    verb: Verb,
    status: StatusCode,
    reason: String,
    message: String,
    namespace_is_missing: bool,
    namespace: String,
    name: String,
    is_of_announcement: bool,
}

impl Refusal {
    /// Reads a refusal from an answer.
    ///
    /// `namespace` and `name` say what was asked for (`name` is empty for a whole namespace, and both are for all namespaces);
    /// `body` is quoted where the server sent no `Status`.
    pub fn new(
        verb: Verb,
        status: StatusCode,
        said: Status,
        body: &[u8],
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        let namespace_is_missing = status == StatusCode::NOT_FOUND && said.is_about_namespaces();
        let message = if said.message.is_empty() {
            one_line(&String::from_utf8_lossy(body.get(..1024).unwrap_or(body)))
        } else {
            one_line(&said.message)
        };
        Self {
            verb,
            status,
            reason: one_line(&said.reason),
            message,
            namespace_is_missing,
            namespace: namespace.into(),
            name: name.into(),
            is_of_announcement: false,
        }
    }

    /// Takes note that this was asked for in order to wait by priority, so that [`role`](Self::role) grants all that this needs.
    ///
    /// ```
    /// use http::StatusCode;
    /// use lease_proto::{Refusal, Verb, wire::Status};
    ///
    /// let said = Status::read(br#"{"kind":"Status","reason":"Forbidden"}"#);
    /// let name = "leader-candidate-4b7e";
    /// let refusal = Refusal::new(Verb::Delete, StatusCode::FORBIDDEN, said, b"", "default", name);
    /// let role = refusal.of_announcement().role();
    /// assert!(role.contains("list") && !role.contains(name));
    /// ```
    #[must_use]
    pub fn of_announcement(mut self) -> Self {
        self.is_of_announcement = true;
        self
    }

    /// Returns what was asked for.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// Returns the status code of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the server's reason in one word, such as `Forbidden`; empty where it gave none.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the server's own words, on one line; empty where it said nothing.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns whether the credentials are unknown or lack a permission.
    pub fn is_permission_denied(&self) -> bool {
        matches!(
            self.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        )
    }

    /// Returns whether the namespace does not exist.
    pub fn is_namespace_missing(&self) -> bool {
        self.namespace_is_missing
    }

    /// Returns what would make the server agree, in one or several lines.
    pub fn advice(&self) -> String {
        let Self {
            namespace, verb, ..
        } = self;
        match self.status {
            StatusCode::FORBIDDEN if namespace.is_empty() => format!(
                "the identity lacks the verb {verb:?} on leases in all namespaces; this ClusterRole grants it (bind it with a \
                 ClusterRoleBinding):\n{}",
                self.role(),
                verb = verb.as_str(),
            ),
            StatusCode::FORBIDDEN => format!(
                "the identity lacks the verb {verb:?} on leases in namespace {namespace:?}; this Role grants all that is \
                 needed (bind it with a RoleBinding):\n{}",
                self.role(),
                verb = verb.as_str(),
            ),
            StatusCode::UNAUTHORIZED => {
                "the server does not know the token or certificate: check that it is not expired and belongs to this cluster"
                    .to_owned()
            }
            StatusCode::NOT_FOUND if self.namespace_is_missing => format!(
                "create the namespace (kubectl create namespace {namespace}) or name another"
            ),
            StatusCode::NOT_FOUND => {
                "check that the address is that of a Kubernetes API server, version 1.14 or later".to_owned()
            }
            _ => "the request cannot succeed as it is: check the settings against what the server says".to_owned(),
        }
    }

    /// Returns a Role, as YAML, that grants the verb that was refused and those that every claimant needs; one that grants
    /// reading alone where a list was asked for, as no claimant does but to wait by priority, and a ClusterRole where it was of all
    /// namespaces. Who waits by priority needs more, on Leases of any name.
    pub fn role(&self) -> String {
        let Self {
            namespace,
            name,
            verb,
            ..
        } = self;
        if self.is_of_announcement {
            return format!(
                "apiVersion: rbac.authorization.k8s.io/v1\n\
                 kind: Role\n\
                 metadata:\n\
                 \x20 name: lease-candidate\n\
                 \x20 namespace: {namespace}\n\
                 rules:\n\
                 - apiGroups: [\"coordination.k8s.io\"]\n\
                 \x20 resources: [\"leases\"]\n\
                 \x20 verbs: [\"get\", \"list\", \"watch\", \"create\", \"update\", \"delete\"]\n"
            );
        }
        if namespace.is_empty() || *verb == Verb::List {
            let (kind, place) = if namespace.is_empty() {
                ("ClusterRole", String::new())
            } else {
                ("Role", format!("\n  namespace: {namespace}"))
            };
            return format!(
                "apiVersion: rbac.authorization.k8s.io/v1\n\
                 kind: {kind}\n\
                 metadata:\n\
                 \x20 name: lease-reader{place}\n\
                 rules:\n\
                 - apiGroups: [\"coordination.k8s.io\"]\n\
                 \x20 resources: [\"leases\"]\n\
                 \x20 verbs: [\"get\", \"list\", \"watch\"]\n"
            );
        }
        // PATCH stands in for PUT, so a Role for one needs no verb for the other.
        let write = if *verb == Verb::Patch {
            "patch"
        } else {
            "update"
        };
        let named = if name.is_empty() {
            String::new()
        } else {
            format!("\n  resourceNames: [{name:?}]")
        };
        let more = match verb {
            Verb::Delete => ", \"delete\"",
            Verb::Create | Verb::Get | Verb::List | Verb::Patch | Verb::Update | Verb::Watch => "",
        };
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\n\
             kind: Role\n\
             metadata:\n\
             \x20 name: lease-holder\n\
             \x20 namespace: {namespace}\n\
             rules:\n\
             - apiGroups: [\"coordination.k8s.io\"]\n\
             \x20 resources: [\"leases\"]{named}\n\
             \x20 verbs: [\"get\", \"watch\", \"{write}\"{more}]\n\
             - apiGroups: [\"coordination.k8s.io\"]\n\
             \x20 resources: [\"leases\"]\n\
             \x20 verbs: [\"create\"]\n"
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            namespace,
            name,
            status,
            message,
            ..
        } = self;
        write!(f, "the API server refused to {verb} ")?;
        if namespace.is_empty() {
            f.write_str("leases in all namespaces")?;
        } else if name.is_empty() {
            write!(f, "leases in namespace {namespace}")?;
        } else {
            write!(f, "lease {namespace}/{name}")?;
        }
        write!(f, " ({status})")?;
        if message.is_empty() {
            Ok(())
        } else {
            write!(f, ": {message}")
        }
    }
}

impl std::error::Error for Refusal {}

/// Takes out what stands where a credential does: there are servers and proxies that quote the request they refuse.
fn without_credentials(line: &str) -> String {
    let mut follows = false;
    let words = line.split(' ').map(|word| {
        let is_credential = follows && !is_talk(word);
        // Words between quotes and colons, too.
        let end = word.rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        let end = end.unwrap_or_default();
        follows = ["bearer", "basic"]
            .iter()
            .any(|it| end.eq_ignore_ascii_case(it))
            || follows && word.is_empty();
        if is_credential { "<redacted>" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a word after the name of a scheme is about credentials, and none itself.
fn is_talk(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    const TALK: [&str; 12] = [
        "",
        "and",
        "auth",
        "authentication",
        "authorization",
        "credentials",
        "error",
        "is",
        "or",
        "realm",
        "token",
        "tokens",
    ];
    TALK.contains(&word.to_ascii_lowercase().as_str()) || word.starts_with("realm=")
}

/// Cuts what a server says, and takes out what could write over a terminal or a log.
pub(crate) fn one_line(text: &str) -> String {
    let line: String = text
        .split(|c: char| c.is_control())
        .filter(|part| !part.trim().is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let mut line = without_credentials(&line);
    if let Some((cut, _)) = line.char_indices().nth(500) {
        line.truncate(cut);
        line.push_str("...");
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_quotes_of_a_credential_is_not_said_again() {
        for (said, shown) in [
            (
                "authorization: Bearer canary was refused",
                "authorization: Bearer <redacted> was refused",
            ),
            (
                "{\"Authorization\":\"bearer ey.J0\"}",
                "{\"Authorization\":\"bearer <redacted>",
            ),
            ("Basic  dXNlcjpwYXNz", "Basic  <redacted>"),
            (
                "invalid bearer token, token lookup failed",
                "invalid bearer token, token lookup failed",
            ),
            ("Unauthorized", "Unauthorized"),
        ] {
            assert_eq!(one_line(said), shown);
        }
    }
}
