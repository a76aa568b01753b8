//! The threads that carry the requests of a set.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use lease_proto::{Tag, observe::Observer};

use super::driver::Input;
use crate::{Client, Clock, TransportError, abort::Abort};

/// Threads that each carry one request after the other, made as they are needed. Dropping it ends those that have none, and
/// the others when theirs have come back.
#[derive(Debug)]
pub(super) struct Pool {
    ready: Arc<Mutex<Ready>>,
    /// For how long a thread waits for another request before it ends.
    idle: Duration,
}

/// Those that have no request; the last to have got through with one goes first, so that the others end at some time.
#[derive(Debug, Default)]
struct Ready {
    threads: Vec<(u64, Sender<Exchange>)>,
    next: u64,
    is_closed: bool,
}

/// One request, and who is told its outcome.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) tag: Tag,
    pub(super) http: http::Request<Vec<u8>>,
    pub(super) deadline: Instant,
    pub(super) reload_credentials: bool,
    pub(super) client: Client,
    pub(super) observer: Observer,
    pub(super) abort: Abort,
    pub(super) outbox: Sender<Input>,
}

impl Pool {
    pub(super) fn new(idle: Duration) -> Self {
        Self {
            ready: Arc::default(),
            idle,
        }
    }

    /// Carries a request, on a thread that has none or on another one. Its outcome comes, even if it was given up.
    pub(super) fn carry(&self, exchange: Exchange) -> io::Result<()> {
        let ready = lock(&self.ready).threads.pop();
        let exchange = match ready {
            Some((_, inbox)) => match inbox.send(exchange) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(exchange)) => exchange,
            },
            None => exchange,
        };
        let (ready, idle) = (Arc::clone(&self.ready), self.idle);
        let thread = thread::Builder::new().name("lease-request".to_owned());
        thread.spawn(move || work(exchange, &ready, idle))?;
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut ready = lock(&self.ready);
        ready.is_closed = true;
        ready.threads.clear();
    }
}

/// What a thread does.
fn work(mut exchange: Exchange, ready: &Mutex<Ready>, idle: Duration) {
    loop {
        let (tag, outbox) = (exchange.tag, exchange.outbox.clone());
        let outcome = exchange.carry_out();
        // Before the outcome is known, so that the request that follows from it finds this thread and makes no other.
        let place = lock(ready).enter();
        let _nobody_waits = outbox.send(Input::Outcome(tag, outcome));
        drop(outbox);
        let next = place.and_then(|place| next(place, ready, idle));
        match next {
            Some(next) => exchange = next,
            None => return,
        }
    }
}

/// Waits for another request; `None` if the thread is to end.
fn next(
    (number, inbox): (u64, Receiver<Exchange>),
    ready: &Mutex<Ready>,
    idle: Duration,
) -> Option<Exchange> {
    let next = inbox.recv_timeout(idle).or_else(|_| {
        lock(ready).leave(number);
        // It may have been chosen for one just before.
        inbox.recv()
    });
    next.ok()
}

impl Ready {
    /// Adds a thread; `None` if it is to end.
    fn enter(&mut self) -> Option<(u64, Receiver<Exchange>)> {
        if self.is_closed {
            return None;
        }
        let (outbox, inbox) = mpsc::channel();
        let number = self.next;
        self.next += 1;
        self.threads.push((number, outbox));
        Some((number, inbox))
    }

    /// Removes a thread, if it is there.
    fn leave(&mut self, number: u64) {
        self.threads.retain(|(other, _)| *other != number);
    }
}

impl Exchange {
    fn carry_out(self) -> Result<http::Response<Vec<u8>>, TransportError> {
        let Self {
            http,
            deadline,
            reload_credentials,
            client,
            observer,
            abort,
            ..
        } = self;
        let timeout = deadline.saturating_duration_since(Clock::new().now());
        if timeout.is_zero() {
            // Nobody waits for it any more, so it must not be carried out either.
            return Err(client.silence(timeout));
        }
        let send = || client.send(http, timeout, reload_credentials);
        let send = || abort.within(|| observer.in_scope(send));
        let outcome = catch_unwind(AssertUnwindSafe(send));
        outcome.unwrap_or_else(|_| Err(TransportError::Other("the transport panicked".into())))
    }
}

fn lock(ready: &Mutex<Ready>) -> MutexGuard<'_, Ready> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
pub(crate) mod tests {
    use std::collections::HashSet;

