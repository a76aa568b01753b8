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

use lease_proto::Tag;

use super::driver::Input;
use crate::{Client, Clock, TransportError, abort::Abort, observe::Observer};

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
        let Some((number, inbox)) = place else {
            return;
        };
        let next = inbox.recv_timeout(idle).or_else(|_| {
            lock(ready).leave(number);
            // It may have been handed one just before.
            inbox.recv()
        });
        match next {
            Ok(next) => exchange = next,
            Err(mpsc::RecvError) => return,
        }
    }
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
        let send = || abort.within(|| observer.within(send));
        let outcome = catch_unwind(AssertUnwindSafe(send));
        outcome.unwrap_or_else(|_| Err(TransportError::Other("the transport panicked".into())))
    }
}

fn lock(ready: &Mutex<Ready>) -> MutexGuard<'_, Ready> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}
