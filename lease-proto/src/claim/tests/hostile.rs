//! A server, and others, that do whatever makes a claim ask again: it never asks more than it may.

use std::collections::VecDeque;

use super::{taking::campaign, *};

/// How much of each kind of mischief there is for some seconds, out of ten.
struct Mood {
    races: u64,
    deletions: u64,
    takings: u64,
    clearings: u64,
    refusals: u64,
    losses: u64,
    breaks: u64,
}

struct Hostile {
    claim: Claim,
    start: Instant,
    now: Instant,
    random: Random,
    mood: Mood,
    version: u64,
    /// What stands in the store, if anything does.
    record: Option<Value>,
    uid: u64,
    stream: Option<RequestId>,
    sent: VecDeque<Instant>,
    begun: VecDeque<Instant>,
    total: usize,
}

impl Hostile {
    fn new(seed: u64, configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let start = some_instant();
        let config = Config::builder("default", "leader", "me").unique_identity(false);
        let mut random = Random::new(seed);
        Self {
            claim: Claim::new(configure(config).build().unwrap(), seed, start),
            start,
            now: start,
            mood: Mood::draw(&mut random),
            random,
            version: 10,
            record: None,
            uid: 1,
            stream: None,
            sent: VecDeque::new(),
            begun: VecDeque::new(),
            total: 0,
        }
    }

    fn run(mut self, length: Duration) -> usize {
        self.claim.acquire(Patience::Forever, self.now);
        let mut moody_until = self.now;
        while self.now < self.start + length {
            if moody_until <= self.now {
                self.mood = Mood::draw(&mut self.random);
                let seconds = Duration::from_secs(1);
                moody_until = self.now + self.random.between(seconds, seconds * 15);
            }
            let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(WALL);
            let wall = wall + (self.now - self.start);
            match self.claim.poll_output(self.now, wall) {
                Output::Request(request) => {
                    self.count();
                    self.pass(Duration::from_millis(20));
                    self.answer(request);
                }
                Output::Event(Event::Lost(_) | Event::GaveUp(_)) => {
                    self.begun.push_back(self.now);
                    self.claim.acquire(Patience::Forever, self.now);
                }
                Output::Event(_) => {}
                Output::Cancel(id) => self.stream = self.stream.filter(|it| *it != id),
                Output::Wait(until) => {
                    let step = self
                        .random
                        .between(Duration::ZERO, Duration::from_millis(300));
                    self.now = until.min(self.now + step).max(self.now);
                    self.meddle();
                }
                Output::Done => panic!("it is wanted for ever"),
            }
        }
        self.total
    }

    /// Counts the requests of ten seconds, or of two renewals if that is shorter.
    fn count(&mut self) {
        let config = self.claim.config();
        let span = (config.renew_interval() * 2).min(config.retry_period() * 5);
        let span = span.min(Duration::from_secs(10));
        let now = self.now;
        self.sent.push_back(now);
        for all in [&mut self.sent, &mut self.begun] {
            all.retain(|at| now <= *at + span);
        }
        self.total += 1;
        let (count, begun) = (self.sent.len(), self.begun.len());
        assert!(
            count <= 26 + begun,
            "{count} requests in {span:?}, in which it was begun {begun} times"
        );
    }

    fn pass(&mut self, most: Duration) {
        self.now += self.random.between(Duration::ZERO, most);
    }

    fn chance(&mut self, of_ten: u64) -> bool {
        self.random.next() % 10 < of_ten
    }

    fn change(&mut self, holder: &str) {
        self.version += 1;
        let mut record = foreign(self.version, holder, self.version);
        record["metadata"]["uid"] = json!(format!("u{}", self.uid));
        record["spec"]["leaseDurationSeconds"] = json!(1);
        self.tell("MODIFIED", &record);
        self.record = Some(record);
    }

