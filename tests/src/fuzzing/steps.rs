//! What may happen to a claim.

use http::{HeaderValue, Response};
use lease_proto::Config;
use serde_json::{Value, json};

/// A configuration, with what of it a claim does not tell.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests put it together")]
pub struct Setup {
    /// What the claim is made with.
    pub config: Config,
    /// Whether `reclaim_own_identity` is set.
    pub reclaims: bool,
    /// Whether `whole_second_observers` is set.
    pub whole_seconds: bool,
}

/// One thing that happens to a claim.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "tests put them together")]
pub enum Step {
    /// Time goes on by so many microseconds; the driver polls.
    Pass(u64),
    /// Time goes on until the claim wants to be polled.
    Sleep,
    /// The driver's clock reads so many microseconds earlier, once.
    Back(u64),
    /// The wall clock is set to this many seconds since the epoch.
    Wall(i64),
    /// The request in flight is answered with this status, this record, and these headers.
    Answer(u16, Body, Vec<(&'static str, Vec<u8>)>),
    /// It fails.
    Fail,
    /// An old request, or one that never was, is answered as well.
    Stale(u64, u16, Body),
    /// The claim is told to acquire.
    Acquire(Wish),
    /// The claim is told to go on with what the record says.
    Resume,
    /// The claim is told to read the record.
    Verify,
    /// The claim is told to give the Lease up.
    Release,
}

/// For how long to try.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "tests put them together")]
pub enum Wish {
    /// Once.
    Once,
    /// For so many microseconds.
    Until(u64),
    /// For ever.
    Forever,
}

/// What an answer carries.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "tests put them together")]
pub enum Body {
    /// What was written last, as a server stores it, with changes.
    Written(Vec<Change>),
    /// What the server has, with changes.
    Stored(Vec<Change>),
    /// Anything.
    Bytes(Vec<u8>),
    /// The text of what was written last, or of what the server has, with something else in the place of a part of it.
    Spliced {
        /// Whether it is what was written last.
        written: bool,
        /// Where the part begins.
        at: usize,
        /// How long it is.
        length: usize,
        /// What stands there instead.
        instead: Vec<u8>,
    },
}

/// What is changed in a record.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "tests put them together")]
pub enum Change {
    /// A field of the spec.
    Spec(&'static str, Value),
    /// A field of the metadata.
    Meta(&'static str, Value),
    /// The claim's identity stands as the holder.
    OwnName,
}

/// What the server has, and what was sent to it last.
#[derive(Clone, Debug)]
pub(super) struct Store {
    stored: Value,
    written: Value,
    version: u64,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            stored: json!({
                "kind": "Lease",
                "metadata": {"name": "leader", "namespace": "default", "uid": "u1", "resourceVersion": "10"},
                "spec": {
                    "holderIdentity": "other",
                    "leaseDurationSeconds": 2,
                    "acquireTime": "2026-11-20T19:00:00.000000Z",
                    "renewTime": "2026-11-20T19:00:00.000000Z",
                },
            }),
            written: json!({}),
            version: 10,
        }
    }

    /// Takes a write, without carrying it out yet.
    pub(super) fn hear(&mut self, spec: &Value) {
        self.written = self.stored.clone();
        let uid = &mut self.written["metadata"]["uid"];
        if !uid.is_string() {
            *uid = json!("u1");
        }
        self.written["spec"] = spec.clone();
    }

    /// Makes an answer to a claim of this identity.
    pub(super) fn response(&mut self, code: u16, body: &Body, identity: &str) -> Response<Vec<u8>> {
        let body = match body {
            Body::Bytes(bytes) => bytes.clone(),
            Body::Spliced {
                written,
                at,
                length,
                instead,
            } => {
                let body = if *written {
                    Body::Written(Vec::new())
                } else {
                    Body::Stored(Vec::new())
                };
                let mut text = self.record(&body, identity).to_string().into_bytes();
                let start = at % (text.len() + 1);
                let end = start.saturating_add(*length).min(text.len());
                text.splice(start..end, instead.iter().copied());
                text
            }
            Body::Written(_) | Body::Stored(_) => {
                let record = self.record(body, identity);
                let text = record.to_string().into_bytes();
                if code < 300 {
                    self.stored = record;
                }
                text
            }
        };
        let response = Response::builder().status(code).body(body);
        response.expect("the status is one")
    }

    fn record(&mut self, body: &Body, identity: &str) -> Value {
        let (is_written, changes) = match body {
            Body::Written(changes) => (true, changes.as_slice()),
            Body::Stored(changes) => (false, changes.as_slice()),
            Body::Bytes(_) | Body::Spliced { .. } => (false, &[][..]),
        };
        let mut record = if is_written && self.written["spec"].is_object() {
            self.written.clone()
        } else {
            self.stored.clone()
        };
        if is_written {
            self.version += 1;
            record["metadata"]["resourceVersion"] = json!(self.version.to_string());
        }
        for change in changes {
            match change {
                Change::Spec(name, value) => record["spec"][*name] = value.clone(),
                Change::Meta(name, value) => record["metadata"][*name] = value.clone(),
                Change::OwnName => record["spec"]["holderIdentity"] = json!(identity),
            }
        }
        record
    }
}

/// Adds headers to an answer, as far as they are such.
pub(super) fn add_headers(response: &mut Response<Vec<u8>>, headers: &[(&'static str, Vec<u8>)]) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            response.headers_mut().append(*name, value);
        }
    }
}
