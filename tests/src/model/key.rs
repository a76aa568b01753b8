//! What tells two states apart: their texts, with everything relative in them made so.
//!
//! A text is taken apart once, when what it shows has changed; the key of a state is made of the parts of all its texts.
//!
//! - Instants become ticks from now. One between two ticks is the same as the later one, since nobody looks at a clock in
//!   between. That is also why what a claim draws at random does not count: with the timings that are used here every pause
//!   ends with the next tick, whatever was drawn.
//! - Times of day count from now as well, to the microsecond.
//! - Times older than [`OLD`] ticks, twice as long as a lease lasts, keep their order and nothing else: nothing is measured
//!   against them any more.
//! - Instants further than [`FAR`] ticks ahead are all the same: only streams last that long, and how long is drawn at random.
//! - Versions keep their order and nothing else, as do the numbers of campaigns.
//! - Uids are told apart, and their names do not count.
//! - What a claim knows of the servers' clock counts by when it was heard, and by how far it was from that clock then.
//! - Numbers of requests do not count: whether an answer is still awaited is told in its place. Nor do times that have no
//!   fraction, which only servers write, for people to read; nor the last instant that a claim has heard of and what its
//!   wall clock showed then, since clocks do not go back here and agree.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    hash::{DefaultHasher, Hash, Hasher},
};

use lease_proto::wire::RawTime;

use super::clock::{Clock, EPOCH};

/// Where versions begin, so that no other number looks like one.
pub(super) const FIRST_VERSION: u64 = 7_000_000_000_000;
/// Times of day in microseconds are above this.
const FIRST_TIME: u64 = 1_000_000_000_000_000;
/// Times of day in seconds are from this one on, for a year.
const SECONDS: std::ops::Range<u64> = EPOCH..EPOCH + 31_536_000;
/// After how many ticks a time is old.
const OLD: i64 = 8;
/// In how many ticks nothing comes to an end but a stream, which has minutes.
const FAR: i64 = 32;

/// Something that depends on when, or on what else there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// A tick.
    Instant(i64),
    /// In microseconds.
    Wall(i64),
    Version(u64),
    Uid(u64),
}

/// A text, taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    plain: u64,
    parts: Vec<Part>,
}

impl Text {
    pub(super) fn new(clock: &Clock, value: fmt::Arguments<'_>) -> Self {
        let mut text = String::with_capacity(4_096);
        text.write_fmt(value)
            .expect("writing to a text does not fail");
        let mut scan = Scan {
            clock,
            hasher: DefaultHasher::new(),
            parts: Vec::new(),
            campaigns: Vec::new(),
            heard: 0,
        };
        scan.text(text.as_bytes());
        let Scan {
            mut hasher,
            parts,
            campaigns,
            ..
        } = scan;
        let ranks: BTreeSet<u64> = campaigns.iter().copied().collect();
        for campaign in campaigns {
            ranks.range(..campaign).count().hash(&mut hasher);
        }
        Self {
            plain: hasher.finish(),
            parts,
        }
    }
}

/// Makes the key of a state: of its texts, and of what else counts.
pub(super) fn key<'a>(
    tick: u32,
    texts: impl Iterator<Item = &'a Text> + Clone,
    more: &[Part],
    rest: impl Hash,
) -> u64 {
    let parts = || {
        let all = texts.clone().flat_map(|text| &text.parts);
        all.chain(more)
    };
    let (now, wall) = (i64::from(tick), Clock::micros(tick));
    let oldest = Clock::micros(u32::try_from(OLD).unwrap_or(0));
    let (mut instants, mut walls, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts() {
        match *part {
            Part::Instant(at) if at < now - OLD => instants.push(at),
            Part::Wall(at) if at < wall - oldest => walls.push(at),
            Part::Version(version) => versions.push(version),
            Part::Instant(_) | Part::Wall(_) | Part::Uid(_) => {}
        }
    }
    for old in [&mut instants, &mut walls] {
        old.sort_unstable();
        old.dedup();
    }
    versions.sort_unstable();
    versions.dedup();
    let mut uids: Vec<u64> = Vec::new();
    let mut hasher = DefaultHasher::new();
    for part in parts() {
        match part {
            Part::Instant(at) if *at > now + FAR => 6.hash(&mut hasher),
            Part::Instant(at) => match instants.binary_search(at) {
                Ok(rank) => (0, rank).hash(&mut hasher),
                Err(_) => (1, at - now).hash(&mut hasher),
            },
            Part::Wall(at) => match walls.binary_search(at) {
                Ok(rank) => (2, rank).hash(&mut hasher),
                Err(_) => (3, at - wall).hash(&mut hasher),
            },
            Part::Version(version) => (4, versions.binary_search(version)).hash(&mut hasher),
            Part::Uid(uid) => {
                let known = uids.iter().position(|known| known == uid);
                let number = known.unwrap_or_else(|| {
                    uids.push(*uid);
                    uids.len() - 1
                });
                (5, number).hash(&mut hasher);
            }
        }
    }
    for text in texts {
        (text.plain, text.parts.len()).hash(&mut hasher);
    }
    rest.hash(&mut hasher);
    hasher.finish()
}

/// Goes through a text.
struct Scan<'a> {
    clock: &'a Clock,
    hasher: DefaultHasher,
    parts: Vec<Part>,
    campaigns: Vec<u64>,
    /// What the servers' clock showed when a claim heard of it last, in microseconds.
    heard: i64,
}

