//! Who is asking, and what that one may do.

use std::collections::BTreeMap;

use super::{
    route::Verb,
    status::{Details, Failure},
};

/// Who asks without a token.
pub(super) const ANONYMOUS: &str = "system:anonymous";

/// What a user may do with Leases: a Role and its binding in one.
///
/// ```
/// use lease_proto::server::{Rule, Verb};
///
/// let rule = Rule::new("worker")
///     .namespace("jobs")
///     .names(["nightly"])
///     .verbs([Verb::Get, Verb::Update, Verb::Watch]);
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    user: String,
    verbs: Option<Vec<Verb>>,
    namespace: Option<String>,
    names: Vec<String>,
}

/// Tokens and rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    /// Users by their tokens. Nobody at all: everybody may do everything.
    pub(super) users: BTreeMap<String, User>,
    pub(super) rules: Vec<Rule>,
}

/// Somebody with a token.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    /// Whether every request is allowed.
    pub(super) is_admin: bool,
}

/// Something that somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) verb: Verb,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

impl Rule {
    /// Allows `user` everything with all Leases; the other methods narrow that down.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            verbs: None,
            namespace: None,
            names: Vec::new(),
        }
    }

    /// Only these verbs. Defaults to all.
    #[must_use]
    pub fn verbs(mut self, verbs: impl IntoIterator<Item = Verb>) -> Self {
        self.verbs = Some(verbs.into_iter().collect());
        self
    }

    /// Only in this namespace. Defaults to all.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only Leases of these names. As with `resourceNames` in a Role, nothing is created under such a
    /// rule, and lists and watches only if they select one of the names. Defaults to all.
    #[must_use]
    pub fn names<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    fn allows(&self, user: &User, attempt: &Attempt<'_>) -> bool {
        let name_fits = || {
            self.names.is_empty()
                || attempt
                    .name
                    .is_some_and(|name| self.names.iter().any(|it| it == name))
        };
        attempt.resource == super::status::RESOURCE
            && attempt.group == super::status::GROUP
            && self.user == user.name
            && self
                .verbs
                .as_ref()
                .is_none_or(|it| it.contains(&attempt.verb))
            && self
                .namespace
                .as_deref()
                .is_none_or(|it| Some(it) == attempt.namespace)
            && name_fits()
    }
}

impl Access {
    /// Who sends these credentials.
    ///
    /// # Errors
    ///
    /// 401 for a token that nobody has.
    pub(super) fn user(&self, authorization: Option<&[u8]>) -> Result<User, Failure> {
        if self.users.is_empty() {
            return Ok(User {
                name: "system:admin".to_owned(),
                is_admin: true,
            });
        }
        let Some(authorization) = authorization else {
            return Ok(User {
                name: ANONYMOUS.to_owned(),
                is_admin: false,
            });
        };
        let token = std::str::from_utf8(authorization)
            .ok()
            .and_then(|it| it.split_once(' '))
            .filter(|it| it.0.eq_ignore_ascii_case("bearer"))
            .map(|it| it.1.trim());
        token
            .and_then(|it| self.users.get(it))
            .cloned()
            .ok_or_else(Failure::unauthorized)
    }

    /// Lets an attempt pass.
    ///
    /// # Errors
    ///
    /// 403 if no rule allows it.
    pub(super) fn check(&self, user: &User, attempt: &Attempt<'_>) -> Result<(), Failure> {
        if user.is_admin || self.rules.iter().any(|it| it.allows(user, attempt)) {
            return Ok(());
        }
        Err(attempt.forbidden(&user.name))
    }
}

impl Attempt<'_> {
    /// 403 for somebody.
    pub(super) fn forbidden(&self, user: &str) -> Failure {
        let Self {
            verb,
            group,
            resource,
            namespace,
            name,
        } = self;
        let qualified = if group.is_empty() {
            (*resource).to_owned()
        } else {
            format!("{resource}.{group}")
        };
        let quoted = name.map(|it| format!(" {it:?}")).unwrap_or_default();
        let scope = namespace.map_or_else(
            || "at the cluster scope".to_owned(),
            |it| format!("in the namespace {it:?}"),
        );
        let message = format!(
            "{qualified}{quoted} is forbidden: User {user:?} cannot {} resource {resource:?} in API group {group:?} {scope}",
            verb.as_str()
        );
        let known = |text: &str| match text {
            super::status::GROUP => super::status::GROUP,
            super::status::RESOURCE => super::status::RESOURCE,
            "namespaces" => "namespaces",
            _ => "",
        };
        let details = Details {
            name: name.unwrap_or_default().to_owned(),
            group: known(group),
            kind: known(resource),
            ..Details::default()
        };
        Failure {
            details: Some(Box::new(details)),
            ..Failure::new(403, "Forbidden", message)
        }
    }
}
