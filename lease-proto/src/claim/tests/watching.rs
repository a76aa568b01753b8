//! Being told: what a stream says, and what is made of it.

use super::*;

impl Timeline {
    /// A claim that waits for `them`, who renewed as version 10 at 0 ms, and is told of what happens.
    pub(super) fn watching() -> Self {
        let mut t = Self::waiting();
        t.opens("&resourceVersion=10").begins();
        t
    }

    /// One that has looked, and has no stream yet.
    pub(super) fn waiting() -> Self {
        let mut t = Self::new(|config| config.watch(true));
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET").answer(200, foreign(10, "them", 1));
        t.is_told_to_wait();
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

pub(super) fn bookmark(version: u64) -> Value {
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
fn whoever_annotates_a_record_makes_nobody_who_waits_for_it_less_patient() {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    for _ in 0..4 {
        t.asks("GET").fails();
        let retrying = t.event();
        assert!(matches!(retrying, Event::Retrying { .. }), "{retrying:?}");
        t.sleep();
    }
    t.asks("GET").answer(200, foreign(10, "them", 1));
    let waiting = t.event();
    assert!(matches!(waiting, Event::Waiting(_)), "{waiting:?}");
    t.opens("").begins();
    for version in 11..21 {
        t.at(t.millis + 100)
            .tells("MODIFIED", foreign(version, "them", 1));
        t.waits();
    }
    t.sleep();
    while t.millis < 15_000 {
        t.sleep();
    }
    t.asks("PUT").fails();
    let Event::Retrying { at, .. } = t.event() else {
        panic!("it does not try again");
    };
    let pause = at - t.now();
    assert!(pause >= Duration::from_millis(500), "{pause:?}");
}

/// One that waits for a holder of another name, with a stream.
fn one_that_waits() -> Timeline {
    let mut t = Timeline::new(|config| config.watch(true));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    let waiting = t.event();
    assert!(matches!(waiting, Event::Waiting(_)), "{waiting:?}");
    t.opens("").begins();
    t
}

#[test]
fn a_server_that_has_just_been_started_refuses_streams_for_a_moment_only() {
    let mut t = one_that_waits();
    t.tells("MODIFIED", foreign(11, "them", 2)).at(1_000);
    let now = t.now();
    t.claim.handle_end(t.stream.unwrap(), now);
    // Opened again soon after each of three refusals, and not told of.
    for _ in 0..3 {
        let (id, now) = (until_asked_for_a_stream(&mut t, 11), t.now());
        t.claim.handle_response(id, &status_of(403), now);
    }
    assert!(t.millis < 12_000, "{}", t.millis);
}

/// Lets time go by, with the record as it is, until a stream is to be opened.
fn until_asked_for_a_stream(t: &mut Timeline, version: u64) -> RequestId {
    while t.millis < 60_000 {
        match t.poll() {
            Output::Request(request) if request.is_stream => return request.id,
            Output::Request(request) => {
                let lease = serde_json::to_vec(&foreign(version, "them", 2)).unwrap();
                let now = t.now();
                t.claim
                    .handle_response(request.id, &Response::new(lease), now);
            }
            Output::Wait(until) => t.millis = (until - t.start).as_millis() as u64 + 1,
            Output::Event(event) => assert!(!matches!(event, Event::Polling(_)), "{event:?}"),
            other @ (Output::Cancel(_) | Output::Done) => panic!("{other:?}"),
        }
    }
    panic!("no stream is opened");
}

#[test]
fn streams_that_break_when_they_have_told_something_are_opened_ever_less_often() {
    let mut t = one_that_waits();
    let mut opened = vec![t.millis];
    for version in 20..26 {
        t.tells("MODIFIED", foreign(version, "them", 2));
        let (id, now) = (t.stream.unwrap(), t.now());
        t.claim.handle_end(id, now);
        t.stream = Some(until_asked_for_a_stream(&mut t, version));
        opened.push(t.millis);
        t.begins();
    }
    let pauses: Vec<_> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] <= 1_100, "{pauses:?}");
    assert!(
        pauses[2..].iter().all(|pause| *pause >= 1_000),
        "{pauses:?}"
    );
}

fn status_of(code: u16) -> Response<Vec<u8>> {
    let body = status(code, "Forbidden", "not yet");
    let mut response = Response::new(serde_json::to_vec(&body).unwrap());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}

#[test]
fn whoever_waits_and_is_refused_all_at_once_tries_again_for_as_long_as_a_lease_lasts() {
    let mut t = Timeline::new(|config| config.watch(false));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    let waiting = t.event();
    assert!(matches!(waiting, Event::Waiting(_)), "{waiting:?}");
    t.sleep();
    let began = t.millis;
    // Once is as if nothing had been.
    t.asks("GET").respond(&status_of(403));
    let retrying = t.event();
    let is_refusal = |event: &Event| {
        matches!(
            event,
            Event::Retrying {
                trouble: Trouble::Refused(_),
                ..
            }
        )
    };
    assert!(is_refusal(&retrying), "{retrying:?}");
    t.sleep().asks("GET").answer(200, foreign(11, "them", 2));
    let waiting = t.event();
    assert!(matches!(waiting, Event::Waiting(_)), "{waiting:?}");
    t.sleep();
    // For good.
    let began = began.max(t.millis);
    loop {
        t.asks("GET").respond(&status_of(403));
        let event = t.event();
        if !is_refusal(&event) {
            assert!(
                matches!(event, Event::Failed(Failure::Refused(_))),
                "{event:?}"
            );
            break;
        }
        t.sleep();
    }
    let lasted = t.millis - began;
    assert!((15_000..18_000).contains(&lasted), "{lasted}");
}

#[test]
fn a_write_that_is_refused_to_one_that_has_waited_is_tried_once_more() {
    let mut t = Timeline::new(|config| config.watch(false));
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET").answer(200, foreign(10, "them", 1));
    let waiting = t.event();
    assert!(matches!(waiting, Event::Waiting(_)), "{waiting:?}");
    t.sleep().asks("GET").answer(200, wiped(11, 2));
    t.asks("PUT").respond(&status_of(403));
    let retrying = t.event();
    assert!(matches!(retrying, Event::Retrying { .. }), "{retrying:?}");
    t.sleep().asks("GET").answer(200, wiped(11, 2));
    t.asks("PUT").respond(&status_of(403));
    let failed = t.event();
    assert!(
        matches!(failed, Event::Failed(Failure::Refused(_))),
        "{failed:?}"
    );
}

#[test]
fn empty_lines_say_nothing() {
    let mut t = Timeline::watching();
    t.chunk(b"\n\r\n").tells("MODIFIED", foreign(11, "", 2));
    t.chunk(b" \n");
    // It is free, and the stream is still there.
    t.sleep().asks("PUT");
}
