//! Judging by the clocks: what died long ago is free at once, unless one of them may be wrong.

use http::header::{AGE, DATE};
use jiff::Timestamp;

use super::*;

/// What a newcomer reads, and by which clocks.
struct Scene {
    /// The last renewal, in milliseconds before the reader's wall clock.
    age: u64,
    record: Value,
    /// How far the server's clock and the reader's are off, in milliseconds.
    server_error: i64,
    wall_error: i64,
    dates: Vec<String>,
    headers: Vec<(http::HeaderName, &'static str)>,
    server_time: bool,
}

impl Scene {
    fn new(age: u64) -> Self {
        let mut record = foreign(10, "them", 1);
        let renewed = MicroTime::from_micros(i64::try_from(WALL - age).unwrap() * 1_000);
        record["spec"]["renewTime"] = json!(renewed.to_string());
        record["metadata"]["managedFields"] = managed_by("lease-proto");
        Self {
            age,
            record,
            server_error: 0,
            wall_error: 0,
            dates: Vec::new(),
            headers: Vec::new(),
            server_time: true,
        }
    }

    /// Whether a newcomer that tries once takes the Lease.
    fn is_taken(&self) -> bool {
        let mut t = Timeline::new(|config| config.server_time(self.server_time));
        t.wall_error = self.wall_error;
        t.claim.acquire(Patience::Once, t.start);
        t.asks("GET").at(20);
        let mut answer = Response::builder().status(200);
        let date = date((WALL + 20).checked_add_signed(self.server_error).unwrap());
        for date in std::iter::once(&date)
            .filter(|_| self.dates.is_empty())
            .chain(&self.dates)
        {
            answer = answer.header(DATE, date);
        }
        for (name, value) in &self.headers {
            answer = answer.header(name, *value);
        }
        t.respond(&answer.body(self.record.to_string().into_bytes()).unwrap());
        match t.poll() {
            Output::Request(request) => request.http.method() == "PUT",
            Output::Event(Event::GaveUp(GaveUp::Held(waiting))) => {
                assert!(waiting.until > t.now(), "{} ms old", self.age);
                false
            }
            Output::Event(_) | Output::Cancel(_) | Output::Wait(_) | Output::Done => {
                panic!("neither taken nor left, {} ms old", self.age)
            }
        }
    }
}

fn managed_by(manager: &str) -> Value {
    json!([
        {"manager": "kubectl-annotate", "operation": "Update", "fieldsV1": {"f:metadata": {"f:annotations": {".": {}}}}},
        {"manager": manager, "operation": "Update", "apiVersion": "coordination.k8s.io/v1", "time": "2026-11-20T18:00:00Z",
         "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:holderIdentity": {}, "f:renewTime": {}}}},
    ])
}

