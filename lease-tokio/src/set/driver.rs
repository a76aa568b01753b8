//! The task that drives a set: requests out, answers in.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use lease_proto::{Request, SetOutput, Tag, observe::Observer};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::state::{Inner, State};
use crate::{
    TransportError,
    observe::within,
    shared::be_seen,
    watch::{self, Told, Watch, unless_it_panics},
};

/// Begins to drive a set.
pub(super) fn start(inner: Arc<Inner>) {
    tokio::spawn(async move {
        // Whatever happens to this task, nobody may believe in Leases that are not kept any more.
        let end = End(inner);
        Driver::new(&end.0).run().await;
    });
}

/// Says that the task has ended, however it ends.
struct End(Arc<Inner>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.state().end();
    }
}

type Outcome = Result<http::Response<Vec<u8>>, TransportError>;

struct Driver<'a> {
    inner: &'a Inner,
    /// Dropped, they end what they do.
    work: JoinSet<()>,
    flights: HashMap<Tag, Flight>,
    /// When they must be over, the first first.
    deadlines: BTreeSet<(Instant, Tag)>,
    streams: HashMap<Tag, AbortHandle>,
    outcomes: (Sender<Outcome>, Receiver<Outcome>),
    told: (Sender<Piece>, Receiver<Piece>),
}

type Sender<T> = mpsc::Sender<(Tag, T)>;
type Receiver<T> = mpsc::Receiver<(Tag, T)>;

/// A request whose outcome is awaited.
struct Flight {
    deadline: Instant,
    timeout: Duration,
    abort: AbortHandle,
}

/// What a stream says.
struct Piece {
    told: Told,
    is_last: bool,
}

/// What has happened.
enum Input {
    Outcome(Tag, Outcome),
    Told(Tag, Piece),
    /// Something was told to the set, or it is time.
    Nothing,
}

impl<'a> Driver<'a> {
    fn new(inner: &'a Inner) -> Self {
        Self {
            inner,
            work: JoinSet::new(),
            flights: HashMap::new(),
            deadlines: BTreeSet::new(),
            streams: HashMap::new(),
            outcomes: mpsc::channel(BACKLOG),
            told: mpsc::channel(BACKLOG),
        }
    }

    async fn run(mut self) {
        loop {
            let Some(until) = self.step() else { return };
            let input = self.wait(until).await;
            let mut state = self.inner.state();
            self.take(&mut state, input);
            // What has come beside it is taken in one go.
            while let Ok((tag, outcome)) = self.outcomes.1.try_recv() {
                self.take(&mut state, Input::Outcome(tag, outcome));
            }
            drop(state);
            while self.work.try_join_next().is_some() {}
        }
    }

    /// Does all that is to be done now; returns when there may be more, `None` once there will be nothing any more.
    fn step(&mut self) -> Option<Instant> {
        let clock = self.inner.clock();
        let mut state = self.inner.state();
        loop {
            let now = clock.now();
            be_seen(&self.inner.seen, now, Duration::ZERO);
            self.notice_silence(&mut state, now);
            let until = match state.proto.poll_output(now, clock.wall()) {
                SetOutput::Request(tag, request) if request.is_stream => {
                    self.open(&state, tag, request);
                    continue;
                }
                SetOutput::Request(tag, request) => {
                    self.send(&mut state, tag, request);
                    continue;
                }
                SetOutput::Cancel(tag) => {
                    self.cancel(&mut state, tag);
                    continue;
                }
                SetOutput::Event(id, event) => {
                    state.tell(id, &event, now);
                    continue;
                }
                SetOutput::Wait(until) => Some(until),
                SetOutput::Done => None,
            };
            if state.settle(now) {
                continue;
            }
            if state.is_over() {
                return None;
            }
            let until = until.into_iter().chain(state.roster.next()).min();
            // Timers stop while the machine is suspended and the clock does not, so it is looked at often.
            return Some(until.map_or(now + TICK, |until| until.min(now + TICK)));
        }
    }

    fn send(&mut self, state: &mut State, tag: Tag, request: Request) {
        let Request {
            deadline,
            reload_credentials,
            http,
            ..
        } = request;
        let (client, clock) = (self.inner.client.clone(), self.inner.clock());
        let timeout = deadline.saturating_duration_since(clock.now());
        let exchange = async move {
            let timeout = deadline.saturating_duration_since(clock.now());
            if timeout.is_zero() {
                // Nobody waits for it any more, so it must not be carried out either.
                return Err(client.silence(timeout));
            }
            client.send(http, timeout, reload_credentials).await
        };
        let member = tag.claim().and_then(|id| {
            state.roster.asks(id);
            state.members.get(&id)
        });
        let observer = member.map_or_else(Observer::silent, |member| member.observer.of_request());
        let exchange = within(&observer, exchange);
        let outcomes = self.outcomes.0.clone();
        let abort = self.work.spawn(async move {
            let outcome = unless_it_panics(pin!(exchange)).await;
            let _nobody_waits = outcomes.send((tag, outcome.unwrap_or_else(Err))).await;
        });
        let flight = Flight {
            deadline,
            timeout,
            abort,
        };
        self.deadlines.insert((deadline, tag));
        self.flights.insert(tag, flight);
    }

