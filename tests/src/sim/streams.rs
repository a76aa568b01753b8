//! Streams of changes, from the servers to those who watch: in order, and no more dependable than anything else.

use http::{Response, StatusCode};
use lease_proto::server::{WatchId, WatchOutput};
use serde_json::Value;

use super::{
    Kind, Micros, SECOND, Violation, World,
    cast::pick,
    exchange::Message,
    kept::StreamId,
    network,
    record::{Author, Record},
    world::Happening,
};

/// How long it takes until a connection that is gone is noticed, where anything notices it.
const PING: Micros = 6 * SECOND;

/// A stream on its way from a server to a claimant.
#[derive(Debug)]
pub(super) struct Flow {
    node: usize,
    life: u64,
    id: StreamId,
    watch: Option<WatchId>,
    front: usize,
    /// Nothing arrives before what was sent before.
    last_at: Micros,
    /// When it is looked after next, whatever happens.
    wake_at: Micros,
    /// Nothing arrives any more, and nobody is told.
    is_stalled: bool,
}

/// A piece of a stream on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    node: usize,
    life: u64,
    id: StreamId,
    piece: Piece,
}

#[derive(Clone, Debug)]
enum Piece {
    Head(Response<Vec<u8>>),
    Chunk(Vec<u8>),
    End,
}

impl World {
    /// A request for a stream reaches a server.
    pub(super) fn open(&mut self, message: &Message, id: StreamId, front: usize) {
        let node = &mut self.nodes[message.node];
        let is_wanted = node.life == message.life && node.stream(id).is_some();
        let is_open = self
            .flows
            .iter()
            .any(|flow| (flow.node, flow.life, flow.id) == (message.node, message.life, id));
        if !is_wanted || is_open {
            // Whoever asked has hung up, or a proxy asks again.
            return;
        }
        let (answer, watch) = match self.refusal() {
            Some(answer) => (answer, None),
            None => self.servers.handle(front, &message.request, self.now),
        };
        self.note(format_args!(
            "{} is answered {} to its watch",
            message.node,
            answer.status()
        ));
        let mut flow = Flow {
            node: message.node,
            life: message.life,
            id,
            watch,
            front,
            last_at: self.now,
            wake_at: 0,
            is_stalled: false,
        };
        self.deliver(&mut flow, Piece::Head(answer));
        if watch.is_some() {
            self.flows.push(flow);
            self.pump();
        }
    }

    /// Sends what the streams have to say.
    pub(super) fn pump(&mut self) {
        let mut flows = std::mem::take(&mut self.flows);
        flows.retain_mut(|flow| self.push(flow));
        self.flows.append(&mut flows);
    }

    /// A piece reaches whoever watches.
    pub(super) fn delivered(&mut self, delivery: Delivery) -> Result<(), Violation> {
        let index = delivery.node;
        let node = &mut self.nodes[index];
        if node.life != delivery.life || node.dead {
            return Ok(());
        }
        if node.paused_until > self.now {
            let at = node.paused_until;
            self.schedule(at, Happening::Deliver(Box::new(delivery)));
            return Ok(());
        }
        let id = delivery.id;
        let stream = node.stream(id);
        let is_awaited = stream.is_some();
        let has_begun = stream.is_some_and(|stream| stream.since.is_some());
        if has_begun && matches!(delivery.piece, Piece::Head(_)) {
            // A proxy has asked twice; who asked it has one answer.
            return Ok(());
        }
        let shown = match &delivery.piece {
            Piece::Chunk(chunk) if is_awaited => chunk.clone(),
            _ => Vec::new(),
        };
        self.note(format_args!("{index} is told {}", delivery.piece));
        let node = &mut self.nodes[index];
        let local = node.now(self.now);
        let is_over = match &delivery.piece {
            Piece::Head(answer) => answer.status() != StatusCode::OK || !answer.body().is_empty(),
            Piece::Chunk(_) => false,
            Piece::End => true,
        };
        if is_over {
            node.streams.retain(|stream| stream.id != id);
        } else if let (Piece::Head(_), Some(stream)) = (&delivery.piece, node.stream(id)) {
            stream.since = Some(self.now);
        }
        if let Some(claimant) = node.ours_mut() {
            match delivery.piece {
                Piece::Head(answer) => claimant.answer_stream(id, &answer, local),
                Piece::Chunk(chunk) => claimant.hear(id, &chunk, local),
                Piece::End => claimant.end(id, local),
            }
        }
        self.show(index, id, &shown);
        self.wake(index)
    }

