//! The rules: what can happen in a state, and what comes of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{Response, StatusCode};
use lease_proto::{
    Event, Output, Patience,
    server::{Answer, ApiServer},
};
use stateright::{Model, Property};

use super::{
    Action, Misfortune, Plant, State,
    clock::Clock,
    facts::{Fact, Facts},
    judge,
    key::FIRST_VERSION,
    node::Node,
    record::Record,
    state::Message,
    strangers,
    streams::Stream,
};

/// For how many ticks a message may be under way: twice as long as a lease lasts.
const LONGEST: u32 = 8;

/// What is explored.
#[derive(Debug)]
#[non_exhaustive]
pub struct System {
    /// How many claimants there are.
    pub claimants: usize,
    /// How many misfortunes there are on each path.
    pub misfortunes: u8,
    /// What is planted.
    pub plant: Option<Plant>,
    /// Whether claimants are told of changes.
    pub watches: bool,
    /// What has happened, over all paths.
    pub facts: Facts,
    /// Whether to explore no further.
    pub stop: AtomicBool,
    pub(super) clock: Clock,
}

impl System {
    /// A system of so many claimants, with so many misfortunes on each path.
    pub fn new(claimants: usize, misfortunes: u8, plant: Option<Plant>) -> Self {
        Self {
            claimants,
            misfortunes,
            plant,
            watches: false,
            facts: Facts::new(),
            stop: AtomicBool::new(false),
            clock: Clock::new(),
        }
    }

    /// Lets a claimant do all that it can do now; `after_read` if that follows from what a look showed.
    pub(super) fn run(&self, state: &mut State, index: usize, node: &mut Node, after_read: bool) {
        let tick = state.tick;
        let (now, wall) = (self.clock.now(tick), Clock::wall(tick));
        node.rests = false;
        node.wake = None;
        loop {
            match node.claim.poll_output(now, wall) {
                Output::Request(mut request) => {
                    if request.is_stream {
                        node.stream = Some(Stream::new(request.id));
                    } else {
                        node.ask(request.id, &mut request.http, tick, self.plant);
                    }
                    let mut message = Message {
                        node: index,
                        life: node.life,
                        id: request.id,
                        request: request.http,
                        response: None,
                        answered: None,
                        sent: tick,
                        late: false,
                        is_stream: request.is_stream,
                        text: Default::default(),
                    };
                    message.seal(&self.clock);
                    state.send(message);
                }
                Output::Event(event) => self.hear(state, node, &event, after_read),
                Output::Cancel(id) if node.stream.as_ref().is_some_and(|it| it.id == id) => {
                    let _closed = Self::hang_up(state, node);
                }
                Output::Cancel(id) => {
                    if node.asked == Some(id) {
                        node.asked = None;
                    }
                    self.give_up(state, index, node.life);
                }
                Output::Wait(until) => {
                    node.wake = Some(self.clock.tick_of(until));
                    break;
                }
                Output::Done => {
                    node.rests = true;
                    break;
                }
            }
        }
        node.seal(&self.clock);
    }

    /// Has nobody wait for what a claimant has under way: it may still arrive.
    fn give_up(&self, state: &mut State, index: usize, life: u8) {
        let all = state.messages.iter_mut();
        for message in all.filter(|it| it.node == index && it.life == life && !it.late) {
            let message = Arc::make_mut(message);
            message.late = true;
            message.seal(&self.clock);
        }
    }

    fn hear(&self, state: &mut State, node: &mut Node, event: &Event, after_read: bool) {
        let fact = match event {
            Event::Acquired(_) => Some(Fact::Acquired),
            Event::Renewed(_) => Some(Fact::Renewed),
            Event::Lost(_) => Some(Fact::Lost),
            Event::Released(_) => Some(Fact::Released),
            Event::Verified(_) => Some(Fact::Verified),
            _ => None,
        };
        if let Some(fact) = fact {
            self.facts.note(fact);
        }
        if after_read && matches!(event, Event::Acquired(_) | Event::Renewed(_)) {
            self.facts.note(Fact::Settled);
        }
        if let Event::Acquired(grant) = event {
            let token = grant.token.map(|token| token.get());
            if !node.robbed && token <= state.highest {
                state.broken = Some("a fencing token is not higher than all before");
            }
            state.highest = state.highest.max(token);
        }
        let now = self.clock.now(state.tick);
        if let Some(broken) = node.hear(event, now, self.plant) {
            state.broken = Some(broken);
        }
    }

