//! A world in simulated time: one API server, several claimants, and a network that fails them one by one.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use lease_proto::{
    Claim, Config, Event, Loss, Output, Patience, RequestId,
    server::{Answer, ApiServer},
};

use crate::{
    faults::{Bug, Faults, halve_duration},
    oracle::{Oracle, Violation},
    random::Random,
};

/// Microseconds of true time since the world began.
pub type Micros = u64;

/// What happened in a world, so that a run in which nothing did is noticed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Requests that reached the server.
    pub requests: u64,
    /// Answers of 409.
    pub conflicts: u64,
    /// Times that a Lease was acquired.
    pub acquired: u64,
    /// Times that a Lease was renewed.
    pub renewed: u64,
    /// Times that a Lease was lost.
    pub lost: u64,
    /// Requests and answers that never arrived.
    pub dropped: u64,
}

/// One claimant with its clocks.
#[derive(Debug)]
struct Node {
    claim: Claim,
    /// The clock's error, in parts per million.
    drift: i64,
    /// The wall clock's error, in microseconds.
    wall_error: i64,
    cut_requests_until: Micros,
    cut_answers_until: Micros,
    paused_until: Micros,
    wake_at: Micros,
    /// The end of its grant as a planted bug has it, on its own clock.
    believes_until: Option<Instant>,
}

#[derive(Debug)]
enum Happening {
    Wake(usize),
    Arrive {
        node: usize,
        life: u64,
        id: RequestId,
        request: http::Request<Vec<u8>>,
    },
    Answered {
        node: usize,
        life: u64,
        id: RequestId,
        response: http::Response<Vec<u8>>,
    },
    Mischief,
}

/// The world.
#[derive(Debug)]
pub struct World {
    random: Random,
    faults: Faults,
    bug: Option<Bug>,
    server: ApiServer,
    nodes: Vec<Node>,
    lives: Vec<u64>,
    start: Instant,
    now: Micros,
    sequence: u64,
    agenda: BTreeMap<(Micros, u64), Happening>,
    oracle: Oracle,
    counts: Counts,
    trace: Option<String>,
}

