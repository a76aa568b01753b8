//! The clocks that a record's age is judged by: the machine's wall clock and the API server's, and never one of them alone.
//!
//! A writer that knows both writes as `renewTime` the later of its own wall clock and the latest that the API server's clock
//! may show, and says by its field manager that it did. A reader takes as its own time the earlier of its wall clock and the
//! earliest that the API server's clock may show. So for a lease that is alive to look as if it were over, the writer's time
//! would have to be too early, for which its own clock and what it knew of the server's must both be, or the reader's too
//! late, for which the same holds. No single clock that is wrong does that, whichever it is and however far, nor a step of the
//! server's between the write and the read.

use std::time::{Duration, Instant};

use http::Response;

use crate::{config::CLOCK_DRIFT_PPM, headers, wire::MicroTime};

/// `Date` has whole seconds, cut off.
const DATE_PRECISION: Duration = Duration::from_secs(1);
/// For how long it is remembered that answers disagreed: servers behind one address take turns.
const DISPUTE: Duration = Duration::from_secs(600);
/// Two clocks that are further apart are not used: what they say would be read by people for a long time.
const FURTHEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of the two clocks.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Clocks {
    /// The machine's wall clock when it was last read.
    wall: Option<(Instant, MicroTime)>,
    server: Option<Bounds>,
}

/// Between which times the API server's clock was at an instant.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Bounds {
    at: Instant,
    earliest: MicroTime,
    latest: MicroTime,
    /// Until when the bounds are not narrowed, if answers disagreed.
    disputed_until: Option<Instant>,
}

impl Clocks {
    /// Takes note of what the machine's wall clock shows.
    pub(crate) fn read_wall(&mut self, now: Instant, wall: MicroTime) {
        self.wall = Some((now, wall));
    }

    /// Takes note of an answer that came at `now` to what was asked at `sent`.
    pub(crate) fn hear(&mut self, answer: &Response<Vec<u8>>, sent: Instant, now: Instant) {
        let Some(date) = headers::date(answer) else {
            return;
        };
        let date = MicroTime::from_micros(date.as_microsecond());
        // The date was written in between: it is at least as old as the answer, and no older than the question.
        let since = drift_up(now.saturating_duration_since(sent));
        let heard = Bounds {
            at: now,
            earliest: date,
            latest: date.saturating_add(DATE_PRECISION).saturating_add(since),
            disputed_until: None,
        };
        self.server = Some(match self.server.take() {
            Some(known) => known.and(heard),
            None => heard,
        });
    }

    /// Returns the time to be written by whom others may judge by both clocks: the later of them.
    pub(crate) fn latest(&self, now: Instant) -> Option<MicroTime> {
        let (wall, server) = self.both(now)?;
        Some(wall.max(server.latest))
    }

    /// Returns the time by which to judge what others wrote: the earlier of both clocks.
    pub(crate) fn earliest(&self, now: Instant) -> Option<MicroTime> {
        let (wall, server) = self.both(now)?;
        Some(wall.min(server.earliest))
    }

    /// Returns what the machine's wall clock shows, for what nobody's belief depends on.
    pub(crate) fn wall(&self, now: Instant) -> Option<MicroTime> {
        let (at, wall) = self.wall?;
        Some(wall.saturating_add(drift_down(now.saturating_duration_since(at))))
    }

    fn both(&self, now: Instant) -> Option<(MicroTime, Bounds)> {
        let wall = self.wall(now)?;
        let server = self.server.as_ref()?.at(now);
        let ahead = server.latest.saturating_since(wall);
        let behind = wall.saturating_since(server.earliest);
        (ahead.max(behind) <= FURTHEST).then_some((wall, server))
    }
}

impl Bounds {
    /// The bounds as they have become until `now`.
    fn at(&self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.at);
        Self {
            at: now,
            earliest: self.earliest.saturating_add(drift_down(passed)),
            latest: self.latest.saturating_add(drift_up(passed)),
            disputed_until: self.disputed_until.filter(|until| *until > now),
        }
    }

    /// Brings together what was known and what was `heard` now.
    fn and(&self, heard: Self) -> Self {
        let known = self.at(heard.at);
        let narrowed = Self {
            earliest: known.earliest.max(heard.earliest),
            latest: known.latest.min(heard.latest),
            ..heard
        };
        let agree = narrowed.earliest <= narrowed.latest;
        if agree && known.disputed_until.is_none() {
            return narrowed;
        }
        Self {
            earliest: known.earliest.min(heard.earliest),
            latest: known.latest.max(heard.latest),
            disputed_until: known
                .disputed_until
                .filter(|_| agree)
                .or_else(|| heard.at.checked_add(DISPUTE)),
            at: heard.at,
        }
    }
}

