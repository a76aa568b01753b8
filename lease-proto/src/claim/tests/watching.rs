//! Being told: what a stream says, how it ends, and what is done without one.

use super::*;

impl Timeline {
    /// A claim that waits for `them`, who renewed as version 10 at 0 ms, and is told of what happens.
    pub(super) fn watching() -> Self {
        let mut t = Self::new(|config| config.watch(true));
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET").answer(200, foreign(10, "them", 1));
        t.is_told_to_wait();
        t.opens("&resourceVersion=10").begins();
        t
    }

    pub(super) fn is_told_to_wait(&mut self) {
        let event = self.event();
        assert!(matches!(event, Event::Waiting(_)), "{event:?}");
    }

    /// Asks for a stream, by a path that ends so.
    pub(super) fn opens(&mut self, end: &str) -> &mut Self {
        let output = self.poll();
        let Output::Request(request) = output else {
            panic!("expected a watch at {} ms, got {output:?}", self.millis);
        };
        let path = request.http.uri().to_string();
        assert!(request.is_stream, "{path}");
        assert!(
            path.contains("/leases?watch=true&fieldSelector=metadata.name%3Dleader&allowWatchBookmarks=true&timeoutSeconds="),
            "{path}"
        );
        assert!(path.ends_with(end), "{path} instead of {end}");
        self.stream = Some(request.id);
        self
    }

    pub(super) fn stream(&self) -> RequestId {
        self.stream.expect("a watch came out")
    }

    pub(super) fn begins(&mut self) -> &mut Self {
        self.refuses(200, "")
    }

    pub(super) fn refuses(&mut self, status: u16, body: &str) -> &mut Self {
        let response = Response::builder().status(status);
        let response = response.body(body.as_bytes().to_vec()).unwrap();
        self.claim
            .handle_response(self.stream(), &response, self.now());
        self
    }

    pub(super) fn tells(&mut self, kind: &str, object: Value) -> &mut Self {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.chunk(line.as_bytes())
    }

    pub(super) fn chunk(&mut self, bytes: &[u8]) -> &mut Self {
        self.claim.handle_chunk(self.stream(), bytes, self.now());
        self
    }

    pub(super) fn ends(&mut self) -> &mut Self {
        self.claim.handle_end(self.stream(), self.now());
        self
    }

    pub(super) fn closes(&mut self) -> &mut Self {
        let output = self.poll();
        assert!(
            matches!(output, Output::Cancel(id) if id == self.stream()),
            "{output:?} at {} ms",
            self.millis
        );
        self
    }

    /// Waits until some instant between these.
    pub(super) fn sleeps_until(&mut self, least: u64, most: u64) -> &mut Self {
        let until = self.waits();
        assert!(
            (least..=most).contains(&until),
            "{until} ms is not between {least} and {most}"
        );
        self.at(until)
    }
}

fn bookmark(version: u64) -> Value {
    json!({"kind": "Lease", "metadata": {"resourceVersion": version.to_string()}, "spec": {}})
}

#[test]
fn whoever_is_told_asks_for_nothing_until_the_time_of_the_last_renewal_is_over() {
    let mut t = Timeline::watching();
    let until = t.waits();
    assert!((20_020..=20_030).contains(&until), "{until}");
    for renewal in 2..20 {
        t.at(renewal * 5_000)
            .tells("MODIFIED", foreign(10 + renewal, "them", renewal));
        let until = t.waits();
        let expiry = renewal * 5_000 + 20_020;
        assert!((expiry..=expiry + 10).contains(&until), "{until}");
    }
    // Nobody renews any more. It is written without a look.
    t.sleeps_until(115_020, 115_030).asks("PUT").echo(200, 40);
    assert!(matches!(t.event(), Event::Acquired(_)));
    t.closes();
}

