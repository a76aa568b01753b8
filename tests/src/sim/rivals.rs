//! Claimants that others wrote, modelled as far as others notice: what they send, and until when they believe.

mod client_go;
mod wall_clock;

use std::{
    fmt,
    time::{Instant, SystemTime},
};

use http::{Request, Response};

pub(crate) use self::{
    client_go::{ClientGo, Habits},
    wall_clock::WallClock,
};
use crate::random::Random;

/// What a rival wants.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Send this.
    Ask(u64, Request<Vec<u8>>),
    /// Wait until then, or for an answer.
    Wait(Instant),
}

/// What a rival reads before it moves.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) now: Instant,
    pub(crate) wall: SystemTime,
    pub(crate) random: &'a mut Random,
}

/// Somebody else's claimant.
pub(crate) trait Rival: fmt::Debug {
    /// Says what it wants next.
    fn poll(&mut self, moment: &mut Moment<'_>) -> Wish;

    /// Takes an answer; one whose request is over is ignored.
    fn answer(&mut self, id: u64, response: &Response<Vec<u8>>, moment: &mut Moment<'_>);

    /// Whether it acts as the holder.
    fn believes(&self, wall: SystemTime) -> bool;

    /// Whether what it takes is free by everybody's rules, as long as its clocks are right.
    fn is_lawful(&self) -> bool;

    /// What stands in the record when it holds the Lease.
    fn identity(&self) -> &str;
}
