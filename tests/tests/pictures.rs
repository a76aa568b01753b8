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
    let picture = Picture::of_events(&told).expect("they are what processes tell");
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
    let picture = Picture::of_events(&mixed).expect("they are what processes tell");
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
    assert!(Picture::of_events(&odd).is_err());
}

#[test]
fn where_no_process_has_told_anything_nothing_is_drawn() {
    let silent = [("one", ""), ("two", "")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let refused = Picture::of_events(&silent).expect_err("nothing was told");
    assert!(
        refused.starts_with("one, two: no process has told anything"),
        "{refused}"
    );
}