    /// Ends the streams of a front that stops, or of all of them.
    pub(super) fn break_streams(&mut self, front: Option<usize>) {
        let flows = std::mem::take(&mut self.flows);
        for mut flow in flows {
            if front.is_none_or(|front| front == flow.front) {
                self.servers.close(flow.watch);
                self.deliver(&mut flow, Piece::End);
            } else {
                self.flows.push(flow);
            }
        }
    }

    /// A claimant does not want its stream any more.
    pub(super) fn close_stream(&mut self, index: usize, id: StreamId) {
        let node = &mut self.nodes[index];
        node.streams.retain(|stream| stream.id != id);
        let life = node.life;
        let servers = &mut self.servers;
        self.flows.retain(|flow| {
            let is_it = (flow.node, flow.life, flow.id) == (index, life, id);
            if is_it {
                servers.close(flow.watch);
            }
            !is_it
        });
    }

    /// What is said instead of a stream.
    fn refusal(&mut self) -> Option<Response<Vec<u8>>> {
        if !self.faults.has(Kind::Streams) || !self.random.chance(25) {
            return None;
        }
        let status = *pick(&mut self.random, &[403, 401, 410, 500, 429, 404, 200]);
        let mut answer = Response::new(b"{}".to_vec());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        Some(answer)
    }

    /// Sends what one stream has to say; returns whether it goes on.
    fn push(&mut self, flow: &mut Flow) -> bool {
        if self.nodes[flow.node].life != flow.life {
            self.servers.close(flow.watch);
            return false;
        }
        let Some(watch) = flow.watch else {
            return false;
        };
        loop {
            match self.servers.poll_watch(flow.front, watch, self.now) {
                (WatchOutput::Chunk(chunk), _) => {
                    if !self.send_chunk(flow, chunk) {
                        self.servers.close(flow.watch);
                        return false;
                    }
                }
                (WatchOutput::End, _) => {
                    self.deliver(flow, Piece::End);
                    return false;
                }
                (WatchOutput::Wait { .. }, after) => {
                    let at = self.now + after.max(1);
                    if flow.wake_at <= self.now || at < flow.wake_at {
                        flow.wake_at = at;
                        self.schedule(at, Happening::Pump);
                    }
                    return true;
                }
            }
        }
    }

    /// Sends a piece, whole or in parts; returns whether the stream goes on.
    fn send_chunk(&mut self, flow: &mut Flow, chunk: Vec<u8>) -> bool {
        if self.faults.has(Kind::Streams) {
            match self.random.between(0, 40) {
                0 => {
                    self.deliver(flow, Piece::Chunk(b"<html>\n".to_vec()));
                }
                1 => flow.is_stalled = true,
                2 => {
                    self.deliver(flow, Piece::End);
                    return false;
                }
                // A proxy that says everything twice.
                3 => self.deliver(flow, Piece::Chunk(chunk.clone())),
                4 => {
                    let gone = br#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#;
                    self.deliver(flow, Piece::Chunk([&gone[..], b"\n"].concat()));
                }
                _ => {}
            }
        }
        let link = self.nodes[flow.node].link;
        if link.cut_answers_until > self.now && !link.holds && !flow.is_stalled {
            flow.is_stalled = true;
            // TCP gives up sooner or later, or a ping is not answered.
            if self.random.chance(50) {
                flow.last_at += PING;
                flow.is_stalled = false;
                self.deliver(flow, Piece::End);
                return false;
            }
        }
        if self.random.chance(10) {
            let most = u64::try_from(chunk.len()).unwrap_or(1);
            let at = usize::try_from(self.random.between(1, most)).unwrap_or(1);
            let (first, second) = chunk.split_at(at.min(chunk.len()));
            self.deliver(flow, Piece::Chunk(first.to_vec()));
            self.deliver(flow, Piece::Chunk(second.to_vec()));
        } else {
            self.deliver(flow, Piece::Chunk(chunk));
        }
        true
    }

