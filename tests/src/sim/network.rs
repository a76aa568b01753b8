//! How long messages take, and which never arrive.

use super::{
    Micros, SECOND,
    kinds::{Faults, Kind},
};
use crate::random::Random;

/// The way between one claimant and the servers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    pub(crate) cut_requests_until: Micros,
    pub(crate) cut_answers_until: Micros,
    /// Whether what is sent meanwhile arrives afterwards, as TCP sends it again, instead of being lost.
    pub(crate) holds: bool,
    /// How long the answer to the next write takes, and for how long nothing passes after it was sent.
    pub(crate) slow: Option<(Micros, Micros)>,
}

/// When a request arrives: never, once, or twice.
pub(crate) fn request(
    link: Link,
    faults: &Faults,
    random: &mut Random,
    now: Micros,
) -> [Option<Micros>; 2] {
    if link.cut_requests_until > now {
        let held = link
            .holds
            .then(|| travel(faults, random, link.cut_requests_until));
        return [held.flatten(), None];
    }
    let first = travel(faults, random, now);
    let twice = faults.has(Kind::Duplicates) && random.chance(5);
    let second = twice.then(|| travel(faults, random, now)).flatten();
    [first, second]
}

/// When an answer arrives, if it does.
pub(crate) fn answer(
    link: Link,
    faults: &Faults,
    random: &mut Random,
    now: Micros,
) -> Option<Micros> {
    if link.cut_answers_until > now {
        let held = link
            .holds
            .then(|| travel(faults, random, link.cut_answers_until));
        return held.flatten();
    }
    travel(faults, random, now)
}

/// When a piece of a stream arrives: it is sent again until it does.
pub(crate) fn piece(link: Link, faults: &Faults, random: &mut Random, now: Micros) -> Micros {
    let from = if link.holds {
        now.max(link.cut_answers_until)
    } else {
        now
    };
    from + random.between(200, faults.delay().max(201))
}

fn travel(faults: &Faults, random: &mut Random, now: Micros) -> Option<Micros> {
    if faults.has(Kind::Loss) && random.chance(faults.loss) {
        return None;
    }
    let longest = if faults.has(Kind::Zombies) && random.chance(2) {
        60 * SECOND
    } else {
        faults.delay()
    };
    Some(now + random.between(200, longest.max(201)))
}