#[test]
fn what_is_given_up_is_taken_at_once() {
    for gone in [false, true] {
        let mut t = Timeline::watching();
        t.at(3_000).tells("MODIFIED", foreign(11, "", 2));
        if gone {
            t.tells("DELETED", foreign(12, "", 2));
        }
        t.sleeps_until(3_000, 3_010);
        t.asks(if gone { "POST" } else { "PUT" });
        let status = if gone { 201 } else { 200 };
        t.echo(status, 20);
        assert!(matches!(t.event(), Event::Acquired(_)));
    }
}

#[test]
fn what_is_deleted_before_its_time_is_waited_for() {
    let mut t = Timeline::watching();
    t.at(3_000).tells("DELETED", foreign(11, "them", 1));
    assert!(matches!(
        t.event(),
        Event::HolderChanged(Waiting { holder: None, .. })
    ));
    t.sleeps_until(20_020, 20_030).asks("POST");
}

#[test]
fn a_try_is_dropped_when_somebody_else_was_faster() {
    let mut t = Timeline::watching();
    t.at(3_000).tells("MODIFIED", foreign(11, "", 2));
    let pause = t.waits();
    assert!((3_001..=3_010).contains(&pause), "{pause}");
    t.tells("MODIFIED", foreign(12, "another", 3));
    assert!(matches!(t.event(), Event::HolderChanged(_)));
    t.sleeps_until(23_020, 23_040).asks("PUT");
}

#[test]
fn whoever_loses_a_race_hears_who_won_and_asks_for_nothing() {
    let mut t = Timeline::watching();
    t.at(3_000).tells("MODIFIED", foreign(11, "", 2)).sleep();
    t.asks("PUT");
    // The stream may be faster than the answer.
    t.tells("MODIFIED", foreign(12, "another", 3));
    t.at(3_020).answer(409, status(409, "Conflict", "changed"));
    assert!(matches!(t.event(), Event::HolderChanged(_)));
    t.sleeps_until(23_020, 23_070).asks("PUT");
    t.answer(409, status(409, "Conflict", "changed"));
    let look = t.waits();
    t.at(look - 1)
        .tells("MODIFIED", foreign(13, "another", 4))
        .sleeps_until(look + 20_000, look + 20_100);
}

#[test]
fn a_stream_that_does_not_tell_who_was_faster_is_not_relied_on() {
    let mut t = Timeline::watching();
    t.sleeps_until(20_020, 20_030).asks("PUT");
    t.answer(409, status(409, "Conflict", "changed"));
    t.sleep().closes();
    t.asks("GET").answer(200, foreign(14, "them", 5));
    t.sleep().opens("&resourceVersion=14");
}

#[test]
fn a_stream_earns_nothing() {
    let mut t = Timeline::watching();
    t.at(3_000).tells("MODIFIED", foreign(11, "", 2)).sleep();
    t.asks("PUT");
    let written = t.written(12);
    t.tells("MODIFIED", written.clone());
    assert!(!t.holds());
    // The answer is lost, and what the stream said is looked up.
    t.fails();
    assert!(matches!(t.event(), Event::Retrying { .. }));
    t.sleep().asks("GET");
    assert!(!t.holds());
    t.answer(200, written);
    assert!(matches!(t.event(), Event::Acquired(_)));
}

#[test]
fn pieces_may_end_anywhere() {
    let whole = format!(
        "{}\n{}\n",
        json!({"type": "MODIFIED", "object": foreign(11, "thé̃m", 2)}),
        json!({"type": "MODIFIED", "object": foreign(12, "", 3)}),
    );
    for size in 1..whole.len() {
        let mut t = Timeline::watching();
        t.at(3_000);
        for piece in whole.as_bytes().chunks(size) {
            t.chunk(piece);
        }
        assert!(matches!(t.event(), Event::HolderChanged(_)), "{size}");
        t.sleeps_until(3_000, 3_010).asks("PUT");
        assert_eq!(t.asked().body["metadata"]["resourceVersion"], "12");
    }
}

