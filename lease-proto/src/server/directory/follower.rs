//! A stream of changes over a state that other processes change.

use std::time::SystemTime;

use http::{Request, Response};

use crate::server::{Answer, ApiServer, SnapshotError, WatchId, WatchOutput};

/// A stream of changes over a state that other processes change: an API server that [catches up](Self::catch_up) with the
/// state whenever that is another one.
///
/// What happens between two looks is told as far as its outcome differs.
///
/// ```
/// use std::time::SystemTime;
///
/// use lease_proto::server::{WatchOutput, directory::{Follower, Following, initial}};
///
/// let request = http::Request::get("/apis/coordination.k8s.io/v1/namespaces/demo/leases?watch=true")
///     .body(Vec::new())
///     .unwrap();
/// let now = SystemTime::UNIX_EPOCH;
/// let state = initial(0x5eed); // what stands in the file
/// let Following::Stream(head, mut follower) = Follower::begin(&state, &request, now)? else {
///     panic!("it is a request for a stream");
/// };
/// assert_eq!(head.status(), 200);
/// follower.catch_up(&state)?; // whenever the file has changed
/// assert!(matches!(follower.poll(now), WatchOutput::Wait { .. }));
/// # Ok::<(), lease_proto::server::SnapshotError>(())
/// ```
#[derive(Debug)]
pub struct Follower {
    server: ApiServer,
    watch: WatchId,
}

/// What a request for a stream is answered.
///
/// ```
/// use std::time::SystemTime;
///
/// use lease_proto::server::directory::{Follower, Following, initial};
///
/// let request = http::Request::get("/healthz").body(Vec::new()).unwrap();
/// match Follower::begin(&initial(0x5eed), &request, SystemTime::UNIX_EPOCH)? {
///     Following::Whole(response) => println!("no stream: {}", response.status()),
///     Following::Stream(head, _follower) => println!("a stream: {}", head.status()),
/// }
/// # Ok::<(), lease_proto::server::SnapshotError>(())
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a driver must serve both")]
pub enum Following {
    /// It is refused, or is no request for a stream.
    Whole(Response<Vec<u8>>),
    /// The head of the answer, and the stream that follows it.
    Stream(Response<()>, Box<Follower>),
}

impl Follower {
    /// Answers a request for a stream over a state.
    ///
    /// It may begin at any earlier version: of an object that is there it is enough to tell how it is now. Of one that is
    /// not there, nobody remembers what it was, so that version is said to be too old.
    ///
    /// # Errors
    ///
    /// If the state cannot be read.
    pub fn begin(
        state: &[u8],
        request: &Request<Vec<u8>>,
        wall: SystemTime,
    ) -> Result<Following, SnapshotError> {
        let mut server = ApiServer::builder().restore(state)?;
        let (head, watch) = match server.handle(request, wall) {
            Answer::Whole(response) => return Ok(Following::Whole(response)),
            Answer::Watch(head, watch) => (head, watch),
        };
        server.retell(watch);
        let follower = Self { server, watch };
        Ok(Following::Stream(head, Box::new(follower)))
    }

    /// Takes note of the state as it is now. One that does not follow from the last one ends the stream.
    ///
    /// # Errors
    ///
    /// If the state cannot be read.
    pub fn catch_up(&mut self, state: &[u8]) -> Result<(), SnapshotError> {
        let later = ApiServer::builder().restore(state)?;
        if !self.server.catch_up(&later) {
            self.server.close_watch(self.watch);
        }
        Ok(())
    }

