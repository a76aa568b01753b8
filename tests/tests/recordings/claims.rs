//! Every recorded answer, handed to a claim in each state: what it makes of each is decided by the status alone, unless
//! the record is one that it can read.

use std::time::{Duration, Instant, SystemTime};

use http::Response;
use lease_proto::{Claim, Config, Event, Output, Patience, RequestId, Trouble};
use serde_json::{Value, json};

const UNARY: &str = include_str!("../../recordings/unary.json");
const FAULTS: &str = include_str!("../../recordings/faults.json");
const WATCH: &str = include_str!("../../recordings/watch.json");

/// How many recorded answers there are, pieces of streams among them.
const ANSWERS: usize = 102;

/// Where a claim stands when it is answered.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Its look at the record is under way.
    Looking,
    /// Its write that makes the record is under way.
    Taking,
    /// Its renewal is under way.
    Renewing,
    /// A look is under way, after a renewal of unknown outcome.
    Doubting,
    /// The write that clears the record is under way.
    Releasing,
}

/// A claim, and the request that it waits for.
struct Asked {
    claim: Claim,
    id: RequestId,
    now: Instant,
}

fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_203_117)
}

/// Polls until a request comes.
fn ask(claim: &mut Claim, now: &mut Instant) -> (RequestId, Value) {
    loop {
        match claim.poll_output(*now, wall()) {
            Output::Request(request) => {
                let body = serde_json::from_slice(request.http.body()).unwrap_or_default();
                return (request.id, body);
            }
            Output::Wait(until) => *now = until,
            Output::Event(_) | Output::Cancel(_) => {}
            Output::Done => panic!("no request came"),
        }
    }
}

fn respond(claim: &mut Claim, id: RequestId, status: u16, body: &Value, now: Instant) {
    let body = body.to_string().into_bytes();
    let response = Response::builder().status(status).body(body).unwrap();
    claim.handle_response(id, &response, now);
}

/// The record as the server has it after a write.
fn stored(mut written: Value, version: u32) -> Value {
    written["metadata"]["uid"] = json!("a871c103-dcab-4c34-8266-91dc6d833f45");
    written["metadata"]["resourceVersion"] = json!(version.to_string());
    written
}

fn claim_in(state: State) -> Asked {
    let config = Config::builder("demo", "singleton", "me");
    let config = config.unique_identity(false).watch(false);
    let mut now = Instant::now();
    let mut claim = Claim::new(config.build().unwrap(), 7, now);
    claim.acquire(Patience::Forever, now);
    let (mut id, _) = ask(&mut claim, &mut now);
    if let State::Looking = state {
        return Asked { claim, id, now };
    }
    respond(&mut claim, id, 404, &Value::Null, now);
    let (create, body) = ask(&mut claim, &mut now);
    id = create;
    if let State::Taking = state {
        return Asked { claim, id, now };
    }
    respond(&mut claim, id, 201, &stored(body, 200), now);
    if let State::Releasing = state {
        claim.release(now);
        (id, _) = ask(&mut claim, &mut now);
        return Asked { claim, id, now };
    }
    (id, _) = ask(&mut claim, &mut now);
    if let State::Doubting = state {
        claim.handle_failure(id, now);
        (id, _) = ask(&mut claim, &mut now);
    }
    Asked { claim, id, now }
}

/// What the claim does next, in a word.
fn reaction(asked: &mut Asked) -> String {
    let Asked { claim, now, .. } = asked;
    match claim.poll_output(*now, wall()) {
        Output::Request(request) if request.reload_credentials => "reloads".to_owned(),
        Output::Request(request) => request.http.method().to_string(),
        Output::Event(Event::AtRisk { trouble, .. } | Event::Retrying { trouble, .. }) => {
            let is_refusal = matches!(trouble, Trouble::Refused(_));
            let is_unclear = matches!(trouble, Trouble::Unclear(_));
            let words = [
                ("busy", trouble == Trouble::Busy),
                ("refused", is_refusal),
                ("unclear", is_unclear),
            ];
            let word = words.iter().find(|(_, applies)| *applies);
            word.map_or("other trouble", |(word, _)| word).to_owned()
        }
        Output::Event(Event::Failed(_)) => "refused".to_owned(),
        Output::Event(Event::Waiting(waiting)) => {
            format!("waits for {}", waiting.holder.unwrap_or_default())
        }
        Output::Event(Event::Lost(loss)) => format!("lost: {loss}"),
        Output::Event(Event::Released(released)) => format!("released: {released:?}"),
        Output::Event(event) => format!("{event:?}"),
        Output::Wait(_) => "waits".to_owned(),
        Output::Cancel(_) => "cancels".to_owned(),
        Output::Done => "is done".to_owned(),
    }
}

