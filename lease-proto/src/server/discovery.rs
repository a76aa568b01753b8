//! What the server says about itself: versions, groups, resources, health.

use http::Method;
use serde_json::json;

use super::{
    Outcome,
    builder::Version,
    openapi,
    rbac::{ANONYMOUS, User},
    status::{self, API_VERSION, Failure, GROUP, RESOURCE},
};

/// Answers for a path that names no object.
///
/// # Errors
///
/// 403 for strangers, 404 for paths that lead nowhere.
pub(super) fn document(
    method: &Method,
    path: &str,
    user: &User,
    version: Version,
) -> Result<Outcome, Failure> {
    let path = match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let is_public = matches!(path, "/healthz" | "/livez" | "/readyz" | "/version");
    let is_discovery = path == "/api"
        || path.starts_with("/api/")
        || path == "/apis"
        || path.starts_with("/openapi/")
        || path.starts_with("/apis/");
    let is_stranger = user.name == ANONYMOUS;
    if !(user.is_admin || is_public || is_discovery && !is_stranger) {
        let verb = method.as_str().to_ascii_lowercase();
        let message = format!(
            "forbidden: User {:?} cannot {verb} path {path:?}",
            user.name
        );
        return Err(Failure::vague(403, "Forbidden", message));
    }
    if *method != Method::GET && *method != Method::HEAD {
        return Err(Failure::method_not_allowed());
    }
    let group = json!({
        "name": GROUP,
        "versions": [{"groupVersion": API_VERSION, "version": "v1"}],
        "preferredVersion": {"groupVersion": API_VERSION, "version": "v1"},
    });
    let verbs = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let document = match path {
        "/healthz" | "/livez" | "/readyz" => return Ok(Outcome::Text("ok")),
        "/version" => return Ok(Outcome::Json(200, about(version))),
        "/api" => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        "/api/v1" => json!({
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [{
                "name": "namespaces",
                "singularName": "",
                "namespaced": false,
                "kind": "Namespace",
                "verbs": ["create", "delete", "get", "list"],
                "shortNames": ["ns"],
            }],
        }),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}),
        "/apis/coordination.k8s.io" => {
            let mut document = group;
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            document
        }
        "/apis/coordination.k8s.io/v1" => json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": API_VERSION,
            "resources": [{
                "name": RESOURCE,
                "singularName": "",
                "namespaced": true,
                "kind": "Lease",
                "verbs": verbs,
                "storageVersionHash": "/sY7hl8ol1U=",
            }],
        }),
        "/openapi/v2" => return Ok(Outcome::OpenApi(openapi::version_2())),
        "/openapi/v3" => openapi::index(),
        "/openapi/v3/apis/coordination.k8s.io/v1" => openapi::leases(),
        _ => return Err(Failure::no_resource()),
    };
    let mut body = status::json(&document);
    body.push(b'\n');
    Ok(Outcome::Json(200, body))
}

/// The `/version` document, which the real server indents.
fn about(version: Version) -> Vec<u8> {
    let (minor, full) = match version {
        Version::V1_20 => ("20", "v1.20.2"),
        Version::V1_31 => ("31", "v1.31.0"),
    };
    let document = json!({
        "major": "1",
        "minor": minor,
        "gitVersion": full,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    });
    serde_json::to_vec_pretty(&document).expect("a document of texts can be written as JSON")
}