fn date(millis: u64) -> String {
    let time = Timestamp::from_millisecond(i64::try_from(millis).unwrap()).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn what_died_an_hour_ago_is_taken_at_once() {
    assert!(Scene::new(3_600_000).is_taken());
}

#[test]
fn the_duration_and_the_margins_must_have_passed_by_both_clocks() {
    // Twenty seconds, two for the precision of `Date`, and four, a fifth.
    assert!(!Scene::new(25_990).is_taken());
    assert!(Scene::new(27_300).is_taken());
    let mut short = Scene::new(10_300);
    short.record["spec"]["leaseDurationSeconds"] = json!(5);
    assert!(short.is_taken());
    let mut short = Scene::new(8_900);
    short.record["spec"]["leaseDurationSeconds"] = json!(5);
    assert!(!short.is_taken());
    // Of no duration at all, ours counts.
    let mut unnamed = Scene::new(19_000);
    unnamed.record["spec"]["leaseDurationSeconds"] = Value::Null;
    assert!(!unnamed.is_taken());
}

#[test]
fn one_clock_alone_frees_nothing() {
    for (server_error, wall_error, age) in [
        // Each of them an hour ahead, while the record is alive.
        (3_600_000, 0, 5_000),
        (0, 3_600_000, 5_000),
        // Each of them an hour behind, so that nothing is known of a record that is dead.
        (-3_600_000, 0, 3_000_000),
        (0, -3_600_000, 3_000_000),
    ] {
        let mut scene = Scene::new(age);
        (scene.server_error, scene.wall_error) = (server_error, wall_error);
        assert!(!scene.is_taken(), "{server_error} {wall_error}");
    }
    // Both of them do: that is why they must not be one.
    let mut both = Scene::new(5_000);
    (both.server_error, both.wall_error) = (3_600_000, 3_600_000);
    assert!(both.is_taken());
}

#[test]
fn clocks_that_are_more_than_a_day_apart_are_not_gone_by() {
    let mut scene = Scene::new(90_000_000);
    (scene.server_error, scene.wall_error) = (0, 86_300_000);
    assert!(scene.is_taken());
    scene.wall_error = 86_500_000;
    assert!(!scene.is_taken());
}

#[test]
fn what_others_wrote_is_not_judged_by_its_time() {
    let hour = 3_600_000;
    for manager in ["kubectl-edit", "lease-proto-untimed", "lease-plain", ""] {
        let mut scene = Scene::new(hour);
        scene.record["metadata"]["managedFields"] = managed_by(manager);
        assert!(!scene.is_taken(), "{manager}");
    }
    let mut scene = Scene::new(hour);
    // Ours is the annotation, and somebody else's the time.
    scene.record["metadata"]["managedFields"] = json!([
        {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:renewTime": {}}}},
        {"manager": "lease-proto", "fieldsV1": {"f:spec": {"f:holderIdentity": {}}}},
    ]);
    assert!(!scene.is_taken());
    for odd in [json!(null), json!([]), json!({}), json!([7]), json!("x")] {
        let mut scene = Scene::new(hour);
        scene.record["metadata"]["managedFields"] = odd.clone();
        assert!(!scene.is_taken(), "{odd}");
    }
    let mut unreadable = Scene::new(hour);
    unreadable.record["spec"]["renewTime"] = json!("last year");
    assert!(!unreadable.is_taken());
    let mut off = Scene::new(hour);
    off.server_time = false;
    assert!(!off.is_taken());
}

#[test]
fn a_date_that_may_tell_of_another_time_is_not_taken() {
    let now = date(WALL);
    let hour = 3_600_000;
    for dates in [
        vec![now.clone(), now.clone()],
        vec!["Friday, 20-Nov-26 19:31:57 GMT".to_owned()],
        vec!["Fri Nov 20 19:31:57 2026".to_owned()],
        vec![now.replace("GMT", "PST")],
        vec![now.replace("Fri", "Mon")],
        vec!["2026-11-20T19:31:57.000000Z".to_owned()],
        vec![String::new()],
    ] {
        let mut scene = Scene::new(hour);
        scene.dates = dates;
        assert!(!scene.is_taken(), "{:?}", scene.dates);
    }
    let mut cached = Scene::new(hour);
    cached.headers.push((AGE, "7"));
    assert!(!cached.is_taken());
}

#[test]
fn a_holder_writes_the_later_of_both_clocks_and_says_so() {
    for server_error in [-7_000_i64, 0, 9_000] {
        let mut t = Timeline::new(|config| config);
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET").at(20);
        let server = WALL.checked_add_signed(server_error).unwrap();
        let answer = Response::builder().status(404).header(DATE, date(server));
        t.respond(&answer.body(b"{}".to_vec()).unwrap());
        t.asks("POST");
        let path = &t.asked().path;
        assert!(path.contains("fieldManager=lease-proto&"), "{path}");
        let written: MicroTime = t.asked().body["spec"]["renewTime"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap();
        // Cut to a second, which it may have been all through; and the 20 ms that the answer took, and drift.
        let server = i64::try_from(server / 1_000 * 1_000 + 1_020).unwrap() * 1_000 + 40;
        let wall = i64::try_from(WALL + 20).unwrap() * 1_000;
        assert_eq!(written.as_micros(), server.max(wall), "{server_error}");
    }
}

#[test]
fn whoever_waits_takes_at_the_earlier_of_what_was_observed_and_what_the_clocks_say() {
    for (age, takes_at) in [(21_000, 5_250..5_300), (2_000, 20_020..20_021)] {
        let scene = Scene::new(age);
        let mut t = Timeline::new(|config| config);
        t.claim.acquire(Patience::Forever, t.start);
        t.asks("GET");
        let answer = Response::builder().status(200).header(DATE, date(WALL));
        t.respond(&answer.body(scene.record.to_string().into_bytes()).unwrap());
        let Event::Waiting(waiting) = t.event() else {
            panic!("nobody is waited for");
        };
        let until = waiting.until.duration_since(t.start).as_millis();
        assert!(takes_at.contains(&until), "{until}");
    }
}

#[test]
fn a_time_that_was_shortened_by_somebody_else_is_not_the_one_to_wait_for() {
    let mut scene = Scene::new(5_000);
    let mut t = Timeline::new(|config| config);
    t.claim.acquire(Patience::Forever, t.start);
    for seconds in [20, 1] {
        scene.record["spec"]["leaseDurationSeconds"] = json!(seconds);
        t.asks("GET");
        let answer = Response::builder().status(200).header(DATE, date(WALL));
        t.respond(&answer.body(scene.record.to_string().into_bytes()).unwrap());
        if seconds == 20 {
            assert!(matches!(t.event(), Event::Waiting(_)));
        }
        t.sleep();
    }
    assert_eq!(t.claim.verdict(), t.claim.observed.verdict(t.now(), None));
}

#[test]
fn what_is_not_free_any_more_when_it_is_to_be_taken_is_waited_for_and_not_read_without_end() {
    let scene = Scene::new(3_600_000);
    let mut t = Timeline::new(|config| config);
    t.claim.acquire(Patience::Forever, t.start);
    t.asks("GET");
    let answer = Response::builder().status(200).header(DATE, date(WALL));
    t.respond(&answer.body(scene.record.to_string().into_bytes()).unwrap());
    // The wall clock is set back in between.
    t.wall_error = -7_200_000;
    assert!(matches!(t.event(), Event::Waiting(_)));
    assert!(t.waits() > 1_000);
}

#[test]
fn what_a_store_shows_that_went_back_is_judged_by_no_clock_but_the_own() {
    let mut t = Timeline::new(|config| config);
    t.claim.acquire(Patience::Forever, t.start);
    // Alive; and as it was an hour ago, when its holder may have been another that lives on.
    for (version, age) in [("70", 2_000), ("50", 3_600_000)] {
        let mut scene = Scene::new(age);
        scene.record["metadata"]["resourceVersion"] = json!(version);
        t.asks("GET");
        let answer = Response::builder()
            .status(200)
            .header(DATE, date(WALL + t.millis));
        t.respond(&answer.body(scene.record.to_string().into_bytes()).unwrap());
        if version == "50" {
            t.says(Event::StoreRegressed);
        } else {
            assert!(matches!(t.event(), Event::Waiting(_)));
        }
        let Verdict::Held(waiting) = t.claim.verdict() else {
            panic!("free at {version}");
        };
        let until = t.now() + Duration::from_secs(20);
        assert!(waiting.until >= until, "{version}");
        t.sleep();
    }
}
