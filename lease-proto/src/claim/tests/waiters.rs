//! Several claims before the API server of this crate, in simulated time.

use std::collections::BTreeMap;

use super::*;
use crate::server::{Answer, ApiServer};

/// How long a request takes to the server and back.
const ROUND_TRIP: u64 = 5;
/// For how long a waiter is believed in, with the defaults.
pub(super) const CANDIDATE: u64 = 5_000;
/// What tells requests for announcements by their paths: for all of them, for one, and to make one.
pub(super) const LISTS: &str = "labelSelector";
pub(super) const ANNOUNCEMENTS: &str = "leader-candidate";
pub(super) const PLAIN: &str = "lease-plain";

pub(super) struct Waiters {
    pub(super) server: ApiServer,
    pub(super) start: Instant,
    pub(super) millis: u64,
    pub(super) claims: Vec<Claim>,
    /// Those that are not polled, as if their machines were stopped.
    pub(super) stopped: Vec<usize>,
    /// Answers under way: when they come, to whom.
    pub(super) answers: BTreeMap<(u64, u64), Reply>,
    pub(super) next: u64,
    /// Chooses requests that are answered with that code, by methods and paths.
    pub(super) forbids: fn(&str, &str) -> bool,
    pub(super) code: u16,
    /// Chooses those that are never answered.
    pub(super) hangs: fn(&str, &str) -> bool,
    /// Who asked for what, when.
    pub(super) asked: Vec<(u64, usize, String)>,
    pub(super) events: Vec<(u64, usize, Event)>,
}

pub(super) struct Reply {
    to: usize,
    id: RequestId,
    answer: Response<Vec<u8>>,
}

impl Waiters {
    pub(super) fn new(priorities: &[Option<i32>]) -> Self {
        Self::with(priorities, |config| config)
    }

    pub(super) fn with(
        priorities: &[Option<i32>],
        configure: fn(ConfigBuilder) -> ConfigBuilder,
    ) -> Self {
        let start = some_instant();
        let claims = priorities.iter().enumerate().map(|(n, priority)| {
            let config = Config::builder("default", "leader", format!("node-{n}"));
            let config = config.unique_identity(false).watch(false);
            let config = configure(config.priority(*priority)).build().unwrap();
            Claim::new(config, n as u64, start)
        });
        Self {
            server: ApiServer::new(),
            start,
            millis: 0,
            claims: claims.collect(),
            stopped: Vec::new(),
            answers: BTreeMap::new(),
            next: 0,
            forbids: |_, _| false,
            code: 403,
            hangs: |_, _| false,
            asked: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn acquire(&mut self, node: usize, patience: Patience) -> &mut Self {
        let now = self.now();
        self.claims[node].acquire(patience, now);
        self
    }

    pub(super) fn release(&mut self, node: usize) -> &mut Self {
        let now = self.now();
        self.claims[node].release(now);
        self
    }

    pub(super) fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.millis)
    }

