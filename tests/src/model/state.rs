//! A state of the whole: claimants, server, messages under way, and how much may still go wrong.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use http::{Method, Request, Response};
use lease_proto::{RequestId, server::ApiServer};

use super::{
    clock::Clock,
    key::{self, Part, Text},
    node::Node,
    record::Record,
};

/// A message under way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) node: usize,
    pub(super) life: u8,
    pub(super) id: RequestId,
    pub(super) request: Request<Vec<u8>>,
    /// The answer, once there is one.
    pub(super) response: Option<Response<Vec<u8>>>,
    /// When the server answered, which `Date` tells.
    pub(super) answered: Option<u32>,
    pub(super) sent: u32,
    /// It may come at any time from now on, or never.
    pub(super) late: bool,
    /// It asks for a stream.
    pub(super) is_stream: bool,
    pub(super) text: Text,
}

impl Message {
    /// Takes apart anew what tells it apart. Most of paths and headers follows from the method.
    pub(super) fn seal(&mut self, clock: &Clock) {
        let Self { node, life, .. } = self;
        let (late, method, sent) = (self.late, self.request.method(), clock.now(self.sent));
        let body = String::from_utf8_lossy(self.request.body());
        let answer = self.response.as_ref();
        let answer = answer.map(|it| (it.status(), String::from_utf8_lossy(it.body())));
        let answered = self.answered.map(|tick| clock.now(tick));
        let query = self.request.uri().query().unwrap_or_default();
        let manager = query.split('&').find(|it| it.starts_with("fieldManager"));
        let from = query
            .split('&')
            .find(|it| it.starts_with("resourceVersion="));
        let from = from.filter(|_| self.is_stream);
        self.text = Text::new(
            clock,
            format_args!(
                "{node} {life} {late} {method} {manager:?} {from:?} {sent:?} {body} {answer:?} {answered:?}"
            ),
        );
    }

    pub(super) fn is_write(&self) -> bool {
        self.request.method() != Method::GET
    }
}

/// A state.
#[derive(Clone)]
pub struct State {
    pub(super) tick: u32,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) server: Arc<ApiServer>,
    /// What the server has, taken apart.
    pub(super) record: Arc<Record>,
    /// When what the record says was asked for: its holder counts from then, and so may others who know the clocks.
    pub(super) changed: u32,
    /// In the order of their senders and their numbers.
    pub(super) messages: Vec<Arc<Message>>,
    /// How many misfortunes are still to come.
    pub(super) left: u8,
    /// The highest token that was granted.
    pub(super) highest: Option<u128>,
    /// The promise that was broken on the way here.
    pub(super) broken: Option<&'static str>,
    key: u64,
}

impl State {
    pub(super) fn new(server: ApiServer, clock: &Clock, left: u8) -> Self {
        let record = Arc::new(Record::of(&server, clock));
        Self {
            tick: 0,
            nodes: Vec::new(),
            server: Arc::new(server),
            record,
            changed: 0,
            messages: Vec::new(),
            left,
            highest: None,
            broken: None,
            key: 0,
        }
    }

    /// The promise that was broken on the way here.
    pub fn broken(&self) -> Option<&'static str> {
        self.broken
    }

    /// How many ticks have passed.
    pub fn tick(&self) -> u32 {
        self.tick
    }

    pub(super) fn message(&self, at: usize) -> Option<&Message> {
        self.messages.get(at).map(Arc::as_ref)
    }

    /// Who has been told that it holds the Lease, and nothing else since.
    pub(super) fn believers(&self) -> Vec<String> {
        let holding = self.nodes.iter().filter(|node| node.holding);
        holding.map(|node| node.identity().to_owned()).collect()
    }

    pub(super) fn describe_record(&self) -> String {
        match (&self.record.holder, self.record.exists) {
            (Some(holder), _) => format!("record: {holder}"),
            (None, true) => "record: nobody".to_owned(),
            (None, false) => "no record".to_owned(),
        }
    }

    /// Whether somebody waits for the answer.
    pub(super) fn is_awaited(&self, message: &Message) -> bool {
        let node = &self.nodes[message.node];
        let stream = node.stream.as_ref().filter(|it| it.watch.is_none());
        let awaited = if message.is_stream {
            stream.map(|stream| stream.id)
        } else {
            node.asked
        };
        node.life == message.life && awaited == Some(message.id)
    }

    /// Whether time cannot pass before a message has arrived.
    pub(super) fn is_due(&self, message: &Message) -> bool {
        !message.late && !self.nodes[message.node].paused
    }

    /// Whether time cannot pass before a stream has told something.
    pub(super) fn is_telling(&self) -> bool {
        let streams = self.nodes.iter().filter(|node| !node.paused);
        let mut streams = streams.filter_map(|node| node.stream.as_ref());
        streams.any(|stream| stream.held_up.is_none() && !stream.lines.is_empty())
    }

    pub(super) fn send(&mut self, message: Message) {
        let place = |it: &Message| (it.node, it.life, it.id, it.response.is_some(), it.late);
        let at = self
            .messages
            .partition_point(|it| place(it) <= place(&message));
        self.messages.insert(at, Arc::new(message));
    }

    /// Computes anew what tells the state apart.
    pub(super) fn seal(&mut self) {
        let nodes = self.nodes.iter().map(|node| &node.text);
        let messages = self.messages.iter().map(|message| &message.text);
        let texts = nodes.chain([&self.record.text]).chain(messages);
        let awaited = self.messages.iter().map(|it| self.is_awaited(it));
        let awaited: Vec<bool> = awaited.collect();
        let highest = self.highest.and_then(|it| u64::try_from(it).ok());
        let more = [
            Part::Instant(i64::from(self.changed)),
            Part::Version(highest.unwrap_or(0)),
        ];
        let nodes = self.nodes.iter().map(|node| (node.paused, node.robbed));
        let nodes: Vec<(bool, bool)> = nodes.collect();
        let rest = (self.left, awaited, self.broken, nodes);
        self.key = key::key(self.tick, texts, &more, rest);
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State at tick {}, {:016x}", self.tick, self.key)
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
