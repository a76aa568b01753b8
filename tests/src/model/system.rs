//! The rules: what can happen in a state, what comes of it, and what must never.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use http::{Method, Request, StatusCode};
use lease_proto::{
    Event, Output, Patience,
    server::{Answer, ApiServer},
};
use serde_json::{Value, json};
use stateright::{Model, Property};

use super::{
    Action, Plant, State,
    key::{FIRST_VERSION, Key},
    node::Node,
    state::Message,
};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
/// 2026-11-20, in seconds since the epoch.
const EPOCH: u64 = 1_795_132_800;
/// For how many seconds a message may be under way.
const LONGEST: u32 = 6;

/// How often each thing may still go wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is there to be filled in")]
pub struct Budget {
    /// Pauses.
    pub pauses: u8,
    /// Crashes.
    pub crashes: u8,
    /// Messages lost.
    pub losses: u8,
    /// Releases.
    pub releases: u8,
    /// Seconds that pass while messages are under way.
    pub delays: u8,
    /// Whatever third parties do.
    pub meddling: u8,
}

impl Budget {
    /// All ways in which so many misfortunes can be chosen, the same one several times among them.
    pub fn choices(misfortunes: usize) -> Vec<Self> {
        let none = Self {
            pauses: 0,
            crashes: 0,
            losses: 0,
            releases: 0,
            delays: 0,
            meddling: 0,
        };
        let mut all = vec![(none, 0)];
        for _ in 0..misfortunes {
            all = all
                .into_iter()
                .flat_map(|(budget, from)| (from..6).map(move |kind| (budget.with(kind), kind)))
                .collect();
        }
        all.into_iter().map(|(budget, _)| budget).collect()
    }

    fn with(mut self, kind: usize) -> Self {
        let all = [
            &mut self.pauses,
            &mut self.crashes,
            &mut self.losses,
            &mut self.releases,
            &mut self.delays,
            &mut self.meddling,
        ];
        if let Some(kind) = all.into_iter().nth(kind) {
            *kind += 1;
        }
        self
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.pauses, "pause"),
            (self.crashes, "crash"),
            (self.losses, "loss"),
            (self.releases, "release"),
            (self.delays, "delay"),
            (self.meddling, "third party"),
        ];
        let some = all.iter().filter(|(count, _)| *count > 0);
        let texts: Vec<String> = some
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        f.write_str(&texts.join(", "))
    }
}

/// What has happened, to see that what is checked is reached at all.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Happened {
    /// Tenures begun.
    pub acquired: AtomicU64,
    /// Renewals.
    pub renewed: AtomicU64,
    /// Records taken whose holder had let its time pass.
    pub taken_over: AtomicU64,
    /// Tenures lost, for whatever reason.
    pub lost: AtomicU64,
    /// Releases done.
    pub released: AtomicU64,
    /// Writes of the dead, of the paused, or given up, that reached the server.
    pub late: AtomicU64,
    /// Of those, how many were carried out.
    pub late_applied: AtomicU64,
    /// Conflicts.
    pub conflicts: AtomicU64,
}

/// What is explored.
#[derive(Debug)]
#[non_exhaustive]
pub struct System {
    /// How many claimants there are.
    pub claimants: usize,
    /// How much may go wrong on each path.
    pub budget: Budget,
    /// How many seconds a path lasts.
    pub horizon: u32,
    /// What is planted.
    pub plant: Option<Plant>,
    /// What has happened, over all paths.
    pub happened: Happened,
    start: Instant,
}

impl System {
    /// A system of so many claimants.
    pub fn new(claimants: usize, budget: Budget, horizon: u32, plant: Option<Plant>) -> Self {
        Self {
            claimants,
            budget,
            horizon,
            plant,
            happened: Happened::default(),
            start: Instant::now() + Duration::from_secs(1_000),
        }
    }

    fn now(&self, tick: u32) -> Instant {
        self.start + Duration::from_secs(u64::from(tick))
    }

