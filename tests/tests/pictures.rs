//! Pictures: those of the README are what the command draws, and what is drawn is what has happened.

use lease_tests::{
    picture::Picture,
    sim::{Run, World},
};

const SECOND: u64 = 1_000_000;

/// What `picture` draws of a scene.
fn drawn(world: World) -> String {
    let (picture, end) = world.picture().expect("it is drawn");
    picture.svg(8 * SECOND, end)
}

#[test]
fn the_pictures_of_the_readme_are_drawn_by_the_command() {
    let kept = [
        (World::crash(), include_str!("../pictures/crash.svg")),
        (
            World::partition(),
            include_str!("../pictures/partition.svg"),
        ),
    ];
    for (world, kept) in kept {
        let world = world.expect("it keeps all promises");
        assert!(
            drawn(world) == kept,
            "draw it again: cargo run -p lease-tests --bin picture -- NAME -o tests/pictures/NAME.svg"
        );
    }
}

#[test]
fn whoever_is_cut_off_is_shown_to_stop_before_another_one_begins() {
    let world = World::partition().expect("it keeps all promises");
    let (picture, _) = world.picture().expect("it is drawn");
    let [first, second] = picture.beliefs.as_slice() else {
        panic!("{:?}", picture.beliefs);
    };
    assert!(first.until.is_some_and(|until| until < second.from));
    assert_ne!(first.lane, second.lane);
    // Its time was over by then, as the record told it.
    let before = picture
        .records
        .iter()
        .rfind(|it| it.holder == Some(first.lane));
    assert!(
        before.is_some_and(|it| it.expires <= second.from),
        "{before:?}"
    );
    let lost = |it: &&lease_tests::picture::Request| it.lane == first.lane && it.arrived.is_none();
    assert!(picture.requests.iter().filter(lost).count() >= 3);
}