impl Scan<'_> {
    fn text(&mut self, text: &[u8]) {
        let (mut at, mut plain) = (0, 0);
        let mut last = b' ';
        while let Some(&byte) = text.get(at) {
            let begins = !last.is_ascii_alphanumeric() && byte.is_ascii_hexdigit();
            last = byte;
            let found = begins.then(|| self.part(&text[..at], &text[at..]));
            let Some(length) = found.flatten() else {
                at += 1;
                continue;
            };
            self.hasher.write(&text[plain..at]);
            at += length;
            plain = at;
        }
        self.hasher.write(&text[plain..]);
    }

    /// Takes in what stands at the beginning of `rest` if it is relative to something; returns how long it is.
    fn part(&mut self, before: &[u8], rest: &[u8]) -> Option<usize> {
        if let Some(uid) = uid(rest) {
            let mut hasher = DefaultHasher::new();
            uid.hash(&mut hasher);
            return Some(self.push(uid.len(), Part::Uid(hasher.finish())));
        }
        let (length, number) = number(rest)?;
        if rest.get(4) == Some(&b'-') {
            let (length, micros) = time(rest)?;
            let is_whole = !rest[..length].contains(&b'.');
            self.hasher.write_u8(u8::from(is_whole));
            return Some(if is_whole {
                length
            } else {
                self.push(length, Part::Wall(micros - epoch_micros()))
            });
        }
        if before.ends_with(b"tv_sec: ") {
            const BETWEEN: &[u8] = b", tv_nsec: ";
            let nanos = rest.get(length..)?.strip_prefix(BETWEEN)?;
            let (more, nanos) = self::number(nanos)?;
            let length = length + BETWEEN.len() + more;
            let heard = [
                &b" now: Instant { tv_sec: "[..],
                b" wall: Some((Instant { tv_sec: ",
            ];
            if heard.iter().any(|heard| before.ends_with(heard)) {
                return Some(length);
            }
            let tick = self.clock.tick_of_printed(number, nanos);
            if before.ends_with(b"Bounds { at: Instant { tv_sec: ") {
                self.heard = tick * Clock::micros(1);
            }
            return Some(self.push(length, Part::Instant(tick)));
        }
        let names = [
            &b"Random("[..],
            b"RequestId(",
            b"next_request: ",
            b"length: ",
        ];
        if names.iter().any(|name| before.ends_with(name)) {
            return Some(length);
        }
        let bounds = [&b"earliest: MicroTime("[..], b"latest: MicroTime("];
        if number >= FIRST_TIME && bounds.iter().any(|name| before.ends_with(name)) {
            let micros = i64::try_from(number).ok()? - epoch_micros();
            self.hasher.write_i64(micros - self.heard);
            return Some(length);
        }
        let names = [&b"campaigns: "[..], b"campaign: ", b"number: "];
        if names.iter().any(|name| before.ends_with(name)) {
            self.campaigns.push(number);
            return Some(length);
        }
        let last = &before[before.len().saturating_sub(90)..];
        let is_read = last.windows(12).any(|it| it == b"wall: Some((");
        let part = match number {
            FIRST_TIME.. if is_read && before.ends_with(b"MicroTime(") => return Some(length),
            FIRST_TIME.. => Part::Wall(i64::try_from(number).ok()? - epoch_micros()),
            FIRST_VERSION.. => Part::Version(number),
            // No run lasts a thousand ticks, so that each tick has a second of its own.
            _ if SECONDS.contains(&number) => Part::Instant(i64::try_from(number - EPOCH).ok()?),
            _ => return None,
        };
        Some(self.push(length, part))
    }

    fn push(&mut self, length: usize, part: Part) -> usize {
        self.parts.push(part);
        length
    }
}

fn epoch_micros() -> i64 {
    i64::try_from(EPOCH * 1_000_000).unwrap_or(i64::MAX)
}

