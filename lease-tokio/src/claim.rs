//! One claimant's side of one Lease, driven by the task that asks for its events.

use std::{
    collections::hash_map::RandomState,
    fmt,
    future::pending,
    hash::BuildHasher,
    sync::Arc,
    time::{Duration, Instant},
};

use lease_proto::{
    self as proto, Config, Deadline, Event, Grant, Identity, LeaseName, Output, Parting, Patience,
    Request, RequestId, observe::Observer, wire::Lease,
};

use crate::{
    Client, Clock, TransportError,
    observe::within,
    shared::be_seen,
    transport::BoxFuture,
    watch::{self, Told, Watch, unless_it_panics},
};

/// One claimant's side of one Lease: [`lease_proto::Claim`] with sockets and clocks.
///
/// Nothing happens but while [`next_event`](Self::next_event) is awaited; [`Keeper`](crate::Keeper) does that in a task of
/// its own. Dropping a claim that holds the Lease writes nothing: the Lease expires.
///
/// ```no_run
/// use lease_tokio::{Client, proto::{Config, Event, Patience}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::try_default()?;
/// let config = Config::builder(client.namespace(), "leader", "me").build()?;
/// let mut claim = client.claim(config);
/// claim.acquire(Patience::Forever);
/// while let Some(event) = claim.next_event().await {
///     match event {
///         Event::Acquired(grant) => println!("held, token {:?}", grant.token),
///         Event::Renewed(_) => claim.release(),
///         event => println!("{event:?}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Claim {
    proto: proto::Claim,
    observer: Observer,
    client: Client,
    clock: Clock,
    in_flight: Option<InFlight>,
    watch: Option<Watch>,
    last_error: Option<Arc<TransportError>>,
    looks: Looks,
    seen: Arc<Deadline>,
}

/// Looks at the record that were asked for, by number.
#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    wanted: Option<u64>,
    /// The latest that the next answer to a look will do for.
    begun: u64,
}

/// The request whose outcome is awaited.
struct InFlight {
    id: RequestId,
    deadline: Instant,
    timeout: Duration,
    exchange: BoxFuture<'static, Outcome>,
}

type Outcome = Result<http::Response<Vec<u8>>, TransportError>;

impl Client {
    /// Makes a claim at rest.
    pub fn claim(&self, config: Config) -> Claim {
        let clock = self.clock();
        // The hasher of the standard library is keyed from the system's randomness, for each instance anew.
        let seed = RandomState::new().hash_one(0);
        let proto = proto::Claim::new(config, seed, clock.now());
        Claim {
            observer: Observer::new(&proto),
            proto,
            client: self.clone(),
            clock,
            in_flight: None,
            watch: None,
            last_error: None,
            looks: Looks::default(),
            seen: Arc::new(Deadline::new(clock.now())),
        }
    }

    /// What is said of a request that got no answer in time.
    pub(crate) fn silence(&self, after: Duration) -> TransportError {
        let server = self.server();
        let server = server.map_or_else(|| "the API server".to_owned(), ToString::to_string);
        TransportError::Timeout { server, after }
    }
}