#[test]
fn every_seed_can_be_drawn_with_its_faults() {
    let run = Run::new(1, 600 * SECOND, None);
    let (picture, end) = run.drawn();
    assert!(!picture.faults.is_empty() && !picture.beliefs.is_empty());
    let svg = picture.svg(0, end);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // Nothing that stands in it may end it early.
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn the_crash_at_the_end_of_a_seed_is_drawn() {
    let (picture, end) = Run::new(7, 1_800 * SECOND, None).drawn();
    let crash = picture.faults.iter().rfind(|it| it.what == "crashed");
    let crash = crash.expect("a holder crashes last of all");
    let lane = crash.lane.expect("it is one of them");
    // It has the Lease until then, and another one has it at the end.
    let mut last = picture.beliefs.iter().rev();
    assert!(
        last.next()
            .is_some_and(|it| it.lane != lane && it.from > crash.from)
    );
    assert!(
        picture
            .beliefs
            .iter()
            .any(|it| it.lane == lane && it.until == Some(crash.from))
    );
    // The last minute is what the command draws of it.
    let svg = picture.svg(end.saturating_sub(60 * SECOND), end);
    assert!(svg.contains("crashed"));
}

#[test]
fn what_processes_tell_is_drawn_and_what_they_do_not_is_refused() {
    let one = r#"{"t": 100.0, "event": "acquired", "lease": "a"}
{"t": 102.5, "event": "released", "lease": "a"}"#;
    let two = r#"{"t": 102.6, "event": "acquired", "lease": "a"}"#;
    let told = [("one", one), ("two", two)].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let picture = Picture::of_events(&told, None, None).expect("they are what processes tell");
    assert_eq!(picture.lanes, ["one a", "two a"]);
    let ends: Vec<_> = picture
        .beliefs
        .iter()
        .map(|it| (it.from, it.until))
        .collect();
    assert_eq!(ends, [(0, Some(2_500_000)), (2_599_999, None)]);
    // Nobody has told of the record, nor of requests, and no sign is explained that is not there.
    let svg = picture.svg(0, picture.end());
    assert!(svg.contains("(no record)") && svg.contains("it believes"));
    assert!(!svg.contains("its time is over") && !svg.contains("requests"));
    // A clock that tells nonsense is drawn within a century, and no time at all is drawn as some.
    let far = r#"{"t": 1e308, "event": "acquired", "lease": "a"}"#;
    let mixed = [("one", one), ("far", far)].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let picture = Picture::of_events(&mixed, None, None).expect("they are what processes tell");
    for (from, until) in [(0, picture.end()), (5 * SECOND, SECOND)] {
        let svg = picture.svg(from, until);
        assert!(svg.ends_with("</svg>\n"));
        for wrong in ["NaN", "inf"] {
            assert!(!svg.contains(wrong), "{wrong} from {from} until {until}");
        }
    }
    let odd = [(
        "odd".to_owned(),
        r#"{"t": 1, "event": "?", "lease": "a"}"#.to_owned(),
    )];
    assert!(Picture::of_events(&odd, None, None).is_err());
}

#[test]
fn where_no_process_has_told_anything_nothing_is_drawn() {
    let silent = [("one", ""), ("two", "")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let refused = Picture::of_events(&silent, None, None).expect_err("nothing was told");
    assert!(
        refused.starts_with("one, two: no process has told anything"),
        "{refused}"
    );
}

/// What three processes told, of which one was stopped and the next one killed, and what their API server saw.
fn recorded() -> ([(String, String); 3], &'static str) {
    let told = [
        ("one", include_str!("../pictures/recorded/one.jsonl")),
        ("three", include_str!("../pictures/recorded/three.jsonl")),
        ("two", include_str!("../pictures/recorded/two.jsonl")),
    ];
    let told = told.map(|(name, text)| (name.to_owned(), text.to_owned()));
    (told, include_str!("../pictures/recorded/audit.log"))
}

#[test]
fn what_an_api_server_saw_of_processes_is_drawn() {
    let (told, log) = recorded();
    let picture = Picture::of_events(&told, None, Some(log)).expect("it was recorded");
    assert_eq!(picture.lanes, ["one", "two", "three"]);
    // Each takes over when the time of the one before is over, as the record told it, and that one believes nothing then.
    let mut changes: Vec<_> = picture.records.clone();
    changes.dedup_by_key(|it| it.holder);
    let holders: Vec<_> = changes.iter().map(|it| it.holder).collect();
    assert_eq!(holders, [Some(0), Some(1), Some(2), None]);
    for next in picture.records.windows(2) {
        if let [before, after] = next
            && before.holder != after.holder
            && after.holder.is_some()
        {
            assert!(before.expires <= after.at, "{before:?}, {after:?}");
            let believes = |it: &&lease_tests::picture::Belief| {
                it.from <= after.at && it.until.is_none_or(|until| after.at < until)
            };
            assert_eq!(picture.beliefs.iter().find(believes), None);
        }
    }
    let faults: Vec<_> = picture
        .faults
        .iter()
        .map(|it| (it.lane, it.what.as_str()))
        .collect();
    assert_eq!(faults, [(Some(0), "stopped"), (Some(1), "killed")]);
    // Reads name nobody: whose they are is known by the name that each gives itself.
    let reads = |lane| {
        let of = picture
            .requests
            .iter()
            .filter(|it| it.lane == lane && it.method == "GET");
        of.count()
    };
    assert!((0..3).all(|lane| reads(lane) > 0));
    let refused = picture.requests.iter().find(|it| it.status == Some(409));
    assert!(refused.is_some(), "two took over, and three came too late");
    let svg = picture.svg(0, picture.end());
    assert!(svg.contains("its time is over") && svg.contains("that the API server tells of"));
    assert!(
        svg == include_str!("../pictures/recorded.svg"),
        "draw it again: cargo run -p lease-tests --bin picture -- events tests/pictures/recorded/*.jsonl \
         --audit-log tests/pictures/recorded/audit.log -o tests/pictures/recorded.svg"
    );
}

#[test]
fn what_nobody_tells_of_is_drawn_apart_or_refused() {
    let (told, log) = recorded();
    // Without those who wrote it, the record names nobody who is drawn, and what they asked has a lane of its own.
    let [one, three, _] = told.clone();
    let picture = Picture::of_events(std::slice::from_ref(&three), None, Some(log));
    let picture = picture.expect("one was there");
    assert_eq!(picture.lanes, ["three", "others"]);
    assert!(picture.records.iter().any(|it| it.holder == Some(0)));
    assert!(picture.requests.iter().any(|it| it.lane == 1));
    // Whoever has told nothing has asked all the same.
    let silent = [three, (one.0, String::new())];
    let picture = Picture::of_events(&silent, None, Some(log)).expect("two were there");
    assert_eq!(picture.lanes, ["three", "one"]);
    assert!(picture.requests.iter().any(|it| it.lane == 1));
    let other = |lease| Picture::of_events(&told, lease, Some(log));
    let refused = other(Some("follower")).expect_err("nobody tells of it");
    assert!(refused.contains("anything of follower"), "{refused}");
    let refused = Picture::of_events(&told, None, Some("")).expect_err("it is empty");
    assert!(
        refused.contains("nothing about the Lease leader"),
        "{refused}"
    );
    let mut several = told.to_vec();
    let line = r#"{"t": 1796007759, "event": "acquired", "lease": "other"}"#;
    several.push(("four".to_owned(), line.to_owned()));
    let refused = Picture::of_events(&several, None, Some(log)).expect_err("which one?");
    assert!(refused.contains("--lease (leader, other)"), "{refused}");
    Picture::of_events(&several, Some("leader"), Some(log)).expect("that one");
}

#[test]
fn whoever_is_stopped_for_a_moment_believes_again_afterwards() {
    let text = r#"{"t": 100, "event": "acquired", "lease": "a"}
{"t": 102, "until": 103, "event": "fault", "what": "stopped"}
{"t": 106, "event": "released", "lease": "a"}"#;
    let told = [("one".to_owned(), text.to_owned())];
    let picture = Picture::of_events(&told, None, None).expect("it is what processes tell");
    let beliefs: Vec<_> = picture
        .beliefs
        .iter()
        .map(|it| (it.from, it.until))
        .collect();
    let expected = [(0, Some(2 * SECOND)), (3 * SECOND, Some(6 * SECOND))];
    assert_eq!(beliefs, expected);
    let nameless = text.replace(r#", "what": "stopped""#, "");
    let told = [("one".to_owned(), nameless)];
    let refused = Picture::of_events(&told, None, None).expect_err("what was done?");
    assert!(refused.contains("line 2"), "{refused}");
}
