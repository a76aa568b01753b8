//! The thread that drives a set: requests out, answers in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc::Receiver},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lease_proto::{Request, SetOutput, Tag, observe::Observer};

use super::{
    pool::{Exchange, Pool},
    state::{Inner, State},
};
use crate::{
    Clock, TransportError,
    abort::Abort,
    threads::{self, Threads},
    watch::{Told, Watch},
};

/// Begins to drive a set.
pub(super) fn start(inner: Arc<Inner>, inbox: Receiver<Input>) -> io::Result<JoinHandle<()>> {
    let run = move || {
        // Whatever happens, nobody may believe in Leases that are not kept any more.
        let end = End(inner);
        let run = || Driver::new(&end.0, inbox).run();
        let _panicked = catch_unwind(AssertUnwindSafe(run));
    };
    thread::Builder::new()
        .name("lease-set".to_owned())
        .spawn(run)
}

/// Says that the thread has ended, however it ends.
struct End(Arc<Inner>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.state().end();
    }
}

/// What wakes a set that waits.
#[derive(Debug)]
pub(super) enum Input {
    Outcome(Tag, Outcome),
    /// A stream has something to say.
    Told(Tag),
    /// Something was asked of a claim, or another one was added.
    Asked,
}

type Outcome = Result<http::Response<Vec<u8>>, TransportError>;

struct Driver<'a> {
    inner: &'a Inner,
    clock: Clock,
    inbox: Receiver<Input>,
    flights: HashMap<Tag, Flight>,
    deadlines: BTreeSet<(Instant, Tag)>,
    /// Requests that were given up and have not come back from the transport.
    strays: HashSet<Tag>,
    streams: HashMap<Tag, Watch>,
    /// Streams to be closed once the lock is free: how, is up to the transport.
    over: Vec<Watch>,
    pool: Pool,
    watches: Threads,
}

