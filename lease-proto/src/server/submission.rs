//! A write as it was asked for: who sends what, in which form, in whose name.

use http::{HeaderMap, Request, header};

use super::{
    ApiServer,
    decode::MAX_BODY,
    go_time::Stamp,
    managed_fields::Writer,
    rbac::User,
    route::Query,
    status::{API_VERSION, Failure},
};

/// Media types of bodies that the real server reads.
pub(super) const BODIES: &str =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";
/// Media types of patches.
pub(super) const PATCHES: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";
/// How long the name of a field manager may be.
const MAX_MANAGER: usize = 128;

/// A write as it was asked for.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) request: &'a Request<Vec<u8>>,
    pub(super) query: &'a Query<'a>,
    pub(super) user: &'a User,
    pub(super) now: Stamp,
    pub(super) namespace: &'a str,
}

impl<'a> Write<'a> {
    /// The body, if it is JSON and not too long.
    pub(super) fn body(&self) -> Result<&'a [u8], Failure> {
        if !matches!(self.media_type(), "" | "application/json") {
            return Err(Failure::unsupported_media_type(BODIES));
        }
        self.sized_body()
    }

    /// The body, if it is not too long.
    pub(super) fn sized_body(&self) -> Result<&'a [u8], Failure> {
        let body = self.request.body();
        if body.len() > MAX_BODY {
            let message = format!("Request entity too large: limit is {MAX_BODY}");
            return Err(Failure::new(413, "RequestEntityTooLarge", message));
        }
        Ok(body)
    }

    /// The media type of the body, without parameters.
    pub(super) fn media_type(&self) -> &'a str {
        let given = text(self.request.headers(), header::CONTENT_TYPE);
        given.split(';').next().unwrap_or_default().trim()
    }

    /// Under which name the fields are owned: what the query says, else the program's name.
    pub(super) fn manager(&self) -> String {
        if let Some(manager) = self.query.get("fieldManager") {
            return manager.to_owned();
        }
        let agent = text(self.request.headers(), header::USER_AGENT);
        let mut manager = String::new();
        let name = agent.split('/').next().unwrap_or_default();
        for character in name.chars().filter(|it| !it.is_control()) {
            if manager.len() + character.len_utf8() > MAX_MANAGER {
                break;
            }
            manager.push(character);
        }
        if manager.is_empty() {
            manager.push_str("unknown");
        }
        manager
    }

    /// Who writes, for `managedFields`.
    pub(super) fn writer<'b>(&self, manager: &'b str, server: &ApiServer) -> Writer<'b> {
        Writer {
            manager,
            api_version: API_VERSION,
            now: self.now,
            always_stamps: server.config.version.always_stamps(),
        }
    }
}

/// A header as text; empty if absent or no text.
pub(super) fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default()
}
