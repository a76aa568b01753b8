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
}

/// When a request arrives: never, once, or twice.
pub(crate) fn request(
    link: Link,
    faults: &Faults,
    random: &mut Random,
    now: Micros,
) -> [Option<Micros>; 2] {
    if link.cut_requests_until > now {
        return [None, None];
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
        return None;
    }
    travel(faults, random, now)
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