/// A request whose outcome is awaited. Dropping it gives the request up.
struct Flight {
    deadline: Instant,
    timeout: Duration,
    abort: Abort,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl<'a> Driver<'a> {
    fn new(inner: &'a Inner, inbox: Receiver<Input>) -> Self {
        Self {
            inner,
            clock: Clock::new(),
            inbox,
            flights: HashMap::new(),
            deadlines: BTreeSet::new(),
            strays: HashSet::new(),
            streams: HashMap::new(),
            over: Vec::new(),
            pool: Pool::new(IDLE),
            watches: Threads::default(),
        }
    }

    fn run(mut self) {
        while let Some(until) = self.step() {
            self.over.clear();
            let pause = until.saturating_duration_since(self.clock.now());
            let mut input = self.inbox.recv_timeout(pause).ok();
            let mut state = self.inner.state();
            state.is_asked = false;
            // What has come beside it is taken in one go, but not for ever.
            for _ in 0..BACKLOG {
                let Some(next) = input else { break };
                self.take(&mut state, next);
                input = self.inbox.try_recv().ok();
            }
            if let Some(last) = input {
                self.take(&mut state, last);
            }
        }
    }

    /// Does all that is to be done now; returns when there may be more, `None` once there will be nothing any more.
    fn step(&mut self) -> Option<Instant> {
        let mut state = self.inner.state();
        loop {
            let now = self.clock.now();
            self.notice_silence(&mut state, now);
            let until = match state.proto.poll_output(now, self.clock.wall()) {
                SetOutput::Request(tag, request) if request.is_stream => {
                    self.open(&mut state, tag, request);
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

    /// Sends a request, unless too many have not come back.
    fn send(&mut self, state: &mut State, tag: Tag, request: Request) {
        let Request {
            deadline,
            reload_credentials,
            http,
            ..
        } = request;
        let abort = Abort::default();
        let flight = Flight {
            deadline,
            timeout: deadline.saturating_duration_since(self.clock.now()),
            abort: abort.clone(),
        };
        self.flights.insert(tag, flight);
        self.deadlines.insert((deadline, tag));
        let member = tag.claim().and_then(|id| {
            state.roster.asks(id);
            state.members.get(&id)
        });
        let strays = member.map_or(0, |member| member.strays);
        let observer = member.map_or_else(Observer::silent, |member| member.observer.of_request());
        let exchange = Exchange {
            tag,
            http,
            deadline,
            reload_credentials,
            client: self.inner.client.clone(),
            observer,
            abort,
            outbox: self.inner.outbox.clone(),
        };
        let sent = if strays >= threads::MOST || self.strays.len() >= STRAYS {
            Err(threads::stuck())
        } else {
            let carried = self.pool.carry(exchange);
            carried.map_err(|error| TransportError::Other(error.into()))
        };
        if let Err(error) = sent {
            self.answer(state, tag, Err(error));
        }
    }

    fn open(&mut self, state: &mut State, tag: Tag, request: Request) {
        let outbox = self.inner.outbox.clone();
        let wake = move |_| outbox.send(Input::Told(tag)).is_ok();
        let member = tag.claim().and_then(|id| state.members.get(&id));
        let observer = member.map_or_else(Observer::silent, |member| member.observer.of_request());
        self.watches.allow(self.streams.len() + STRAYS);
        match Watch::new(
            request,
            self.inner.client.clone(),
            self.clock,
            observer,
            &self.watches,
            wake,
        ) {
            Ok(watch) => drop(self.streams.insert(tag, watch)),
            Err(error) => self.hear(state, tag, Told::End(Some(error))),
        }
    }

    /// Keeps the reason when no outcome comes in time, which the core notices by itself, and tells of first.
    fn notice_silence(&mut self, state: &mut State, now: Instant) {
        while let Some(&(at, tag)) = self.deadlines.first()
            && at <= now
            && let Some(flight) = self.land(tag)
        {
            self.keep_silence(state, tag, flight.timeout);
            self.give_up(state, tag);
        }
    }

    fn keep_silence(&self, state: &mut State, tag: Tag, after: Duration) {
        let silence = Err(self.inner.client.silence(after));
        observe(state, tag, &silence, after);
        keep_error(state, tag, silence.err());
    }

    fn cancel(&mut self, state: &mut State, tag: Tag) {
        self.over.extend(self.streams.remove(&tag));
        let Some(flight) = self.land(tag) else {
            return;
        };
        let now = self.clock.now();
        let claim = tag.claim().and_then(|id| state.proto.get(id));
        if claim.is_some_and(|claim| claim.is_held(now)) {
            // The core has seen that it hangs, and tells of that right away.
            let left = flight.deadline.saturating_duration_since(now);
            self.keep_silence(state, tag, flight.timeout.saturating_sub(left));
        }
        self.give_up(state, tag);
    }

    /// Counts a request that was given up: its thread is free as soon as its transport has returned, and what it says is
    /// ignored.
    fn give_up(&mut self, state: &mut State, tag: Tag) {
        self.strays.insert(tag);
        if let Some(id) = tag.claim()
            && let Some(member) = state.members.get_mut(&id)
        {
            member.strays += 1;
        }
        asks_no_more(state, tag);
    }

    /// Returns the request that has this name, if it is awaited, which it is no more.
    fn land(&mut self, tag: Tag) -> Option<Flight> {
        let flight = self.flights.remove(&tag)?;
        self.deadlines.remove(&(flight.deadline, tag));
        Some(flight)
    }

    fn take(&mut self, state: &mut State, input: Input) {
        match input {
            Input::Outcome(tag, outcome) => self.answer(state, tag, outcome),
            Input::Told(tag) => {
                if let Some(told) = self.streams.get(&tag).and_then(Watch::next) {
                    self.hear(state, tag, told);
                }
            }
            Input::Asked => {}
        }
    }

    fn answer(&mut self, state: &mut State, tag: Tag, outcome: Outcome) {
        let Some(flight) = self.land(tag) else {
            self.count_back(state, tag);
            return;
        };
        let now = self.clock.now();
        let left = flight.deadline.saturating_duration_since(now);
        observe(state, tag, &outcome, flight.timeout.saturating_sub(left));
        asks_no_more(state, tag);
        match outcome {
            Ok(response) => state.proto.handle_response(tag, &response, now),
            Err(error) => {
                keep_error(state, tag, Some(error));
                state.proto.handle_failure(tag, now);
            }
        }
    }

    /// Takes note that a request that was given up has come back.
    fn count_back(&mut self, state: &mut State, tag: Tag) {
        if self.strays.remove(&tag)
            && let Some(id) = tag.claim()
            && let Some(member) = state.members.get_mut(&id)
        {
            member.strays -= 1;
        }
    }

    /// Hands on what a stream says.
    fn hear(&mut self, state: &mut State, tag: Tag, told: Told) {
        let now = self.clock.now();
        if let Told::End(_) = told {
            self.over.extend(self.streams.remove(&tag));
        }
        match told {
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
}

fn observe(state: &State, tag: Tag, outcome: &Outcome, took: Duration) {
    if let Some(id) = tag.claim()
        && let (Some(member), Some(claim)) = (state.members.get(&id), state.proto.get(id))
    {
        member.observer.answer(claim, outcome, took);
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
/// How much of what has come is taken before the set is asked what to do.
const BACKLOG: usize = 64;
/// For how long a thread waits for a request.
const IDLE: Duration = Duration::from_secs(10);
/// How many requests, and how many streams, may have been given up without having come back from the transport.
const STRAYS: usize = 64;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use lease_proto::{Config, Patience, Plan, SetLimits};

    use super::*;
    use crate::{Client, Transport};

    #[derive(Debug)]
    struct Nowhere;

    impl Transport for Nowhere {
        fn send(&self, _: http::Request<Vec<u8>>, _: Duration) -> Outcome {
            Err(TransportError::NoStreams)
        }
    }

    #[test]
    fn nobody_believes_in_a_claim_whose_thread_has_ended_however_it_has() {
        let client = Client::with_transport(Arc::new(Nowhere), "default");
        let (inner, inbox) = Inner::new(&client, SetLimits::default());
        let inner = Arc::new(inner);
        let add = || {
            let config = Config::builder("default", "leader", "me").build().unwrap();
            inner.add(config, Patience::Forever, Plan::Forever)
        };
        let keeper = add();
        assert!(!keeper.has_ended());
        let end = End(Arc::clone(&inner));
        let panics = thread::spawn(move || {
            let _dropped = (end, inbox);
            panic!("as the test wants it");
        });
        panics.join().unwrap_err();
        assert!(keeper.has_ended());
        assert!(add().has_ended());
        // Nobody is there to answer.
        keeper.stop();
        assert_eq!(keeper.release(), None);
        assert_eq!(inner.len(), 0);
    }
    #[cfg(feature = "memory")]
    #[test]
    fn the_clock_is_looked_at_within_a_second_however_long_there_is_nothing_to_do() {
        let (inner, inbox) = Inner::new(&Client::in_memory(), SetLimits::default());
        let inner = Arc::new(inner);
        let config = Config::builder("default", "leader", "me");
        let config = config.lease_duration(Duration::from_secs(2_700));
        let keeper = inner.add(config.build().unwrap(), Patience::Forever, Plan::Forever);
        // Or the keeper would wait for a release that nobody sends.
        let _end = End(Arc::clone(&inner));
        let mut driver = Driver::new(&inner, inbox);
        let until = loop {
            let until = driver.step().unwrap();
            if keeper.is_held() {
                break until;
            }
            let input = driver.inbox.recv_timeout(Duration::from_secs(60)).unwrap();
            driver.take(&mut inner.state(), input);
        };
        assert!(until <= driver.clock.now() + TICK);
    }
}
