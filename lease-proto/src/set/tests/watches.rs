//! Shared streams: how many there may be, and what goes wrong with them.

use http::{Response, StatusCode};

use super::*;

/// What a stream tells whose version is too old.
const FORGOTTEN: &str =
    r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#;

fn answer(status: StatusCode) -> http::response::Builder {
    Response::builder().status(status)
}

impl World {
    /// A line that a stream tells of a record, as it is now.
    pub(super) fn line(&self, kind: &str, name: &str) -> serde_json::Value {
        let record = self.server.lease("default", name).unwrap();
        serde_json::json!({"type": kind, "object": record})
    }

    /// How often records were looked at since some time, one by one.
    pub(super) fn looks(&self, since: Duration) -> usize {
        let sent = self.sent.iter().filter(|(at, method, path)| {
            since <= *at && method == "GET" && !path.contains("watch=true")
        });
        sent.count()
    }

    pub(super) fn version(&self) -> u128 {
        self.server.resource_version().into()
    }
}

#[test]
fn a_stream_that_is_asked_for_and_not_there_yet_leaves_nobody_waiting_for_it() {
    let mut w = World::new(SetLimits::default());
    w.delay = Box::new(|_, path| {
        if path.contains("watch=true") {
            SECOND * 4
        } else {
            Duration::ZERO
        }
    });
    w.waiting(20);
    assert_eq!((w.shared(), w.looks(Duration::ZERO)), (1, 20));
    w.run_renewed(20, 1);
    assert!(w.looks(SECOND) >= 20, "{}", w.looks(SECOND));
    let since = w.now;
    w.run_renewed(20, 4);
    assert_eq!((w.shared(), w.looks(since)), (1, 0));
}

#[test]
fn never_more_streams_are_open_than_allowed_and_who_had_no_room_has_it_later() {
    let mut w = World::new(SetLimits::default().streams(2));
    let names = |space| (0..10).map(move |number| format!("space-{space}/lease-{number}"));
    let renew = |w: &mut World, spaces: std::ops::Range<u8>| {
        for name in spaces.flat_map(names) {
            w.write(&name, "them");
        }
    };
    renew(&mut w, 0..3);
    let mut ids = Vec::new();
    for name in (0..3).flat_map(names) {
        let (id, now) = (w.add(&name), w.instant());
        w.set.acquire(id, Patience::Forever, now);
        ids.push(id);
    }
    for _ in 0..4 {
        w.run(SECOND * 5);
        renew(&mut w, 0..3);
    }
    assert_eq!((w.shared(), w.most_streams), (2, 2));
    for name in (0..2).flat_map(names) {
        w.write(&name, "");
    }
    for _ in 0..4 {
        w.run(SECOND * 5);
        renew(&mut w, 2..3);
    }
    assert_eq!(w.held(&ids), 20);
    assert_eq!((w.shared(), w.most_streams), (3, 2));
}

#[test]
fn what_claims_had_that_are_removed_is_room_for_others() {
    let mut w = World::new(SetLimits::default().streams(4));
    let few = w.waiting(3);
    assert_eq!((w.own(), w.most_streams), (3, 3));
    for id in few {
        w.set.remove(id);
    }
    w.run(SECOND);
    assert!(w.server.watches().next().is_none());
    let few = w.waiting(3);
    assert_eq!((w.own(), w.most_streams), (6, 3));
    for id in few {
        w.set.remove(id);
    }
    let many = w.waiting(20);
    assert_eq!((w.shared(), w.own()), (1, 6));
    for id in many {
        w.set.remove(id);
    }
    w.run(SECOND);
    assert!(w.server.watches().next().is_none(), "nobody waits");
    w.waiting(20);
    assert_eq!((w.shared(), w.own()), (2, 6));
}

#[test]
fn credentials_that_are_not_known_are_read_again_once() {
    let unknown = answer(StatusCode::UNAUTHORIZED).body(Vec::new()).unwrap();
    for (refusals, streams) in [(1, (2, 0)), (2, (2, 20))] {
        let mut w = World::new(SetLimits::default());
        w.refusals = vec![unknown.clone(); refusals];
        w.waiting(20);
        w.run_renewed(20, 12);
        assert_eq!(((w.shared(), w.own()), w.reloads), (streams, 1));
    }
}