    pub(super) fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(WALL + self.millis)
    }

    /// Goes on for some milliseconds.
    pub(super) fn run(&mut self, millis: u64) -> &mut Self {
        let until = self.millis + millis;
        while self.millis < until {
            while let Some(first) = self.answers.first_entry()
                && first.key().0 <= self.millis
            {
                let Reply { to, id, answer } = first.remove();
                let now = self.now();
                if !self.stopped.contains(&to) {
                    self.claims[to].handle_response(id, &answer, now);
                }
            }
            for node in 0..self.claims.len() {
                if !self.stopped.contains(&node) {
                    self.poll(node);
                }
            }
            self.millis += 1;
        }
        self
    }

    pub(super) fn poll(&mut self, node: usize) {
        loop {
            let (now, wall) = (self.now(), self.wall());
            match self.claims[node].poll_output(now, wall) {
                Output::Request(request) => self.serve(node, request),
                Output::Cancel(id) => {
                    self.answers.retain(|_, it| it.to != node || it.id != id);
                }
                Output::Event(event) => self.events.push((self.millis, node, event)),
                Output::Wait(_) | Output::Done => return,
            }
        }
    }

    pub(super) fn serve(&mut self, node: usize, request: crate::Request) {
        assert!(
            !self.answers.values().any(|it| it.to == node),
            "one at a time"
        );
        let (method, path) = (
            request.http.method().to_string(),
            request.http.uri().to_string(),
        );
        self.asked
            .push((self.millis, node, format!("{method} {path}")));
        if (self.hangs)(&method, &path) {
            return;
        }
        let answer = if (self.forbids)(&method, &path) {
            let body = status(self.code, "Forbidden", "leases is forbidden").to_string();
            let answer = Response::builder().status(self.code);
            let answer = answer.body(body.into_bytes());
            answer.unwrap()
        } else {
            match self.server.handle(&request.http, self.wall()) {
                Answer::Whole(answer) => answer,
                Answer::Watch(..) => panic!("nobody watches"),
            }
        };
        self.next += 1;
        let due = (self.millis + ROUND_TRIP, self.next);
        let (to, id) = (node, request.id);
        self.answers.insert(due, Reply { to, id, answer });
    }

    /// Who has acquired, in this order.
    pub(super) fn order(&self) -> Vec<usize> {
        let acquired = |(_, node, event): &(u64, usize, Event)| {
            matches!(event, Event::Acquired(_)).then_some(*node)
        };
        self.events.iter().filter_map(acquired).collect()
    }

    /// When `node` asked for something by that method, with that in its path or query.
    pub(super) fn times_of(&self, node: usize, method: &str, part: &str) -> Vec<u64> {
        let asked = self
            .asked
            .iter()
            .filter(|(_, by, what)| *by == node && what.starts_with(method) && what.contains(part));
        asked.map(|(at, _, _)| *at).collect()
    }

    /// Goes on until something is so, for a minute at most.
    pub(super) fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) -> &mut Self {
        let until = self.millis + 60_000;
        while !is_so(self) {
            assert!(self.millis < until, "it never is");
            self.run(1);
        }
        self
    }

    /// When `node` acquired last.
    pub(super) fn acquired_at(&self, node: usize) -> Option<u64> {
        let is_it = |(_, by, event): &&(u64, usize, Event)| {
            *by == node && matches!(event, Event::Acquired(_))
        };
        Some(self.events.iter().rev().find(is_it)?.0)
    }

    pub(super) fn holds(&self, node: usize) -> bool {
        self.claims[node].is_held(self.now())
    }

    /// How many announcements there are beside the contested Lease.
    pub(super) fn announced(&mut self) -> usize {
        self.priorities().len()
    }

    /// What priorities they say.
    pub(super) fn priorities(&mut self) -> Vec<Value> {
        let list = http::Request::get("/apis/coordination.k8s.io/v1/namespaces/default/leases");
        let Answer::Whole(answer) = self
            .server
            .handle(&list.body(Vec::new()).unwrap(), self.wall())
        else {
            panic!("a list is a whole answer");
        };
        let list: Value = serde_json::from_slice(answer.body()).unwrap();
        let items = list["items"].as_array().unwrap();
        let is_candidate =
            |item: &&Value| item["metadata"]["labels"]["lease-proto/candidate-for"] == "leader";
        let priority =
            |item: &Value| item["metadata"]["annotations"]["lease-proto/priority"].clone();
        items.iter().filter(is_candidate).map(priority).collect()
    }

    /// Has each that acquires release after a while, until all have had their turn.
    pub(super) fn take_turns(&mut self) -> Vec<usize> {
        for _ in 0..self.claims.len() {
            self.run(8_000);
            let holder = (0..self.claims.len()).find(|node| self.holds(*node));
            if let Some(holder) = holder {
                self.release(holder);
            }
        }
        self.run(100);
        self.order()
    }
}