    /// What the stream has to say: see [`ApiServer::poll_watch`].
    pub fn poll(&mut self, wall: SystemTime) -> WatchOutput {
        self.server.poll_watch(self.watch, wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::directory::{answer, initial};

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    const WALL: SystemTime = SystemTime::UNIX_EPOCH;

    /// A state that is written to as by another process.
    struct State(Vec<u8>);

    impl State {
        fn ask(&mut self, method: &str, name: &str, body: &str) -> Vec<u8> {
            let kind = if method == "PATCH" {
                "application/merge-patch+json"
            } else {
                "application/json"
            };
            let request = Request::builder()
                .method(method)
                .uri(format!("{LEASES}{name}"))
                .header("content-type", kind)
                .body(body.as_bytes().to_vec());
            let (said, changed) = answer(&self.0, &request.unwrap(), WALL).unwrap();
            self.0 = changed.unwrap_or_else(|| self.0.clone());
            let Answer::Whole(said) = said else {
                panic!("nobody watches")
            };
            assert!(said.status().is_success(), "{said:?}");
            said.into_body()
        }

        fn version(&mut self) -> String {
            let lease: serde_json::Value =
                serde_json::from_slice(&self.ask("GET", "/a", "")).unwrap();
            let version = lease["metadata"]["resourceVersion"].as_str();
            version.unwrap().to_owned()
        }

        fn follow(&self, from: &str) -> Follower {
            let uri = format!(
                "{LEASES}?watch=true&fieldSelector=metadata.name%3Da&timeoutSeconds=300{from}"
            );
            let request = Request::get(uri).body(Vec::new()).unwrap();
            match Follower::begin(&self.0, &request, WALL).unwrap() {
                Following::Stream(_, follower) => *follower,
                Following::Whole(refusal) => panic!("{refusal:?}"),
            }
        }
    }

    /// The kinds of what is said, in order.
    fn kinds(follower: &mut Follower) -> Vec<String> {
        let mut kinds = Vec::new();
        while let WatchOutput::Chunk(chunk) = follower.poll(WALL) {
            for line in chunk
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                let event: serde_json::Value = serde_json::from_slice(line).unwrap();
                kinds.push(event["type"].as_str().unwrap().to_owned());
            }
        }
        kinds
    }

    fn made() -> State {
        let mut state = State(initial(1));
        state.ask("POST", "", r#"{"metadata":{"name":"b"}}"#);
        state.ask("POST", "", r#"{"metadata":{"name":"a"}}"#);
        state
    }

    #[test]
    fn what_others_write_is_told_once() {
        let mut state = made();
        let mut follower = state.follow("");
        assert_eq!(kinds(&mut follower), ["ADDED"]);
        state.ask("PATCH", "/b", r#"{"spec":{"holderIdentity":"x"}}"#);
        follower.catch_up(&state.0).unwrap();
        assert!(kinds(&mut follower).is_empty(), "it is of another object");
        state.ask("PATCH", "/a", r#"{"spec":{"holderIdentity":"x"}}"#);
        state.ask("PATCH", "/a", r#"{"spec":{"holderIdentity":"y"}}"#);
        follower.catch_up(&state.0).unwrap();
        follower.catch_up(&state.0).unwrap();
        assert_eq!(kinds(&mut follower), ["MODIFIED"]);
        state.ask("DELETE", "/a", "");
        follower.catch_up(&state.0).unwrap();
        assert_eq!(kinds(&mut follower), ["DELETED"]);
        state.ask("POST", "", r#"{"metadata":{"name":"a"}}"#);
        follower.catch_up(&state.0).unwrap();
        assert_eq!(kinds(&mut follower), ["ADDED"]);
    }

    #[test]
    fn what_was_written_since_the_version_asked_for_is_told_at_once() {
        let mut state = made();
        let version = state.version();
        let from = format!("&resourceVersion={version}");
        state.ask("PATCH", "/b", r#"{"spec":{"holderIdentity":"x"}}"#);
        assert!(kinds(&mut state.follow(&from)).is_empty());
        state.ask("PATCH", "/a", r#"{"spec":{"holderIdentity":"x"}}"#);
        assert_eq!(kinds(&mut state.follow(&from)), ["MODIFIED"]);
        state.ask("DELETE", "/a", "");
        assert_eq!(kinds(&mut state.follow(&from)), ["ERROR"]);
    }

    #[test]
    fn a_store_that_was_made_anew_ends_the_stream() {
        let mut follower = made().follow("");
        kinds(&mut follower);
        follower.catch_up(&initial(2)).unwrap();
        assert_eq!(follower.poll(WALL), WatchOutput::End);
        assert!(follower.catch_up(b"").is_err());
    }
}
