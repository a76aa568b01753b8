//! Streams of changes, in a small form: each is opened, tells what is written from then on, line by line, and is closed.
//!
//! What is told of one write may come before or after anything else that takes no time. A stream may be held up, so that only
//! its next few lines come, at any time or never; or it breaks, and what was on its way is lost. Of what is told while a claimant is
//! paused it hears the first few lines when it goes on: its stream is held up then as well.

use std::{collections::VecDeque, sync::Arc};

use lease_proto::{
    RequestId,
    server::{Answer, ApiServer, WatchId, WatchOutput},
};

use super::{State, System, clock::Clock, facts::Fact, node::Node, state::Message};

/// How many lines of a stream that is held up still come, at most.
const HELD_UP: usize = 2;

/// A stream, as its claimant has it.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) id: RequestId,
    /// What it is called at the server, once it is open.
    pub(super) watch: Option<WatchId>,
    /// What is on its way.
    pub(super) lines: VecDeque<Vec<u8>>,
    /// If it is held up, how many lines are still to be told: they may come at any time from now on, or never.
    pub(super) held_up: Option<usize>,
}

impl Stream {
    pub(super) fn new(id: RequestId) -> Self {
        Self {
            id,
            watch: None,
            lines: VecDeque::new(),
            held_up: None,
        }
    }

    fn hold_up(&mut self) {
        self.lines.truncate(HELD_UP);
        let left = HELD_UP - self.lines.len();
        self.held_up.get_or_insert(left);
    }

    /// Takes in what the server has to say.
    fn fill(&mut self, server: &mut ApiServer, tick: u32, is_paused: bool) {
        let Some(watch) = self.watch else { return };
        // None lasts so long here that the server would end it.
        while let WatchOutput::Chunk(chunk) = server.poll_watch(watch, Clock::wall(tick)) {
            for line in chunk.split_inclusive(|byte| *byte == b'\n') {
                // They come once in a while, and tell nothing that anything here depends on.
                let is_bookmark = line.starts_with(br#"{"type":"BOOKMARK""#);
                if is_bookmark {
                    continue;
                }
                if is_paused {
                    self.hold_up();
                }
                match &mut self.held_up {
                    None => self.lines.push_back(line.to_vec()),
                    Some(0) => {}
                    Some(left) => {
                        *left -= 1;
                        self.lines.push_back(line.to_vec());
                    }
                }
            }
        }
    }
}

impl System {
    /// Has a request for a stream reach the server, and its answer the claimant if that still waits for it.
    pub(super) fn open(&self, state: &mut State, message: &Message) {
        if !state.is_awaited(message) {
            return;
        }
        let now = self.clock.now(state.tick);
        let (tick, id) = (state.tick, message.id);
        let server = Arc::make_mut(&mut state.server);
        let (response, watch) = match server.handle(&message.request, Clock::wall(tick)) {
            Answer::Whole(response) => (response, None),
            Answer::Watch(head, watch) => (head.map(|()| Vec::new()), Some(watch)),
        };
        let mut stream = watch.map(|_| Stream::new(id));
        if let Some(stream) = &mut stream {
            stream.watch = watch;
            stream.fill(server, tick, false);
            self.facts.note(Fact::Opened);
        }
        self.with(state, message.node, |node| {
            node.stream = stream;
            node.claim.handle_response(id, &response, now);
        });
    }

    /// Has all streams tell what was written.
    pub(super) fn pump(&self, state: &mut State) {
        let tick = state.tick;
        for node in &mut state.nodes {
            if node.stream.as_ref().is_none_or(|it| it.watch.is_none()) {
                continue;
            }
            let node = Arc::make_mut(node);
            let is_paused = node.paused;
            if let Some(stream) = &mut node.stream {
                stream.fill(Arc::make_mut(&mut state.server), tick, is_paused);
            }
            node.seal(&self.clock);
        }
    }

    /// Has the next line of a stream reach its claimant, which goes on if it was paused.
    pub(super) fn tell(&self, state: &mut State, index: usize) {
        let now = self.clock.now(state.tick);
        self.facts.note(Fact::Told);
        self.with(state, index, |node| {
            node.paused = false;
            if let Some(stream) = &mut node.stream
                && let Some(line) = stream.lines.pop_front()
            {
                node.claim.handle_chunk(stream.id, &line, now);
            }
        });
    }

    /// Holds a stream up.
    pub(super) fn hold_up(&self, state: &mut State, index: usize) {
        let node = Arc::make_mut(&mut state.nodes[index]);
        if let Some(stream) = &mut node.stream {
            stream.hold_up();
        }
        node.seal(&self.clock);
    }

    /// Breaks a stream, or what asks for one.
    pub(super) fn break_stream(&self, state: &mut State, index: usize) {
        let now = self.clock.now(state.tick);
        let mut node = Node::clone(&state.nodes[index]);
        if let Some(stream) = Self::hang_up(state, &mut node) {
            if stream.watch.is_some() {
                node.claim.handle_end(stream.id, now);
            } else {
                node.claim.handle_failure(stream.id, now);
            }
        }
        self.run(state, index, &mut node, false);
        state.nodes[index] = Arc::new(node);
    }

    /// Ends a claimant's stream at the server.
    pub(super) fn hang_up(state: &mut State, node: &mut Node) -> Option<Stream> {
        let stream = node.stream.take()?;
        if let Some(watch) = stream.watch {
            Arc::make_mut(&mut state.server).close_watch(watch);
        }
        Some(stream)
    }
}