    fn open(&mut self, state: &State, tag: Tag, request: Request) {
        let member = tag.claim().and_then(|id| state.members.get(&id));
        let silent = Observer::silent();
        let observer = member.map_or(&silent, |member| &member.observer);
        let client = self.inner.client.clone();
        let mut stream = Some(Watch::new(request, client, self.inner.clock(), observer));
        let pieces = self.told.0.clone();
        let abort = self.work.spawn(async move {
            while stream.is_some() {
                let (_, told) = watch::told(&mut stream).await;
                let piece = Piece {
                    told,
                    is_last: stream.is_none(),
                };
                if pieces.send((tag, piece)).await.is_err() {
                    return;
                }
            }
        });
        self.streams.insert(tag, abort);
    }

    /// Gives a request up: what is dropped ends its stream of the connection.
    fn cancel(&mut self, state: &mut State, tag: Tag) {
        if let Some(stream) = self.streams.remove(&tag) {
            stream.abort();
        }
        let Some(flight) = self.flights.remove(&tag) else {
            return;
        };
        flight.abort.abort();
        self.deadlines.remove(&(flight.deadline, tag));
        let now = self.inner.clock().now();
        let claim = tag.claim().and_then(|id| state.proto.get(id));
        if now < flight.deadline && claim.is_some_and(|claim| claim.is_held(now)) {
            // The core has seen that it hangs, and tells of that right away.
            let left = flight.deadline.saturating_duration_since(now);
            self.keep_silence(state, tag, flight.timeout.saturating_sub(left));
        }
        asks_no_more(state, tag);
    }

    /// Keeps the reason when no outcome comes in time, which the core notices by itself, and tells of right away.
    fn notice_silence(&mut self, state: &mut State, now: Instant) {
        while let Some(&(deadline, tag)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(flight) = self.flights.get(&tag) {
                self.keep_silence(state, tag, flight.timeout);
            }
        }
    }

    fn keep_silence(&self, state: &mut State, tag: Tag, after: Duration) {
        let silence = Err(self.inner.client.silence(after));
        Self::observe(state, tag, &silence, after);
        keep_error(state, tag, silence.err());
    }

    /// Waits until something happens.
    async fn wait(&mut self, until: Instant) -> Input {
        let pause = until.saturating_duration_since(self.inner.clock().now());
        let (outcomes, told) = (&mut self.outcomes.1, &mut self.told.1);
        tokio::select! {
            Some((tag, outcome)) = outcomes.recv() => Input::Outcome(tag, outcome),
            Some((tag, piece)) = told.recv() => Input::Told(tag, piece),
            () = self.inner.told.notified() => Input::Nothing,
            () = tokio::time::sleep(pause) => Input::Nothing,
        }
    }

    fn take(&mut self, state: &mut State, input: Input) {
        match input {
            Input::Outcome(tag, outcome) => self.answer(state, tag, outcome),
            Input::Told(tag, piece) => self.hear(state, tag, piece),
            Input::Nothing => {}
        }
    }

    fn answer(&mut self, state: &mut State, tag: Tag, outcome: Outcome) {
        // One that was given up may have come in the meantime.
        let Some(flight) = self.flights.remove(&tag) else {
            return;
        };
        self.deadlines.remove(&(flight.deadline, tag));
        let now = self.inner.clock().now();
        let left = flight.deadline.saturating_duration_since(now);
        Self::observe(state, tag, &outcome, flight.timeout.saturating_sub(left));
        asks_no_more(state, tag);
        match outcome {
            Ok(response) => state.proto.handle_response(tag, &response, now),
            Err(error) => {
                keep_error(state, tag, Some(error));
                state.proto.handle_failure(tag, now);
            }
        }
    }

    fn hear(&mut self, state: &mut State, tag: Tag, piece: Piece) {
        if !self.streams.contains_key(&tag) {
            return;
        }
        if piece.is_last {
            self.streams.remove(&tag);
        }
        let now = self.inner.clock().now();
        match piece.told {
            Told::Answer(answer) => state.proto.handle_response(tag, &answer, now),
            Told::Chunk(chunk) => state.proto.handle_chunk(tag, &chunk, now),
            Told::End(Some(TransportError::NoStreams)) => state.proto.handle_no_stream(tag, now),
            Told::End(error) => {
                let member = tag.claim().and_then(|id| state.members.get(&id));
                let silent = Observer::silent();
                let observer = member.map_or(&silent, |member| &member.observer);
                observer.end(error.as_ref());
                keep_error(state, tag, error);
                state.proto.handle_end(tag, now);
            }
        }
    }

    fn observe(state: &State, tag: Tag, outcome: &Outcome, took: Duration) {
        if let Some(id) = tag.claim()
            && let (Some(member), Some(claim)) = (state.members.get(&id), state.proto.get(id))
        {
            member.observer.answer(claim, outcome, took);
        }
    }
}

fn keep_error(state: &mut State, tag: Tag, error: Option<TransportError>) {
    let member = tag.claim().and_then(|id| state.members.get_mut(&id));
    if let (Some(member), Some(error)) = (member, error) {
        member.last_error = Some(Arc::new(error));
    }
}

/// A look that was asked for may begin.
fn asks_no_more(state: &mut State, tag: Tag) {
    if let Some(id) = tag.claim() {
        state.roster.asks_no_more(id);
    }
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);
/// How much may have come that nobody has taken yet.
const BACKLOG: usize = 64;