    /// Has the claimant do something, and then all that follows from it.
    pub(super) fn with(&self, state: &mut State, index: usize, act: impl FnOnce(&mut Node)) {
        let mut node = Node::clone(&state.nodes[index]);
        act(&mut node);
        self.run(state, index, &mut node, false);
        state.nodes[index] = Arc::new(node);
    }

    /// Has the server carry out a request.
    fn carry_out(&self, state: &mut State, message: &Message) -> Option<Response<Vec<u8>>> {
        let mut server = ApiServer::clone(&state.server);
        let answer = server.handle(&message.request, Clock::wall(state.tick));
        let Answer::Whole(response) = answer else {
            return None;
        };
        if response.status() == StatusCode::CONFLICT {
            self.facts.note(Fact::Conflicts);
        }
        let changed = server.resource_version() != state.server.resource_version();
        if message.is_write() && !state.is_awaited(message) {
            let fact = [Fact::LateRefused, Fact::LateApplied];
            self.facts.note(fact[usize::from(changed)]);
        }
        if changed {
            let age = state.tick - state.changed;
            let before = self.store(state, server, message.sent);
            judge::write(state, message, &before, age, &self.facts);
        }
        Some(response)
    }

    /// Puts another state of the server in place, by what was asked at a tick; returns what the record was.
    fn store(&self, state: &mut State, server: ApiServer, asked: u32) -> Arc<Record> {
        let record = Arc::new(Record::of(&server, &self.clock));
        if !record.says_the_same(&state.record) {
            state.changed = asked;
        }
        state.server = Arc::new(server);
        let before = std::mem::replace(&mut state.record, record);
        self.pump(state);
        before
    }

    /// Has an answer reach its claimant.
    fn deliver(&self, state: &mut State, message: &Message, response: &Response<Vec<u8>>) {
        if !state.is_awaited(message) {
            self.facts.note(Fact::LateAnswers);
        }
        let mut node = Node::clone(&state.nodes[message.node]);
        node.paused = false;
        let (id, tick) = (message.id, state.tick);
        node.answer(
            id,
            &message.request,
            response,
            tick,
            &self.clock,
            self.plant,
        );
        if node.asked == Some(id) {
            node.asked = None;
        }
        self.run(state, message.node, &mut node, !message.is_write());
        state.nodes[message.node] = Arc::new(node);
    }

    fn exchange(&self, state: &mut State, at: usize) {
        let mut message = Message::clone(&state.messages.remove(at));
        if message.is_stream {
            self.open(state, &message);
            return;
        }
        let is_awaited = state.is_awaited(&message);
        let Some(response) = self.carry_out(state, &message).filter(|_| is_awaited) else {
            return;
        };
        if state.nodes[message.node].paused {
            (message.response, message.answered) = (Some(response), Some(state.tick));
            message.seal(&self.clock);
            state.send(message);
        } else {
            self.deliver(state, &message, &response);
        }
    }

    fn suffer(&self, state: &mut State, what: Misfortune) {
        state.left -= 1;
        match what {
            Misfortune::DelayRequest(at) => {
                let mut message = Message::clone(&state.messages.remove(at));
                message.late = true;
                message.seal(&self.clock);
                state.send(message);
            }
            Misfortune::DelayAnswer(at) => {
                let mut message = Message::clone(&state.messages.remove(at));
                message.response = self.carry_out(state, &message);
                message.late = true;
                message.seal(&self.clock);
                state.send(message);
            }
            Misfortune::BreakBefore(at) | Misfortune::BreakAfter(at) => {
                let message = state.messages.remove(at);
                if what == Misfortune::BreakAfter(at) {
                    let _lost = self.carry_out(state, &message);
                }
                let now = self.clock.now(state.tick);
                self.with(state, message.node, |node| {
                    node.asked = None;
                    node.claim.handle_failure(message.id, now);
                });
            }
            Misfortune::Repeat(at) => {
                let mut copy = Message::clone(&state.messages[at]);
                self.exchange(state, at);
                copy.late = true;
                copy.seal(&self.clock);
                state.send(copy);
            }
            Misfortune::DelayStream(index) => self.hold_up(state, index),
            Misfortune::BreakStream(index) => self.break_stream(state, index),
            Misfortune::Pause(index) => {
                Arc::make_mut(&mut state.nodes[index]).paused = true;
            }
            Misfortune::Crash(index) => {
                let life = state.nodes[index].life;
                self.give_up(state, index, life);
                state
                    .messages
                    .retain(|it| it.node != index || it.response.is_none());
                let _closed = Self::hang_up(state, &mut Node::clone(&state.nodes[index]));
                state.nodes[index] = Arc::new(self.newcomer(state, index, life + 1));
            }
            Misfortune::Release(index) => {
                let now = self.clock.now(state.tick);
                self.with(state, index, |node| node.claim.release(now));
            }
            Misfortune::Verify(index) => {
                let now = self.clock.now(state.tick);
                self.with(state, index, |node| node.claim.verify(now));
            }
            Misfortune::Annotate
            | Misfortune::Clear
            | Misfortune::Steal
            | Misfortune::Delete
            | Misfortune::Recreate => self.meddle(state, what),
        }
    }

