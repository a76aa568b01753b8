//! Which clocks may be wrong at once, where what others wrote is judged by its age: any single one, and not every two.

#![expect(
    clippy::print_stdout,
    reason = "which clocks may not be wrong at once is for people to read"
)]

use std::{
    fmt::Write,
    time::{Duration, Instant, SystemTime},
};

use lease_proto::{
    Claim, Config, Event, Output, Patience,
    server::{Answer, ApiServer},
};

const HOUR: i64 = 3_600;
/// How far each clock is off, in seconds.
const ERRORS: [i64; 3] = [-HOUR, 0, HOUR];

/// How far clocks are off, in seconds: the holder's and the newcomer's, and the server's at the renewal and when the newcomer
/// looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Clocks {
    holder: i64,
    newcomer: i64,
    server_before: i64,
    server_after: i64,
}

impl Clocks {
    fn all() -> impl Iterator<Item = Self> {
        let each = |error: fn(i64) -> Self| ERRORS.into_iter().map(error);
        let holders = each(|holder| Self {
            holder,
            newcomer: 0,
            server_before: 0,
            server_after: 0,
        });
        holders.flat_map(|clocks| {
            ERRORS.into_iter().flat_map(move |newcomer| {
                ERRORS.into_iter().flat_map(move |server_before| {
                    ERRORS.into_iter().map(move |server_after| Self {
                        newcomer,
                        server_before,
                        server_after,
                        ..clocks
                    })
                })
            })
        })
    }

    /// How many of the three clocks are wrong, at any time.
    fn wrong(self) -> usize {
        let server = self.server_before != 0 || self.server_after != 0;
        [self.holder != 0, self.newcomer != 0, server]
            .into_iter()
            .filter(|wrong| *wrong)
            .count()
    }

    /// Whether a newcomer takes the Lease of somebody who renewed it `age` ago.
    fn takes(self, age: Duration) -> bool {
        let mut server = ApiServer::builder().build();
        let start = some_instant();
        let config = |identity| Config::builder("default", "leader", identity).watch(false);
        let mut holder = Claim::new(config("holder").build().expect("it is valid"), 1, start);
        holder.acquire(Patience::Once, start);
        let mut moment = Moment {
            now: start,
            server_error: self.server_before,
        };
        assert!(
            moment.drive(&mut holder, &mut server, self.holder),
            "nobody held it"
        );
        let mut newcomer = Claim::new(config("newcomer").build().expect("it is valid"), 2, start);
        moment = Moment {
            now: start + age,
            server_error: self.server_after,
        };
        newcomer.acquire(Patience::Once, moment.now);
        moment.drive(&mut newcomer, &mut server, self.newcomer)
    }
}

struct Moment {
    now: Instant,
    server_error: i64,
}

impl Moment {
    /// Has a claim do what it wants to, at once. Returns whether it acquired the Lease.
    fn drive(&self, claim: &mut Claim, server: &mut ApiServer, error: i64) -> bool {
        loop {
            match claim.poll_output(self.now, self.wall(error)) {
                Output::Request(request) => {
                    let answer = server.handle(&request.http, self.wall(self.server_error));
                    let Answer::Whole(answer) = answer else {
                        panic!("nobody asked for a stream");
                    };
                    claim.handle_response(request.id, &answer, self.now);
                }
                Output::Event(Event::Acquired(_)) => return true,
                Output::Event(Event::GaveUp(_)) => return false,
                Output::Event(_) | Output::Cancel(_) => {}
                Output::Wait(_) | Output::Done => panic!("it said nothing"),
            }
        }
    }

    fn wall(&self, error: i64) -> SystemTime {
        const TODAY: u64 = 1_795_203_117;
        let passed = self.now.duration_since(some_instant());
        let seconds = TODAY.checked_add_signed(error).expect("it is in range");
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + passed
    }
}

fn some_instant() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(|| Instant::now() + Duration::from_secs(10_000))
}

#[test]
fn a_lease_whose_holder_died_an_hour_ago_is_free_where_the_clocks_are_right() {
    let right = Clocks {
        holder: 0,
        newcomer: 0,
        server_before: 0,
        server_after: 0,
    };
    assert!(right.takes(Duration::from_secs(3_600)));
    // Fifteen seconds, two, three, and the second by which `Date` is cut when it is written and when it is read.
    assert!(right.takes(Duration::from_millis(22_100)));
    assert!(!right.takes(Duration::from_millis(19_900)));
}

#[test]
fn no_single_wrong_clock_frees_a_live_lease_and_the_pairs_that_do_are_known() {
    let mut table = String::new();
    for clocks in Clocks::all() {
        let takes = clocks.takes(Duration::from_secs(1));
        if clocks.wrong() <= 1 {
            assert!(!takes, "{clocks:?}");
        }
        // What is written is the later of two clocks, and what is read the earlier of two.
        let written = clocks.holder.max(clocks.server_before);
        let read = clocks.newcomer.min(clocks.server_after);
        assert_eq!(takes, written < read, "{clocks:?}");
        if takes && clocks.wrong() == 2 {
            // The server's clock was set in between, forwards, and is one of the two.
            assert!(clocks.server_before < clocks.server_after, "{clocks:?}");
            writeln!(table, "{clocks:?}").expect("a String takes all");
        }
    }
    println!("two wrong clocks that make a live Lease look free:\n{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
}
