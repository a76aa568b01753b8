//! How a stream ends, and what is done without one.

use super::{watching::bookmark, *};

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
    t.ends();
    let seen = t.polls_until(600_000, Streams::Fail);
    assert!((12..=25).contains(&seen.opened), "{seen:?}");
    assert!((250..=400).contains(&seen.looks), "{seen:?}");
    assert_eq!(seen.told, 1);
}

#[test]
fn one_that_opens_and_breaks_again_and_again_is_told_of_once() {
    let mut t = Timeline::watching();
    t.ends();
    assert_eq!(t.polls_until(600_000, Streams::Break).told, 1);
}

#[test]
fn a_refusal_is_told_and_doubted_after_minutes() {
    let mut t = Timeline::waiting();
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
    let mut t = Timeline::waiting();
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
    let mut t = Timeline::waiting();
    t.opens("");
    t.claim.handle_no_stream(t.stream(), t.now());
    while t.millis < 400_000 {
        let millis = t.sleep().millis;
        t.asks("GET").answer(200, foreign(10, "them", millis));
    }
}

#[test]
fn a_stream_is_no_request_in_anybodys_way() {
    let mut t = Timeline::waiting();
    // The server takes its time to begin, and the record is polled meanwhile.
    t.opens("");
    t.sleep().asks("GET").answer(200, foreign(11, "", 2));
    t.asks("PUT").echo(200, 12);
    assert!(matches!(t.event(), Event::Acquired(_)));
    t.closes();
}

#[test]
fn a_pause_that_the_server_asks_for_holds_for_the_stream_as_well() {
    let mut t = Timeline::waiting();
    let busy = later(429, "7");
    t.opens("");
    t.claim.handle_response(t.stream(), &busy, t.now());
    t.sleeps_until(7_000, 7_000);
}

#[test]
fn a_pause_asked_for_by_one_answer_is_kept_whatever_another_one_says() {
    let mut t = Timeline::waiting();
    let busy = later(429, "12");
    t.opens("");
    t.claim.handle_response(t.stream(), &busy, t.now());
    t.sleep();
    assert_eq!(t.millis, 12_000);
    t.opens("").asks("GET");
    t.claim.handle_response(t.stream(), &busy, t.now());
    t.answer(200, foreign(11, "them", 2));
    assert_eq!(t.sleep().millis, 24_000);
}

#[test]
fn after_one_that_has_lasted_it_is_told_anew_that_there_is_none_however_it_ended() {
    for forgotten in [true, false] {
        let mut t = Timeline::watching();
        t.ends();
        assert_eq!(t.polls_until(60_000, Streams::Fail).told, 1);
        // One is granted, and lasts.
        assert_eq!(t.polls_until(t.millis + 200_000, Streams::Last).told, 0);
        if forgotten {
            t.tells("ERROR", status(410, "Expired", "too old")).closes();
        } else {
            t.ends();
        }
        assert_eq!(t.polls_until(t.millis + 60_000, Streams::Fail).told, 1);
    }
}

/// What becomes of streams that are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Streams {
    Fail,
    /// They begin, and end at once.
    Break,
    Last,
}

#[derive(Debug, Default)]
struct Seen {
    opened: usize,
    looks: usize,
    /// How often it was told that there are no streams.
    told: usize,
}

impl Timeline {
    /// Goes on until then, while the holder renews.
    fn polls_until(&mut self, millis: u64, streams: Streams) -> Seen {
        let mut seen = Seen::default();
        while self.millis < millis {
            match self.poll() {
                Output::Wait(until) => {
                    let until = until.duration_since(self.start).as_micros().div_ceil(1_000);
                    let until = u64::try_from(until).unwrap().min(millis);
                    self.at(until.min(self.millis + 5_000));
                    if self.claim.stream().is_some() {
                        self.tells("MODIFIED", renewed_at(self.millis));
                    }
                }
                Output::Request(request) if request.is_stream => {
                    seen.opened += 1;
                    self.stream = Some(request.id);
                    if streams != Streams::Fail {
                        self.begins();
                    }
                    if streams != Streams::Last {
                        self.at(self.millis + 10).ends();
                    }
                }
                Output::Request(request) => {
                    seen.looks += 1;
                    let body = renewed_at(self.millis).to_string().into_bytes();
                    let now = self.now();
                    self.claim
                        .handle_response(request.id, &Response::new(body), now);
                }
                Output::Event(Event::Polling(_)) => seen.told += 1,
                Output::Event(event) => panic!("{event:?}"),
                Output::Cancel(_) | Output::Done => panic!("at {} ms", self.millis),
            }
        }
        seen
    }
}

fn renewed_at(millis: u64) -> Value {
    foreign(1_000 + millis, "them", millis)
}