/// The answers of all three files, by name.
fn answers() -> Vec<(String, Response<Vec<u8>>)> {
    let mut all = Vec::new();
    let mut add = |name: String, status: u16, headers: &Value, body: &str| {
        let mut response = Response::builder().status(status);
        for (name, value) in headers.as_object().into_iter().flatten() {
            response = response.header(name, value.as_str().unwrap());
        }
        all.push((name, response.body(body.as_bytes().to_vec()).unwrap()));
    };
    for file in [UNARY, FAULTS] {
        let cases: Vec<Value> = serde_json::from_str(file).unwrap();
        for case in cases.iter().filter(|case| case["response"].is_object()) {
            let (name, response) = (case["case"].as_str().unwrap(), &case["response"]);
            let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
            let body = response["body"].as_str().unwrap();
            add(name.to_owned(), status, &response["headers"], body);
        }
    }
    let cases: Vec<Value> = serde_json::from_str(WATCH).unwrap();
    for case in &cases {
        let name = case["case"].as_str().unwrap();
        let pieces = case["wire"].as_array().unwrap().iter();
        let wire: String = pieces.map(|piece| piece[1].as_str().unwrap()).collect();
        let (head, body) = wire.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        add(name.to_owned(), status, &Value::Null, body);
        // The chunks of the stream, each taken for a whole answer.
        for (at, piece) in body.split("\r\n").enumerate() {
            if piece.starts_with('{') && status == 200 {
                add(format!("{name}, piece {at}"), status, &Value::Null, piece);
            }
        }
    }
    all
}

/// What is right where the answer shows no record that this claim can read.
fn expected(state: State, status: u16) -> &'static [&'static str] {
    use State::{Doubting, Looking, Releasing, Renewing, Taking};
    match (state, status) {
        (_, 401) => &["reloads"],
        (Releasing, 404) => &["released: Deleted"],
        (Releasing, 409) => &["GET", "waits"],
        // The trouble was told when the doubt began.
        (Doubting, 404) => &["lost: the lease object was deleted"],
        (Doubting, _) => &["waits"],
        // The server may have only just been started.
        (Releasing, 403) => &["waits"],
        (_, 400 | 403 | 405 | 410 | 413 | 415 | 422) => &["refused"],
        (Looking, 404) => &["POST"],
        // Nothing is there yet that could be missing but the namespace.
        (Taking, 404) => &["refused"],
        (Taking | Renewing, 409) | (Renewing, 404) => &["GET", "waits"],
        (Releasing, _) => &["waits", "GET"],
        (_, 429) => &["busy"],
        _ => &["unclear"],
    }
}

#[test]
fn every_recorded_answer_is_taken_for_what_it_is() {
    let answers = answers();
    assert_eq!(answers.len(), ANSWERS);
    let mut complaints = Vec::new();
    let mut records = 0;
    for (name, answer) in &answers {
        for state in [
            State::Looking,
            State::Taking,
            State::Renewing,
            State::Doubting,
            State::Releasing,
        ] {
            let mut asked = claim_in(state);
            let until = asked.claim.grant(asked.now).map(|grant| grant.valid_until);
            asked.claim.handle_response(asked.id, answer, asked.now);
            let after = asked.claim.grant(asked.now).map(|grant| grant.valid_until);
            let status = answer.status().as_u16();
            let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            let reads = matches!(state, State::Looking | State::Doubting) && status == 200;
            let is_record = body["kind"] == "Lease"
                && body["metadata"]["name"] == "singleton"
                && body["metadata"]["namespace"] == "demo";
            let reaction = reaction(&mut asked);
            let holder = body["spec"]["holderIdentity"].as_str().unwrap_or_default();
            let is_right = if reads && is_record {
                records += 1;
                let expected = match (state, holder) {
                    // A free one is taken; one that somebody cleared under its holder is written back.
                    (_, "") => "PUT".to_owned(),
                    (State::Looking, _) => format!("waits for {holder}"),
                    _ => format!("lost: {holder:?} took it over"),
                };
                reaction == expected
            } else if matches!(state, State::Releasing)
                && status == 200
                && is_record
                && holder.is_empty()
            {
                reaction == "released: Cleared"
            } else {
                expected(state, status).contains(&reaction.as_str())
            };
            if after.is_some_and(|after| until.is_none_or(|until| until < after)) {
                complaints.push(format!("{name}, {state:?}: believes longer"));
            }
            if !is_right {
                complaints.push(format!("{name}, {status}, {state:?}: {reaction}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(records > 20, "{records} records were read");
}