    fn newcomer(&self, state: &mut State, index: usize, life: u8) -> Node {
        let now = self.clock.now(state.tick);
        let mut node = Node::new(index, life, now, self.watches);
        node.claim.acquire(Patience::Forever, now);
        self.run(state, index, &mut node, false);
        node
    }

    fn meddle(&self, state: &mut State, what: Misfortune) {
        let Some((request, robs)) = strangers::request(what, state.tick) else {
            return;
        };
        let mut server = ApiServer::clone(&state.server);
        let _answer = server.handle(&request, Clock::wall(state.tick));
        let before = self.store(state, server, state.tick);
        if !robs || before.holder.is_none() {
            return;
        }
        self.facts.note(Fact::Robbed);
        let now = self.clock.now(state.tick);
        for node in &mut state.nodes {
            if before.holder.as_deref() == Some(node.identity()) || node.believes(now) {
                Arc::make_mut(node).robbed = true;
            }
        }
    }

    fn tick(&self, state: &mut State) {
        state.tick += 1;
        let tick = state.tick;
        state.messages.retain(|it| it.sent + LONGEST > tick);
        for index in 0..state.nodes.len() {
            let node = &state.nodes[index];
            if node.paused {
                continue;
            }
            if node.rests {
                let now = self.clock.now(tick);
                self.with(state, index, |node| {
                    node.claim.acquire(Patience::Forever, now);
                });
            } else if node.wake.is_none_or(|wake| wake <= tick) {
                self.with(state, index, |_| {});
            }
        }
    }

    /// Forgets what no longer makes any difference: looks that nobody waits for.
    fn tidy(&self, state: &mut State) {
        let mut messages = std::mem::take(&mut state.messages);
        messages.retain(|it| it.is_write() || state.is_awaited(it));
        state.messages = messages;
    }
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let server = ApiServer::builder()
            .resource_version(FIRST_VERSION)
            .history(1);
        let mut state = State::new(server.build(), &self.clock, self.misfortunes);
        for index in 0..self.claimants {
            let node = self.newcomer(&mut state, index, 0);
            state.nodes.push(Arc::new(node));
        }
        state.seal();
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() || self.stop.load(Ordering::Relaxed) {
            return;
        }
        if !state.is_telling() && !state.messages.iter().any(|it| state.is_due(it)) {
            actions.push(Action::Tick);
        }
        for (at, message) in state.messages.iter().enumerate() {
            if message.is_stream && state.nodes[message.node].paused {
                continue;
            }
            actions.push(match message.response {
                None => Action::Exchange(at),
                Some(_) => Action::Answer(at),
            });
        }
        for (index, node) in state.nodes.iter().enumerate() {
            if node.stream.as_ref().is_some_and(|it| !it.lines.is_empty()) {
                actions.push(Action::Tell(index));
            }
            if node.paused {
                actions.push(Action::Continue(index));
            }
        }
        if state.left > 0 {
            self.misfortunes(state, |what| actions.push(Action::Misfortune(what)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => self.tick(&mut state),
            Action::Exchange(at) => self.exchange(&mut state, at),
            Action::Answer(at) => {
                let message = state.messages.remove(at);
                if let Some(response) = &message.response {
                    self.deliver(&mut state, &message, response);
                }
            }
            Action::Tell(index) => self.tell(&mut state, index),
            Action::Continue(index) => self.with(&mut state, index, |node| node.paused = false),
            Action::Misfortune(what) => self.suffer(&mut state, what),
        }
        self.tidy(&mut state);
        let now = self.clock.now(state.tick);
        judge::beliefs(&mut state, now);
        state.seal();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(
            "all promises are kept",
            |_, state: &State| state.broken.is_none(),
        )]
    }
}
