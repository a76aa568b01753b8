//! Requests and answers, from the claimant to the store and back.

use std::{sync::Arc, time::Instant};

use http::{Method, Request, Response, StatusCode};

use super::{
    Kind, Micros, Violation, World,
    answers::{self, Tampering, Truth},
    audit,
    cast::{Player, Stream, Tag},
    claimant::Claimant,
    errands,
    evidence::Evidence,
    kept::StreamId,
    load::Wanted,
    network,
    record::{Author, Record},
    rivals::Moment,
    world::Happening,
};

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) tag: Tag,
    pub(super) request: Request<Vec<u8>>,
    /// The write's name.
    pub(super) number: Option<u64>,
    pub(super) sent: Instant,
    /// The same in true time.
    pub(super) departed: Micros,
    /// For how many seconds its sender waits where a record names none.
    pub(super) own: i64,
    /// What its sender had seen when it sent it.
    pub(super) evidence: Evidence,
    /// Which of the requests in the picture it is, if there is one.
    pub(super) drawn: Option<usize>,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) tag: Tag,
    /// When it was asked for, in true time.
    pub(super) asked: Micros,
    pub(super) is_read: bool,
    /// Whether it is about something else than the Lease.
    pub(super) is_errand: bool,
    pub(super) response: Response<Vec<u8>>,
    pub(super) truth: Truth,
    /// Which of the requests in the picture it answers.
    pub(super) drawn: Option<usize>,
    /// The record as the answer shows it, if it shows any, or that there is none.
    pub(super) shows: Option<Option<Arc<Record>>>,
}

impl World {
    /// A claimant asks something.
    pub(super) fn ask(
        &mut self,
        index: usize,
        tag: Tag,
        request: Request<Vec<u8>>,
    ) -> Result<(), Violation> {
        let (now, is_read) = (self.now, request.method() == Method::GET);
        let node = &mut self.nodes[index];
        if node.open.is_some() {
            return Err(Violation::new(
                "I8",
                index,
                "has two requests under way at once",
            ));
        }
        let span = node.span();
        if errands::is_errand(&request) {
            node.load.run(index, now, span)?;
            node.open = Some(tag);
            self.depart(index, tag, request, None);
            return Ok(());
        }
        let is_held = node.watched.holding;
        let wanted = if is_read { Wanted::Read } else { Wanted::Write };
        node.load.ask(index, now, span, wanted, is_held)?;
        audit::check_request(&node.standing(index, now), &request)?;
        node.open = Some(tag);
        let number = (!is_read).then(|| {
            self.writes += 1;
            self.writes
        });
        if let Some(number) = number {
            let local = node.now(now);
            node.watched.hand_out(number, local);
            node.writing = Some(number);
        }
        self.depart(index, tag, request, number);
        Ok(())
    }

    /// A claimant asks to be told of changes.
    pub(super) fn watch(
        &mut self,
        index: usize,
        id: StreamId,
        request: Request<Vec<u8>>,
    ) -> Result<(), Violation> {
        let now = self.now;
        let node = &mut self.nodes[index];
        // One of its own is closed once the one that is shared has begun.
        let is_second = |it: &Stream| it.id.is_shared() == id.is_shared();
        if node.streams.iter().any(is_second) {
            return Err(Violation::new("I8", index, "watches twice at once"));
        }
        let (span, is_held) = (node.span(), node.watched.holding);
        let shares = id.is_shared() && node.ours().is_some_and(Claimant::has_company);
        let wanted = if shares {
            Wanted::SharedWatch
        } else {
            Wanted::Watch
        };
        node.load.ask(index, now, span, wanted, is_held)?;
        audit::check_request(&node.standing(index, now), &request)?;
        node.streams.push(Stream {
            id,
            since: None,
            partial: Vec::new(),
        });
        self.depart(index, Tag::Stream(id), request, None);
        Ok(())
    }

    pub(super) fn depart(
        &mut self,
        index: usize,
        tag: Tag,
        request: Request<Vec<u8>>,
        number: Option<u64>,
    ) {
        self.note(format_args!(
            "{index} asks {} {}",
            request.method(),
            request.uri().path()
        ));
        let (now, method) = (self.now, request.method().as_str());
        // A stream is no question that waits for its answer, and an errand is none about the record.
        let is_drawn = !matches!(tag, Tag::Stream(_)) && !errands::is_errand(&request);
        let picture = self.picture.as_mut().filter(|_| is_drawn);
        let drawn = picture.map(|picture| picture.ask(index, method, now));
        let node = &self.nodes[index];
        let arrivals = network::request(node.link, &self.faults, &mut self.random, self.now);
        if arrivals == [None, None] {
            self.counts.dropped += 1;
        }
        let message = Message {
            node: index,
            life: node.life,
            tag,
            request,
            number,
            sent: node.now(self.now),
            departed: self.now,
            own: node.wait_of_its_own(),
            evidence: node.evidence.clone(),
            drawn,
        };
        let [first, second] = arrivals;
        if let Some(at) = second {
            self.schedule(at, Happening::Arrive(Box::new(message.clone())));
        }
        if let Some(at) = first {
            self.schedule(at, Happening::Arrive(Box::new(message)));
        }
    }

