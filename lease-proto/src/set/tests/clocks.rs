//! Both clocks, by which each claim of a set judges for itself what died long ago.

use super::*;

const HOUR: i64 = 3_600;

impl World {
    /// So many records of somebody who goes by both clocks, and who was last heard of so long ago.
    fn died(&mut self, count: usize, age: Duration) {
        for number in 0..count {
            self.write_by("lease-proto", &format!("lease-{number}"), "them");
        }
        self.run(age);
    }

    /// Who wrote the last renewal of a record.
    fn writer(&self, name: &str) -> String {
        let record = self.server.lease("default", name).unwrap();
        let fields = record["metadata"]["managedFields"].as_array().unwrap();
        let mut owners = fields
            .iter()
            .filter(|entry| entry["fieldsV1"]["f:spec"].get("f:renewTime").is_some());
        owners.next().unwrap()["manager"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// By how many seconds a record was renewed after or before now.
    fn renewed(&self, name: &str) -> f64 {
        let record = self.server.lease("default", name).unwrap();
        let text = record["spec"]["renewTime"].as_str().unwrap();
        let time: jiff::Timestamp = text.parse().unwrap();
        let now = jiff::Timestamp::try_from(self.wall(0)).unwrap();
        (time - now).total(jiff::Unit::Second).unwrap()
    }
}

#[test]
fn what_died_an_hour_ago_is_taken_at_once() {
    let mut w = World::new(SetLimits::default());
    w.died(20, SECOND * 3_600);
    let ids = w.acquire(20);
    w.run(MILLI * 20);
    assert_eq!((w.held(&ids), w.count("GET", Duration::ZERO)), (20, 20));
    assert!(w.watches().is_empty(), "nobody waits");
}

#[test]
fn one_clock_alone_frees_nothing() {
    for (server_error, wall_error, age) in [
        // Each of them an hour ahead, while the record is alive.
        (HOUR, 0, 5),
        (0, HOUR, 5),
        // Each of them an hour behind, so that nothing is known of a record that is dead.
        (-HOUR, 0, 3_000),
        (0, -HOUR, 3_000),
    ] {
        let mut w = World::new(SetLimits::default());
        w.died(20, SECOND * age);
        (w.server_error, w.wall_error) = (server_error, wall_error);
        let ids = w.acquire(20);
        // They are told of others by one stream meanwhile, which tells no time.
        w.run(SECOND * 14);
        assert_eq!(w.held(&ids), 0, "{server_error} {wall_error}");
        w.run(SECOND * 2);
        assert_eq!(w.held(&ids), 20, "{server_error} {wall_error}");
    }
    // Both of them do: that is why they must not be one.
    let mut w = World::new(SetLimits::default());
    w.died(20, SECOND * 5);
    (w.server_error, w.wall_error) = (HOUR, HOUR);
    let ids = w.acquire(20);
    w.run(SECOND);
    assert_eq!(w.held(&ids), 20);
}

#[test]
fn what_was_free_when_its_claim_lined_up_is_judged_again_when_there_is_room() {
    let mut w = World::new(SetLimits::default().requests(2));
    w.died(20, SECOND * 3_600);
    let ids = w.acquire(20);
    // All have read but the last two, and none had room to write.
    w.run(MILLI * 48);
    assert_eq!(
        (
            w.count("GET", Duration::ZERO),
            w.count("PUT", Duration::ZERO)
        ),
        (20, 0)
    );
    w.wall_error = -2 * HOUR;
    w.run(SECOND * 14);
    assert_eq!((w.held(&ids), w.count("PUT", Duration::ZERO)), (0, 0));
    w.run(SECOND * 4);
    assert_eq!(w.held(&ids), 20);
}

#[test]
fn what_one_claim_has_heard_of_the_servers_clock_is_no_others() {
    let mut w = World::new(SetLimits::default());
    w.died(20, SECOND * 3_600);
    w.timeless = Box::new(|_, path| path.ends_with("lease-7"));
    let ids = w.acquire(20);
    w.run(SECOND * 14);
    assert_eq!((w.held(&ids), w.held(&ids[7..8])), (19, 0));
    w.run(SECOND * 4);
    assert_eq!(w.held(&ids), 20);
    // And what it writes is not for others to judge.
    let (timed, untimed) = (w.writer("lease-6"), w.writer("lease-7"));
    assert_eq!(
        (timed.as_str(), untimed.as_str()),
        ("lease-proto", "lease-proto-untimed")
    );
}

#[test]
fn a_holder_writes_the_later_of_both_clocks_unless_it_is_not_to() {
    for (server_error, wall_error) in [(0, -HOUR), (-HOUR, 0), (0, 30), (30, 0)] {
        let mut w = World::new(SetLimits::default());
        (w.server_error, w.wall_error) = (server_error, wall_error);
        let ids = w.acquire(1);
        let off = Config::builder("default", "off", "me").server_time(false);
        let off = w.set.add(off.build().unwrap(), w.instant());
        let now = w.instant();
        w.set.acquire(off, Patience::Forever, now);
        w.run(SECOND * 20);
        assert_eq!(w.held(&[ids[0], off]), 2);
        assert_eq!(w.writer("lease-0"), "lease-proto");
        assert_eq!(w.writer("off"), "lease-proto-untimed");
        // At most one interval ago, and at most a second too late, by which `Date` is cut.
        #[expect(clippy::cast_precision_loss, reason = "hours in seconds")]
        let (later, own) = (server_error.max(wall_error) as f64, wall_error as f64);
        let (timed, untimed) = (w.renewed("lease-0") - later, w.renewed("off") - own);
        assert!((-5.1..=1.1).contains(&timed), "{timed}");
        assert!((-5.1..=0.0).contains(&untimed), "{untimed}");
    }
}