#[test]
fn a_server_that_is_busy_is_asked_for_a_stream_when_it_said() {
    let mut w = World::new(SetLimits::default());
    let busy = answer(StatusCode::TOO_MANY_REQUESTS).header("Retry-After", "8");
    w.refusals.push(busy.body(Vec::new()).unwrap());
    w.waiting(20);
    // Nor do those that come meanwhile make it forget that.
    w.write("late", "them");
    let (late, now) = (w.add("late"), w.instant());
    w.set.acquire(late, Patience::Forever, now);
    w.run_renewed(20, 1);
    assert_eq!((w.shared(), w.own()), (1, 0));
    w.run_renewed(20, 1);
    assert_eq!((w.shared(), w.own()), (2, 0));
    let since = w.now;
    w.run_renewed(20, 1);
    assert_eq!(w.looks(since), 0);
}

#[test]
fn a_record_that_cannot_be_read_is_looked_at_by_whom_it_concerns_and_by_nobody_else() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    w.run_renewed(20, 2);
    let since = w.now;
    w.is_mute = true;
    w.write("lease-3", "");
    w.is_mute = false;
    let mut odd = w.line("MODIFIED", "lease-3");
    odd["object"]["spec"] = "none of yours".into();
    w.tell(&odd.to_string());
    w.run(SECOND);
    assert_eq!((w.looks(since), w.held(&ids[3..4])), (1, 1));
    w.write("lease-4", "");
    w.run(MILLI * 40);
    assert_eq!((w.shared(), w.held(&ids)), (1, 2));
}

#[test]
fn what_is_no_record_ends_the_stream_and_the_next_one_leaves_nothing_out() {
    let odd = [
        "<html>",
        "{}",
        r#"{"type":"ERROR","object":{"kind":"Status","code":500}}"#,
        r#"{"type":"MODIFIED","object":{"metadata":{"name":"lease-3"}}}"#,
    ];
    for odd in odd {
        let mut w = World::new(SetLimits::default());
        let ids = w.waiting(20);
        w.run_renewed(20, 3);
        let (since, version) = (w.now, w.version());
        w.run(SECOND);
        w.is_mute = true;
        w.write("lease-3", "");
        w.is_mute = false;
        w.tell(odd);
        w.run(SECOND * 2);
        assert_eq!(
            (w.shared(), w.looks(since), w.held(&ids)),
            (2, 0, 1),
            "{odd}"
        );
        let last = w.watches().last().copied().unwrap();
        assert!(
            last.ends_with(&format!("&resourceVersion={version}")),
            "{last}"
        );
    }
}

#[test]
fn a_stream_whose_version_is_forgotten_begins_with_what_there_is() {
    for is_refused in [false, true] {
        let mut w = World::new(SetLimits::default());
        let ids = w.waiting(20);
        w.run_renewed(20, 3);
        w.is_mute = true;
        w.write("lease-3", "");
        w.is_mute = false;
        if is_refused {
            w.refusals
                .push(answer(StatusCode::GONE).body(Vec::new()).unwrap());
            w.cut_streams();
        } else {
            w.tell(FORGOTTEN);
        }
        w.run(SECOND * 3);
        assert_eq!((w.shared(), w.held(&ids)), (2 + usize::from(is_refused), 1));
        let last = w.watches().last().copied().unwrap();
        assert!(!last.contains("resourceVersion="), "{last}");
    }
}

#[test]
fn a_stream_that_comes_as_one_answer_is_heard() {
    let mut w = World::new(SetLimits::default());
    w.renew(20);
    let ids = w.acquire(20);
    // All have read, and the stream is on its way.
    w.run(MILLI * 6);
    w.write("lease-3", "");
    let whole = format!("{}\n", w.line("MODIFIED", "lease-3"));
    w.refusals
        .push(answer(StatusCode::OK).body(whole.into_bytes()).unwrap());
    w.run(MILLI * 100);
    assert_eq!(w.held(&ids), 1);
    w.run_renewed(3, 3);
    assert!(w.shared() > 1, "it has ended, and another one is there");
}

