//! The same requests to the API server of lease-proto and to a real kube-apiserver: what was recorded once, asked again.
//!
//! So the one that everything else is tested against cannot drift away from the other. The real server is named by the
//! environment, as for the live suite.

#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are part of the result, and what was not run is said loudly"
)]

use std::{collections::BTreeMap, env, path::PathBuf, process::ExitCode, time::Duration};

use http::{Request, Response, header};
use lease_blocking::Client;
use lease_proto::server::{Answer, ApiServer, Rule, Verb};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

const RECORDED: &str = include_str!("../recordings/unary.json");
/// The namespace of the recordings.
const RECORDED_NAMESPACE: &str = "demo";
/// The program that asks.
const MANAGER: &str = "lease-blocking/1";

/// What is known to differ: the case, where, and why that is no fault.
const EXEMPT: &[(&str, &str, &str)] = &[
    (
        "discovery-group",
        "/versions",
        "v1beta1 of Lease is not served",
    ),
    ("version", "", "another program"),
];

/// Leases that were made without being recorded, each before one of the cases: a list of all shows them.
const UNRECORDED: &[&str] = &["valid-name-253", "spec-absent"];

/// Headers that belong to the connection or to Priority and Fairness, or are another for each answer.
const SKIPPED: &[&str] = &[
    "audit-id",
    "connection",
    "content-length",
    "date",
    "transfer-encoding",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let is_missing = env::var_os("LEASE_LIVE_SERVER").is_none();
    if is_missing && !arguments.list {
        eprintln!(
            "SKIPPED: the API server of lease-proto was not compared with a real one, since LEASE_LIVE_SERVER names none; \
             .ci/cluster starts one: .ci/cluster cargo test -p lease-tests --all-features --test conformance"
        );
        if env::var_os("LEASE_LIVE_REQUIRED").is_some() {
            eprintln!("LEASE_LIVE_REQUIRED is set, so that is a failure");
            return ExitCode::FAILURE;
        }
    }
    let live = Trial::test("it_answers_as_a_real_server_does", against_the_real_one);
    let trials = vec![
        live.with_ignored_flag(is_missing),
        Trial::test("what_differs_is_noticed", against_a_wrong_one),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn against_the_real_one() -> Result<(), Failed> {
    let namespace = env::var("LEASE_LIVE_NAMESPACE")?;
    let mut real = Real::from_environment(&namespace)?;
    let mut fake = Fake::new(&namespace, Rule::new("holder-a").namespace(&namespace));
    let found = compare(&namespace, &mut fake, &mut real)?;
    let compared = found.compared;
    println!(
        "{compared} requests compared, {} answers differ",
        found.differences.len()
    );
    if found.differences.is_empty() && compared == recorded().len() {
        Ok(())
    } else {
        Err(found.differences.join("\n").into())
    }
}

/// The test of the test: one server whose holder may not delete.
fn against_a_wrong_one() -> Result<(), Failed> {
    let right = Rule::new("holder-a").namespace("here");
    let wrong = right.clone().verbs([
        Verb::Get,
        Verb::List,
        Verb::Create,
        Verb::Update,
        Verb::Patch,
    ]);
    let mut right = Fake::new("here", right);
    let mut wrong = Fake::new("here", wrong);
    let found = compare("here", &mut right, &mut wrong)?;
    let is_noticed = found
        .differences
        .iter()
        .any(|it| it.starts_with("delete-precondition-match: status"));
    if is_noticed {
        Ok(())
    } else {
        Err(format!("{:?}", found.differences).into())
    }
}

/// What came of a comparison.
struct Found {
    compared: usize,
    differences: Vec<String>,
}

/// Asks both the same, one after the other.
fn compare(namespace: &str, one: &mut dyn Server, other: &mut dyn Server) -> Result<Found, Failed> {
    let mut found = Found {
        compared: 0,
        differences: Vec::new(),
    };
    let mut sides = [Side::new(one), Side::new(other)];
    for case in recorded() {
        let name = case["case"].as_str().unwrap();
        let [ours, theirs] = &mut sides;
        if UNRECORDED.contains(&name) {
            ours.make(namespace, &format!("unrecorded-{name}"))?;
            theirs.make(namespace, &format!("unrecorded-{name}"))?;
        }
        let (ours, theirs) = (ours.ask(namespace, &case)?, theirs.ask(namespace, &case)?);
        found.compared += 1;
        let differences = &mut found.differences;
        if ours.status != theirs.status {
            let (ours, theirs) = (&ours, &theirs);
            differences.push(format!(
                "{name}: status {} and {}, {} and {}",
                ours.status, theirs.status, ours.body, theirs.body
            ));
        }
        if ours.headers != theirs.headers {
            differences.push(format!(
                "{name}: headers {:?} and {:?}",
                ours.headers, theirs.headers
            ));
        }
        walk(&ours.body, &theirs.body, "", &mut |at, ours, theirs| {
            let is_exempt = EXEMPT.iter().any(|it| it.0 == name && at.starts_with(it.1));
            if !is_exempt {
                differences.push(format!("{name}: {at}: {ours} and {theirs}"));
            }
        });
    }
    Ok(found)
}

/// A server that can be asked.
trait Server {
    fn ask(
        &mut self,
        identity: &str,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, Failed>;
}

/// The one of lease-proto.
struct Fake(ApiServer);

impl Fake {
    fn new(namespace: &str, rule: Rule) -> Self {
        let server = ApiServer::builder()
            .resource_version(1_000)
            .namespaces(["default", namespace])
            .user("holder-a", "holder-a")
            .user("nobody", "nobody")
            .admin("admin", "admin")
            .rule(rule);
        Self(server.build())
    }
}

impl Server for Fake {
    fn ask(
        &mut self,
        identity: &str,
        mut request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, Failed> {
        let headers = request.headers_mut();
        if !identity.is_empty() {
            let value = format!("Bearer {identity}").parse()?;
            headers.insert(header::AUTHORIZATION, value);
        }
        match self.0.handle(&request, std::time::SystemTime::now()) {
            Answer::Whole(answer) => Ok(answer),
            Answer::Watch(..) => Err("no request is a watch".into()),
        }
    }
}

/// The one that the environment names, with a client for each identity.
struct Real(BTreeMap<&'static str, Client>);

impl Real {
    fn from_environment(namespace: &str) -> Result<Self, Failed> {
        let (server, ca) = (env::var("LEASE_LIVE_SERVER")?, env::var("LEASE_LIVE_CA")?);
        let tokens = PathBuf::from(env::var("LEASE_LIVE_TOKENS")?);
        let mut clients = BTreeMap::new();
        for identity in ["holder-a", "nobody", "admin", "bad", ""] {
            let mut builder = Client::builder(&server)
                .certificate_authority(PathBuf::from(&ca))
                .namespace(namespace);
            if !identity.is_empty() {
                builder = builder.token_file(tokens.join(identity));
            }
            clients.insert(identity, builder.build()?);
        }
        Ok(Self(clients))
    }
}

impl Server for Real {
    fn ask(
        &mut self,
        identity: &str,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, Failed> {
        Ok(self.0[identity].send(request, Duration::from_secs(30), false)?)
    }
}

/// A server, and what it calls what the recording calls otherwise.
struct Side<'a> {
    server: &'a mut dyn Server,
    /// Its uids and versions, by those of the recording.
    names: BTreeMap<String, String>,
}

/// An answer in the words of the recording.
struct Seen {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
}

impl<'a> Side<'a> {
    fn new(server: &'a mut dyn Server) -> Self {
        Self {
            server,
            names: BTreeMap::new(),
        }
    }

    fn ask(&mut self, namespace: &str, case: &Value) -> Result<Seen, Failed> {
        let asked = &case["request"];
        let identity = match asked["identity"].as_str().unwrap() {
            "holder" => "holder-a",
            "invalid" => "bad",
            "none" => "",
            other => other,
        };
        let text = |text: &str| {
            let text = text.replace(
                &format!("namespaces/{RECORDED_NAMESPACE}/"),
                &format!("namespaces/{namespace}/"),
            );
            let quoted = |name: &str| format!("\"{name}\"");
            text.replace(&quoted(RECORDED_NAMESPACE), &quoted(namespace))
        };
        let mut request = Request::builder()
            .method(asked["method"].as_str().unwrap())
            .uri(text(asked["path"].as_str().unwrap()));
        for (name, value) in asked["headers"].as_object().unwrap() {
            let is_manager = name.eq_ignore_ascii_case("user-agent");
            let value = if is_manager {
                MANAGER
            } else {
                value.as_str().unwrap()
            };
            request = request.header(name, value);
        }
        let body = body(asked["body"].as_str());
        let body = rename(&text(&body), self.names.iter());
        let answer = self
            .server
            .ask(identity, request.body(body.into_bytes())?)?;
        self.read(case, &answer)
    }

    fn make(&mut self, namespace: &str, name: &str) -> Result<(), Failed> {
        let request = Request::post(format!(
            "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        ))
        .header(header::CONTENT_TYPE, "application/json")
        .body(json!({"metadata": {"name": name}}).to_string().into_bytes())?;
        let answer = self.server.ask("holder-a", request)?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("{name} is not made: {}", answer.status()).into())
        }
    }

    fn read(&mut self, case: &Value, answer: &Response<Vec<u8>>) -> Result<Seen, Failed> {
        if !answer.headers().contains_key(header::DATE) {
            return Err(format!("{}: no Date", case["case"]).into());
        }
        let headers = answer.headers().iter();
        let headers = headers.filter(|(name, _)| !SKIPPED.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        let headers = headers.collect();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let recorded: Result<Value, _> =
            serde_json::from_str(case["response"]["body"].as_str().unwrap());
        let own: Result<Value, _> = serde_json::from_str(&text);
        if let (Ok(recorded), Ok(own)) = (recorded, own) {
            walk(&recorded, &own, "", &mut |at, recorded, own| {
                let is_name = at.ends_with("/uid") || at.ends_with("/resourceVersion");
                if let (true, Some(recorded), Some(own)) =
                    (is_name, recorded.as_str(), own.as_str())
                {
                    self.names.insert(recorded.to_owned(), own.to_owned());
                }
            });
        }
        let text = rename(
            &text,
            self.names.iter().map(|(recorded, own)| (own, recorded)),
        );
        let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        forget_times(&mut body);
        Ok(Seen {
            status: answer.status().as_u16(),
            headers,
            body,
        })
    }
}

fn recorded() -> Vec<Value> {
    serde_json::from_str(RECORDED).unwrap()
}

/// Says the second name of each pair where the first stands.
///
/// What has been renamed is marked until all are: a version of the one server may be another version of the other.
fn rename<'a>(text: &str, names: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    const DONE: char = '\u{e000}';
    let mut text = text.to_owned();
    for (old, new) in names {
        let is_uid = old.len() == 36;
        // Versions are short, and might be anything else where they stand alone.
        text = if is_uid {
            text.replace(old, new)
        } else {
            text.replace(&format!("\"{old}\""), &format!("\"{DONE}{new}\""))
        };
    }
    text.replace(DONE, "")
}

/// The body of a request. Two are described in the recording and not spelled out.
fn body(recorded: Option<&str>) -> String {
    let big = |length: usize| {
        let metadata = json!({"name": "big", "annotations": {"a": "x".repeat(length)}});
        json!({ "metadata": metadata }).to_string()
    };
    match recorded {
        None => String::new(),
        Some("<a Lease whose annotation is 4 MiB long>") => big(4 << 20),
        Some("<a Lease whose annotation is 300 KiB long>") => big(300 << 10),
        Some(text) => text.to_owned(),
    }
}

/// Blanks what the clock writes, and what is made of versions.
fn forget_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if ["creationTimestamp", "time", "continue"].contains(&key.as_str())
                    && value.is_string()
                {
                    *value = json!("some");
                } else if key == "cells" {
                    // The last one is an age.
                    value.as_array_mut().and_then(Vec::pop);
                } else {
                    forget_times(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Goes through two values and tells where they differ.
fn walk(one: &Value, other: &Value, at: &str, tell: &mut impl FnMut(&str, &Value, &Value)) {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let more = others.keys().filter(|key| !ones.contains_key(*key));
            for key in ones.keys().chain(more) {
                let side = |members: &serde_json::Map<String, Value>| members.get(key).cloned();
                let absent = || json!("(absent)");
                let (one, other) = (side(ones), side(others));
                let (one, other) = (one.unwrap_or_else(absent), other.unwrap_or_else(absent));
                walk(&one, &other, &format!("{at}/{key}"), tell);
            }
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            for (index, (one, other)) in ones.iter().zip(others).enumerate() {
                walk(one, other, &format!("{at}/{index}"), tell);
            }
        }
        _ if one == other => {}
        _ => tell(at, one, other),
    }
}