    fn wall(tick: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH + u64::from(tick))
    }

    /// Lets a claimant do all that it can do now.
    fn settle(&self, state: &mut State, index: usize) {
        let (now, wall) = (self.now(state.tick), Self::wall(state.tick));
        let mut node = Node::clone(&state.nodes[index]);
        if node.paused {
            return;
        }
        loop {
            match node.claim.poll_output(now, wall) {
                Output::Request(mut request) => {
                    node.requests += 1;
                    node.outwards(&mut request.http, self.plant);
                    state.messages.push(Arc::new(Message {
                        node: index,
                        life: node.life,
                        id: request.id,
                        request: request.http,
                        response: None,
                        sent: state.tick,
                    }));
                }
                Output::Event(event) => self.hear(state, &mut node, &event),
                Output::Cancel(_) => {}
                Output::Wait(_) | Output::Done => break,
            }
        }
        state.nodes[index] = Arc::new(node);
    }

    fn hear(&self, state: &mut State, node: &mut Node, event: &Event) {
        let count = |what: &AtomicU64| what.fetch_add(1, Ordering::Relaxed);
        match event {
            Event::Acquired(grant) => {
                count(&self.happened.acquired);
                node.grant = Some(*grant);
                let token = grant.token.map(|token| token.get());
                let is_lawful = !node.robbed && state.nodes.iter().all(|node| !node.robbed);
                if is_lawful && token <= state.highest {
                    state.broken = Some("a fencing token that is not higher than all before");
                }
                state.highest = state.highest.max(token);
            }
            Event::Renewed(grant) => {
                count(&self.happened.renewed);
                node.grant = Some(*grant);
            }
            Event::Lost(_) => {
                count(&self.happened.lost);
                node.robbed = false;
                if self.plant != Some(Plant::LateDeadline) {
                    node.grant = None;
                }
            }
            Event::Released(_) => {
                count(&self.happened.released);
            }
            _ => {}
        }
    }

    /// Has the server answer a request.
    fn arrive(&self, state: &mut State, at: usize) {
        let mut message = Message::clone(&state.messages.remove(at));
        let before = holder(&state.server);
        let existed = state.server.lease("default", "leader").is_some();
        let version = state.server.resource_version();
        let mut server = ApiServer::clone(&state.server);
        let Answer::Whole(response) = server.handle(&message.request, Self::wall(state.tick))
        else {
            return;
        };
        state.server = Arc::new(server);
        let node = &state.nodes[message.node];
        let is_write = message.request.method() != Method::GET;
        let is_awaited = node.life == message.life && message.sent + 1 > state.tick && !node.paused;
        let count = |what: &AtomicU64| what.fetch_add(1, Ordering::Relaxed);
        if response.status() == StatusCode::CONFLICT {
            count(&self.happened.conflicts);
        }
        let changed = state.server.resource_version() != version;
        if is_write && !is_awaited {
            count(&self.happened.late);
            if changed {
                count(&self.happened.late_applied);
            }
        }
        if changed {
            self.judge(state, &message, before.as_deref(), existed);
        }
        if state.nodes[message.node].life == message.life {
            message.response = Some(response);
            state.messages.push(Arc::new(message));
        }
    }

    /// Has an answer reach its claimant.
    fn answer(&self, state: &mut State, at: usize) {
        let message = state.messages.remove(at);
        let now = self.now(state.tick);
        let node = Arc::make_mut(&mut state.nodes[message.node]);
        if let Some(response) = &message.response {
            node.answer(message.id, &message.request, response, now, self.plant);
        }
        self.settle(state, message.node);
    }

    /// Judges what a write has changed.
    fn judge(&self, state: &mut State, message: &Message, before: Option<&str>, existed: bool) {
        let now = self.now(state.tick);
        let is_update = [Method::PUT, Method::PATCH].contains(message.request.method());
        if is_update && !existed {
            state.broken = Some("a deleted record came back by a renewal");
        }
        let after = holder(&state.server);
        let author = state.nodes[message.node].identity().to_owned();
        if let Some(before) = before.filter(|before| after.as_deref() != Some(before)) {
            let robbed = state
                .nodes
                .iter()
                .find(|node| node.identity() == before && before != author);
            if robbed.is_some_and(|node| !node.robbed && node.believes(now, self.plant)) {
                state.broken = Some("the record of a holder that may believe was taken");
            }
            if after.is_some() && after.as_deref() != Some(before) {
                self.happened.taken_over.fetch_add(1, Ordering::Relaxed);
            }
        }
        if after.as_deref() == Some(&author) && state.nodes[message.node].robbed {
            Arc::make_mut(&mut state.nodes[message.node]).robbed = false;
        }
    }

    fn meddle(
        &self,
        state: &mut State,
        request: Result<Request<Vec<u8>>, http::Error>,
        robs: bool,
    ) {
        let now = self.now(state.tick);
        let named = holder(&state.server);
        let mut server = ApiServer::clone(&state.server);
        let request = request.expect("the path is a valid one");
        let _answer = server.handle(&request, Self::wall(state.tick));
        state.server = Arc::new(server);
        state.left.meddling -= 1;
        if !robs {
            return;
        }
        for node in &mut state.nodes {
            if node.believes(now, self.plant) || named.as_deref() == Some(node.identity()) {
                Arc::make_mut(node).robbed = true;
            }
        }
    }

    fn check(&self, state: &mut State) {
        let now = self.now(state.tick);
        let believe = |node: &&Arc<Node>| !node.robbed && node.believes(now, self.plant);
        if state.nodes.iter().filter(believe).count() > 1 {
            state.broken = Some("two hold the Lease at once");
        }
    }

    fn seal(&self, state: &mut State) {
        let nanos = format!("{:?}", self.now(state.tick));
        let now = nanos_of(&nanos);
        let wall = i64::try_from(EPOCH + u64::from(state.tick)).unwrap_or(0) * 1_000_000;
        let mut key = Key::new(now, wall, state.server.resource_version());
        for node in &state.nodes {
            let (claim, paused, robbed, grant) =
                (&node.claim, node.paused, node.robbed, &node.grant);
            let campaigns = node.campaigns;
            key.add(
                format_args!("{claim:?}{paused}{robbed}{grant:?}"),
                node.requests,
                campaigns,
            );
        }
        if let Some(lease) = state.server.lease("default", "leader") {
            let (meta, spec) = (&lease["metadata"], &lease["spec"]);
            let (uid, version) = (&meta["uid"], &meta["resourceVersion"]);
            let notes = &meta["annotations"];
            key.add(format_args!("{uid}{version}{notes}{spec}"), 0, 0);
        }
        for message in &state.messages {
            let node = &state.nodes[message.node];
            let requests = if node.life == message.life {
                node.requests
            } else {
                u64::MAX / 2
            };
            let age = state.tick - message.sent;
            let request = String::from_utf8_lossy(message.request.body());
            let answer = message
                .response
                .as_ref()
                .map(|response| (response.status(), String::from_utf8_lossy(response.body())));
            let (index, life, id) = (message.node, message.life == node.life, message.id);
            let method = message.request.method();
            key.add(
                format_args!("{index}{life}{id:?}{age}{method}{request}{answer:?}"),
                requests,
                0,
            );
        }
        let highest = state.highest.map(|highest| highest.to_string());
        key.add(
            format_args!("{:?}{highest:?}{:?}", state.left, state.broken),
            0,
            0,
        );
        state.key = key.finish();
    }
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let server = ApiServer::builder()
            .resource_version(FIRST_VERSION)
            .history(1);
        let mut state = State {
            tick: 0,
            nodes: Vec::new(),
            server: Arc::new(server.build()),
            messages: Vec::new(),
            left: self.budget,
            highest: None,
            broken: None,
            key: 0,
        };
        for index in 0..self.claimants {
            let mut node = Node::new(index, 0, self.now(0));
            node.claim.acquire(Patience::Forever, self.now(0));
            node.campaigns += 1;
            state.nodes.push(Arc::new(node));
            self.settle(&mut state, index);
        }
        self.seal(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        // With nothing under way time goes on by itself; while something is, that is a delay.
        let held_up = state
            .messages
            .iter()
            .any(|message| !state.nodes[message.node].paused);
        if state.tick < self.horizon && (!held_up || state.left.delays > 0) {
            actions.push(Action::Tick);
        }
        for (at, message) in state.messages.iter().enumerate() {
            let node = &state.nodes[message.node];
            match message.response {
                None => {
                    actions.push(Action::Exchange(at));
                    if state.left.delays > 0 || state.left.losses > 0 {
                        actions.push(Action::Arrive(at));
                    }
                }
                Some(_) if !node.paused => actions.push(Action::Answer(at)),
                Some(_) => {}
            }
            if state.left.losses > 0 {
                actions.push(Action::Lose(at));
            }
        }
        for (index, node) in state.nodes.iter().enumerate() {
            if node.paused {
                actions.push(Action::Continue(index));
            } else if state.left.pauses > 0 {
                actions.push(Action::Pause(index));
            }
            if state.left.crashes > 0 {
                actions.push(Action::Crash(index));
            }
            if state.left.releases > 0 && !node.paused && node.claim.is_held(self.now(state.tick)) {
                actions.push(Action::Release(index));
            }
        }
        if state.left.meddling > 0 {
            match state.server.lease("default", "leader") {
                Some(_) => actions.extend([Action::Annotate, Action::Clear, Action::Delete]),
                None => actions.push(Action::Recreate),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => {
                let held_up = state
                    .messages
                    .iter()
                    .any(|message| !state.nodes[message.node].paused);
                state.left.delays -= u8::from(held_up);
                state.tick += 1;
                let tick = state.tick;
                state
                    .messages
                    .retain(|message| message.sent + LONGEST > tick);
                for index in 0..state.nodes.len() {
                    let is_done = !state.nodes[index].paused && self.rests(&state, index);
                    if is_done {
                        let now = self.now(tick);
                        let node = Arc::make_mut(&mut state.nodes[index]);
                        node.releases(false);
                        node.campaigns += 1;
                        node.claim.acquire(Patience::Forever, now);
                    }
                    self.settle(&mut state, index);
                }
            }
            Action::Exchange(at) => {
                let pending = state.messages.len();
                let node = state.messages[at].node;
                self.arrive(&mut state, at);
                if state.messages.len() == pending && !state.nodes[node].paused {
                    self.answer(&mut state, pending - 1);
                }
            }
            Action::Arrive(at) => self.arrive(&mut state, at),
            Action::Answer(at) => self.answer(&mut state, at),
            Action::Lose(at) => {
                state.messages.remove(at);
                state.left.losses -= 1;
            }
            Action::Pause(index) => {
                Arc::make_mut(&mut state.nodes[index]).paused = true;
                state.left.pauses -= 1;
            }
            Action::Continue(index) => {
                Arc::make_mut(&mut state.nodes[index]).paused = false;
                self.settle(&mut state, index);
            }
            Action::Crash(index) => {
                state.left.crashes -= 1;
                let now = self.now(state.tick);
                let mut node = Node::new(index, state.nodes[index].life + 1, now);
                node.claim.acquire(Patience::Forever, now);
                node.campaigns += 1;
                state.nodes[index] = Arc::new(node);
                self.settle(&mut state, index);
            }
            Action::Release(index) => {
                state.left.releases -= 1;
                let now = self.now(state.tick);
                let node = Arc::make_mut(&mut state.nodes[index]);
                node.releases(true);
                node.claim.release(now);
                self.settle(&mut state, index);
            }
            Action::Annotate => {
                let body = json!({"metadata": {"annotations": {"by": "somebody"}}});
                self.meddle(&mut state, patch(&body), false);
            }
            Action::Clear => self.meddle(
                &mut state,
                patch(&json!({"spec": {"holderIdentity": ""}})),
                true,
            ),
            Action::Delete => {
                self.meddle(&mut state, Request::delete(LEASE).body(Vec::new()), true)
            }
            Action::Recreate => {
                let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": "leader"}, "spec": {"holderIdentity": "stranger", "leaseDurationSeconds": 2}});
                let request = Request::post(LEASES).header("content-type", "application/json");
                self.meddle(
                    &mut state,
                    request.body(body.to_string().into_bytes()),
                    false,
                );
            }
        }
        self.check(&mut state);
        self.seal(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("only one", |_, state: &State| {
            state.broken.is_none()
        })]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.messages.len() <= self.claimants + 2
    }
}

impl System {
    /// Whether a claim is at rest, so that it can be told to acquire.
    fn rests(&self, state: &State, index: usize) -> bool {
        let mut claim = state.nodes[index].claim.clone();
        let output = claim.poll_output(self.now(state.tick), Self::wall(state.tick));
        matches!(output, Output::Done)
    }
}

fn holder(server: &ApiServer) -> Option<String> {
    let lease = server.lease("default", "leader")?;
    let holder = lease["spec"]["holderIdentity"].as_str()?;
    (!holder.is_empty()).then(|| holder.to_owned())
}

fn patch(body: &Value) -> Result<Request<Vec<u8>>, http::Error> {
    Request::patch(LEASE)
        .header("content-type", "application/merge-patch+json")
        .body(body.to_string().into_bytes())
}

/// Reads the numbers of an instant as it is printed, in nanoseconds.
fn nanos_of(text: &str) -> i128 {
    let mut numbers = text
        .split(|it: char| !it.is_ascii_digit())
        .filter_map(|it| it.parse::<i128>().ok());
    numbers.next().unwrap_or(0) * 1_000_000_000 + numbers.next().unwrap_or(0)
}
