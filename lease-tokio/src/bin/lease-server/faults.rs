//! What is to go wrong, as it is typed and as it comes.

use std::{str::FromStr, time::Duration};

use http::{Method, StatusCode};

use crate::dice::Dice;

/// What is to go wrong, and how often.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Faults {
    /// In a million, by the code that is answered instead.
    errors: Vec<(StatusCode, u32)>,
    /// In a million.
    drops: u32,
    /// The least and the most.
    delay: Option<(Duration, Duration)>,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fate {
    /// For how long it is under way.
    pub(crate) delay: Duration,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Fine,
    /// Answered so, and not carried out.
    Error(StatusCode),
    /// The connection breaks before it is carried out.
    LoseRequest,
    /// The connection breaks after it was carried out.
    LoseAnswer,
}

impl Faults {
    /// Chooses what becomes of a request.
    ///
    /// The same dice are thrown for each, so that what one fault does is independent of the others.
    pub(crate) fn choose(&self, method: &Method, dice: &mut Dice) -> Fate {
        let delay = self
            .delay
            .map_or(Duration::ZERO, |(least, most)| dice.between(least, most));
        let is_read = *method == Method::GET || *method == Method::HEAD;
        let mut kind = Kind::Fine;
        for (code, often) in &self.errors {
            // Nothing conflicts with a read.
            let befalls = dice.is(*often) && !(is_read && *code == StatusCode::CONFLICT);
            if befalls && kind == Kind::Fine {
                kind = Kind::Error(*code);
            }
        }
        if dice.is(self.drops) && kind == Kind::Fine {
            kind = if dice.is(500_000) {
                Kind::LoseRequest
            } else {
                Kind::LoseAnswer
            };
        }
        Fate { delay, kind }
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',') {
            let (what, how) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is not WHAT=HOW, such as 409=5%"))?;
            match what.trim() {
                "delay" if faults.delay.is_none() => faults.delay = Some(delay(how)?),
                "drop" if faults.drops == 0 => faults.drops = often(how)?,
                "delay" | "drop" => return Err(format!("{what:?} is there twice")),
                code => {
                    let code = code
                        .parse()
                        .ok()
                        .filter(|code: &StatusCode| {
                            code.is_client_error() || code.is_server_error()
                        })
                        .ok_or_else(|| {
                            format!(
                                "{code:?} is none of: drop, delay, a status code from 400 to 599"
                            )
                        })?;
                    if faults.errors.iter().any(|(other, _)| *other == code) {
                        return Err(format!("{what:?} is there twice"));
                    }
                    faults.errors.push((code, often(how)?));
                }
            }
        }
        Ok(faults)
    }
}

/// Reads `5%` or `0.1%`.
fn often(text: &str) -> Result<u32, String> {
    let percent = text
        .trim()
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| format!("{text:?} is not a share of all requests, such as 5% or 0.1%"))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and a million"
    )]
    let in_a_million = (percent * 10_000.0).round() as u32;
    Ok(in_a_million)
}

/// Reads `50ms` or `10ms..200ms`.
fn delay(text: &str) -> Result<(Duration, Duration), String> {
    let one = |text: &str| {
        let duration: Option<jiff::SignedDuration> = text.trim().parse().ok();
        duration
            .and_then(|it| Duration::try_from(it).ok())
            .ok_or_else(|| {
                format!("{text:?} is not a duration, such as 50ms, or two, as in 10ms..200ms")
            })
    };
    let (least, most) = match text.split_once("..") {
        Some((least, most)) => (one(least)?, one(most)?),
        None => (one(text)?, one(text)?),
    };
    if most < least {
        return Err(format!("{text:?} ends before it begins"));
    }
    Ok((least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_typed() {
        let milli = Duration::from_millis;
        for (text, errors, drops, delay) in [
            ("409=5%", vec![(409, 50_000)], 0, None),
            ("drop=0.1%", vec![], 1_000, None),
            (
                "409=5%, 503 = 100% ,drop=1%,delay=10ms..1s",
                vec![(409, 50_000), (503, 1_000_000)],
                10_000,
                Some((milli(10), milli(1_000))),
            ),
            ("delay=50ms", vec![], 0, Some((milli(50), milli(50)))),
        ] {
            let faults: Faults = text.parse().expect(text);
            let read: Vec<_> = faults
                .errors
                .iter()
                .map(|(code, often)| (code.as_u16(), *often))
                .collect();
            assert_eq!(
                (read, faults.drops, faults.delay),
                (errors, drops, delay),
                "{text}"
            );
        }
        for text in [
            "",
            "409",
            "409=5",
            "409=101%",
            "409=-1%",
            "200=5%",
            "700=1%",
            "drops=1%",
            "delay=5",
            "delay=2s..1s",
            "409=1%,409=2%",
            "drop=1%,drop=1%",
            "delay=1s,delay=2s",
        ] {
            assert!(text.parse::<Faults>().is_err(), "{text}");
        }
    }

    #[test]
    fn as_many_requests_are_befallen_as_was_asked_for_and_no_read_conflicts() {
        let faults: Faults = "409=20%,drop=10%".parse().expect("two faults");
        let count = |method: &Method, kinds: &[Kind]| {
            let mut dice = Dice::new(7);
            let fates = (0..10_000).map(|_| faults.choose(method, &mut dice));
            fates.filter(|fate| kinds.contains(&fate.kind)).count()
        };
        let conflict = [Kind::Error(StatusCode::CONFLICT)];
        assert!((1_800..2_200).contains(&count(&Method::PUT, &conflict)));
        assert_eq!(count(&Method::GET, &conflict), 0);
        for kind in [Kind::LoseRequest, Kind::LoseAnswer] {
            assert!((350..650).contains(&count(&Method::GET, &[kind])));
        }
    }
}
