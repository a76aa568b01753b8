//! What the headers of an answer say of time: when it was written, and when to come again.

use std::time::Duration;

use http::{
    Response, StatusCode,
    header::{AGE, DATE, RETRY_AFTER},
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use crate::wire::Status;

/// The longest pause that is taken at its word: more is nobody's intention, and would overflow instants.
const LONGEST_PAUSE: u64 = 86_400;

/// Returns when an answer was written, by the clock of whoever wrote it. A cache tells of another time.
pub(crate) fn date(answer: &Response<Vec<u8>>) -> Option<Timestamp> {
    let mut dates = answer.headers().get_all(DATE).iter();
    let text = dates.next()?.to_str().ok()?;
    if dates.next().is_some() || answer.headers().contains_key(AGE) {
        return None;
    }
    time(text)
}

/// Returns for how long not to ask again, if the answer says so; the longest time, if it says several.
///
/// RFC 9110, section 10.2.3: a number of seconds, or a time of day, which is one of the clock that `Date` was read off. An
/// API server that has too much to do may say it in the body.
pub(crate) fn retry_after(answer: &Response<Vec<u8>>) -> Option<Duration> {
    let asked = answer.headers().get_all(RETRY_AFTER).iter();
    let asked = asked.filter_map(|value| seconds(answer, value.to_str().ok()?.trim()));
    let seconds = asked.max().or_else(|| {
        let is_busy = answer.status() == StatusCode::TOO_MANY_REQUESTS;
        let said = is_busy.then(|| Status::read(answer.body()).details.retry_after_seconds);
        said.filter(|seconds| *seconds > 0)
    });
    seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_PAUSE)))
}

fn seconds(answer: &Response<Vec<u8>>, asked: &str) -> Option<u64> {
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(asked.parse().unwrap_or(u64::MAX));
    }
    let pause = time(asked)?.as_second() - date(answer)?.as_second();
    Some(u64::try_from(pause).unwrap_or(0))
}

/// Reads an HTTP date. Obsolete forms are nothing that an API server writes, nor a proxy of this century.
fn time(text: &str) -> Option<Timestamp> {
    let is_plain = text.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len() && text.ends_with(" GMT");
    let time = is_plain.then(|| DateTimeParser::new().parse_timestamp(text));
    time?.ok()
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

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
    }

    #[test]
    fn of_several_the_longest_counts() {
        assert_eq!(asked(&[(RETRY_AFTER, "3"), (RETRY_AFTER, "4")]), Some(4));
        assert_eq!(asked(&[(RETRY_AFTER, "3"), (RETRY_AFTER, "soon")]), Some(3));
    }

    #[test]
    fn a_body_tells_where_no_header_does_if_there_is_too_much_to_do() {
        let asked = |code: u16| {
            let body = br#"{"kind":"Status","details":{"retryAfterSeconds":3}}"#;
            let answer = Response::builder().status(code).body(body.to_vec());
            retry_after(&answer.unwrap()).map(|pause| pause.as_secs())
        };
        assert_eq!((asked(429), asked(500)), (Some(3), None));
    }
}
