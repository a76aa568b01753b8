//! What goes wrong in a world, and what is wrong in it on purpose.

use crate::{random::Random, world::Micros};

/// What goes wrong in a world.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Faults {
    /// How many of all requests and of all answers are lost, in percent.
    pub loss: u64,
    /// The longest that a message takes, in microseconds.
    pub delay: Micros,
    /// Whether single claimants are cut off from time to time, in one direction or both.
    pub cuts: bool,
    /// Whether single claimants stop from time to time, and go on as if nothing had been.
    pub pauses: bool,
    /// Whether claimants die and are replaced.
    pub crashes: bool,
    /// Whether somebody annotates the record from time to time.
    pub annotations: bool,
    /// How far each clock's rate is off, in parts per million.
    pub drift: u64,
}

impl Faults {
    /// Draws a subset of all faults: together they would hide each other.
    pub fn draw(random: &mut Random) -> Self {
        Self {
            loss: if random.chance(50) {
                random.between(1, 30)
            } else {
                0
            },
            delay: random.between(1_000, 4_000_000),
            cuts: random.chance(70),
            pauses: random.chance(50),
            crashes: random.chance(50),
            annotations: random.chance(30),
            drift: if random.chance(50) { 1_000 } else { 0 },
        }
    }
}

/// A bug that is planted to see whether the oracle notices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Bug {
    /// A claimant believes in its grant from when the answer came.
    GrantFromAnswer,
    /// The server takes every write for one on the latest version.
    NoCompareAndSwap,
    /// One claimant's clock runs at half speed.
    SlowClock,
    /// A claimant sees others' leases as half as long as they are.
    HalfTheWait,
}

/// Makes a record of somebody else's look half as long as it is.
pub(crate) fn halve_duration(response: &mut http::Response<Vec<u8>>, reader: &str) {
    if let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(response.body()) {
        let spec = &mut body["spec"];
        if spec["holderIdentity"] != reader && spec["leaseDurationSeconds"].is_number() {
            spec["leaseDurationSeconds"] = serde_json::json!(5);
            *response.body_mut() = body.to_string().into_bytes();
        }
    }
}
