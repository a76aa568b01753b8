//! What the server says when it does not do what was asked: the `Status` object and its usual forms.

use serde::Serialize;

/// The API group of Leases.
pub(super) const GROUP: &str = "coordination.k8s.io";
/// The API version of Leases.
pub(super) const API_VERSION: &str = "coordination.k8s.io/v1";
/// Leases in the plural, as paths name them.
pub(super) const RESOURCE: &str = "leases";

/// A request that was refused.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The HTTP status code.
    pub(super) code: u16,
    /// The machine-readable reason; empty where the server gives none.
    pub(super) reason: &'static str,
    /// The sentence for people.
    pub(super) message: String,
    /// What it is about.
    pub(super) details: Option<Box<Details>>,
}

/// What a [`Failure`] is about.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) group: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_seconds: Option<u32>,
}

/// One broken rule.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) field: String,
}

/// The object on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: Empty,
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

/// `{}`.
#[derive(Serialize)]
struct Empty {}

impl Failure {
    /// A failure without details.
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    /// A failure with details that say nothing.
    pub(super) fn vague(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            details: Some(Box::default()),
            ..Self::new(code, reason, message)
        }
    }

    /// A failure about one Lease.
    pub(super) fn about(name: &str, code: u16, reason: &'static str, message: String) -> Self {
        Self {
            details: Some(Box::new(Details::lease(name))),
            ..Self::new(code, reason, message)
        }
    }

    /// 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 500, without a reason, as the server answers for errors that have no form of their own.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 401.
    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 404 for a Lease.
    pub(super) fn not_found(name: &str) -> Self {
        let message = format!("{RESOURCE}.{GROUP} {name:?} not found");
        Self::about(name, 404, "NotFound", message)
    }

    /// 404 for a namespace.
    pub(super) fn no_namespace(name: &str) -> Self {
        let details = Details {
            name: name.to_owned(),
            kind: "namespaces",
            ..Details::default()
        };
        Self {
            details: Some(Box::new(details)),
            ..Self::new(404, "NotFound", format!("namespaces {name:?} not found"))
        }
    }

    /// 404 for a path.
    pub(super) fn no_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::vague(404, "NotFound", message)
    }

    /// 405.
    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::vague(405, "MethodNotAllowed", message)
    }

    /// 409 because the name is taken.
    pub(super) fn already_exists(name: &str) -> Self {
        let message = format!("{RESOURCE}.{GROUP} {name:?} already exists");
        Self::about(name, 409, "AlreadyExists", message)
    }

    /// 409 because something else was there than was presumed.
    pub(super) fn conflict(name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {RESOURCE}.{GROUP} {name:?}: {why}");
        Self::about(name, 409, "Conflict", message)
    }

    /// 409 because the object is of another version.
    pub(super) fn modified(name: &str) -> Self {
        Self::conflict(
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 because a precondition of a deletion does not hold. It names the kind and not the resource.
    pub(super) fn delete_conflict(name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on Lease.{GROUP} {name:?}: {why}");
        let mut failure = Self::about(name, 409, "Conflict", message);
        failure.details = Some(Box::new(Details::kind(name)));
        failure
    }

    /// 410.
    pub(super) fn expired(what: &str) -> Self {
        let message = format!("The resourceVersion for the provided {what} is too old.");
        Self::new(410, "Expired", message)
    }

    /// 415.
    pub(super) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 422 for a Lease that breaks rules.
    pub(super) fn invalid(name: &str, causes: Vec<Cause>) -> Self {
        let message = format!("Lease.{GROUP} {name:?} is invalid: {}", aggregate(&causes));
        let details = Details {
            causes,
            ..Details::kind(name)
        };
        Self {
            details: Some(Box::new(details)),
            ..Self::new(422, "Invalid", message)
        }
    }

    /// 422 for options in the query that break rules.
    pub(super) fn invalid_options(kind: &'static str, causes: Vec<Cause>) -> Self {
        let message = format!("{kind}.meta.k8s.io \"\" is invalid: {}", aggregate(&causes));
        let details = Details {
            group: "meta.k8s.io",
            kind,
            causes,
            ..Details::default()
        };
        Self {
            details: Some(Box::new(details)),
            ..Self::new(422, "Invalid", message)
        }
    }

    /// The object on the wire, with the line feed that ends it.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = self.object();
        body.push(b'\n');
        body
    }

    /// The object on the wire.
    pub(super) fn object(&self) -> Vec<u8> {
        json(&Status {
            kind: "Status",
            api_version: "v1",
            metadata: Empty {},
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: self.details.as_deref(),
            code: Some(self.code),
        })
    }
}

impl Details {
    /// About a Lease, by the name of its resource.
    pub(super) fn lease(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: GROUP,
            kind: RESOURCE,
            ..Self::default()
        }
    }

    /// About a Lease, by the name of its kind.
    fn kind(name: &str) -> Self {
        Self {
            kind: "Lease",
            ..Self::lease(name)
        }
    }
}

impl Cause {
    /// A value that is not allowed.
    pub(super) fn invalid(field: &str, value: &str, why: impl AsRef<str>) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {}", why.as_ref()),
            field: field.to_owned(),
        }
    }

    /// A value that is missing.
    pub(super) fn required(field: &str, why: &str) -> Self {
        Self {
            reason: "FieldValueRequired",
            message: format!("Required value: {why}"),
            field: field.to_owned(),
        }
    }

    /// A value that must not be set.
    pub(super) fn forbidden(field: &str, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {why}"),
            field: field.to_owned(),
        }
    }

    /// A value that is not one of a list.
    pub(super) fn not_supported(field: &str, value: &str, supported: &str) -> Self {
        Self {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {value:?}: supported values: {supported:?}"),
            field: field.to_owned(),
        }
    }

    /// A value that is too long.
    pub(super) fn too_long(field: &str, limit: usize) -> Self {
        Self {
            reason: "FieldValueTooLong",
            message: format!("Too long: must have at most {limit} bytes"),
            field: field.to_owned(),
        }
    }
}

/// The answer to a deletion that was done.
pub(super) fn deleted(name: &str, uid: &str) -> Vec<u8> {
    let details = Details {
        uid: uid.to_owned(),
        ..Details::lease(name)
    };
    let mut body = json(&Status {
        kind: "Status",
        api_version: "v1",
        metadata: Empty {},
        status: "Success",
        message: "",
        reason: "",
        details: Some(&details),
        code: None,
    });
    body.push(b'\n');
    body
}

/// Serializes what cannot fail to serialize.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("the server's own types have string keys and no failing parts")
}

/// The messages of all causes, each said once.
fn aggregate(causes: &[Cause]) -> String {
    let mut messages: Vec<String> = Vec::new();
    for cause in causes {
        let message = if cause.field.is_empty() {
            cause.message.clone()
        } else {
            format!("{}: {}", cause.field, cause.message)
        };
        if !messages.contains(&message) {
            messages.push(message);
        }
    }
    match messages.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", messages.join(", ")),
    }
}