#[test]
fn what_was_seen_already_is_no_news() {
    let mut t = Timeline::watching();
    t.at(3_000)
        .tells("ADDED", foreign(9, "", 0))
        .tells("ADDED", foreign(10, "", 0))
        .tells("DELETED", foreign(9, "them", 0))
        .sleeps_until(20_020, 20_030);
}

#[test]
fn a_stream_that_ends_is_opened_again_where_it_ended() {
    let mut t = Timeline::watching();
    t.tells("BOOKMARK", bookmark(30));
    for (at, version) in [(60_000, 31), (120_000, 32)] {
        t.at(at)
            .tells("MODIFIED", foreign(version, "them", version));
        t.ends();
        t.sleeps_until(at, at + 250);
        t.opens(&format!("&resourceVersion={version}")).begins();
    }
    t.tells("BOOKMARK", bookmark(77)).at(135_000).ends();
    t.sleep().opens("&resourceVersion=77");
}

#[test]
fn one_that_ends_at_once_is_opened_less_and_less_often_and_the_record_is_polled() {
    let mut t = Timeline::watching();
    let (mut opened, mut looks, mut told) = (0, 0, 0);
    t.ends();
    while t.millis < 600_000 {
        match t.poll() {
            Output::Wait(until) => {
                let until = until.duration_since(t.start).as_micros().div_ceil(1_000);
                t.at(u64::try_from(until).unwrap());
            }
            Output::Request(request) if request.is_stream => {
                opened += 1;
                t.claim.handle_failure(request.id, t.now());
            }
            Output::Request(request) => {
                looks += 1;
                let response = Response::builder().status(200);
                let body = foreign(10, "them", t.millis).to_string().into_bytes();
                let response = response.body(body).unwrap();
                t.claim.handle_response(request.id, &response, t.now());
            }
            Output::Event(Event::Polling(_)) => told += 1,
            Output::Event(event) => panic!("{event:?}"),
            Output::Cancel(_) | Output::Done => panic!("at {} ms", t.millis),
        }
    }
    assert!((12..=25).contains(&opened), "{opened}");
    assert!((250..=400).contains(&looks), "{looks}");
    assert_eq!(told, 1);
}

#[test]
fn a_refusal_is_told_and_doubted_after_minutes() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    t.is_told_to_wait();
    let said = status(403, "Forbidden", "no").to_string();
    t.opens("").refuses(403, &said);
    let Event::Polling(Trouble::Refused(refusal)) = t.event() else {
        panic!("it was not told");
    };
    assert!(refusal.role().contains("\"watch\""), "{}", refusal.role());
    let mut at = 0;
    while at < 240_000 {
        t.sleep().asks("GET");
        at = t.millis;
        t.answer(200, foreign(10, "them", at));
    }
    loop {
        t.sleep();
        let Output::Request(request) = t.poll() else {
            panic!("nothing is asked at {} ms", t.millis);
        };
        if request.is_stream {
            break;
        }
        let response = Response::new(foreign(10, "them", t.millis).to_string().into());
        t.claim.handle_response(request.id, &response, t.now());
        assert!(t.millis < 370_000, "not tried again");
    }
}

#[test]
fn an_unknown_token_is_read_again_once() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    t.is_told_to_wait();
    t.opens("").refuses(401, "");
    t.sleep();
    let Output::Request(request) = t.poll() else {
        panic!("it is not tried again");
    };
    assert!(request.is_stream && request.reload_credentials);
    t.stream = Some(request.id);
    t.refuses(401, "");
    assert!(matches!(t.event(), Event::Polling(_)));
}

#[test]
fn a_version_that_the_server_has_forgotten_is_not_asked_for_again() {
    for by_status in [false, true] {
        let mut t = Timeline::watching();
        t.at(3_000);
        if by_status {
            t.ends().sleep().opens("&resourceVersion=10");
            t.refuses(410, "");
        } else {
            t.tells("ERROR", status(410, "Expired", "too old")).closes();
        }
        let Output::Request(request) = t.sleep().poll() else {
            panic!("nothing is done");
        };
        assert!(request.is_stream);
        let path = request.http.uri().to_string();
        assert!(!path.contains("resourceVersion"), "{path}");
        t.stream = Some(request.id);
        t.begins().tells("ADDED", foreign(10, "them", 1));
        t.sleeps_until(20_020, 20_030).asks("PUT");
    }
}

