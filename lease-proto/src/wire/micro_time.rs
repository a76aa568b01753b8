//! Times as Kubernetes writes them: RFC 3339 with exactly six fractional digits.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// 0000-01-01T00:00:00Z, in microseconds since the epoch: RFC 3339 has no earlier year.
const FIRST: i64 = -62_167_219_200_000_000;
/// 9999-12-30T22:00:00Z, in microseconds since the epoch: the last time that jiff accepts.
const LAST: i64 = 253_402_207_200_000_000;

/// A point in time, in whole microseconds (`metav1.MicroTime`).
///
/// It is printed in UTC with six fractional digits and a `Z`; the API server refuses any other number of digits.
/// It is read with any number of digits (those past the sixth are cut off) and any offset.
///
/// ```
/// use lease_proto::wire::MicroTime;
///
/// let time: MicroTime = "2030-01-01T01:00:00.25+01:00".parse()?;
/// assert_eq!(time.to_string(), "2030-01-01T00:00:00.250000Z");
/// # Ok::<(), lease_proto::wire::ParseMicroTimeError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MicroTime(i64);

impl MicroTime {
    /// Takes a number of microseconds since the Unix epoch; what lies outside the years 0 to 9999 becomes the nearest
    /// time inside.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(FIRST, LAST))
    }

    /// Returns the number of microseconds since the Unix epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the whole second, counted from the Unix epoch, in which this time lies.
    pub fn second(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns the time `duration` later, or the last one that can be written.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// Returns how long after `earlier` this time is, or zero if it is not.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for MicroTime {
    fn from(time: SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => micros(before.duration()).saturating_neg(),
        })
    }
}

impl fmt::Display for MicroTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.6}")
    }
}

impl FromStr for MicroTime {
    type Err = ParseMicroTimeError;

    fn from_str(text: &str) -> Result<Self, ParseMicroTimeError> {
        let time: Timestamp = text.parse().map_err(|_| ParseMicroTimeError)?;
        let micros = time.as_nanosecond().div_euclid(1_000);
        let micros = i64::try_from(micros).map_err(|_| ParseMicroTimeError)?;
        (FIRST..=LAST)
            .contains(&micros)
            .then_some(Self(micros))
            .ok_or(ParseMicroTimeError)
    }
}

/// The text is no time.
///
/// ```
/// use lease_proto::wire::{MicroTime, ParseMicroTimeError};
///
/// let read: Result<MicroTime, ParseMicroTimeError> = "yesterday".parse();
/// assert!(read.is_err());
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseMicroTimeError;

impl fmt::Display for ParseMicroTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 time between the years 0 and 9999, such as 2026-01-31T12:00:00.000000Z")
    }
}

impl std::error::Error for ParseMicroTimeError {}

/// A time as it stands in a record, readable or not.
///
/// Kept as text because whether a record has changed is a question about its text: a time that nobody can read is no
/// reason to think that its lease has expired.
///
/// ```
/// use lease_proto::wire::RawTime;
///
/// let time = RawTime::new("yesterday");
/// assert_eq!(time.as_str(), "yesterday");
/// assert!(time.time().is_none());
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RawTime(String);

impl RawTime {
    /// Takes a text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the time, if the text is one.
    pub fn time(&self) -> Option<MicroTime> {
        self.0.parse().ok()
    }
}

impl From<MicroTime> for RawTime {
    fn from(time: MicroTime) -> Self {
        Self(time.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_written_whatever_was_read() {
        for (read, written) in [
            ("2026-11-20T19:31:57Z", "2026-11-20T19:31:57.000000Z"),
            ("2026-11-20T19:31:57.5Z", "2026-11-20T19:31:57.500000Z"),
            (
                "2026-11-20T19:31:57.123456789Z",
                "2026-11-20T19:31:57.123456Z",
            ),
            (
                "2026-11-20T21:31:57.000001+02:00",
                "2026-11-20T19:31:57.000001Z",
            ),
            (
                "1969-12-31T23:59:59.999999999Z",
                "1969-12-31T23:59:59.999999Z",
            ),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
            ("9999-12-30T22:00:00Z", "9999-12-30T22:00:00.000000Z"),
        ] {
            let time: MicroTime = read.parse().unwrap();
            assert_eq!(time.to_string(), written, "{read}");
            assert_eq!(written.parse(), Ok(time), "{read}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-11-20",
            "2026-11-20T19:31:57",
            "-000001-01-01T00:00:00Z",
            "12",
        ] {
            assert_eq!(
                text.parse::<MicroTime>(),
                Err(ParseMicroTimeError),
                "{text}"
            );
        }
    }

    #[test]
    fn the_ends_of_the_range_hold_every_clock() {
        let far = Duration::from_secs(1 << 50);
        assert_eq!(
            MicroTime::from(SystemTime::UNIX_EPOCH + far).as_micros(),
            LAST
        );
        assert_eq!(
            MicroTime::from(SystemTime::UNIX_EPOCH - far).as_micros(),
            FIRST
        );
        assert_eq!(
            MicroTime::from_micros(LAST).saturating_add(far).as_micros(),
            LAST
        );
        assert_eq!(MicroTime::from_micros(-1).second(), -1);
    }
}