    use lease_proto::{ClaimSet, Config, Patience, SetLimits, SetOutput};

    use super::*;
    use crate::Transport;

    /// Answers nothing, and notes on which threads it was asked.
    #[derive(Debug, Default)]
    pub(crate) struct Nowhere(Mutex<HashSet<thread::ThreadId>>);

    impl Nowhere {
        fn note(&self) {
            self.0.lock().unwrap().insert(thread::current().id());
        }

        pub(crate) fn threads(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    impl Transport for Nowhere {
        fn send(
            &self,
            _: http::Request<Vec<u8>>,
            _: Duration,
        ) -> Result<http::Response<Vec<u8>>, TransportError> {
            self.note();
            Err(TransportError::NoStreams)
        }
    }

    fn tag() -> Tag {
        let now = Instant::now();
        let mut set = ClaimSet::new(SetLimits::default(), 1, now);
        let config = Config::builder("default", "leader", "me").build();
        let id = set.add(config.unwrap(), now);
        set.acquire(id, Patience::Once, now);
        let SetOutput::Request(tag, _) = set.poll_output(now, std::time::SystemTime::now()) else {
            panic!("it has nothing to ask");
        };
        tag
    }

    struct World {
        transport: Arc<Nowhere>,
        outbox: Sender<Input>,
        inbox: Receiver<Input>,
        tag: Tag,
    }

    impl World {
        fn new() -> Self {
            let (outbox, inbox) = mpsc::channel();
            Self {
                transport: Arc::default(),
                outbox,
                inbox,
                tag: tag(),
            }
        }

        fn exchange(&self) -> Exchange {
            let transport: Arc<dyn Transport> = Arc::<Nowhere>::clone(&self.transport);
            Exchange {
                tag: self.tag,
                http: http::Request::default(),
                deadline: Clock::new().now() + Duration::from_secs(60),
                reload_credentials: false,
                client: Client::with_transport(transport, "default"),
                observer: Observer::silent(),
                abort: Abort::default(),
                outbox: self.outbox.clone(),
            }
        }

        fn carry(&self, pool: &Pool) {
            pool.carry(self.exchange()).unwrap();
        }

        fn wait(&self) {
            let input = self.inbox.recv_timeout(Duration::from_secs(60));
            assert!(matches!(input, Ok(Input::Outcome(..))), "{input:?}");
        }

        fn threads(&self) -> usize {
            self.transport.threads()
        }
    }

    pub(crate) fn await_that(holds: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < until, "waited in vain");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn requests_one_after_the_other_have_one_thread() {
        let (world, pool) = (World::new(), Pool::new(Duration::from_secs(60)));
        for _ in 0..1_000 {
            world.carry(&pool);
            world.wait();
        }
        assert_eq!(world.threads(), 1);
    }

    #[test]
    fn a_request_that_is_over_before_it_begins_is_not_sent() {
        let (world, pool) = (World::new(), Pool::new(Duration::from_secs(60)));
        let mut exchange = world.exchange();
        exchange.deadline = Clock::new().now();
        pool.carry(exchange).unwrap();
        world.wait();
        assert_eq!(world.threads(), 0);
    }

    #[test]
    fn a_thread_without_a_request_ends() {
        let (world, pool) = (World::new(), Pool::new(Duration::from_millis(1)));
        for threads in 1..=3 {
            world.carry(&pool);
            world.wait();
            assert_eq!(world.threads(), threads);
            // Each thread has the list, and the pool.
            await_that(|| Arc::strong_count(&pool.ready) == 1);
            assert!(lock(&pool.ready).threads.is_empty());
        }
    }

    #[test]
    fn a_request_is_carried_by_a_thread_that_was_chosen_as_it_gave_up_waiting() {
        let ready = Mutex::new(Ready::default());
        let place = lock(&ready).enter().unwrap();
        let (_, chosen) = lock(&ready).threads.pop().unwrap();
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            chosen.send(World::new().exchange()).unwrap();
        });
        assert!(next(place, &ready, Duration::from_millis(1)).is_some());
        sender.join().unwrap();
    }

    #[test]
    fn no_thread_is_left_without_the_pool() {
        let (world, pool) = (World::new(), Pool::new(Duration::from_secs(600)));
        world.carry(&pool);
        world.carry(&pool);
        let ready = Arc::clone(&pool.ready);
        drop(pool);
        world.wait();
        world.wait();
        await_that(|| Arc::strong_count(&ready) == 1);
    }
}