impl Claim {
    /// Waits for the next event; `None` as soon as the claim is at rest.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the request in flight stays in the claim, and goes on when this is called again.
    pub async fn next_event(&mut self) -> Option<Event> {
        loop {
            let (now, wall) = (self.clock.now(), self.clock.wall());
            be_seen(&self.seen, now, Duration::ZERO);
            self.notice_silence(now);
            match self.proto.poll_output(now, wall) {
                Output::Request(request) if request.is_stream => {
                    self.watch = Some(Watch::new(
                        request,
                        self.client.clone(),
                        self.clock,
                        &self.observer,
                    ));
                }
                Output::Request(request) => self.send(request),
                Output::Cancel(id) => self.cancel(id),
                Output::Event(event) => {
                    self.observer.event(&self.proto, &event);
                    return Some(event);
                }
                Output::Wait(until) => self.wait(until).await,
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

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// What is told each time that the claim looks at the clock.
    pub(crate) fn seen(&self) -> &Arc<Deadline> {
        &self.seen
    }

    pub(crate) fn proto(&self) -> &proto::Claim {
        &self.proto
    }

    /// Asks for a look at the record, which [`looked`](Self::looked) numbers when it is told of.
    pub(crate) fn look(&mut self, number: u64) {
        self.looks.wanted = self.looks.wanted.max(Some(number));
    }

    /// Returns the latest look that a `Verified` told of now answers.
    pub(crate) fn looked(&self) -> u64 {
        self.looks.begun
    }

    fn send(&mut self, request: Request) {
        let Request {
            id,
            deadline,
            reload_credentials,
            http,
            ..
        } = request;
        let timeout = deadline.saturating_duration_since(self.clock.now());
        let (client, clock) = (self.client.clone(), self.clock);
        let exchange = async move {
            let timeout = deadline.saturating_duration_since(clock.now());
            if timeout.is_zero() {
                // Nobody waits for it any more, so it must not be carried out either.
                return Err(client.silence(timeout));
            }
            client.send(http, timeout, reload_credentials).await
        };
        self.in_flight = Some(InFlight {
            id,
            deadline,
            timeout,
            exchange: Box::pin(within(&self.observer, exchange)),
        });
    }

    /// Gives a request up: what is dropped ends its connection, or its stream of one.
    fn cancel(&mut self, id: RequestId) {
        self.in_flight.take_if(|flight| flight.id == id);
        self.watch.take_if(|watch| watch.id == id);
    }

    /// Keeps the reason when no outcome comes in time, which the core notices by itself.
    fn notice_silence(&mut self, now: Instant) {
        if let Some(flight) = self.in_flight.take_if(|flight| flight.deadline <= now) {
            let silence = Err(self.client.silence(flight.timeout));
            self.observer.answer(&self.proto, &silence, flight.timeout);
            self.last_error = silence.err().map(Arc::new);
        }
    }

    /// Waits for the outcome of the request in flight, or for `until`.
    async fn wait(&mut self, until: Instant) {
        if self.in_flight.is_none()
            && let Some(look) = self.looks.wanted.take()
        {
            // Not before: the answer to a request that was under way tells how things stood earlier.
            self.looks.begun = look;
            self.proto.verify(self.clock.now());
            return;
        }
        // Timers stop while the machine is suspended and the clock does not, so it is looked at often.
        let pause = until.saturating_duration_since(self.clock.now()).min(TICK);
        let flight = self.in_flight.as_ref();
        let flight = flight.map(|flight| (flight.deadline, flight.timeout));
        let (id, outcome) = tokio::select! {
            answered = outcome(&mut self.in_flight) => answered,
            (id, told) = watch::told(&mut self.watch) => return self.hear(id, told),
            () = tokio::time::sleep(pause) => return,
        };
        let now = self.clock.now();
        if let Some((deadline, timeout)) = flight {
            let left = deadline.saturating_duration_since(now);
            self.observer
                .answer(&self.proto, &outcome, timeout.saturating_sub(left));
        }
        match outcome {
            Ok(response) => self.proto.handle_response(id, &response, now),
            Err(error) => {
                self.last_error = Some(Arc::new(error));
                self.proto.handle_failure(id, now);
            }
        }
    }

    /// Hands on what a stream says.
    fn hear(&mut self, id: RequestId, told: Told) {
        let now = self.clock.now();
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

/// Waits for the outcome of the request in flight; without one for ever.
async fn outcome(in_flight: &mut Option<InFlight>) -> (RequestId, Outcome) {
    let Some(flight) = in_flight else {
        return pending().await;
    };
    let id = flight.id;
    let outcome = unless_it_panics(flight.exchange.as_mut()).await;
    *in_flight = None;
    (id, outcome.unwrap_or_else(Err))
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("proto", &self.proto)
            .field("client", &self.client)
            .field(
                "in_flight",
                &self.in_flight.as_ref().map(|flight| flight.id),
            )
            .finish_non_exhaustive()
    }
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Transport;

    /// Counts what it is asked.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Transport for Counting {
        fn send(&self, _: http::Request<Vec<u8>>, _: Duration) -> BoxFuture<'_, Outcome> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Err(TransportError::NoStreams) })
        }
    }

    #[tokio::test]
    async fn a_request_that_is_over_before_it_begins_is_not_sent() {
        for (left, sent) in [(Duration::ZERO, 0), (Duration::from_secs(60), 1)] {
            let transport = Arc::new(Counting::default());
            let client = Client::with_transport(Arc::<Counting>::clone(&transport), "default");
            let config = Config::builder("default", "leader", "me").build();
            let mut claim = client.claim(config.unwrap());
            claim.acquire(Patience::Once);
            let (now, wall) = (claim.clock.now(), claim.clock.wall());
            let Output::Request(mut request) = claim.proto.poll_output(now, wall) else {
                panic!("it has nothing to ask");
            };
            request.deadline = now + left;
            claim.send(request);
            outcome(&mut claim.in_flight).await.1.unwrap_err();
            assert_eq!(transport.0.load(Ordering::SeqCst), sent);
        }
    }
}
