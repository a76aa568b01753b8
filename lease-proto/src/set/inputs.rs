//! What becomes of requests, brought to whom it concerns.

use std::time::Instant;

use http::Response;

use super::{
    ClaimSet,
    member::Member,
    output::{Owner, Tag},
    ticket::Ticket,
};

impl ClaimSet {
    /// Takes the answer to a request, or the beginning of a stream's, as [`Claim::handle_response`](crate::Claim::handle_response) does.
    pub fn handle_response(&mut self, tag: Tag, response: &Response<Vec<u8>>, now: Instant) {
        self.now = self.now.max(now);
        if let Owner::Namespace(index) = tag.owner {
            self.settle_watch(index, tag.request, response);
            return;
        }
        let now = self.now;
        if let Some(ticket) = self.ends(tag)
            && self.traffic.answer(ticket, now)
            && let Some(member) = self.member(tag)
        {
            // However long it took: what hangs is not answered.
            member.is_slow = false;
        }
        self.with(tag, |member| {
            member.claim.handle_response(tag.request, response, now);
        });
    }

    /// Takes note that no usable answer will come, as [`Claim::handle_failure`](crate::Claim::handle_failure) does.
    pub fn handle_failure(&mut self, tag: Tag, now: Instant) {
        self.now = self.now.max(now);
        if let Owner::Namespace(index) = tag.owner {
            self.end_watch(index, tag.request);
            return;
        }
        let now = self.now;
        if let Some(ticket) = self.ends(tag) {
            self.traffic.end(ticket, self.now);
        }
        self.with(tag, |member| member.claim.handle_failure(tag.request, now));
    }

    /// Takes a piece of a stream, as [`Claim::handle_chunk`](crate::Claim::handle_chunk) does.
    pub fn handle_chunk(&mut self, tag: Tag, chunk: &[u8], now: Instant) {
        self.now = self.now.max(now);
        if let Owner::Namespace(index) = tag.owner {
            self.hear_watch(index, tag.request, chunk);
            return;
        }
        let now = self.now;
        self.with(tag, |member| {
            member.claim.handle_chunk(tag.request, chunk, now);
        });
    }

    /// Takes note that a stream has ended, as [`Claim::handle_end`](crate::Claim::handle_end) does.
    pub fn handle_end(&mut self, tag: Tag, now: Instant) {
        self.now = self.now.max(now);
        if let Owner::Namespace(index) = tag.owner {
            self.end_watch(index, tag.request);
            return;
        }
        let now = self.now;
        self.with(tag, |member| member.claim.handle_end(tag.request, now));
    }

    /// Takes note that there are no streams here, as [`Claim::handle_no_stream`](crate::Claim::handle_no_stream) does: none
    /// is asked for again, for any claim.
    pub fn handle_no_stream(&mut self, tag: Tag, now: Instant) {
        self.now = self.now.max(now);
        let now = self.now;
        self.end_watches();
        self.with(tag, |member| {
            member.claim.handle_no_stream(tag.request, now)
        });
    }

    fn with(&mut self, tag: Tag, input: impl FnOnce(&mut Member)) {
        if let Some(member) = self.member(tag) {
            input(member);
            self.touch_claim(tag);
        }
    }

    fn touch_claim(&mut self, tag: Tag) {
        if let Some(id) = tag.claim() {
            self.touch(id.slot);
        }
    }

    /// Returns the ticket of a request that is over by that, if it is the one that its claim waits for.
    fn ends(&mut self, tag: Tag) -> Option<Ticket> {
        let member = self.member(tag)?;
        let is_awaited = member.claim.awaits() == Some(tag.request);
        member.flight.take_if(|_| is_awaited)
    }

    fn member(&mut self, tag: Tag) -> Option<&mut Member> {
        self.slots.get_mut(tag.claim()?)
    }
}
