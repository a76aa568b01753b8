//! One request to an API server, put together from bytes.

use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use lease_proto::server::ApiServer;
use serde_json::{Value, json};

use super::reader::Reader;

const METHODS: [Method; 12] = [
    Method::GET,
    Method::POST,
    Method::POST,
    Method::PUT,
    Method::PUT,
    Method::PUT,
    Method::PATCH,
    Method::PATCH,
    Method::DELETE,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/demo/leases";
const PATHS: [&str; 12] = [
    "/apis/coordination.k8s.io/v1/leases",
    "/apis/coordination.k8s.io/v1/leases/a",
    "/apis/coordination.k8s.io/v1/namespaces/other/leases",
    "/apis/coordination.k8s.io/v1/namespaces/other/leases/a",
    "/apis/coordination.k8s.io/v1/namespaces/demo/leases/a/status",
    "/apis/coordination.k8s.io/v1/namespaces/%ff%2e/leases/%00",
    "/api/v1/namespaces",
    "/api/v1/namespaces/other",
    "/apis",
    "/version",
    "/healthz",
    "/",
];
const QUERIES: [&str; 20] = [
    "dryRun=All",
    "dryRun=Some",
    "fieldManager=m",
    "fieldManager=n",
    "fieldManager=%e2%98%83",
    "force=true",
    "watch=1",
    "watch=true&allowWatchBookmarks=true&timeoutSeconds=3",
    "timeoutSeconds=18446744073709551615",
    "resourceVersion=0",
    "resourceVersion=x",
    "resourceVersionMatch=Exact",
    "limit=1",
    "continue=eyJ2IjoiIiwicnYiOjMsInN0YXJ0IjoiIn0",
    "fieldSelector=metadata.name%3Da",
    "fieldSelector=metadata.namespace!=demo,",
    "labelSelector=k%3Dv,!x",
    "labelSelector=k+in+(v,w),(",
    "pretty=true",
    "%=%&&=&",
];
const TYPES: [&str; 8] = [
    "application/json",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json",
    "application/json; charset=utf-8",
    "text/plain",
    "",
];
const ACCEPTS: [&str; 5] = [
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "*/*",
    "application/yaml",
    "",
];
const HOLDERS: [&str; 4] = ["x", "y", "", "\u{2603}\u{0}\"\\"];
const TIMES: [&str; 6] = [
    "2026-11-20T19:31:57.250000Z",
    "2026-11-20T19:31:57Z",
    "2026-11-20T12:00:00.000001+23:59",
    "9999-12-31T23:59:59.999999Z",
    "0000-01-01T00:00:00.000000Z",
    "soon",
];

/// One request.
#[derive(Debug)]
pub(super) struct Submission {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, Vec<u8>)>,
    body: Vec<u8>,
    /// Whether it is to be made to a clone as well.
    pub(super) twice: bool,
    /// Whether it puts back what is there.
    pub(super) changes_nothing: bool,
}

impl Submission {
    /// Reads one, with an eye on what the server has.
    pub(super) fn read(reader: &mut Reader<'_>, server: &ApiServer) -> Self {
        let how = reader.byte();
        let name = if how & 1 == 0 { "a" } else { "b" };
        let stored = server.lease("demo", name);
        let mut submission = Self {
            method: METHODS[usize::from(reader.byte()) % METHODS.len()].clone(),
            path: String::new(),
            headers: vec![(header::AUTHORIZATION, b"Bearer root".to_vec())],
            body: Vec::new(),
            twice: how & 2 != 0,
            changes_nothing: false,
        };
        match (how >> 2) % 8 {
            0 => submission.be_anything(reader),
            1 if let Some(stored) = &stored => {
                submission.put_back(name, stored);
                return submission;
            }
            _ => submission.make_sense(reader, name, stored.as_ref()),
        }
        if how >= 192 {
            let token: &[u8] =
                reader.pick(&[b"Bearer some", b"Bearer none", b"Basic cm9vdA==", b""]);
            submission.headers[0].1 = token.to_vec();
        }
        for start in ["?", "&", "&"].iter().take(usize::from(reader.byte() % 4)) {
            submission.path.push_str(start);
            submission.path.push_str(reader.pick(&QUERIES));
        }
        submission
    }

