//! Replays what a real kube-apiserver (v1.20.2) was asked against the API server of lease-proto.

#![expect(clippy::unwrap_used, reason = "test code")]

mod claims;
mod faults;
mod likeness;
mod unary;
mod watch;

use std::time::{Duration, SystemTime};

use http::{Request, Response, header};
use jiff::fmt::rfc2822;
use lease_proto::server::{Answer, ApiServer, ApiServerBuilder, Rule};
use serde_json::{Value, json};

/// The server that was recorded, as far as requests can tell, whose next write gets `version` + 1.
fn recorded_server(version: u64) -> ApiServerBuilder {
    ApiServer::builder()
        .resource_version(version)
        .namespaces(["default", "demo"])
        .user("token-holder", "holder")
        .user("token-nobody", "nobody")
        .admin("token-admin", "admin")
        .rule(Rule::new("holder").namespace("demo"))
}

/// A request as it was recorded, from whom it came.
fn request(recorded: &Value, identity: &str, body: Vec<u8>) -> Request<Vec<u8>> {
    let mut request = Request::builder()
        .method(recorded["method"].as_str().unwrap())
        .uri(recorded["path"].as_str().unwrap());
    if let Some(headers) = recorded["headers"].as_object() {
        for (name, value) in headers {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    if identity != "none" {
        request = request.header(header::AUTHORIZATION, format!("Bearer token-{identity}"));
    }
    request.body(body).unwrap()
}

/// The server's clock as an answer tells it.
fn wall(date: &str) -> SystemTime {
    let zoned = rfc2822::parse(date).unwrap();
    SystemTime::from(zoned.timestamp())
}

/// A time some seconds after another.
fn later(start: SystemTime, seconds: &Value) -> SystemTime {
    start + Duration::from_secs_f64(seconds.as_f64().unwrap())
}

/// The headers of an answer by lower-case names, as recorded.
fn recorded_headers(recorded: &Value) -> Vec<(String, String)> {
    recorded
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            (
                name.to_ascii_lowercase(),
                value.as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

/// Says how the headers of an answer differ from those recorded. Not compared: what the host that moves
/// the bytes adds, and the id of the audit log.
fn header_differences<T>(recorded: &[(String, String)], answer: &Response<T>) -> Vec<String> {
    let skipped = ["content-length", "transfer-encoding", "audit-id"];
    let mut differences = Vec::new();
    for (name, value) in recorded {
        let found = answer.headers().get(name).map(|it| it.to_str().unwrap());
        if !skipped.contains(&name.as_str()) && found != Some(value) {
            differences.push(format!("header {name}: recorded {value:?}, got {found:?}"));
        }
    }
    for name in answer.headers().keys() {
        if !recorded.iter().any(|it| it.0 == name.as_str()) {
            differences.push(format!("header {name}: not recorded"));
        }
    }
    differences
}

/// An answer to the administrator, at a time that does not matter.
fn ask(server: &mut ApiServer, method: &str, path: &str, body: &Value) -> Response<Vec<u8>> {
    ask_at(server, method, path, body, SystemTime::UNIX_EPOCH)
}

/// An answer to the administrator, who uses the program that made the recordings.
fn ask_at(
    server: &mut ApiServer,
    method: &str,
    path: &str,
    body: &Value,
    now: SystemTime,
) -> Response<Vec<u8>> {
    let media_type = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let asked = json!({
        "method": method,
        "path": path,
        "headers": {"User-Agent": "recorder/1", "Content-Type": media_type},
    });
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    match server.handle(&request(&asked, "admin", body), now) {
        Answer::Whole(answer) => answer,
        Answer::Watch(..) => panic!("{method} {path} is a watch"),
    }
}
