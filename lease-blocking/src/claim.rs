//! One claimant's side of one Lease, driven by the thread that asks for its events.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use lease_proto::{
    self as proto, Config, Event, Grant, Identity, LeaseName, Output, Parting, Patience, Request,
    RequestId, observe::Observer, wire::Lease,
};

use crate::{
    Client, Clock, TransportError,
    abort::Abort,
    mailbox::{Command, Input, Mailbox, Stopper},
    threads::Threads,
    watch::{Told, Watch},
};

/// One claimant's side of one Lease: [`lease_proto::Claim`] with sockets and clocks.
///
/// Nothing happens but while [`next_event`](Self::next_event) is called; [`Keeper`](crate::Keeper) does that on a thread of
/// its own. Dropping a claim that holds the Lease writes nothing: the Lease expires.
///
/// Each request has a thread of its own, `lease-request` or `lease-watch`, which ends with its answer. One that is given up, be
/// it because its time is over or because the claim is dropped, ends at once over the built-in transport; but a name that is
/// looked up and a connection that is made take until the request's timeout. A transport that was given is not
/// interrupted: it ends when it returns. Where one does not keep to its timeouts, no more than three threads of either kind
/// hang; further requests fail at once, without being sent.
///
/// ```no_run
/// use lease_blocking::{Client, proto::{Config, Event, Patience}};
///
/// let client = Client::try_default()?;
/// let config = Config::builder(client.namespace(), "leader", "me").build()?;
/// let mut claim = client.claim(config);
/// claim.acquire(Patience::Forever);
/// while let Some(event) = claim.next_event() {
///     match event {
///         Event::Acquired(grant) => println!("held, token {:?}", grant.token),
///         Event::Renewed(_) => claim.release(),
///         event => println!("{event:?}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Claim {
    proto: proto::Claim,
    observer: Observer,
    client: Client,
    clock: Clock,
    inbox: mpsc::Receiver<Input>,
    outbox: mpsc::Sender<Input>,
    awaited: Option<Awaited>,
    watch: Option<Watch>,
    requests: Threads,
    watches: Threads,
    last_error: Option<Arc<TransportError>>,
    looks: Looks,
    /// Whether it is released for good.
    is_stopping: bool,
}

/// Looks at the record that were asked for, by number.
#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    wanted: Option<u64>,
    /// The latest that the next answer to a look will do for.
    begun: u64,
}