fn number(text: &[u8]) -> Option<(usize, u64)> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(text.get(..length)?).ok()?;
    Some((length, digits.parse().ok()?))
}

fn uid(text: &[u8]) -> Option<[u8; 36]> {
    let uid: [u8; 36] = text.get(..36)?.try_into().ok()?;
    let fits = uid.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    fits.then_some(uid)
}

/// A time in RFC 3339, in microseconds since the epoch.
fn time(text: &[u8]) -> Option<(usize, i64)> {
    if text.get(4) != Some(&b'-') || text.get(10) != Some(&b'T') {
        return None;
    }
    let length = 1 + text.iter().take(40).position(|byte| *byte == b'Z')?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let time = RawTime::new(text).time()?;
    Some((length, time.as_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(text: &str, tick: u32) -> u64 {
        let clock = Clock::new();
        let texts = [Text::new(&clock, format_args!("{text}"))];
        key(tick, texts.iter(), &[], ())
    }

    fn record(tick: u32, version: u64) -> String {
        let wall = lease_proto::wire::MicroTime::from(Clock::wall(tick));
        format!("\"renewTime\":\"{wall}\",\"resourceVersion\":\"{version}\"")
    }

    #[test]
    fn what_is_relative_to_now_is_the_same_later() {
        let early = key_of(&record(3, FIRST_VERSION + 1), 5);
        assert_eq!(early, key_of(&record(6, FIRST_VERSION + 9), 8));
        assert_ne!(early, key_of(&record(3, FIRST_VERSION + 1), 6));
        assert_ne!(early, key_of(&record(4, FIRST_VERSION + 1), 5));
    }

    #[test]
    fn instants_between_two_ticks_are_the_later_one() {
        let clock = Clock::new();
        let key_at = |micros: u64, tick| {
            let at = clock.now(2) + std::time::Duration::from_micros(micros);
            let texts = [Text::new(&clock, format_args!("{at:?}"))];
            key(tick, texts.iter(), &[], ())
        };
        assert_eq!(key_at(1, 2), key_at(1_001_000, 2));
        assert_ne!(key_at(0, 2), key_at(1, 2));
        assert_eq!(key_at(0, 2), key_at(1_001_000, 3));
    }

    #[test]
    fn what_is_old_keeps_its_order_alone() {
        let two = |first, second| record(first, FIRST_VERSION) + &record(second, FIRST_VERSION);
        assert_eq!(key_of(&two(1, 2), 50), key_of(&two(3, 9), 50));
        assert_ne!(key_of(&two(1, 2), 50), key_of(&two(9, 3), 50));
        assert_ne!(key_of(&two(1, 2), 50), key_of(&two(2, 2), 50));
        assert_ne!(key_of(&two(1, 2), 50), key_of(&two(1, 49), 50));
    }

    #[test]
    fn versions_keep_their_order_alone() {
        let two = |first: u64, second: u64| {
            record(1, FIRST_VERSION + first) + &record(1, FIRST_VERSION + second)
        };
        assert_eq!(key_of(&two(1, 2), 2), key_of(&two(5, 9), 2));
        assert_ne!(key_of(&two(1, 2), 2), key_of(&two(2, 1), 2));
        assert_ne!(key_of(&two(1, 2), 2), key_of(&two(2, 2), 2));
    }

    #[test]
    fn what_is_known_of_the_servers_clock_counts_from_when_it_was_heard() {
        let clock = Clock::new();
        let key_of = |heard: u32, off: i64, now: u32| {
            let at = clock.now(heard);
            let earliest = epoch_micros() + Clock::micros(heard) + off;
            let latest = earliest + 1_000_000;
            let text = format_args!(
                "Bounds {{ at: {at:?}, earliest: MicroTime({earliest}), latest: MicroTime({latest}) }}"
            );
            key(now, [Text::new(&clock, text)].iter(), &[], ())
        };
        assert_eq!(key_of(3, 0, 5), key_of(30, 0, 32));
        assert_ne!(key_of(3, 0, 5), key_of(3, 0, 6));
        assert_ne!(key_of(3, 0, 5), key_of(3, 1_000_000, 5));
    }

    #[test]
    fn uids_are_told_apart_and_their_names_do_not_matter() {
        let (a, b) = (
            "7d285156-3a75-43a8-a027-f17e998a4282",
            "0cda059d-9de9-4e7c-9441-8710ee31ce3f",
        );
        let key = |text: String| key_of(&text, 1);
        assert_eq!(key(format!("{a} {b} {a}")), key(format!("{b} {a} {b}")));
        assert_ne!(key(format!("{a} {b} {a}")), key(format!("{a} {b} {b}")));
    }
}
