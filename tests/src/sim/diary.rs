//! What of a world is drawn, and worlds that are made to be drawn.

use http::StatusCode;
use lease_proto::server::Version;

use super::{
    Faults, Micros, SECOND, Violation, World,
    cast::{Node, Terms},
    record::{Author, Record},
};
use crate::{
    picture::{Picture, Request},
    random::Random,
};

impl World {
    /// Keeps what is needed to draw what happens from here on.
    #[must_use]
    pub fn drawn(mut self, title: &str) -> Self {
        let lanes = (0..self.nodes.len()).map(|index| format!("claimant {index}"));
        self.picture = Some(Box::new(Picture::new(title, lanes.collect())));
        self
    }

    /// Returns what is to be drawn, and when the world stopped.
    pub fn picture(&self) -> Option<(&Picture, Micros)> {
        Some((self.picture.as_deref()?, self.now))
    }

    /// Draws what the record says now.
    pub(super) fn draw_record(&mut self) {
        let (now, record) = (self.now, self.record.clone());
        let holder = record.as_deref().and_then(|it| self.lane_of(it));
        let seconds = record.as_deref().map_or(0, |record| record.seconds(0));
        let expires = self.renewed_at + seconds * SECOND;
        if let Some(picture) = &mut self.picture {
            picture.record(holder, now, expires);
        }
    }

    fn lane_of(&self, record: &Record) -> Option<usize> {
        record.holder.as_ref()?;
        match record.signed_by {
            Author::Node(index, _) => Some(index),
            Author::ThirdParty => None,
        }
    }

    /// Draws who believes now that it is the holder.
    pub(super) fn draw_beliefs(&mut self) {
        let Some(picture) = &mut self.picture else {
            return;
        };
        let now = self.now;
        let believes = |node: &Node| node.believes(now);
        for (index, node) in self.nodes.iter().enumerate() {
            picture.believe(index, believes(node), now);
        }
    }

    /// Draws something that goes wrong.
    pub(super) fn draw_fault(&mut self, lane: Option<usize>, what: &str, until: Option<Micros>) {
        let now = self.now;
        if let Some(picture) = &mut self.picture {
            picture.fault(lane, what, now, until);
        }
    }

    /// Draws that a server has answered.
    pub(super) fn draw_answer(&mut self, drawn: Option<usize>, status: StatusCode) {
        let now = self.now;
        if let Some(request) = self.drawn_request(drawn) {
            (request.arrived, request.status) = (Some(now), Some(status.as_u16()));
        }
    }

    /// Draws that an answer was heard.
    pub(super) fn draw_hearing(&mut self, drawn: Option<usize>) {
        let now = self.now;
        if let Some(request) = self.drawn_request(drawn) {
            request.heard.get_or_insert(now);
        }
    }

    fn drawn_request(&mut self, drawn: Option<usize>) -> Option<&mut Request> {
        self.picture.as_mut()?.requests.get_mut(drawn?)
    }

    /// Three claimants, of which the holder crashes.
    ///
    /// # Errors
    ///
    /// Says which promise was broken.
    pub fn crash() -> Result<Self, Violation> {
        let mut world =
            Self::scene("A holder crashes: another one takes over when its time is over")?;
        let holder = world.holder("L1")?;
        world.draw_fault(Some(holder), "crashed", Some(world.now + 60 * SECOND));
        world.nodes[holder].dead = true;
        world.draw_beliefs();
        world.run(world.now + 24 * SECOND)?;
        world.holder("L1")?;
        Ok(world)
    }

    /// Three claimants, of which the holder is cut off: it stops by itself before another one takes over.
    ///
    /// # Errors
    ///
    /// Says which promise was broken.
    pub fn partition() -> Result<Self, Violation> {
        let mut world = Self::scene(
            "A holder is cut off: it stops by itself, before another one may take over",
        )?;
        let holder = world.holder("L1")?;
        let until = world.now + 24 * SECOND;
        world.draw_fault(Some(holder), "cut off", Some(until));
        world.nodes[holder].link.cut_requests_until = until;
        world.nodes[holder].link.cut_answers_until = until;
        world.run(until + 8 * SECOND)?;
        world.holder("L1")?;
        Ok(world)
    }

    fn scene(title: &str) -> Result<Self, Violation> {
        let random = Random::new(4);
        let faults = Faults::none().within(SECOND / 5);
        let terms = Terms::usual();
        let mut world = Self::empty(random, faults, terms, None, 1, Version::V1_31);
        for _ in 0..3 {
            world.add_ours();
        }
        let mut world = world.drawn(title);
        world.run(16 * SECOND)?;
        Ok(world)
    }
}
