//! One exchange: a request is rendered, and its outcome brought to the state that it concerns.

use std::time::{Duration, Instant};

use http::Response;

use super::{
    Claim,
    budget::Budget,
    event::Trouble,
    state::{InFlight, Phase},
    writes::Sent,
};
use crate::{
    call::{self, Answer, Call, Request, RequestId},
    config::{FIELD_MANAGER, UNTIMED_FIELD_MANAGER},
    headers,
    notes::Changes,
    wire::LeaseSpec,
};

/// A request to be rendered.
pub(super) enum Ask {
    Read,
    /// Have the record as last seen, or a new one, say this; it names us as the holder if the last part is there.
    Write(Box<(LeaseSpec, Changes)>, Option<Sent>),
    Delete,
}

impl Claim {
    /// Takes the answer to a request, or the beginning of a stream's. One whose request is over is ignored.
    pub fn handle_response(&mut self, id: RequestId, response: &Response<Vec<u8>>, now: Instant) {
        self.advance(now);
        if self.watching.is(id) {
            self.settle_stream(id, response);
            return;
        }
        if self.errand_under_way() == Some(id) {
            self.settle_errand(Some(response));
            return;
        }
        let Some(flight) = self.in_flight.take_if(|flight| flight.id == id) else {
            return;
        };
        let took = self.now.saturating_duration_since(flight.sent);
        let answer = call::classify(&self.config, flight.call, response);
        if self.config.server_time && answer != Answer::Unclear {
            self.clocks.hear(response, flight.sent, self.now);
        }
        let trouble = Trouble::Unclear(if answer == Answer::Unclear {
            call::unclear(response)
        } else {
            response.status().into()
        });
        let pause = headers::retry_after(response);
        // What is refused, or only read, may be answered at once where what a holder writes takes its time.
        let is_held = matches!(self.phase, Phase::Held(_));
        let is_look = is_held && flight.call == Call::Read;
        let tells_less = match &answer {
            Answer::Busy(asked) => {
                self.spare_the_server(*asked);
                true
            }
            Answer::Unclear => {
                self.spare_the_server(pause);
                true
            }
            Answer::Unauthorized(_) | Answer::Refused(_) => true,
            Answer::Record { .. } | Answer::Absent | Answer::Deleted | Answer::Conflict => is_look,
        };
        self.round_trip = if tells_less {
            took.max(self.round_trip)
        } else {
            took
        };
        self.settle(*flight, answer, trouble, pause);
    }

    /// Takes note that no usable answer will come. Whether the server carried the request out is unknown.
    pub fn handle_failure(&mut self, id: RequestId, now: Instant) {
        self.handle_end(id, now);
        if self.errand_under_way() == Some(id) {
            self.settle_errand(None);
        }
        if let Some(flight) = self.in_flight.take_if(|flight| flight.id == id) {
            self.settle(*flight, Answer::Unclear, Trouble::NoAnswer, None);
        }
    }

    /// Renders a request; what it writes may be judged by the clocks if it is `timed`.
    pub(super) fn send(&mut self, ask: Ask, deadline: Instant, timed: bool) -> Request {
        let timeout = deadline.saturating_duration_since(self.now);
        let (call, http, write) = match ask {
            Ask::Read => (Call::Read, call::read(&self.config, timeout), None),
            Ask::Write(said, write) => {
                let manager = if timed {
                    FIELD_MANAGER
                } else {
                    UNTIMED_FIELD_MANAGER
                };
                let seen = self.observed.lease();
                let said = (&said.0, &said.1);
                let (call, http) = call::write(&self.config, seen, said, manager, timeout);
                (call, http, write)
            }
            Ask::Delete => {
                let seen = self.observed.lease();
                let http = call::delete(&self.config, seen, timeout);
                (Call::Delete, http, None)
            }
        };
        self.spend();
        let id = self.number();
        self.in_flight = Some(Box::new(InFlight {
            id,
            call,
            sent: self.now,
            deadline,
            write,
        }));
        Request {
            id,
            deadline,
            reload_credentials: std::mem::take(&mut self.reload_credentials),
            is_stream: false,
            http,
        }
    }

    /// Takes note of a pause that the server has asked for.
    pub(super) fn spare_the_server(&mut self, asked: Option<Duration>) {
        // Longer than a lease lasts is nobody's intention, and would leave it to whoever did not ask.
        let until = asked.map(|asked| self.now + asked.min(self.config.lease_duration));
        self.quiet_until = self.quiet_until.max(until);
    }

    /// Takes note that something is asked of the server.
    pub(super) fn spend(&mut self) {
        self.budget.spend(Budget::interval(&self.config));
    }

    pub(super) fn number(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request - 1)
    }

    /// Brings the outcome of a request to the state that it concerns.
    ///
    /// `trouble` says what an unclear answer was, and `pause` what it asked for.
    pub(super) fn settle(
        &mut self,
        flight: InFlight,
        answer: Answer,
        trouble: Trouble,
        pause: Option<Duration>,
    ) {
        if let (Answer::Record { lease, .. }, None) = (&answer, &flight.write) {
            self.note_earlier(lease);
        }
        match self.phase {
            Phase::Idle => {}
            Phase::Campaign(_) => self.settle_campaign(flight, answer, trouble, pause),
            Phase::Held(_) => self.settle_tenure(flight, answer, trouble, pause),
            Phase::Release(_) => self.settle_release(flight, answer, pause),
        }
    }

    /// Gives up the request in flight: its outcome concerns a state that is over.
    pub(super) fn cancel(&mut self) {
        if let Some(flight) = self.in_flight.take() {
            self.cancelled.push(flight.id);
        }
    }
}
