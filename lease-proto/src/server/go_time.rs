//! Times as the API server reads and writes them: Go's layouts, Go's complaints.

use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp, civil::DateTime, fmt::rfc2822, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The layout of `MicroTime` in Go's notation.
const MICRO_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";
/// The layout of `Time` in Go's notation.
const WHOLE_LAYOUT: &str = "2006-01-02T15:04:05Z07:00";

/// A moment by the server's wall clock.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Stamp(Timestamp);

impl Stamp {
    /// Reads a wall clock. What lies outside the calendar becomes its nearest end.
    pub(super) fn new(wall: SystemTime) -> Self {
        let end = match wall.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(_) => Timestamp::MAX,
            Err(_) => Timestamp::MIN,
        };
        Self(Timestamp::try_from(wall).unwrap_or(end))
    }

    /// The wall clock again.
    pub(super) fn wall(self) -> SystemTime {
        SystemTime::from(self.0)
    }

    /// Seconds since the epoch, rounded down.
    pub(super) fn second(self) -> i64 {
        self.0
            .as_second()
            .saturating_sub(i64::from(self.0.subsec_nanosecond() < 0))
    }

    /// The whole second, as metadata has it.
    pub(super) fn whole(self) -> WholeTime {
        let second = Timestamp::from_second(self.second()).unwrap_or(self.0);
        WholeTime(Offset::UTC.to_datetime(second))
    }

    /// The whole second, as the `Date` header has it.
    pub(super) fn date(self) -> String {
        let second = Timestamp::from_second(self.second()).unwrap_or(self.0);
        rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&second)
            .unwrap_or_default()
    }
}

/// A time in whole seconds: `creationTimestamp` and its like.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct WholeTime(DateTime);

impl WholeTime {
    /// Reads RFC 3339, with or without a fraction, which is cut off.
    ///
    /// # Errors
    ///
    /// Go's complaint about the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let time = parse(text, WHOLE_LAYOUT, false)?;
        Ok(Self(
            time.with().subsec_nanosecond(0).build().unwrap_or(time),
        ))
    }

    /// How long before `stamp` this was; nothing if it was not before.
    pub(super) fn age(self, stamp: Stamp) -> Duration {
        let age = stamp.whole().0.duration_since(self.0);
        Duration::try_from(age).unwrap_or_default()
    }
}

impl fmt::Display for WholeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_second(f, self.0)?;
        f.write_char('Z')
    }
}

impl Serialize for WholeTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WholeTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A time in microseconds: `acquireTime` and `renewTime`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct MicroTime(DateTime);

impl MicroTime {
    /// Reads RFC 3339 with exactly six fractional digits; an offset is turned into UTC.
    ///
    /// # Errors
    ///
    /// Go's complaint about the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parse(text, MICRO_LAYOUT, true).map(Self)
    }

    /// Go's zero time, which is written as null.
    fn is_zero(self) -> bool {
        self.0 == DateTime::constant(1, 1, 1, 0, 0, 0, 0)
    }
}

impl fmt::Display for MicroTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_second(f, self.0)?;
        write!(f, ".{:06}Z", self.0.subsec_nanosecond() / 1_000)
    }
}

impl Serialize for MicroTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_zero() {
            serializer.serialize_none()
        } else {
            serializer.collect_str(self)
        }
    }
}