    /// A claimant does not wait for an answer any more.
    pub(super) fn give_up(&mut self, index: usize, tag: Tag) {
        self.note(format_args!("{index} waits for {tag:?} no more"));
        if let Tag::Ours(id) = tag
            && let own = StreamId::Own(id)
            && self.nodes[index].stream(own).is_some()
        {
            self.close_stream(index, own);
            return;
        }
        let node = &mut self.nodes[index];
        if node.heard == Some((tag, self.now)) {
            // What it waited for was over when the answer came, so it was not looked at.
            node.load.end_pause();
        }
        node.open.take_if(|open| *open == tag);
        self.settle_ambiguous(index);
    }

    fn settle_ambiguous(&mut self, index: usize) {
        if let Some(number) = self.nodes[index].writing.take() {
            if self.nodes[index].watched.was_carried_out(number) {
                self.counts.ambiguous_applied += 1;
            } else {
                self.counts.ambiguous_not_applied += 1;
            }
        }
    }

    /// A request reaches a server.
    pub(super) fn arrive(&mut self, message: Message) -> Result<(), Violation> {
        self.counts.requests += 1;
        let index = message.node;
        let fronts = u64::try_from(self.servers.len()).unwrap_or(1);
        let front = usize::try_from(self.random.between(0, fronts - 1)).unwrap_or(0);
        if !self.servers.is_up(front, self.now) {
            self.counts.dropped += 1;
            return Ok(());
        }
        let is_ours = self.nodes[index].ours().is_some();
        if errands::is_errand(&message.request) {
            self.serve_errand(&message, front);
            return Ok(());
        }
        if let Tag::Stream(id) = message.tag {
            self.open(&message, id, front);
            return Ok(());
        }
        let tampering = answers::draw(&self.faults, &mut self.random, &message.request, is_ours);
        if !matches!(tampering, Tampering::Nothing) {
            self.counts.tampered += 1;
        }
        let (response, truth, shows) = match tampering {
            Tampering::Instead(response, truth) => (response, truth, None),
            Tampering::Stale if self.last_read.is_some() => {
                let (response, shows) = self.last_read.clone().unwrap_or_default();
                let truth = if shows == self.record {
                    Truth::Honest
                } else {
                    Truth::Lie
                };
                (response, truth, Some(shows))
            }
            Tampering::After(response, truth) => {
                let _carried_out = self.carry_out(&message, front)?;
                (response, truth, None)
            }
            Tampering::Changed(change, truth) => {
                let mut response = self.carry_out(&message, front)?;
                let shows = self.shown(&message, &response);
                change(&mut response, &mut self.random);
                // What was changed may still be readable, and then shows what it showed.
                (response, truth, shows)
            }
            Tampering::Nothing | Tampering::Stale => {
                let response = self.carry_out(&message, front)?;
                let shows = self.shown(&message, &response);
                if message.request.method() == Method::GET && response.status() == StatusCode::OK {
                    self.last_read = Some((response.clone(), self.record.clone()));
                }
                (response, Truth::Honest, shows)
            }
        };
        self.note(format_args!("{index} is answered {}", response.status()));
        self.draw_answer(message.drawn, response.status());
        let link = &mut self.nodes[index].link;
        let slow = link
            .slow
            .take_if(|_| message.request.method() == Method::PUT);
        if let Some((_, silence)) = slow {
            link.cut_requests_until = self.now + silence;
            link.cut_answers_until = self.now + silence;
        }
        let link = *link;
        let in_time = network::answer(link, &self.faults, &mut self.random, self.now);
        let late = slow.map(|(late, _)| self.now + late);
        let Some(at) = late.or(in_time) else {
            self.counts.dropped += 1;
            return Ok(());
        };
        let reply = Reply {
            node: index,
            life: message.life,
            tag: message.tag,
            asked: message.departed,
            is_read: message.request.method() == Method::GET,
            is_errand: false,
            drawn: message.drawn,
            response,
            truth,
            shows,
        };
        self.schedule(at, Happening::Answer(Box::new(reply)));
        Ok(())
    }

