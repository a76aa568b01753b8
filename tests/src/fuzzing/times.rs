//! Times and dates, as text and as numbers, against a second opinion.

use std::time::{Duration, SystemTime};

use http::{Request, header};
use jiff::{Timestamp, fmt::rfc2822};
use lease_proto::{
    server::{Answer, ApiServer},
    wire::{MicroTime, RawTime},
};

use super::reader::Reader;

/// Reads a text as a time, writes numbers as times, and has the server write a date.
///
/// # Panics
///
/// A round trip loses a microsecond, or jiff is of another opinion.
pub fn times(data: &[u8]) {
    let mut reader = Reader::new(data);
    match reader.byte() % 4 {
        0 => number(reader.eight().cast_signed()),
        1 => clock(reader.eight().cast_signed(), reader.two()),
        _ => text(&String::from_utf8_lossy(reader.rest())),
    }
}

/// A number of microseconds is the same again after it has been written and read.
fn number(micros: i64) {
    let time = MicroTime::from_micros(micros);
    let text = time.to_string();
    assert_eq!(text.len(), 27, "{text}");
    assert_eq!(text.parse(), Ok(time), "{micros} is written {text}");
    assert_eq!(RawTime::from(time).time(), Some(time), "{text}");
    let second_opinion = Timestamp::from_microsecond(time.as_micros());
    let second_opinion = second_opinion.expect("a time that can be written is one of jiff's");
    assert_eq!(text, format!("{second_opinion:.6}"));
    let is_inside = second_opinion.as_microsecond() == micros;
    assert_eq!(is_inside, time.as_micros() == micros, "{text}");
    let floor = i128::from(time.as_micros()).div_euclid(1_000_000);
    assert_eq!(i128::from(time.second()), floor, "{text}");
    let later = time.saturating_add(Duration::from_micros(1));
    assert!(later >= time, "{text}");
    assert_eq!(
        later.saturating_since(time).as_micros(),
        u128::from(later > time)
    );
}

/// What a text says is what jiff says that it says, cut to microseconds, and reads the same after it has been written.
fn text(text: &str) {
    let parsed = text.parse::<MicroTime>();
    let second_opinion = text.parse::<Timestamp>();
    assert_eq!(RawTime::new(text).time(), parsed.ok(), "{text:?}");
    let Ok(time) = parsed else {
        if let Ok(second_opinion) = second_opinion {
            let year = text.get(..1);
            let is_early = year == Some("-") || second_opinion.as_second() < -62_167_219_200;
            let is_late = second_opinion.as_microsecond() > 253_402_207_200_000_000;
            assert!(is_early || is_late, "{text:?} is {second_opinion}");
        }
        return;
    };
    let second_opinion = second_opinion.expect("what is a time here is one for jiff");
    let nanos = second_opinion.as_nanosecond();
    assert_eq!(
        i128::from(time.as_micros()),
        nanos.div_euclid(1_000),
        "{text:?}"
    );
    let written = time.to_string();
    assert_eq!(written.len(), 27, "{text:?} is written {written}");
    assert_eq!(written.parse(), Ok(time), "{text:?} is written {written}");
    number(time.as_micros());
}

/// Whatever the wall clock shows is a time, and a date of the server's that names the same second.
fn clock(seconds: i64, millis: u16) {
    // As far as a system's clock goes.
    let far = Duration::new(seconds.unsigned_abs() >> 2, u32::from(millis) * 15_000);
    let wall = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(far)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(far)
    };
    let Some(wall) = wall else { return };
    let time = MicroTime::from(wall);
    number(time.as_micros());
    let request = Request::get("/version").body(Vec::new());
    let request = request.expect("the path is one");
    let Answer::Whole(response) = ApiServer::new().handle(&request, wall) else {
        panic!("a document is no watch");
    };
    let date = response.headers()[header::DATE].to_str();
    let date = date.expect("a date is text");
    let Ok(second_opinion) = Timestamp::try_from(wall) else {
        return;
    };
    if second_opinion.as_second().abs() < 60_000_000_000 && time.as_micros() > 0 {
        let read = rfc2822::parse(date).expect("the date is one");
        assert_eq!(read.timestamp().as_second(), time.second(), "{date}");
    }
}