/// The request whose outcome is awaited. Dropping it gives the request up.
#[derive(Debug)]
struct Awaited {
    id: RequestId,
    deadline: Instant,
    timeout: Duration,
    abort: Abort,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Client {
    /// Makes a claim at rest.
    pub fn claim(&self, config: Config) -> Claim {
        let clock = Clock::new();
        // The hasher of the standard library is keyed from the system's randomness, for each instance anew.
        let seed = RandomState::new().hash_one(0);
        let (outbox, inbox) = mpsc::channel();
        let proto = proto::Claim::new(config, seed, clock.now());
        Claim {
            observer: Observer::new(&proto),
            proto,
            client: self.clone(),
            clock,
            inbox,
            outbox,
            awaited: None,
            watch: None,
            requests: Threads::default(),
            watches: Threads::default(),
            last_error: None,
            looks: Looks::default(),
            is_stopping: false,
        }
    }

    /// What is said of a request that got no answer in time.
    pub(crate) fn silence(&self, after: Duration) -> TransportError {
        let server = self.address();
        TransportError::Timeout { server, after }
    }

    /// Where the server is, for messages.
    pub(crate) fn address(&self) -> String {
        let server = self.server();
        server.map_or_else(|| "the API server".to_owned(), ToString::to_string)
    }
}

impl Claim {
    /// Waits for the next event; `None` as soon as the claim is at rest.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let (now, wall) = (self.clock.now(), self.clock.wall());
            self.notice_silence(now);
            match self.proto.poll_output(now, wall) {
                Output::Request(request) if request.is_stream => self.open(request),
                Output::Request(request) => self.send(request),
                Output::Cancel(id) => self.cancel(id),
                Output::Event(event) => {
                    self.observer.event(&self.proto, &event);
                    return Some(event);
                }
                Output::Wait(until) => self.wait(until),
                Output::Done => return None,
            }
        }
    }

    /// Begins to acquire the Lease: see [`lease_proto::Claim::acquire`].
    pub fn acquire(&mut self, patience: Patience) {
        self.proto.acquire(patience, self.clock.now());
    }

    /// Begins to renew a Lease that our identity holds: see [`lease_proto::Claim::resume`].
    pub fn resume(&mut self) {
        self.proto.resume(self.clock.now());
    }

    /// Reads the record before something critical: see [`lease_proto::Claim::verify`].
    pub fn verify(&mut self) {
        self.look(self.looks.begun);
    }

    /// Gives the Lease up: see [`lease_proto::Claim::release`].
    pub fn release(&mut self) {
        self.release_with(Parting::default());
    }

    /// Gives the Lease up, and leaves something in the record: see [`lease_proto::Claim::release_with`].
    pub fn release_with(&mut self, parting: Parting) {
        self.proto.release_with(parting, self.clock.now());
    }

    /// Gives the Lease up, and leaves it to `successor` for a while: see [`lease_proto::Claim::hand_over`].
    pub fn hand_over(&mut self, successor: Identity, patience: Duration) {
        self.proto.hand_over(successor, patience, self.clock.now());
    }

    /// Returns the grant, if the Lease is held now.
    pub fn grant(&self) -> Option<Grant> {
        self.proto.grant(self.clock.now()).copied()
    }

    /// Returns whether the Lease is held now.
    pub fn is_held(&self) -> bool {
        self.grant().is_some()
    }

    /// Returns the record as last seen.
    pub fn observed(&self) -> Option<&Lease> {
        self.proto.observed()
    }

    /// Returns the name of the Lease in which this claim may have announced itself: see [`lease_proto::Claim::announcement`].
    pub fn announcement(&self) -> Option<LeaseName> {
        self.proto.announcement()
    }

    /// Returns the identity that stands in the record when this claim holds the Lease.
    pub fn identity(&self) -> &Identity {
        self.proto.identity()
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        self.proto.config()
    }

    /// Returns why the last request that got no answer got none.
    pub fn last_error(&self) -> Option<&Arc<TransportError>> {
        self.last_error.as_ref()
    }

    /// Asks for a look at the record, which [`looked`](Self::looked) numbers when it is told of.
    pub(crate) fn look(&mut self, number: u64) {
        self.looks.wanted = self.looks.wanted.max(Some(number));
    }

    /// Returns the latest look that a `Verified` told of now answers.
    pub(crate) fn looked(&self) -> u64 {
        self.looks.begun
    }

    /// Has it live by another clock.
    #[cfg(all(test, feature = "memory"))]
    pub(crate) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Returns what stops this claim from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.mailbox())
    }

    pub(crate) fn mailbox(&self) -> Mailbox {
        Mailbox(self.outbox.clone())
    }

    /// Releases for good.
    pub(crate) fn stop(&mut self, parting: Parting) {
        self.is_stopping = true;
        self.release_with(parting);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Does nothing for a while, unless another thread asks for something.
    pub(crate) fn rest(&mut self, pause: Duration) {
        let until = self.clock.now() + pause;
        while !self.is_stopping && self.clock.now() < until {
            self.wait(until);
        }
    }

    /// Sends a request on a thread of its own, so that waiting for its answer can be interrupted.
    fn send(&mut self, request: Request) {
        let Request {
            id,
            deadline,
            reload_credentials,
            http,
            ..
        } = request;
        let timeout = deadline.saturating_duration_since(self.clock.now());
        let abort = Abort::default();
        self.awaited = Some(Awaited {
            id,
            deadline,
            timeout,
            abort: abort.clone(),
        });
        let (client, clock, outbox) = (self.client.clone(), self.clock, self.outbox.clone());
        let observer = self.observer.of_request();
        let exchange = move || {
            let timeout = deadline.saturating_duration_since(clock.now());
            if timeout.is_zero() {
                // Nobody waits for it any more, so it must not be carried out either.
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                abort
                    .within(|| observer.in_scope(|| client.send(http, timeout, reload_credentials)))
            }));
            let panicked = |_| Err(TransportError::Other("the transport panicked".into()));
            let _nobody_waits = outbox.send(Input::Outcome(id, outcome.unwrap_or_else(panicked)));
        };
        if let Err(error) = self.requests.spawn("lease-request", exchange) {
            self.take(Input::Outcome(id, Err(error)));
        }
    }

    fn open(&mut self, request: Request) {
        let outbox = self.outbox.clone();
        let wake = move |id| outbox.send(Input::Told(id)).is_ok();
        let id = request.id;
        match Watch::new(
            request,
            self.client.clone(),
            self.clock,
            self.observer.of_request(),
            &self.watches,
            wake,
        ) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => self.hear(id, Told::End(Some(error))),
        }
    }

    /// Gives a request up: its thread ends as soon as its transport can, and what it says is ignored.
    fn cancel(&mut self, id: RequestId) {
        self.awaited.take_if(|awaited| awaited.id == id);
        self.watch.take_if(|watch| watch.id == id);
    }

    /// Keeps the reason when no outcome comes in time, which the core notices by itself.
    fn notice_silence(&mut self, now: Instant) {
        if let Some(awaited) = self.awaited.take_if(|awaited| awaited.deadline <= now) {
            let silence = Err(self.client.silence(awaited.timeout));
            self.observer.answer(&self.proto, &silence, awaited.timeout);
            self.last_error = silence.err().map(Arc::new);
        }
    }

    /// Waits for an outcome, a command, or `until`.
    fn wait(&mut self, until: Instant) {
        if self.awaited.is_none()
            && let Some(look) = self.looks.wanted.take()
        {
            // Not before: the answer to a request that was under way tells how things stood earlier.
            self.looks.begun = look;
            self.proto.verify(self.clock.now());
            return;
        }
        // Timers stop while the machine is suspended and the clock does not, so it is looked at often.
        let timeout = until.saturating_duration_since(self.clock.now()).min(TICK);
        if let Ok(input) = self.inbox.recv_timeout(timeout) {
            self.take(input);
        }
    }

    fn take(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Command(Command::Release(parting)) => self.stop(parting),
            Input::Command(Command::Verify(look)) => self.look(look),
            Input::Told(id) => {
                let watch = self.watch.as_ref().filter(|watch| watch.id == id);
                if let Some(told) = watch.and_then(Watch::next) {
                    self.hear(id, told);
                }
            }
            Input::Outcome(id, outcome) => {
                // An answer to a request that is over tells nothing, and neither does its failure.
                let Some(awaited) = self.awaited.take_if(|awaited| awaited.id == id) else {
                    return;
                };
                let left = awaited.deadline.saturating_duration_since(now);
                self.observer
                    .answer(&self.proto, &outcome, awaited.timeout.saturating_sub(left));
                match outcome {
                    Ok(response) => self.proto.handle_response(id, &response, now),
                    Err(error) => {
                        self.last_error = Some(Arc::new(error));
                        self.proto.handle_failure(id, now);
                    }
                }
            }
        }
    }

    /// Hands on what a stream says.
    fn hear(&mut self, id: RequestId, told: Told) {
        let now = self.clock.now();
        if let Told::End(_) = told {
            self.watch = None;
        }
        match told {
            Told::Answer(answer) => self.proto.handle_response(id, &answer, now),
            Told::Chunk(chunk) => self.proto.handle_chunk(id, &chunk, now),
            Told::End(Some(TransportError::NoStreams)) => self.proto.handle_no_stream(id, now),
            Told::End(error) => {
                self.observer.end(error.as_ref());
                self.last_error = error.map(Arc::new).or_else(|| self.last_error.take());
                self.proto.handle_end(id, now);
            }
        }
    }
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use crate::{
        Transport,
        set::pool::tests::{Nowhere, await_that},
    };

    #[test]
    fn a_request_that_is_over_before_it_begins_is_not_sent() {
        for (left, sent) in [(Duration::ZERO, 0), (Duration::from_secs(60), 1)] {
            let transport = Arc::new(Nowhere::default());
            let client = Client::with_transport(
                Arc::<Nowhere>::clone(&transport) as Arc<dyn Transport>,
                "default",
            );
            let config = Config::builder("default", "leader", "me").build();
            let mut claim = client.claim(config.unwrap());
            claim.acquire(Patience::Once);
            let (now, wall) = (claim.clock.now(), claim.clock.wall());
            let Output::Request(mut request) = claim.proto.poll_output(now, wall) else {
                panic!("it has nothing to ask");
            };
            request.deadline = now + left;
            claim.send(request);
            drop((claim, client));
            // The thread has one as well, as long as it may ask.
            await_that(|| Arc::strong_count(&transport) == 1);
            assert_eq!(transport.threads(), sent);
        }
    }
}