    /// Sends a piece: it arrives after those before it.
    fn deliver(&mut self, flow: &mut Flow, piece: Piece) {
        if flow.is_stalled {
            return;
        }
        let link = self.nodes[flow.node].link;
        let at = network::piece(link, &self.faults, &mut self.random, self.now);
        flow.last_at = at.max(flow.last_at + 1);
        let delivery = Delivery {
            node: flow.node,
            life: flow.life,
            id: flow.id,
            piece,
        };
        self.schedule(flow.last_at, Happening::Deliver(Box::new(delivery)));
    }

    /// Takes note of what a claimant is shown, for those who judge what it takes.
    fn show(&mut self, index: usize, id: StreamId, chunk: &[u8]) {
        let Some(stream) = self.nodes[index].stream(id) else {
            return;
        };
        let mut shown = std::mem::take(&mut stream.partial);
        shown.extend_from_slice(chunk);
        let mut lines: Vec<&[u8]> = shown.split(|byte| *byte == b'\n').collect();
        let rest = lines.pop().unwrap_or_default().to_vec();
        for line in lines {
            self.show_line(index, id, line);
        }
        if let Some(stream) = self.nodes[index].stream(id) {
            stream.partial = rest;
        }
    }

    fn show_line(&mut self, index: usize, id: StreamId, line: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        let (kind, object) = (&event["type"], &event["object"]);
        if object["metadata"]["name"] != "leader" {
            return;
        }
        let known = object["metadata"]["resourceVersion"]
            .as_str()
            .and_then(|version| version.parse::<u64>().ok())
            .and_then(|version| self.history.iter().find(|it| it.version == version))
            .cloned();
        let is_deletion = kind == "DELETED";
        let read = || {
            let mut record = Record::read(object, Author::ThirdParty, None, None);
            // Of versions from long ago it is remembered what they said, if they said what later ones do.
            let mut history = self.history.iter();
            if let Some(same) = history.find(|it| it.says_the_same(&record)) {
                (record.signed_by, record.dated) = (same.signed_by, same.dated);
            }
            std::sync::Arc::new(record)
        };
        let record = known.filter(|_| !is_deletion).unwrap_or_else(read);
        let doubled = self.is_doubled();
        let node = &mut self.nodes[index];
        // What is told by a stream that claims share this one may not listen to: it joins when nothing is under way. And whoever is
        // about to look for itself need not take what its own tells.
        let is_taken = is_deletion || node.ours().is_some_and(|it| it.knows(record.version));
        let is_heard = !id.is_shared() || is_taken && !is_deletion;
        let is_late = node.evidence.was_told_after(record.version);
        node.evidence.be_told_version(record.version);
        let is_named = record.holder.as_deref() == Some(node.standing(index, self.now).identity);
        node.watched.told_of_namesake |=
            is_named && record.signed_by != Author::Node(index, node.life);
        let is_read =
            is_heard && is_taken && node.seen.certainly_precedes(record.version, is_deletion);
        if is_heard && !node.seen.note_told(record.version, is_deletion, is_taken) {
            return;
        }
        let (own, now) = (node.wait_of_its_own(), node.now(self.now));
        if record.signed_by == Author::Node(index, node.life) && !is_deletion {
            node.evidence.settle(is_read && !is_late);
        } else {
            let is_plain = !node.watched.lied_to && !doubled && !is_deletion;
            let certain = is_plain && is_read && !is_late;
            if !certain {
                node.evidence.doubt();
            }
            node.evidence.receive(Some(&record), own, now, certain);
        }
    }
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Head(answer) => write!(f, "{} to its watch", answer.status()),
            Self::Chunk(chunk) => f.write_str(&String::from_utf8_lossy(chunk)),
            Self::End => f.write_str("the end of its watch"),
        }
    }
}
