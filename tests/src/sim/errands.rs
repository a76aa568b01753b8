//! What waiting by priority asks for, beside the Lease itself: announcements, and lists of them.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};

use super::{
    Micros, Violation, World,
    answers::{self, Tampering, Truth},
    cast::{Node, Tag},
    exchange::{Message, Reply},
    network,
    servers::{LEASE, LEASES},
    world::Happening,
};

/// Whether a request is about something else than the Lease that all contend for.
pub(super) fn is_errand(request: &Request<Vec<u8>>) -> bool {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
    if path != LEASES {
        return path != LEASE;
    }
    if *request.method() == Method::GET {
        query.contains("labelSelector")
    } else {
        query.contains("lease-plain")
    }
}

impl World {
    /// A server is asked for something else than the Lease.
    pub(super) fn serve_errand(&mut self, message: &Message, front: usize) {
        // Nothing of what it is told decides who holds the Lease, so no lie about it is worth telling.
        let tampering = answers::draw(&self.faults, &mut self.random, &message.request, false);
        let response = match tampering {
            Tampering::Instead(response, _) => response,
            Tampering::After(response, _) => {
                self.carry_out_errand(message, front);
                response
            }
            Tampering::Changed(change, _) => {
                let mut response = self.carry_out_errand(message, front);
                change(&mut response, &mut self.random);
                response
            }
            Tampering::Nothing | Tampering::Stale => self.carry_out_errand(message, front),
        };
        self.draw_answer(message.drawn, response.status());
        let link = self.nodes[message.node].link;
        let Some(at) = network::answer(link, &self.faults, &mut self.random, self.now) else {
            self.counts.dropped += 1;
            return;
        };
        let reply = Reply {
            node: message.node,
            life: message.life,
            tag: message.tag,
            asked: message.departed,
            is_read: message.request.method() == Method::GET,
            is_errand: true,
            drawn: message.drawn,
            response,
            truth: Truth::Honest,
            shows: None,
        };
        self.schedule(at, Happening::Answer(Box::new(reply)));
    }

    fn carry_out_errand(&mut self, message: &Message, front: usize) -> Response<Vec<u8>> {
        let before = self.servers.version();
        let (response, _) = self.servers.handle(front, &message.request, self.now);
        if self.servers.version() != before {
            self.pump();
        }
        response
    }

    /// The answer reaches whoever asked.
    pub(super) fn errand_answered(&mut self, reply: Reply) -> Result<(), Violation> {
        let index = reply.node;
        let node = &mut self.nodes[index];
        let (now, wall) = (node.now(self.now), node.wall(self.now));
        let Tag::Ours(id) = reply.tag else {
            return Ok(());
        };
        if node.open.take_if(|open| *open == reply.tag).is_some() {
            node.heard = Some((reply.tag, self.now));
            node.note_pause(&reply.response, self.now);
        }
        if let Some(claimant) = node.ours_mut() {
            claimant.answer(id, &reply.response, now, wall);
        }
        self.wake(index)
    }
}

impl Node {
    /// Takes note of the pause that an answer asks for: a server that answers has no need of an earlier one any more.
    pub(super) fn note_pause(&mut self, response: &Response<Vec<u8>>, now: Micros) {
        self.load.end_pause();
        if let Some(pause) = pause_asked_for(response)
            && let Some(claimant) = self.ours()
        {
            let most = claimant.config().lease_duration();
            let pause = Duration::from_secs(pause).min(most);
            // The claimant's clock may be fast.
            let pause = u64::try_from(pause.as_micros()).unwrap_or(0) * 998 / 1_000;
            self.load.pause(now + pause);
        }
    }
}

/// The pause that an answer asks for, in seconds.
fn pause_asked_for(response: &Response<Vec<u8>>) -> Option<u64> {
    let says_later =
        response.status() == StatusCode::TOO_MANY_REQUESTS || response.status().is_server_error();
    let after = response
        .headers()
        .get(header::RETRY_AFTER)
        .filter(|_| says_later);
    after.and_then(|after| after.to_str().ok()?.parse().ok())
}
