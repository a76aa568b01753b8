//! What the recordings do not show.

mod access;
mod apply;
mod owners;
mod robustness;
mod snapshots;
mod watches;
mod writes;

use std::time::{Duration, SystemTime};

use http::{Request, Response, header};
use serde_json::Value;

use super::{Answer, ApiServer, ApiServerBuilder, WatchId, WatchOutput};

/// Where the Leases of the tests are.
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/demo/leases";
/// The Lease of the tests.
const A: &str = "/apis/coordination.k8s.io/v1/namespaces/demo/leases/a";

/// A server, its clock, and who is talking to it.
struct World {
    server: ApiServer,
    wall: SystemTime,
    token: Option<&'static str>,
    program: &'static str,
}

impl World {
    fn new() -> Self {
        Self::with(ApiServer::builder())
    }

    fn with(builder: ApiServerBuilder) -> Self {
        Self {
            server: builder.build(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            token: None,
            program: "tests/1",
        }
    }

    /// Lets seconds pass.
    fn pass(&mut self, seconds: u64) {
        self.wall += Duration::from_secs(seconds);
    }

    fn request(&self, method: &str, path: &str, media_type: &str, body: &str) -> Request<Vec<u8>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::USER_AGENT, self.program);
        if !media_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        if let Some(token) = self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(body.as_bytes().to_vec()).unwrap()
    }

    fn response(
        &mut self,
        method: &str,
        path: &str,
        media_type: &str,
        body: &str,
    ) -> Response<Vec<u8>> {
        let request = self.request(method, path, media_type, body);
        match self.server.handle(&request, self.wall) {
            Answer::Whole(response) => response,
            Answer::Watch(..) => panic!("{method} {path} is a watch"),
        }
    }

    fn send(&mut self, method: &str, path: &str, media_type: &str, body: &str) -> (u16, Value) {
        let response = self.response(method, path, media_type, body);
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        (response.status().as_u16(), body)
    }

    fn get(&mut self, path: &str) -> (u16, Value) {
        self.send("GET", path, "", "")
    }

    fn post(&mut self, body: &Value) -> (u16, Value) {
        self.send("POST", LEASES, "application/json", &body.to_string())
    }

    fn put(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.send("PUT", path, "application/json", &body.to_string())
    }

    fn patch(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let media_type = "application/merge-patch+json";
        self.send("PATCH", path, media_type, &body.to_string())
    }

    fn delete(&mut self, path: &str) -> (u16, Value) {
        self.send("DELETE", path, "", "")
    }

    fn watch(&mut self, query: &str) -> WatchId {
        let request = self.request("GET", &format!("{LEASES}?watch=1&{query}"), "", "");
        match self.server.handle(&request, self.wall) {
            Answer::Watch(_, id) => id,
            Answer::Whole(response) => panic!("no watch but {}", response.status()),
        }
    }

    /// What a watch has to say, as `TYPE name version`.
    fn events(&mut self, id: WatchId) -> Vec<String> {
        let mut events = Vec::new();
        while let WatchOutput::Chunk(chunk) = self.server.poll_watch(id, self.wall) {
            for line in chunk.split_inclusive(|it| *it == b'\n') {
                let event: Value = serde_json::from_slice(line).unwrap();
                let metadata = &event["object"]["metadata"];
                let text = |it: &Value| it.as_str().unwrap_or("-").to_owned();
                events.push(format!(
                    "{} {} {}",
                    text(&event["type"]),
                    text(&metadata["name"]),
                    text(&metadata["resourceVersion"])
                ));
            }
        }
        events
    }
}