    /// The request, if it is one.
    pub(super) fn request(&self) -> Option<Request<Vec<u8>>> {
        let uri: Uri = self.path.parse().ok()?;
        let mut request = Request::new(self.body.clone());
        *request.uri_mut() = uri;
        request.method_mut().clone_from(&self.method);
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value).ok()?;
            request.headers_mut().append(name, value);
        }
        Some(request)
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.path
            .split_once('?')
            .is_some_and(|(_, query)| query.contains("dryRun=All"))
    }

    /// Any method, path, headers and body.
    fn be_anything(&mut self, reader: &mut Reader<'_>) {
        let path = reader.short();
        self.path = match std::str::from_utf8(path) {
            Ok(path) if path.starts_with('/') => path.to_owned(),
            _ => reader.pick(&PATHS).to_owned(),
        };
        let names = [
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::USER_AGENT,
            header::CONTENT_LENGTH,
        ];
        let name = &names[usize::from(reader.byte()) % names.len()];
        self.headers.push((name.clone(), reader.short().to_vec()));
        self.headers
            .push((header::CONTENT_TYPE, reader.pick(&TYPES).into()));
        self.body = reader.short().to_vec();
    }

    /// The same again, as somebody writes it who has read it.
    fn put_back(&mut self, name: &str, stored: &Value) {
        self.method = Method::PUT;
        self.path = format!("{LEASES}/{name}?fieldManager=m");
        self.headers.push((header::CONTENT_TYPE, TYPES[0].into()));
        let mut object = stored.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        self.body = object.to_string().into_bytes();
        self.changes_nothing = true;
    }

    fn make_sense(&mut self, reader: &mut Reader<'_>, name: &str, stored: Option<&Value>) {
        self.path = match (self.method.as_str(), reader.byte() % 16) {
            (_, 0) => reader.pick(&PATHS).to_owned(),
            ("POST", _) | ("GET" | "DELETE", 1) => LEASES.to_owned(),
            _ => format!("{LEASES}/{name}"),
        };
        let mut media_type = match self.method.as_str() {
            "PATCH" => reader.pick(&[TYPES[1], TYPES[1], TYPES[2], TYPES[3], TYPES[4]]),
            _ => TYPES[0],
        };
        if reader.byte() == 0 {
            media_type = reader.pick(&TYPES);
        }
        self.headers.push((header::CONTENT_TYPE, media_type.into()));
        if reader.byte().is_multiple_of(8) {
            self.headers
                .push((header::ACCEPT, reader.pick(&ACCEPTS).into()));
        }
        let is_delete = self.method == Method::DELETE;
        let body = if is_delete && reader.flag() {
            let meta = stored.map_or(Value::Null, |stored| stored["metadata"].clone());
            json!({"preconditions": {
                "uid": if reader.flag() { meta["uid"].clone() } else { json!("u") },
                "resourceVersion": if reader.flag() { meta["resourceVersion"].clone() } else { Value::Null },
            }})
        } else if is_delete || self.method == Method::GET {
            return;
        } else if media_type == TYPES[2] {
            operations(reader)
        } else {
            object(reader, name, stored)
        };
        self.body = body.to_string().into_bytes();
        if reader.byte() == 1 {
            let at = usize::from(reader.two()) % (self.body.len() + 1);
            let end = (at + usize::from(reader.byte() % 16)).min(self.body.len());
            self.body.splice(at..end, reader.short().iter().copied());
        }
    }
}

/// A Lease, or a part of one.
fn object(reader: &mut Reader<'_>, name: &str, stored: Option<&Value>) -> Value {
    let fields = reader.byte();
    let mut object = match stored {
        Some(stored) if fields & 1 != 0 => stored.clone(),
        _ => json!({"metadata": {"name": name}, "spec": {}}),
    };
    if fields & 1 == 0 {
        object["kind"] = json!("Lease");
        object["apiVersion"] = json!("coordination.k8s.io/v1");
    }
    let (spec, meta) = (fields >> 1 & 15, fields >> 5);
    if spec & 1 != 0 {
        object["spec"]["holderIdentity"] = json!(reader.pick(&HOLDERS));
    }
    if spec & 2 != 0 {
        object["spec"]["renewTime"] = json!(reader.pick(&TIMES));
    }
    if spec & 4 != 0 {
        let numbers = [
            json!(15),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1_u64 << 40),
            Value::Null,
        ];
        let name = reader.pick(&["leaseTransitions", "leaseDurationSeconds", "strategy"]);
        object["spec"][name] = numbers[usize::from(reader.byte()) % numbers.len()].clone();
    }
    if spec & 8 != 0 {
        object["spec"]["preferredHolder"] = json!("z");
        object["spec"]["strategy"] = json!(reader.pick(&["OldestEmulationVersion", "a/b", ""]));
    }
    for _ in 0..meta % 4 {
        let (field, value) = metadata(reader);
        object["metadata"][field] = value;
    }
    object
}

fn metadata(reader: &mut Reader<'_>) -> (&'static str, Value) {
    let number = reader.byte();
    match reader.byte() % 12 {
        0 | 1 => (
            "labels",
            json!({"k": if number & 1 == 0 { "v" } else { "w" }}),
        ),
        2 => ("labels", json!({"": "not a label!"})),
        3 => ("annotations", json!({"note": number.to_string()})),
        4 => ("finalizers", json!(["example.com/a"])),
        5 => ("finalizers", json!([])),
        6 => ("resourceVersion", json!((number % 16).to_string())),
        7 => ("uid", json!("u")),
        8 => ("managedFields", json!([])),
        9 => (
            "managedFields",
            json!([{"manager": "o", "operation": "Update", "apiVersion": "coordination.k8s.io/v1",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:renewTime": {}}}}]),
        ),
        10 => ("generateName", json!("g-")),
        _ => (
            "ownerReferences",
            json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": number.to_string()}]),
        ),
    }
}

/// A JSON patch.
fn operations(reader: &mut Reader<'_>) -> Value {
    const PATHS: [&str; 8] = [
        "/spec/holderIdentity",
        "/spec/renewTime",
        "/spec",
        "/metadata/labels",
        "/metadata/finalizers/-",
        "/metadata/resourceVersion",
        "/metadata/annotations/a~1b",
        "",
    ];
    let operations = (0..reader.byte() % 4).map(|_| {
        json!({
            "op": reader.pick(&["add", "replace", "remove", "test", "move", "copy", "none"]),
            "path": reader.pick(&PATHS),
            "from": reader.pick(&PATHS),
            "value": reader.pick(&["x", "example.com/a", "2026-11-20T19:31:57.250000Z"]),
        })
    });
    operations.collect()
}
