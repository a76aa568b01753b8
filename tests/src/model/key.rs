//! What tells two states apart: their texts, with everything relative in them made so.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    hash::{DefaultHasher, Hash, Hasher},
};

use lease_proto::wire::RawTime;

/// Where versions begin, so that no other number looks like one.
pub(super) const FIRST_VERSION: u64 = 7_000_000_000_000;
/// Times of day in microseconds are above this.
const FIRST_TIME: u64 = 1_000_000_000_000_000;

/// Takes texts in, and makes a key of them.
#[derive(Debug)]
pub(super) struct Key {
    hasher: DefaultHasher,
    uids: HashMap<[u8; 36], u64>,
    /// In nanoseconds, as instants are printed.
    now: i128,
    /// In microseconds.
    wall: i64,
    version: u64,
    text: String,
}

impl Key {
    pub(super) fn new(now: i128, wall: i64, version: u64) -> Self {
        Self {
            hasher: DefaultHasher::new(),
            uids: HashMap::new(),
            now,
            wall,
            version,
            text: String::new(),
        }
    }

    /// Takes in what somebody prints; requests are counted from `requests` and campaigns from `campaigns` on.
    pub(super) fn add(&mut self, value: fmt::Arguments<'_>, requests: u64, campaigns: u64) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.write_fmt(value)
            .expect("writing to a text does not fail");
        self.scan(text.as_bytes(), requests, campaigns);
        self.text = text;
    }

    pub(super) fn finish(self) -> u64 {
        self.hasher.finish()
    }

    fn scan(&mut self, text: &[u8], requests: u64, campaigns: u64) {
        let mut at = 0;
        let mut plain = 0;
        while at < text.len() {
            let byte = text[at];
            let begins = at == 0 || !text[at - 1].is_ascii_alphanumeric();
            if !begins || !byte.is_ascii_hexdigit() {
                at += 1;
                continue;
            }
            let rest = &text[at..];
            let Some((length, value)) = self.relative(&text[..at], rest, requests, campaigns)
            else {
                at += 1;
                continue;
            };
            self.hasher.write(&text[plain..at]);
            value.hash(&mut self.hasher);
            at += length;
            plain = at;
        }
        self.hasher.write(&text[plain..]);
    }

    /// What stands at the beginning of `rest` if it is relative to something, and how long it is.
    fn relative(
        &mut self,
        before: &[u8],
        rest: &[u8],
        requests: u64,
        campaigns: u64,
    ) -> Option<(usize, i128)> {
        if let Some(uid) = uid(rest) {
            let next = self.uids.len() as u64;
            let number = *self.uids.entry(uid).or_insert(next);
            return Some((uid.len(), i128::from(number)));
        }
        if let Some((length, micros)) = time(rest) {
            return Some((length, i128::from(micros - self.wall)));
        }
        let (length, number) = number(rest)?;
        if before.ends_with(b"tv_sec: ") {
            const BETWEEN: &[u8] = b", tv_nsec: ";
            let nanos = rest.get(length..)?.strip_prefix(BETWEEN)?;
            let (more, nanos) = self::number(nanos)?;
            let instant = i128::from(number) * 1_000_000_000 + i128::from(nanos);
            return Some((length + BETWEEN.len() + more, instant - self.now));
        }
        if before.ends_with(b"Random(") {
            return Some((length, 0));
        }
        if before.ends_with(b"RequestId(") || before.ends_with(b"next_request: ") {
            return Some((length, i128::from(number) - i128::from(requests)));
        }
        let names_campaign = [&b"campaigns: "[..], b"campaign: ", b"number: "];
        if names_campaign.iter().any(|name| before.ends_with(name)) {
            return Some((length, i128::from(number) - i128::from(campaigns)));
        }
        if number >= FIRST_TIME {
            return Some((length, i128::from(number) - i128::from(self.wall)));
        }
        if number >= FIRST_VERSION {
            return Some((length, i128::from(number) - i128::from(self.version)));
        }
        None
    }
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

    fn key(text: &str, seconds: i128, version: u64) -> u64 {
        let mut key = Key::new(
            seconds * 1_000_000_000,
            1_795_132_800_000_000 + i64::try_from(seconds).expect("small") * 1_000_000,
            FIRST_VERSION + version,
        );
        key.add(format_args!("{text}"), 5, 2);
        key.finish()
    }

    #[test]
    fn what_is_relative_to_now_is_the_same_later() {
        let early = "at: Instant { tv_sec: 10, tv_nsec: 5 }, \"2026-11-20T00:00:07.000001Z\", \"7000000000003\"";
        let late = "at: Instant { tv_sec: 14, tv_nsec: 5 }, \"2026-11-20T00:00:11.000001Z\", \"7000000000004\"";
        assert_eq!(key(early, 10, 3), key(late, 14, 4));
        assert_ne!(key(early, 10, 3), key(late, 14, 5));
        assert_ne!(key(early, 10, 3), key(late, 13, 4));
        assert_ne!(key(early, 10, 3), key(early, 14, 3));
    }

    #[test]
    fn uids_are_told_apart_and_their_names_do_not_matter() {
        let (a, b) = (
            "7d285156-3a75-43a8-a027-f17e998a4282",
            "0cda059d-9de9-4e7c-9441-8710ee31ce3f",
        );
        assert_eq!(
            key(&format!("{a} {b} {a}"), 0, 0),
            key(&format!("{b} {a} {b}"), 0, 0)
        );
        assert_ne!(
            key(&format!("{a} {b} {a}"), 0, 0),
            key(&format!("{a} {b} {b}"), 0, 0)
        );
    }
}
