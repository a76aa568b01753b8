//! A set, the API server, and the way between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use http::Response;

use super::*;
use crate::{
    call::Request,
    server::{Answer, ApiServer, WatchId, WatchOutput},
};

/// 2026-11-20T19:31:57Z, and a quarter.
const WALL: Duration = Duration::from_millis(1_795_203_117_250);

/// Chooses requests by their methods and paths.
type Choice = Box<dyn Fn(&str, &str) -> bool>;

/// Delays requests by their methods and paths.
type Delay = Box<dyn Fn(&str, &str) -> Duration>;

pub(super) struct World {
    pub(super) set: ClaimSet,
    pub(super) server: ApiServer,
    /// A claim without a set, to which all happens that happens to the only one of the set.
    pub(super) twin: Option<Claim>,
    start: Instant,
    /// Since the start.
    pub(super) now: Duration,
    /// How long a request takes to the server, and an answer back.
    pub(super) way: Duration,
    /// Those that never get to the server.
    pub(super) hang: Choice,
    /// How much longer some take.
    pub(super) delay: Delay,
    /// How long a server takes for each that does one after another, whether or not anybody still waits for it; and until when
    /// it has to do with those that it has been sent.
    pub(super) serial: Duration,
    pub(super) busy_until: Duration,
    /// How much longer whole answers take on their way back.
    pub(super) lag: Duration,
    /// How far the machine's wall clock and the server's are off, in seconds.
    pub(super) wall_error: i64,
    pub(super) server_error: i64,
    /// Those whose answers do not tell the server's time.
    pub(super) timeless: Choice,
    /// What the next requests for streams are answered instead.
    pub(super) refusals: Vec<Response<Vec<u8>>>,
    /// For how many seconds records that others write are theirs.
    pub(super) seconds: u64,
    /// How many requests went out with credentials that were read again.
    pub(super) reloads: usize,
    /// Whether streams say nothing any more.
    pub(super) is_mute: bool,
    /// Whether what is lost is to be acquired again.
    pub(super) insists: bool,
    pub(super) token: Option<&'static str>,
    /// What is on its way, and when it is there.
    under_way: BTreeMap<(Duration, u64), Arrival>,
    next: u64,
    /// Those not answered or given up.
    open: BTreeSet<Tag>,
    streams: BTreeMap<Tag, WatchId>,
    pub(super) cancelled: BTreeSet<Tag>,
    pub(super) most_open: usize,
    pub(super) most_streams: usize,
    /// When requests were sent, by what method, to which path.
    pub(super) sent: Vec<(Duration, String, String)>,
    pub(super) events: Vec<(Duration, ClaimId, Event)>,
    pub(super) wait: Option<Duration>,
}

enum Arrival {
    Request(Tag, Request),
    Answer(Tag, Response<Vec<u8>>),
    Chunk(Tag, Vec<u8>),
    End(Tag),
}

impl World {
    pub(super) const SEED: u64 = 7;

    pub(super) fn new(limits: SetLimits) -> Self {
        Self::before(ApiServer::builder().history(1_000_000).build(), limits)
    }

    pub(super) fn before(server: ApiServer, limits: SetLimits) -> Self {
        let start = some_instant();
        Self {
            set: ClaimSet::new(limits, Self::SEED, start),
            server,
            twin: None,
            start,
            now: Duration::ZERO,
            way: MILLI * 5 / 2,
            hang: Box::new(|_, _| false),
            delay: Box::new(|_, _| Duration::ZERO),
            serial: Duration::ZERO,
            busy_until: Duration::ZERO,
            lag: Duration::ZERO,
            wall_error: 0,
            server_error: 0,
            timeless: Box::new(|_, _| false),
            refusals: Vec::new(),
            seconds: 15,
            reloads: 0,
            is_mute: false,
            insists: false,
            token: None,
            under_way: BTreeMap::new(),
            next: 0,
            open: BTreeSet::new(),
            streams: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            most_open: 0,
            most_streams: 0,
            sent: Vec::new(),
            events: Vec::new(),
            wait: None,
        }
    }

    pub(super) fn add(&mut self, name: &str) -> ClaimId {
        self.set.add(config(name), self.instant())
    }

    /// Adds claims named by their numbers, and has them acquire.
    pub(super) fn acquire(&mut self, count: usize) -> Vec<ClaimId> {
        let now = self.instant();
        let ids: Vec<_> = (0..count)
            .map(|n| self.add(&format!("lease-{n}")))
            .collect();
        for id in &ids {
            self.set.acquire(*id, Patience::Forever, now);
        }
        ids
    }

    pub(super) fn instant(&self) -> Instant {
        self.start + self.now
    }

    pub(super) fn since_start(&self, instant: Instant) -> Duration {
        instant.duration_since(self.start)
    }