/// The most that another clock may have counted while ours counted `passed`.
fn drift_up(passed: Duration) -> Duration {
    passed.saturating_add(drift(passed))
}

/// The least that another clock has counted while ours counted `passed`.
fn drift_down(passed: Duration) -> Duration {
    passed.saturating_sub(drift(passed))
}

fn drift(passed: Duration) -> Duration {
    // Both may be off, in opposite directions.
    passed.saturating_mul(2 * CLOCK_DRIFT_PPM) / 1_000_000
}

#[cfg(test)]
mod tests {
    use http::header::DATE;

    use super::*;

    /// 2026-11-20T19:31:57Z, in microseconds.
    const DATE_MICROS: i64 = 1_795_203_117_000_000;

    fn answer(seconds: i64) -> Response<Vec<u8>> {
        let time = jiff::Timestamp::from_microsecond(DATE_MICROS + seconds * 1_000_000).unwrap();
        let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let answer = Response::builder().header(DATE, text);
        answer.body(Vec::new()).unwrap()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do, and there is no other way to one"
    )]
    fn start() -> Instant {
        Instant::now() + Duration::from_secs(1_000_000)
    }

    /// What is known after these answers, each of so many seconds by the server and asked and answered at these
    /// milliseconds: the bounds in microseconds.
    fn bounds(heard: &[(i64, u64, u64)], now: u64) -> (i64, i64) {
        let start = start();
        let at = |millis| start + Duration::from_millis(millis);
        let mut clocks = Clocks::default();
        for &(seconds, sent, received) in heard {
            clocks.hear(&answer(seconds), at(sent), at(received));
        }
        let bounds = clocks.server.unwrap().at(at(now));
        (
            bounds.earliest.as_micros() - DATE_MICROS,
            bounds.latest.as_micros() - DATE_MICROS,
        )
    }

    #[test]
    fn a_date_is_a_second_long_and_an_exchange_as_long_as_it_took() {
        assert_eq!(bounds(&[(0, 0, 0)], 0), (0, 1_000_000));
        assert_eq!(bounds(&[(0, 0, 500)], 500), (0, 1_501_000));
    }

    #[test]
    fn what_is_known_ages() {
        assert_eq!(bounds(&[(0, 0, 0)], 100_000), (99_800_000, 101_200_000));
    }

    #[test]
    fn answers_that_agree_tell_more_together() {
        // The second began between 600 and 700 ms.
        let known = [(0, 0, 0), (0, 600, 600), (1, 700, 700)];
        let (earliest, latest) = bounds(&known, 700);
        assert_eq!((earliest, latest), (1_000_000, 1_100_000 + 200));
    }

    #[test]
    fn answers_that_disagree_widen_what_is_known_for_a_while() {
        let known = [(0, 0, 0), (30, 1_000, 1_000), (1, 2_000, 2_000)];
        let (earliest, latest) = bounds(&known, 2_000);
        assert_eq!((earliest, latest), (1_000_000, 32_002_000));
        // Later answers of one of them do not make the other one forgotten at once, and do in the end.
        let soon = [known[0], known[1], (300, 300_000, 300_000)];
        let (earliest, latest) = bounds(&soon, 300_000);
        assert!(earliest < 300_000_000 && latest > 320_000_000);
        let late = [known[0], known[1], (2_000, 2_000_000, 2_000_000)];
        let (earliest, latest) = bounds(&late, 2_000_000);
        assert_eq!((earliest, latest), (2_000_000_000, 2_001_000_000));
    }

    #[test]
    fn without_both_clocks_there_is_nothing_to_go_by() {
        let start = start();
        let mut clocks = Clocks::default();
        assert_eq!(clocks.latest(start), None);
        clocks.read_wall(start, MicroTime::from_micros(DATE_MICROS));
        assert_eq!((clocks.latest(start), clocks.earliest(start)), (None, None));
        clocks.hear(&answer(5), start, start);
        let time = |seconds: i64| Some(MicroTime::from_micros(DATE_MICROS + seconds * 1_000_000));
        assert_eq!(
            (clocks.latest(start), clocks.earliest(start)),
            (time(6), time(0))
        );
    }
}