#[test]
fn a_stream_that_stalls_is_given_up_when_it_should_have_ended() {
    let mut t = Timeline::watching();
    let mut renewal = 1;
    // The holder's renewals do not come through, so the record is looked at once its time is over, and the stream is closed.
    t.sleep().asks("PUT").fails();
    assert!(matches!(t.event(), Event::Retrying { .. }));
    while t.millis < 230_000 {
        t.sleep().asks("GET");
        renewal += 1;
        t.answer(200, foreign(10 + renewal, "them", renewal));
        t.is_told_to_wait();
        let now = t.millis;
        t.sleeps_until(now + 20_020, now + 20_030)
            .asks("PUT")
            .fails();
        assert!(matches!(t.event(), Event::Retrying { .. }));
    }
    loop {
        match t.poll() {
            Output::Cancel(id) => {
                assert_eq!(id, t.stream());
                break;
            }
            Output::Request(request) => t.claim.handle_failure(request.id, t.now()),
            Output::Event(_) => {}
            Output::Wait(_) => drop(t.sleep()),
            Output::Done => panic!("at rest"),
        }
    }
    assert!((245_000..=367_000).contains(&t.millis), "{}", t.millis);
}

#[test]
fn garbage_ends_a_stream() {
    for line in ["<html>\n", "{}\n", "null\n"] {
        let mut t = Timeline::watching();
        t.chunk(line.as_bytes()).closes();
    }
    let mut t = Timeline::watching();
    t.chunk(&vec![b' '; crate::MAX_BODY + 1]).closes();
}

#[test]
fn nothing_is_watched_where_that_is_not_wanted_or_of_no_use() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Once, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    assert!(matches!(t.event(), Event::GaveUp(_)));
    t.is_done();

    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    let mut opaque = foreign(10, "them", 1);
    opaque["metadata"]["resourceVersion"] = json!("opaque");
    t.asks("GET").answer(200, opaque);
    t.is_told_to_wait();
    t.sleep().asks("GET");

    let mut t = Timeline::watching();
    t.claim.release(t.now());
    t.says(Event::GaveUp(GaveUp::Stopped)).closes().is_done();
}

#[test]
fn a_single_try_is_made_at_once_although_a_stream_would_tell() {
    let mut t = Timeline::watching();
    let until = t.waits();
    assert!(until > 20_000);
    t.claim.acquire(Patience::Once, t.now());
    t.asks("GET").answer(200, foreign(10, "them", 1));
    assert!(matches!(t.event(), Event::GaveUp(GaveUp::Held(_))));
    t.closes().is_done();
}

#[test]
fn where_there_are_no_streams_none_is_asked_for_again() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    t.is_told_to_wait();
    t.opens("");
    t.claim.handle_no_stream(t.stream(), t.now());
    while t.millis < 400_000 {
        let millis = t.sleep().millis;
        t.asks("GET").answer(200, foreign(10, "them", millis));
    }
}

#[test]
fn a_stream_is_no_request_in_anybodys_way() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    t.is_told_to_wait();
    // The server takes its time to begin, and the record is polled meanwhile.
    t.opens("");
    t.sleep().asks("GET").answer(200, foreign(11, "", 2));
    t.asks("PUT").echo(200, 12);
    assert!(matches!(t.event(), Event::Acquired(_)));
    t.closes();
}

#[test]
fn a_pause_that_the_server_asks_for_holds_for_the_stream_as_well() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    t.is_told_to_wait();
    let busy = later(429, "7");
    t.opens("");
    t.claim.handle_response(t.stream(), &busy, t.now());
    t.sleeps_until(7_000, 7_000);
}