impl<'de> Deserialize<'de> for MicroTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = MicroTime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with six fractional digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MicroTime, E> {
                MicroTime::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Writes the date and the time of day to the second.
fn write_second(f: &mut fmt::Formatter<'_>, time: DateTime) -> fmt::Result {
    write!(
        f,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Reads a time as Go's `time.Parse` does, for the two layouts in use.
fn parse(text: &str, layout: &str, six_digits: bool) -> Result<DateTime, String> {
    let complain = |rest: &str, element: &str| {
        format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}")
    };
    let out_of_range = |what: &str| format!("parsing time {text:?}: {what} out of range");
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut parts = [0_u16; 6];
    for (index, (before, element, width)) in [
        ("", "2006", 4),
        ("-", "01", 2),
        ("-", "02", 2),
        ("T", "15", 2),
        (":", "04", 2),
        (":", "05", 2),
    ]
    .into_iter()
    .enumerate()
    {
        if !bytes[at..].starts_with(before.as_bytes()) {
            return Err(complain(rest(text, at), before));
        }
        at += before.len();
        let digits = bytes.get(at..at + width).and_then(digits);
        let Some(value) = digits else {
            return Err(complain(rest(text, at), element));
        };
        let (range, what) = match index {
            1 => (1..=12, "month"),
            3 => (0..=23, "hour"),
            4 => (0..=59, "minute"),
            5 => (0..=59, "second"),
            _ => (0..=9_999, "year"),
        };
        if !range.contains(&value) {
            return Err(out_of_range(what));
        }
        at += width;
        if let Some(part) = parts.get_mut(index) {
            *part = value;
        }
    }
    let mut nanosecond = 0;
    let is_fraction = matches!(bytes.get(at), Some(b'.' | b','))
        && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    if six_digits {
        let fraction = bytes
            .get(at..at + 7)
            .filter(|it| matches!(it.first(), Some(b'.' | b',')))
            .and_then(|it| number(it.get(1..)?));
        let Some(micros) = fraction else {
            return Err(complain(rest(text, at), ".000000"));
        };
        nanosecond = micros * 1_000;
        at += 7;
    } else if is_fraction {
        at += 1;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
    }
    let offset_at = at;
    let offset = match bytes.get(at) {
        Some(b'Z') => {
            at += 1;
            0
        }
        Some(sign @ (b'+' | b'-')) if bytes.get(at + 3) == Some(&b':') => {
            let hours = bytes.get(at + 1..at + 3).and_then(number);
            let minutes = bytes.get(at + 4..at + 6).and_then(number);
            let (Some(hours), Some(minutes)) = (hours, minutes) else {
                return Err(complain(rest(text, offset_at), "Z07:00"));
            };
            at += 6;
            let seconds = i64::from(hours) * 3_600 + i64::from(minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return Err(complain(rest(text, offset_at), "Z07:00")),
    };
    if at < bytes.len() {
        return Err(format!(
            "parsing time {text:?}: extra text: {:?}",
            rest(text, at)
        ));
    }
    let [year, month, day, hour, minute, second] = parts.map(|it| i16::try_from(it).unwrap_or(0));
    let small = |it: i16| i8::try_from(it).unwrap_or(0);
    DateTime::new(
        year,
        small(month),
        small(day),
        small(hour),
        small(minute),
        small(second),
        nanosecond,
    )
    .map_err(|_| out_of_range("day"))?
    .checked_sub(SignedDuration::from_secs(offset))
    .map_err(|_| out_of_range("year"))
}

/// The text from a byte on; empty where that byte is inside a character.
fn rest(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or("")
}

/// The value of up to four digits.
fn digits(bytes: &[u8]) -> Option<u16> {
    number(bytes).and_then(|it| u16::try_from(it).ok())
}

/// The value of a few digits.
fn number(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0_i32, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + i32::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        MicroTime::parse(text).unwrap_err()
    }

    #[test]
    fn a_micro_time_has_exactly_six_digits() {
        let good = "2026-11-20T12:00:00.123456Z";
        assert_eq!(MicroTime::parse(good).unwrap().to_string(), good);
        assert!(complaint("2026-11-20T12:00:00.123Z").contains(r#"".123Z" as ".000000""#));
        assert!(complaint("2026-11-20T12:00:00Z").contains(r#""Z" as ".000000""#));
        assert!(complaint("2026-11-20T12:00:00.123456789Z").contains(r#""789Z" as "Z07:00""#));
    }

    #[test]
    fn an_offset_is_turned_into_utc() {
        let time = MicroTime::parse("2026-11-20T01:00:00.000000+02:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-19T23:00:00.000000Z");
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert!(complaint("2026-13-20T12:00:00.000000Z").ends_with("month out of range"));
        assert!(complaint("2026-02-30T12:00:00.000000Z").ends_with("day out of range"));
        assert!(complaint("2026-02-20T24:00:00.000000Z").ends_with("hour out of range"));
        assert!(complaint("2026-02-20T12:00:00.000000Zzz").contains("extra text"));
    }

    #[test]
    fn a_character_of_many_bytes_is_no_trouble() {
        assert!(complaint("20☃6-02-20T12:00:00.000000Z").contains("2006"));
        assert!(complaint("2026-02-20T12:00:00☃00000Z").contains(".000000"));
    }

    #[test]
    fn whole_times_lose_their_fraction() {
        let time = WholeTime::parse("2026-11-20T12:00:00.9Z").unwrap();
        assert_eq!(time.to_string(), "2026-11-20T12:00:00Z");
    }

    #[test]
    fn a_stamp_before_the_epoch_rounds_down() {
        let wall = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(Stamp::new(wall).whole().to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(Stamp::new(wall).date(), "Wed, 31 Dec 1969 23:59:59 GMT");
    }
}