    fn delete(&mut self) {
        self.version += 1;
        self.uid += 1;
        if let Some(mut record) = self.record.take() {
            record["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.tell("DELETED", &record);
        }
    }

    fn tell(&mut self, kind: &str, record: &Value) {
        if let Some(id) = self.stream {
            let mut line = serde_json::to_vec(&json!({"type": kind, "object": record})).unwrap();
            line.push(b'\n');
            self.claim.handle_chunk(id, &line, self.now);
        }
    }

    /// What others do meanwhile.
    fn meddle(&mut self) {
        if self.chance(self.mood.deletions) && self.chance(3) {
            self.delete();
        }
        if self.chance(self.mood.takings) && self.chance(3) {
            self.change("other");
        }
        if self.chance(self.mood.clearings) && self.chance(3) {
            self.change("");
        }
        if self.chance(self.mood.races)
            && let Some(mut record) = self.record.clone()
        {
            self.version += 1;
            record["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.tell("MODIFIED", &record);
            self.record = Some(record);
        }
        if self.chance(self.mood.breaks)
            && let Some(id) = self.stream.take()
        {
            self.claim.handle_end(id, self.now);
        }
    }

    fn answer(&mut self, request: crate::Request) {
        self.meddle();
        let id = request.id;
        if self.chance(self.mood.losses) {
            self.claim.handle_failure(id, self.now);
            return;
        }
        if self.chance(self.mood.refusals) {
            let code = [429, 500, 503, 401, 403, 409, 410, 418][(self.random.next() % 8) as usize];
            return self.respond(id, code, &json!({}));
        }
        if request.is_stream {
            self.stream = Some(id);
            return self.respond(id, 200, &json!(null));
        }
        if request.http.method() == "GET" {
            match self.record.clone() {
                Some(record) => self.respond(id, 200, &record),
                None => self.respond(id, 404, &json!({})),
            }
            return;
        }
        let mut body: Value = serde_json::from_slice(request.http.body()).unwrap();
        let based_on = &body["metadata"]["resourceVersion"];
        let stands = self.record.as_ref();
        let stands = stands.map_or(&Value::Null, |it| &it["metadata"]["resourceVersion"]);
        if based_on != stands {
            let code = if stands.is_null() { 404 } else { 409 };
            return self.respond(id, code, &json!({}));
        }
        let code = if based_on.is_null() { 201 } else { 200 };
        self.version += 1;
        body["metadata"] = json!({
            "name": "leader",
            "namespace": "default",
            "uid": format!("u{}", self.uid),
            "resourceVersion": self.version.to_string(),
        });
        let kind = if code == 201 { "ADDED" } else { "MODIFIED" };
        self.tell(kind, &body);
        self.record = Some(body.clone());
        if self.chance(self.mood.losses) {
            self.claim.handle_failure(id, self.now);
        } else {
            self.respond(id, code, &body);
        }
    }

    fn respond(&mut self, id: RequestId, code: u16, body: &Value) {
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body).unwrap()
        };
        let response = Response::builder().status(code).body(body).unwrap();
        self.claim.handle_response(id, &response, self.now);
    }
}

impl Mood {
    fn draw(random: &mut Random) -> Self {
        let mut of_ten = || {
            let much = random.next() % 11;
            if random.next().is_multiple_of(2) {
                0
            } else {
                much
            }
        };
        Self {
            races: of_ten(),
            deletions: of_ten(),
            takings: of_ten(),
            clearings: of_ten(),
            refusals: of_ten(),
            losses: of_ten(),
            breaks: of_ten(),
        }
    }
}

/// Rule R2: whatever goes wrong, and in whatever order.
#[test]
fn nothing_makes_a_claim_ask_more_than_it_may() {
    let length = Duration::from_secs(120);
    let mut total = 0;
    for seed in 0..200 {
        total += Hostile::new(seed, |c| c).run(length);
        total += Hostile::new(seed, |c| c.watch_while_held(true)).run(length);
        let second = Duration::from_secs(1);
        let short = |c: ConfigBuilder| c.lease_duration(second * 3).watch_while_held(true);
        total += Hostile::new(seed, short).run(length / 4);
    }
    // Where it asks for little there is nothing to hold back.
    assert!(total > 200 * 3 * 30, "{total} requests");
}

#[test]
fn whoever_waits_asks_no_more_often_of_a_server_that_has_too_much_to_do() {
    let mut t = campaign();
    t.asks("GET").answer(200, foreign(7, "other", 0));
    assert!(matches!(t.event(), Event::Waiting(_)));
    let mut looks = 0;
    while t.millis < 120_000 {
        t.sleep().asks("GET").answer(429, json!({}));
        looks += 1;
        assert!(matches!(t.event(), Event::Retrying { .. }));
    }
    // Every two seconds while all is well.
    assert!((40..=60).contains(&looks), "{looks}");
}

#[test]
fn whoever_begins_again_and_again_for_a_moment_looks_each_time() {
    let mut t = Timeline::new(|c| c);
    for _ in 0..100 {
        let until = t.instant(t.millis + 50);
        t.claim.acquire(Patience::Until(until), t.now());
        t.asks("GET").answer(200, foreign(7, "other", 0));
        assert!(matches!(t.event(), Event::Waiting(_)));
        t.at(t.millis + 50);
        assert!(matches!(t.event(), Event::GaveUp(_)));
    }
    let mut t = Timeline::new(|c| c.reclaim_own_identity(true));
    for _ in 0..100 {
        t.claim.resume(t.now());
        t.asks("GET").answer(200, foreign(7, "other", 0));
        assert!(matches!(t.event(), Event::GaveUp(_)));
    }
}