impl World {
    /// Makes a world of `size` claimants from a seed.
    pub fn new(seed: u64, size: usize, bug: Option<Bug>) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::draw(&mut random);
        let start = *START.get_or_init(|| Instant::now() + Duration::from_secs(1_000_000));
        let mut world = Self {
            server: ApiServer::new(),
            oracle: Oracle::new(size),
            nodes: Vec::new(),
            lives: vec![0; size],
            random,
            faults,
            bug,
            start,
            now: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            counts: Counts::default(),
            trace: None,
        };
        for index in 0..size {
            let node = world.birth(index);
            world.nodes.push(node);
            let at = world.random.between(0, 5_000_000);
            world.schedule(at, Happening::Wake(index));
        }
        world.schedule(1_000_000, Happening::Mischief);
        world
    }

    /// Writes down what happens from here on.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.trace = Some(format!("{:?}\n", self.faults));
        self
    }

    /// Returns what was written down.
    pub fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Returns what has happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// Stops at the first rule that was broken.
    pub fn run(&mut self, until: Micros) -> Result<(), Violation> {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            if at > until {
                break;
            }
            assert!(at >= self.now, "time went back");
            self.now = at;
            self.happen(happening)?;
            self.check()?;
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Wake(index) => self.wake(index),
            Happening::Arrive {
                node,
                life,
                id,
                request,
            } => {
                self.arrive(node, life, id, &request);
                Ok(())
            }
            Happening::Answered {
                node,
                life,
                id,
                response,
            } => {
                if self.lives.get(node) == Some(&life) {
                    let now = self.local(node);
                    let paused = self.node(node).paused_until;
                    if paused > self.now {
                        let again = Happening::Answered {
                            node,
                            life,
                            id,
                            response,
                        };
                        self.schedule(paused, again);
                        return Ok(());
                    }
                    self.node(node).claim.handle_response(id, &response, now);
                    self.wake(node)?;
                }
                Ok(())
            }
            Happening::Mischief => {
                self.mischief();
                let pause = self.random.between(500_000, 15_000_000);
                self.schedule(self.now + pause, Happening::Mischief);
                Ok(())
            }
        }
    }

    fn wake(&mut self, index: usize) -> Result<(), Violation> {
        let paused = self.node(index).paused_until;
        if paused > self.now {
            self.schedule(paused, Happening::Wake(index));
            return Ok(());
        }
        for _ in 0..100 {
            let (now, wall) = (self.local(index), self.wall(index));
            match self.node(index).claim.poll_output(now, wall) {
                Output::Request(request) => self.depart(index, request.id, request.http),
                Output::Cancel(_) => {}
                Output::Event(event) => self.tell(index, event)?,
                Output::Wait(until) => {
                    if until <= now {
                        return Err(Violation::new(index, "waits for what is past"));
                    }
                    let micros = until.duration_since(now).as_micros();
                    // The node's clock may be slow: wake once it certainly shows that instant.
                    let later = u64::try_from(micros).unwrap_or(u64::MAX / 4) * 1_000_000
                        / u64::try_from(1_000_000 + self.node(index).drift).unwrap_or(1)
                        + 2;
                    let at = self.now + later;
                    let true_now = self.now;
                    let node = self.node(index);
                    if node.wake_at <= true_now || at < node.wake_at {
                        node.wake_at = at;
                        self.schedule(at, Happening::Wake(index));
                    }
                    return Ok(());
                }
                Output::Done => {
                    self.node(index).claim.acquire(Patience::Forever, now);
                }
            }
        }
        Err(Violation::new(index, "never comes to rest"))
    }

    fn tell(&mut self, index: usize, event: Event) -> Result<(), Violation> {
        self.note(format_args!("{index} says {event:?}"));
        match &event {
            Event::Acquired(_) => self.counts.acquired += 1,
            Event::Renewed(_) => self.counts.renewed += 1,
            Event::Lost(_) => self.counts.lost += 1,
            _ => {}
        }
        if self.bug == Some(Bug::GrantFromAnswer) {
            let until = self.local(index) + self.node(index).claim.config().lease_duration();
            match &event {
                Event::Acquired(_) | Event::Renewed(_) => {
                    self.node(index).believes_until = Some(until);
                }
                Event::Lost(loss) if *loss != Loss::Expired => {
                    self.node(index).believes_until = None;
                }
                _ => {}
            }
        }
        self.oracle.hear(index, &event)
    }

    /// Sends a request on its way, if it gets that far.
    fn depart(&mut self, index: usize, id: RequestId, request: http::Request<Vec<u8>>) {
        self.note(format_args!(
            "{index} asks {id} {} {}",
            request.method(),
            request.uri()
        ));
        let is_cut = self.node(index).cut_requests_until > self.now;
        if is_cut || self.random.chance(self.faults.loss) {
            self.counts.dropped += 1;
            return;
        }
        let at = self.now + self.random.between(500, self.faults.delay);
        let life = self.lives.get(index).copied().unwrap_or_default();
        self.schedule(
            at,
            Happening::Arrive {
                node: index,
                life,
                id,
                request,
            },
        );
    }

    fn arrive(&mut self, node: usize, life: u64, id: RequestId, request: &http::Request<Vec<u8>>) {
        self.counts.requests += 1;
        let wall = SystemTime::UNIX_EPOCH + Duration::from_micros(EPOCH + self.now);
        let request = match self.bug {
            Some(Bug::NoCompareAndSwap) => self.on_latest_version(request),
            _ => request.clone(),
        };
        let Answer::Whole(mut response) = self.server.handle(&request, wall) else {
            return;
        };
        self.note(format_args!(
            "server answers {node} {id} {}",
            response.status()
        ));
        if response.status() == http::StatusCode::CONFLICT {
            self.counts.conflicts += 1;
        }
        if self.bug == Some(Bug::HalfTheWait) && request.method() == http::Method::GET {
            halve_duration(&mut response, self.node(node).claim.identity().as_str());
        }
        let is_cut = self.node(node).cut_answers_until > self.now;
        if is_cut || self.random.chance(self.faults.loss) {
            self.counts.dropped += 1;
            return;
        }
        let at = self.now + self.random.between(500, self.faults.delay);
        self.schedule(
            at,
            Happening::Answered {
                node,
                life,
                id,
                response,
            },
        );
    }

    fn mischief(&mut self) {
        let most = self.nodes.len().saturating_sub(1);
        let index =
            usize::try_from(self.random.between(0, u64::try_from(most).unwrap_or(0))).unwrap_or(0);
        let length = self.random.between(100_000, 40_000_000);
        match self.random.between(0, 4) {
            0 if self.faults.cuts => {
                let both = self.random.chance(50);
                let requests = self.random.chance(50);
                let until = self.now + length;
                let node = self.node(index);
                if both || requests {
                    node.cut_requests_until = until;
                }
                if both || !requests {
                    node.cut_answers_until = until;
                }
                self.note(format_args!("{index} is cut off for {length} µs"));
            }
            1 if self.faults.pauses => {
                self.node(index).paused_until = self.now + length;
                self.note(format_args!("{index} stops for {length} µs"));
            }
            2 if self.faults.crashes => {
                self.note(format_args!("{index} dies"));
                if let Some(life) = self.lives.get_mut(index) {
                    *life += 1;
                }
                let node = self.birth(index);
                *self.node(index) = node;
                self.oracle.forget(index);
                let again = self.now + self.random.between(1, 5_000_000);
                self.schedule(again, Happening::Wake(index));
            }
            3 if self.faults.annotations => {
                let patch = format!(
                    r#"{{"metadata":{{"annotations":{{"at":"{}"}}}}}}"#,
                    self.now
                );
                let request = http::Request::patch(LEASE)
                    .header("content-type", "application/merge-patch+json")
                    .body(patch.into_bytes());
                let wall = SystemTime::UNIX_EPOCH + Duration::from_micros(EPOCH + self.now);
                if let Ok(request) = request {
                    let _answer = self.server.handle(&request, wall);
                }
            }
            4 => {
                let now = self.local(index);
                if self.node(index).paused_until <= self.now {
                    self.note(format_args!("{index} is told to release"));
                    self.node(index).claim.release(now);
                    self.schedule(self.now, Happening::Wake(index));
                }
            }
            _ => {}
        }
    }

    /// Checks that at most one claimant may act as the holder.
    fn check(&self) -> Result<(), Violation> {
        let believers = (0..self.nodes.len()).filter(|index| self.believes(*index));
        Oracle::check(self.now, believers)
    }

    fn believes(&self, index: usize) -> bool {
        let Some(node) = self.nodes.get(index) else {
            return false;
        };
        let now = local(self.start, self.now, node);
        let by_bug = node.believes_until.is_some_and(|until| now < until);
        node.claim.is_held(now) || by_bug
    }

    fn birth(&mut self, index: usize) -> Node {
        let config = Config::builder("default", "leader", format!("node-{index}"))
            .build()
            .expect("the defaults are valid");
        let seed = self.random.draw();
        let drift = match self.bug {
            Some(Bug::SlowClock) if index == 0 => -500_000,
            _ if self.random.chance(50) => i64::try_from(self.faults.drift).unwrap_or(0),
            _ => -i64::try_from(self.faults.drift).unwrap_or(0),
        };
        let wall_error = self.random.between(0, 7_200_000_000);
        Node {
            claim: Claim::new(config, seed, self.start),
            drift,
            wall_error: i64::try_from(wall_error).unwrap_or(0) - 3_600_000_000,
            cut_requests_until: 0,
            cut_answers_until: 0,
            paused_until: 0,
            wake_at: 0,
            believes_until: None,
        }
    }

    fn on_latest_version(&self, request: &http::Request<Vec<u8>>) -> http::Request<Vec<u8>> {
        let mut request = request.clone();
        let lease = self.server.lease("default", "leader");
        let body = serde_json::from_slice::<serde_json::Value>(request.body());
        if let (Some(lease), Ok(mut body)) = (lease, body) {
            body["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"].clone();
            body["metadata"]["uid"] = lease["metadata"]["uid"].clone();
            if request.method() == http::Method::POST {
                *request.method_mut() = http::Method::PUT;
                *request.uri_mut() = http::Uri::from_static(LEASE);
            }
            *request.body_mut() = body.to_string().into_bytes();
        }
        request
    }

    fn schedule(&mut self, at: Micros, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), happening);
    }

    fn node(&mut self, index: usize) -> &mut Node {
        self.nodes
            .get_mut(index)
            .expect("indices come from this world")
    }

    fn local(&mut self, index: usize) -> Instant {
        let (start, now) = (self.start, self.now);
        local(start, now, self.node(index))
    }

    fn wall(&mut self, index: usize) -> SystemTime {
        let error = self.node(index).wall_error;
        let micros = (EPOCH + self.now).saturating_add_signed(error);
        SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace {
            let seconds = Duration::from_micros(self.now);
            let _written = writeln!(trace, "{seconds:>15.6?} {what}");
        }
    }
}

/// 2026-11-20, in microseconds since the Unix epoch.
const EPOCH: Micros = 1_795_132_800_000_000;
/// The same for all worlds of a process, so that two runs of a seed print the same instants.
static START: OnceLock<Instant> = OnceLock::new();
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader";

fn local(start: Instant, now: Micros, node: &Node) -> Instant {
    let drifted = i128::from(now) * (1_000_000 + i128::from(node.drift)) / 1_000_000;
    start + Duration::from_micros(u64::try_from(drifted).unwrap_or(0))
}
