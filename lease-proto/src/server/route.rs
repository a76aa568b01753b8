//! Paths and queries: what a request is about, read without the client's idea of it.

use std::borrow::Cow;

use http::Method;

use super::{
    selector::FieldSelector,
    status::{Cause, Failure},
};

/// What a path names.
#[derive(Clone, Debug)]
pub(super) enum Target<'a> {
    /// Objects.
    Resource(Resource<'a>),
    /// Something that is no object: a document or nothing.
    Path,
}

/// Objects named by a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Resource<'a> {
    pub(super) group: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    pub(super) namespace: Option<Cow<'a, str>>,
    pub(super) resource: Cow<'a, str>,
    pub(super) name: Option<Cow<'a, str>>,
    /// Whether the path goes on past the name.
    pub(super) has_subresource: bool,
}

/// What is to be done, in the words that RBAC uses.
///
/// ```
/// use lease_proto::server::Verb;
///
/// assert_eq!(Verb::DeleteCollection.as_str(), "deletecollection");
/// ```
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the verbs of the API are these")]
pub enum Verb {
    /// POST.
    Create,
    /// DELETE of one object.
    Delete,
    /// DELETE of all objects, or of those that a selector names.
    DeleteCollection,
    /// GET of one object.
    Get,
    /// GET of many objects.
    List,
    /// PATCH.
    Patch,
    /// PUT.
    Update,
    /// GET with `watch=true`.
    Watch,
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Target<'a> {
    /// Reads a path.
    pub(super) fn parse(path: &'a str) -> Self {
        let mut segments = path.split('/').filter(|it| !it.is_empty());
        let group = match segments.next() {
            Some("api") => Cow::Borrowed(""),
            Some("apis") => match segments.next() {
                Some(group) => decoded(group, false),
                None => return Self::Path,
            },
            _ => return Self::Path,
        };
        let Some(version) = segments.next() else {
            return Self::Path;
        };
        let Some(first) = segments.next() else {
            return Self::Path;
        };
        let mut resource = Resource {
            group,
            version: decoded(version, false),
            ..Resource::default()
        };
        let mut plural = first;
        if first == "namespaces" {
            resource.namespace = segments.next().map(|it| decoded(it, false));
            match segments.next() {
                Some(inner) => plural = inner,
                None => resource.name.clone_from(&resource.namespace),
            }
        }
        resource.resource = decoded(plural, false);
        if resource.name.is_none() {
            resource.name = segments.next().map(|it| decoded(it, false));
        }
        resource.has_subresource = segments.next().is_some();
        Self::Resource(resource)
    }
}

impl Verb {
    /// What a method means for a resource; nothing if it means nothing.
    pub(super) fn of(method: &Method, named: bool, query: &Query<'_>) -> Option<Self> {
        Some(match *method {
            Method::DELETE if named => Self::Delete,
            Method::DELETE => Self::DeleteCollection,
            Method::GET | Method::HEAD if named => Self::Get,
            Method::GET | Method::HEAD if query.is_set("watch") => Self::Watch,
            Method::GET | Method::HEAD => Self::List,
            Method::PATCH => Self::Patch,
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            _ => return None,
        })
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

impl<'a> Query<'a> {
    /// Reads a query.
    pub(super) fn parse(query: &'a str) -> Self {
        Self(
            query
                .split('&')
                .filter(|it| !it.is_empty())
                .map(|it| {
                    let (key, value) = it.split_once('=').unwrap_or((it, ""));
                    (decoded(key, true), decoded(value, true))
                })
                .collect(),
        )
    }

    /// The value of a parameter; nothing if it is absent or empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|it| it.0 == key)
            .map(|it| it.1.as_ref())
            .filter(|it| !it.is_empty())
    }

    /// Whether a switch is on: present and neither `0` nor `false`.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.0
            .iter()
            .find(|it| it.0 == key)
            .is_some_and(|it| !matches!(it.1.as_ref(), "0" | "false"))
    }

    /// Whether nothing is to be stored.
    ///
    /// # Errors
    ///
    /// 422 if `dryRun` is anything but `All`.
    pub(super) fn is_dry_run(&self, options: &'static str) -> Result<bool, Failure> {
        let mut given = self.0.iter().filter(|it| it.0 == "dryRun").peekable();
        let is_dry_run = given.peek().is_some();
        for (_, value) in given {
            if value != "All" {
                let cause = Cause::not_supported("dryRun", value, "All");
                return Err(Failure::invalid_options(options, vec![cause]));
            }
        }
        Ok(is_dry_run)
    }

    /// The fields that objects must have.
    ///
    /// # Errors
    ///
    /// 400 for a selector that cannot be read, or for a field that cannot be selected by.
    pub(super) fn fields(&self) -> Result<FieldSelector, Failure> {
        self.get("fieldSelector")
            .map_or_else(|| Ok(FieldSelector::default()), FieldSelector::parse)
    }
}

/// Takes percent signs out of a text; `+` is a space in a query.
fn decoded(text: &str, plus: bool) -> Cow<'_, str> {
    if !(text.contains('%') || plus && text.contains('+')) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes
            .get(at + 1..at + 3)
            .filter(|_| *byte == b'%')
            .and_then(|it| std::str::from_utf8(it).ok())
            .and_then(|it| u8::from_str_radix(it, 16).ok());
        match escaped {
            Some(escaped) => {
                out.push(escaped);
                at += 3;
            }
            None => {
                out.push(if plus && *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> Resource<'_> {
        match Target::parse(path) {
            Target::Resource(resource) => resource,
            Target::Path => panic!("{path} is no resource"),
        }
    }

    #[test]
    fn a_path_is_taken_apart() {
        let it = resource("/apis/coordination.k8s.io/v1/namespaces/demo/leases/a%2Db");
        assert_eq!(it.group, "coordination.k8s.io");
        assert_eq!(it.namespace.as_deref(), Some("demo"));
        assert_eq!(it.resource, "leases");
        assert_eq!(it.name.as_deref(), Some("a-b"));
        assert!(!it.has_subresource);
        let it = resource("/apis/coordination.k8s.io/v1/leases");
        assert_eq!((it.namespace, it.name), (None, None));
        let it = resource("/api/v1/namespaces/demo");
        assert_eq!(
            (it.resource.as_ref(), it.name.as_deref()),
            ("namespaces", Some("demo"))
        );
    }

    #[test]
    fn a_query_is_decoded() {
        let query =
            Query::parse("fieldSelector=metadata.name%3Dw&watch=1&allowWatchBookmarks=false");
        assert_eq!(query.get("fieldSelector"), Some("metadata.name=w"));
        assert!(query.is_set("watch"));
        assert!(!query.is_set("allowWatchBookmarks"));
        assert_eq!(query.get("limit"), None);
    }
}
