//! Sets of claims before the API server of this crate, in simulated time.

mod alone;
mod bounds;
mod clocks;
mod congestion;
mod ids;
mod late;
mod roster;
mod sharing;
mod watches;
mod world;

use std::time::{Duration, Instant, SystemTime};

use self::world::World;
use super::*;
use crate::{
    claim::{Event, Loss},
    config::ConfigBuilder,
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn config(name: &str) -> Config {
    let (namespace, name) = world::place(name);
    Config::builder(namespace, name, "me").build().unwrap()
}
