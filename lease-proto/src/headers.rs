//! What the headers of an answer say of time: when it was written, and when to come again.

use std::time::Duration;

use http::{
    Response,
    header::{AGE, DATE, HeaderName, RETRY_AFTER},
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

/// The longest pause that is taken at its word: more is nobody's intention, and would overflow instants.
pub(crate) const LONGEST_PAUSE: u64 = 86_400;

/// Returns when an answer was written, by the clock of whoever wrote it. A cache tells of another time.
pub(crate) fn date(answer: &Response<Vec<u8>>) -> Option<Timestamp> {
    if answer.headers().contains_key(AGE) {
        return None;
    }
    time(only(answer, &DATE)?)
}

/// Returns for how long not to ask again, if the answer says so.
///
/// RFC 9110, section 10.2.3: a number of seconds, or a time of day, which is one of the clock that `Date` was read off.
pub(crate) fn retry_after(answer: &Response<Vec<u8>>) -> Option<Duration> {
    let asked = only(answer, &RETRY_AFTER)?.trim();
    let is_number = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number {
        asked.parse().unwrap_or(LONGEST_PAUSE)
    } else {
        let pause = time(asked)?.as_second() - date(answer)?.as_second();
        u64::try_from(pause).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds.min(LONGEST_PAUSE)))
}

/// Returns what a header says that is there once.
fn only<'a>(answer: &'a Response<Vec<u8>>, name: &HeaderName) -> Option<&'a str> {
    let mut values = answer.headers().get_all(name).iter();
    let text = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(text)
}

/// Reads an HTTP date. Obsolete forms are nothing that an API server writes.
fn time(text: &str) -> Option<Timestamp> {
    let is_plain = text.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len() && text.ends_with(" GMT");
    let time = is_plain.then(|| DateTimeParser::new().parse_timestamp(text));
    time?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(HeaderName, &str)]) -> Option<u64> {
        let mut answer = Response::builder().status(429);
        for (name, value) in headers {
            answer = answer.header(name, *value);
        }
        let answer = answer.body(Vec::new()).unwrap();
        retry_after(&answer).map(|pause| pause.as_secs())
    }

    #[test]
    fn seconds_are_taken_as_they_are_up_to_a_day() {
        assert_eq!(asked(&[(RETRY_AFTER, "3")]), Some(3));
        assert_eq!(asked(&[(RETRY_AFTER, " 0 ")]), Some(0));
        assert_eq!(
            asked(&[(RETRY_AFTER, "99999999999999999999999999")]),
            Some(86_400)
        );
        assert_eq!(asked(&[(RETRY_AFTER, "86401")]), Some(86_400));
    }

    #[test]
    fn a_time_of_day_counts_from_that_of_the_answer() {
        let date = (DATE, "Fri, 20 Nov 2026 19:31:57 GMT");
        let at = |time| asked(&[date.clone(), (RETRY_AFTER, time)]);
        assert_eq!(at("Fri, 20 Nov 2026 19:32:04 GMT"), Some(7));
        assert_eq!(at("Fri, 20 Nov 2026 19:31:50 GMT"), Some(0));
        assert_eq!(at("Fri, 20 Nov 2037 19:31:50 GMT"), Some(86_400));
        // Nobody knows when that is.
        assert_eq!(
            asked(&[(RETRY_AFTER, "Fri, 20 Nov 2026 19:32:04 GMT")]),
            None
        );
    }

    #[test]
    fn what_is_no_pause_is_none() {
        for value in [
            "",
            "-3",
            "+3",
            "1.5",
            "soon",
            "Friday, 20-Nov-26 19:32:04 GMT",
        ] {
            assert_eq!(asked(&[(RETRY_AFTER, value)]), None, "{value:?}");
        }
        assert_eq!(asked(&[(RETRY_AFTER, "3"), (RETRY_AFTER, "4")]), None);
    }
}