    /// What a clock shows that is so many seconds off.
    pub(super) fn wall(&self, error: i64) -> SystemTime {
        let seconds = WALL.as_secs().checked_add_signed(error).unwrap();
        let wall = Duration::new(seconds, WALL.subsec_nanos());
        SystemTime::UNIX_EPOCH + wall + self.now
    }

    pub(super) fn output(&mut self) -> SetOutput {
        let (now, wall) = (self.instant(), self.wall(self.wall_error));
        let output = self.set.poll_output(now, wall);
        if let Some(twin) = &mut self.twin {
            let twins = twin.poll_output(now, wall);
            assert!(says_the_same(&output, &twins), "{output:?}, {twins:?}");
        }
        output
    }

    /// Does what the set says until it waits.
    pub(super) fn drive(&mut self) {
        loop {
            match self.output() {
                SetOutput::Request(tag, mut request) => {
                    let (method, path) = (
                        request.http.method().to_string(),
                        request.http.uri().to_string(),
                    );
                    assert!(self.instant() < request.deadline);
                    self.reloads += usize::from(request.reload_credentials);
                    if let Some(token) = self.token {
                        let value = format!("Bearer {token}").parse().unwrap();
                        request.http.headers_mut().insert("authorization", value);
                    }
                    if !request.is_stream {
                        assert!(self.open.insert(tag));
                        self.most_open = self.most_open.max(self.open.len());
                    }
                    if !(self.hang)(&method, &path) {
                        let way = self.now + self.way + (self.delay)(&method, &path);
                        let way = if request.is_stream || self.serial.is_zero() {
                            way
                        } else {
                            self.busy_until = self.busy_until.max(way) + self.serial;
                            self.busy_until
                        };
                        self.put(way - self.now, Arrival::Request(tag, request));
                    }
                    self.sent.push((self.now, method, path));
                }
                SetOutput::Cancel(tag) => {
                    self.cancelled.insert(tag);
                    if let Some(watch) = self.streams.remove(&tag) {
                        self.server.close_watch(watch);
                    }
                    self.open.remove(&tag);
                }
                SetOutput::Event(id, event) => {
                    if self.insists && matches!(event, Event::Lost(_)) {
                        let now = self.instant();
                        self.set.acquire(id, Patience::Forever, now);
                    }
                    self.events.push((self.now, id, event));
                }
                SetOutput::Wait(until) => {
                    let until = self.since_start(until);
                    assert!(self.now < until, "a wait that is over at {:?}", self.now);
                    self.wait = Some(until);
                    return;
                }
                SetOutput::Done => {
                    self.wait = None;
                    return;
                }
            }
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        loop {
            self.drive();
            let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let next = arrival.into_iter().chain(self.wait).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return self;
            };
            self.now = next;
            while let Some(first) = self.under_way.first_entry()
                && first.key().0 <= next
            {
                let arrival = first.remove();
                self.arrive(arrival);
            }
            if self.wait.is_some_and(|wait| wait <= next) {
                self.pump();
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.instant();
        if let Some(twin) = &mut self.twin {
            match &arrival {
                Arrival::Request(..) => {}
                Arrival::Answer(tag, answer) => twin.handle_response(tag.request, answer, now),
                Arrival::Chunk(tag, chunk) => twin.handle_chunk(tag.request, chunk, now),
                Arrival::End(tag) => twin.handle_end(tag.request, now),
            }
        }
        match arrival {
            Arrival::Request(tag, request) => {
                let way = self.way;
                let wall = self.wall(self.server_error);
                if request.is_stream
                    && let Some(refusal) = self.refusals.pop()
                {
                    self.put(way, Arrival::Answer(tag, refusal));
                    return;
                }
                match self.server.handle(&request.http, wall) {
                    Answer::Whole(mut answer) => {
                        let (method, path) = (request.http.method(), request.http.uri());
                        if (self.timeless)(method.as_str(), path.path()) {
                            answer.headers_mut().remove(http::header::DATE);
                        }
                        self.put(way + self.lag, Arrival::Answer(tag, answer));
                    }
                    Answer::Watch(head, watch) => {
                        self.streams.insert(tag, watch);
                        self.most_streams = self.most_streams.max(self.streams.len());
                        self.put(way, Arrival::Answer(tag, head.map(|()| Vec::new())));
                    }
                }
                self.pump();
            }
            Arrival::Answer(tag, answer) => {
                self.open.remove(&tag);
                self.set.handle_response(tag, &answer, now);
            }
            Arrival::Chunk(tag, chunk) => self.set.handle_chunk(tag, &chunk, now),
            Arrival::End(tag) => self.set.handle_end(tag, now),
        }
    }

    /// Sends on what watches have to say.
    pub(super) fn pump(&mut self) {
        let streams: Vec<_> = self.streams.iter().map(|(tag, id)| (*tag, *id)).collect();
        for (tag, id) in streams {
            loop {
                let wall = self.wall(self.server_error);
                let output = self.server.poll_watch(id, wall);
                let way = self.way;
                match output {
                    WatchOutput::Chunk(_) if self.is_mute => {}
                    WatchOutput::Chunk(chunk) => self.put(way, Arrival::Chunk(tag, chunk)),
                    WatchOutput::Wait { .. } => break,
                    WatchOutput::End => {
                        self.streams.remove(&tag);
                        self.put(way, Arrival::End(tag));
                        break;
                    }
                }
            }
        }
    }

    fn put(&mut self, way: Duration, arrival: Arrival) {
        self.next += 1;
        self.under_way.insert((self.now + way, self.next), arrival);
    }

    pub(super) fn last_stream(&self) -> Option<Tag> {
        self.streams.keys().next_back().copied()
    }

    /// Has a stream tell something that this server would not.
    pub(super) fn tell(&mut self, line: &str) {
        let (tag, now) = (self.last_stream().unwrap(), self.instant());
        let line = format!("{line}\n");
        self.set.handle_chunk(tag, line.as_bytes(), now);
        self.drive();
    }

    /// Has no stream end ever, nor tell anything, as where a connection is no more and nobody knows.
    pub(super) fn lose_streams(&mut self) {
        for watch in std::mem::take(&mut self.streams).into_values() {
            self.server.close_watch(watch);
        }
    }

    /// Ends all streams, as a server that is stopped does.
    pub(super) fn cut_streams(&mut self) {
        for (tag, watch) in std::mem::take(&mut self.streams) {
            self.server.close_watch(watch);
            self.put(Duration::ZERO, Arrival::End(tag));
        }
    }

    /// Writes a record, or changes it, as somebody else.
    pub(super) fn write(&mut self, name: &str, holder: &str) {
        self.write_by("curl", name, holder);
    }

    /// Writes a record, or changes it, as somebody else under the name of a program, by a clock that is right.
    pub(super) fn write_by(&mut self, manager: &str, name: &str, holder: &str) {
        let wall = self.wall(0);
        let time = jiff::Timestamp::try_from(wall).unwrap();
        let spec = serde_json::json!({
            "holderIdentity": holder,
            "leaseDurationSeconds": self.seconds,
            "renewTime": format!("{time:.6}"),
        });
        let (namespace, name) = place(name);
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        let request = if self.server.lease(namespace, name).is_some() {
            let request = http::Request::patch(format!("{path}/{name}?fieldManager={manager}"));
            request.header("content-type", "application/merge-patch+json")
        } else {
            http::Request::post(format!("{path}?fieldManager={manager}"))
        };
        let request = request.header("authorization", "Bearer other");
        let body = serde_json::json!({"metadata": {"name": name}, "spec": spec});
        let request = request.body(serde_json::to_vec(&body).unwrap()).unwrap();
        let Answer::Whole(answer) = self.server.handle(&request, wall) else {
            panic!("a write is no watch");
        };
        assert!(answer.status().is_success(), "{answer:?}");
        self.pump();
    }

    pub(super) fn held(&self, ids: &[ClaimId]) -> usize {
        let now = self.instant();
        let is_held = |id: &&ClaimId| self.set.get(**id).is_some_and(|claim| claim.is_held(now));
        ids.iter().filter(is_held).count()
    }

    pub(super) fn losses(&self) -> usize {
        let is_loss = |event: &Event| matches!(event, Event::Lost(_));
        self.events
            .iter()
            .filter(|(_, _, event)| is_loss(event))
            .count()
    }

    /// Counts requests of a method since some time.
    pub(super) fn count(&self, method: &str, since: Duration) -> usize {
        let sent = self.sent.iter();
        sent.filter(|(at, it, _)| since <= *at && it == method)
            .count()
    }

    pub(super) fn watches(&self) -> Vec<&str> {
        let paths = self.sent.iter().map(|(_, _, path)| path.as_str());
        paths.filter(|path| path.contains("watch=true")).collect()
    }
}

/// The namespace and the name that a name stands for.
pub(super) fn place(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("default", name))
}

/// Whether a set of one says what its claim does. It may look around more often.
fn says_the_same(set: &SetOutput, claim: &Output) -> bool {
    match (set, claim) {
        (SetOutput::Request(tag, one), Output::Request(other)) => {
            tag.request == other.id && format!("{one:?}") == format!("{other:?}")
        }
        (SetOutput::Cancel(tag), Output::Cancel(id)) => tag.request == *id,
        (SetOutput::Event(_, one), Output::Event(other)) => one == other,
        (SetOutput::Wait(one), Output::Wait(other)) => one <= other,
        (SetOutput::Done, Output::Done) => true,
        _ => false,
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no other way to make an instant, and any will do"
)]
fn some_instant() -> Instant {
    Instant::now() + Duration::from_secs(1_000_000)
}