    fn shown(
        &self,
        message: &Message,
        response: &Response<Vec<u8>>,
    ) -> Option<Option<Arc<Record>>> {
        let is_read = message.request.method() == Method::GET;
        match response.status() {
            status if status.is_success() && message.request.method() != Method::DELETE => {
                Some(self.record.clone())
            }
            StatusCode::NOT_FOUND if is_read => Some(None),
            _ => None,
        }
    }

    /// Has the servers answer, and looks at what has changed by that.
    fn carry_out(
        &mut self,
        message: &Message,
        front: usize,
    ) -> Result<Response<Vec<u8>>, Violation> {
        let before = self.servers.version();
        let (response, _) = self.servers.handle(front, &message.request, self.now);
        if response.status() == StatusCode::CONFLICT {
            self.counts.conflicts += 1;
        }
        if self.servers.version() != before {
            let author = Author::Node(message.node, message.life);
            self.committed(author, Some(message))?;
        }
        Ok(response)
    }

    /// An answer reaches whoever asked.
    pub(super) fn answered(&mut self, reply: Reply) -> Result<(), Violation> {
        let index = reply.node;
        let node = &mut self.nodes[index];
        if node.life != reply.life || node.dead {
            return Ok(());
        }
        if node.paused_until > self.now {
            let at = node.paused_until;
            self.schedule(at, Happening::Answer(Box::new(reply)));
            return Ok(());
        }
        let (now, wall) = (node.now(self.now), node.wall(self.now));
        let own = node.wait_of_its_own();
        let version = reply
            .shows
            .iter()
            .flatten()
            .map(|record| record.version)
            .next();
        let (status, truth) = (reply.response.status(), reply.truth);
        self.note(format_args!(
            "{index} hears {status} {truth:?} of version {version:?}"
        ));
        self.draw_hearing(reply.drawn);
        if reply.is_errand {
            return self.errand_answered(reply);
        }
        let node = &mut self.nodes[index];
        let is_awaited = node.open == Some(reply.tag);
        let Tag::Ours(id) = reply.tag else {
            let Tag::Rival(id) = reply.tag else {
                return Ok(());
            };
            if let Player::Rival(rival) = &mut node.player {
                let random = &mut self.random;
                rival.answer(id, &reply.response, &mut Moment { now, wall, random });
            }
            return self.wake(index);
        };
        if is_awaited {
            node.open = None;
            node.heard = Some((reply.tag, self.now));
            if reply.truth == Truth::Lie {
                node.watched.lied_to = true;
                node.evidence.doubt();
            }
            let has_namesake = reply.shows.iter().flatten().any(|record| {
                let standing = node.standing(index, self.now);
                record.holder.as_deref() == Some(standing.identity)
                    && record.signed_by != Author::Node(index, node.life)
            });
            node.watched.since.impersonated |= has_namesake;
            // A stream may have told of what came after.
            let is_outdated = version.is_some_and(|version| node.evidence.was_told_after(version));
            let in_time = node.ours().is_none_or(|claimant| !claimant.is_over(now));
            let is_honest = in_time && reply.truth == Truth::Honest;
            // Of an answer to a write that lacks something nothing is believed.
            let is_believed = is_honest && reply.is_read;
            if let Some(version) = version {
                node.evidence
                    .receive_version(version, reply.asked, is_believed);
            }
            if let Some(version) = version {
                node.seen.note_answer(version, is_believed, self.now);
            }
            if let Some(record) = &reply.shows {
                let mine = Author::Node(index, node.life);
                if record
                    .as_ref()
                    .is_some_and(|record| record.signed_by == mine)
                {
                    node.evidence.settle(is_believed && !is_outdated);
                } else {
                    let certain = is_honest && !is_outdated;
                    node.evidence.receive(record.as_ref(), own, now, certain);
                }
            }
            node.note_pause(&reply.response, self.now);
            if is_unclear(&reply.response) {
                self.settle_ambiguous(index);
            }
        }
        let node = &mut self.nodes[index];
        node.writing = node.writing.filter(|_| !is_awaited);
        let twice = self.faults.has(Kind::Sloppy) && self.random.chance(5);
        let Some(claimant) = node.ours_mut() else {
            return self.wake(index);
        };
        let in_time = is_awaited && !claimant.is_over(now);
        claimant.answer(id, &reply.response, now, wall);
        if twice {
            claimant.answer(id, &reply.response, now, wall);
        }
        if in_time && reply.truth == Truth::Honest {
            self.check_clamp(index, reply.shows.flatten().as_deref())?;
        }
        self.wake(index)
    }
}

/// Whether an answer leaves open whether a write was carried out.
fn is_unclear(response: &Response<Vec<u8>>) -> bool {
    let body = response.body();
    response.status().is_server_error()
        || (response.status().is_success() && !body.ends_with(b"}") && !body.ends_with(b"\n"))
}