#[test]
fn a_stream_that_should_have_ended_and_has_not_is_given_up() {
    let mut w = World::new(SetLimits::default());
    w.seconds = 3_600;
    let ids = w.waiting(20);
    assert_eq!(w.shared(), 1);
    w.lose_streams();
    w.run(SECOND * 370);
    assert_eq!(w.shared(), 2);
    w.write("lease-3", "");
    w.run(SECOND);
    assert_eq!(w.held(&ids), 1);
}

#[test]
fn what_nobody_waits_for_any_more_is_cancelled() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    let stream = w.last_stream().unwrap();
    for id in ids {
        let now = w.instant();
        w.set.release(id, now);
    }
    w.drive();
    assert!(w.cancelled.contains(&stream));
}

#[test]
fn a_stream_that_ends_within_what_it_begins_with_has_not_told_all() {
    let mut w = World::new(SetLimits::default());
    let ids = w.waiting(20);
    w.run_renewed(20, 2);
    w.is_mute = true;
    w.tell(FORGOTTEN);
    w.run(SECOND * 2);
    assert_eq!(w.shared(), 2);
    w.write("lease-3", "");
    w.write("lease-9", "them");
    // It begins with the last of them, and gets no further.
    let first = w.line("ADDED", "lease-9");
    w.tell(&first.to_string());
    w.is_mute = false;
    w.cut_streams();
    w.run(SECOND * 2);
    assert_eq!((w.shared(), w.held(&ids[3..4])), (3, 1));
}

#[test]
fn what_a_stream_begins_with_is_not_too_much_however_much_it_is() {
    let mut w = World::new(SetLimits::default());
    for number in 0..1_100 {
        w.write(&format!("other-{number}"), "somebody");
    }
    w.waiting(10);
    w.tell(FORGOTTEN);
    w.run(SECOND * 2);
    w.run_renewed(10, 2);
    assert_eq!((w.shared(), w.own()), (2, 0));
}

#[test]
fn no_stream_is_asked_for_while_all_who_want_it_are_to_spare_the_server() {
    let mut w = World::new(SetLimits::default());
    w.write("lease-0", "them");
    let held = w.server.lease("default", "lease-0").unwrap().to_string();
    let start = w.instant();
    let mut set = ClaimSet::new(SetLimits::default().sharers(1), 7, start);
    let id = set.add(config("lease-0"), start);
    set.acquire(id, Patience::Forever, start);
    let (mut looks, mut paused, mut streams) = (0, None, Vec::new());
    for step in 0..600 {
        let now = start + MILLI * 50 * step;
        loop {
            match set.poll_output(now, SystemTime::UNIX_EPOCH + SECOND * 1_795_203_117) {
                SetOutput::Request(tag, request) if request.is_stream => {
                    streams.push(now);
                    set.handle_failure(tag, now);
                }
                SetOutput::Request(tag, _) => {
                    looks += 1;
                    let response = if looks == 1 {
                        Response::new(held.clone().into_bytes())
                    } else {
                        paused = paused.or(Some(now));
                        let busy = answer(StatusCode::TOO_MANY_REQUESTS);
                        busy.header("Retry-After", "10").body(Vec::new()).unwrap()
                    };
                    set.handle_response(tag, &response, now);
                }
                SetOutput::Wait(_) | SetOutput::Done => break,
                SetOutput::Event(..) | SetOutput::Cancel(_) => {}
            }
        }
    }
    let paused = paused.expect("it looks again");
    let early = |at: &&Instant| paused < **at && **at < paused + SECOND * 10;
    assert_eq!(streams.iter().filter(early).count(), 0);
    assert!(streams.iter().any(|at| *at < paused));
    assert!(streams.iter().any(|at| *at >= paused + SECOND * 10));
}
