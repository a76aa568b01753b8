//! Many claims on one thread: what they may have under way, what they cost each other, and what is left of them.

use std::{
    cell::RefCell,
    collections::HashSet,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use lease_blocking::{Chunks, Client, Keeper, Memory, Transport};
use lease_proto::{
    Config, Event, Loss, Released, SetLimits, access::TransportError, server::ApiServer,
};

use crate::{
    SOON, await_that,
    server::{Answer, Seen, Server, rendered},
};

/// A server in memory that takes a moment, keeps some requests, and knows which threads have asked it.
#[derive(Debug, Default)]
struct Watched {
    server: Memory,
    under_way: AtomicUsize,
    most: AtomicUsize,
    /// The threads that have asked, and have not ended; and of those the ones that have asked for a stream.
    threads: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
    most_streams: AtomicUsize,
    /// How often a stream was asked for that is of all Leases.
    shared: AtomicUsize,
    /// The Lease of which requests get no answer, and whether the transport keeps to their timeouts.
    hangs: Mutex<Option<(String, bool)>>,
    goes_on: Condvar,
    hung: AtomicUsize,
}

/// What a thread has until it ends.
struct Mark(Arc<AtomicUsize>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

thread_local! {
    static MARKS: RefCell<Vec<Mark>> = const { RefCell::new(Vec::new()) };
}

impl Watched {
    fn client(self: &Arc<Self>) -> Client {
        let transport: Arc<dyn Transport> = Arc::<Self>::clone(self);
        Client::with_transport(transport, "default")
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn threads(&self) -> usize {
        self.threads.load(Ordering::SeqCst)
    }

    fn hang(&self, name: &str, in_time: bool) {
        *self.hangs() = Some((name.to_owned(), in_time));
    }

    fn hang_no_more(&self) {
        *self.hangs() = None;
        self.goes_on.notify_all();
    }

    fn hangs(&self) -> MutexGuard<'_, Option<(String, bool)>> {
        self.hangs.lock().unwrap()
    }

    /// Counts the thread that asks, until it ends.
    fn mark(threads: &Arc<AtomicUsize>) {
        MARKS.with_borrow_mut(|marks| {
            if !marks.iter().any(|mark| Arc::ptr_eq(&mark.0, threads)) {
                threads.fetch_add(1, Ordering::SeqCst);
                marks.push(Mark(Arc::clone(threads)));
            }
        });
    }

    /// Waits, if this one is to hang.
    fn may_hang(
        &self,
        request: &http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<(), TransportError> {
        let concerns = |name: &str| {
            let path = request.uri().path();
            path.ends_with(name) || String::from_utf8_lossy(request.body()).contains(name)
        };
        let until = Instant::now() + timeout;
        let mut hangs = self.hangs();
        if hangs.as_ref().is_none_or(|(name, _)| !concerns(name)) {
            return Ok(());
        }
        self.hung.fetch_add(1, Ordering::SeqCst);
        while let Some((name, in_time)) = &*hangs
            && concerns(name)
            && !(*in_time && Instant::now() >= until)
        {
            let waited = self.goes_on.wait_timeout(hangs, timeout);
            hangs = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.hung.fetch_sub(1, Ordering::SeqCst);
        Err(TransportError::Other("as the test wants it".into()))
    }
}

impl Transport for Watched {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        Self::mark(&self.threads);
        self.may_hang(&request, timeout)?;
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        // So that there are several at once.
        thread::sleep(Duration::from_millis(3));
        let outcome = self.server.send(request, timeout);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Chunks>, TransportError> {
        Self::mark(&self.threads);
        Self::mark(&self.streams);
        let open = self.streams.load(Ordering::SeqCst);
        self.most_streams.fetch_max(open, Ordering::SeqCst);
        let query = request.uri().query().unwrap_or_default();
        if !query.contains("fieldSelector") {
            self.shared.fetch_add(1, Ordering::SeqCst);
        }
        self.server.stream(request, timeout)
    }
}

fn name(number: usize) -> String {
    format!("shard-{number:03}")
}

fn config(number: usize, identity: &str, millis: u64) -> Config {
    let config = Config::builder("default", name(number), identity);
    config
        .whole_second_observers(false)
        .lease_duration(Duration::from_millis(millis))
        .build()
        .unwrap()
}

fn are_held(keepers: &[Keeper]) -> bool {
    keepers.iter().all(Keeper::is_held)
}

/// Takes the events that have come; returns how many renewals there were.
fn renewals(keeper: &Keeper) -> usize {
    let mut count = 0;
    while let Some(event) = keeper.next_event_timeout(Duration::ZERO) {
        assert!(!matches!(event, Event::Lost(_)), "{event:?}");
        count += usize::from(matches!(event, Event::Renewed(_)));
    }
    count
}

fn ends(server: Arc<Watched>) {
    // The thread that drives a set is among those that have the client.
    await_that(|| server.threads() == 0, "the end of the threads");
    assert_eq!(Arc::strong_count(&server), 1);
}

#[test]
fn three_hundred_are_held_and_renewed_by_few_threads_of_which_none_is_left() {
    const REQUESTS: usize = 4;
    let server = Arc::new(Watched::default());
    let limits = SetLimits::default().requests(REQUESTS);
    let set = server.client().claim_set(limits).unwrap();
    let keepers: Vec<_> = (0..300)
        .map(|number| set.keep(config(number, "me", 9_000)))
        .collect();
    assert_eq!(set.len(), 300);
    await_that(|| are_held(&keepers), "all Leases");
    let mut renewed = vec![0; keepers.len()];
    let all_are = |renewed: &mut Vec<usize>| {
        for (count, keeper) in renewed.iter_mut().zip(&keepers) {
            *count += renewals(keeper);
        }
        renewed.iter().all(|count| *count >= 2)
    };
    await_that(|| all_are(&mut renewed), "two renewals of each");
    assert!(are_held(&keepers));
    assert!(server.threads() <= REQUESTS, "{}", server.threads());

    // Those that are given up at once have not to wait for each other.
    keepers.iter().for_each(Keeper::stop);
    drop(set);
    for keeper in keepers {
        assert_eq!(keeper.release(), Some(Released::Cleared));
    }
    assert_eq!(server.most(), REQUESTS, "at once");
    ends(server);
}

#[test]
fn the_last_to_be_dropped_waits_for_the_thread_be_it_a_keeper_or_the_set() {
    // Often, since a thread that nobody waits for would end soon all the same.
    for set_first in [false, true].repeat(10) {
        let server = Arc::new(Watched::default());
        let set = server.client().claim_set(SetLimits::default()).unwrap();
        let keeper = set.keep(config(0, "me", 9_000));
        let guard = set.acquire(config(1, "me", 9_000)).unwrap();
        assert!(keeper.wait_held(SOON).is_some());
        if set_first {
            drop(set);
            drop(keeper);
            assert!(guard.is_held() && guard.verify().is_ok());
            drop(guard);
        } else {
            drop(keeper);
            drop(guard);
            assert!(set.is_empty());
            drop(set);
        }
        assert_eq!(Arc::strong_count(&server), 1);
        ends(server);
    }
}

#[test]
fn a_server_that_hangs_for_one_lease_costs_no_other() {
    let server = Arc::new(Watched::default());
    let limits = SetLimits::default().requests(2);
    let set = server.client().claim_set(limits).unwrap();
    let mut keepers: Vec<_> = (0..20)
        .map(|number| set.keep(config(number, "me", 3_000)))
        .collect();
    await_that(|| are_held(&keepers), "all Leases");
    server.hang(&name(7), true);
    let hung = keepers.remove(7);
    // It says what was wrong as soon as it is in danger.
    let is_in_danger = || matches!(hung.next_event(), Some(Event::AtRisk { .. }));
    await_that(is_in_danger, "an event");
    let error = hung.last_error();
    assert!(
        matches!(error.as_deref(), Some(TransportError::Timeout { .. })),
        "{error:?}"
    );
    assert_eq!(hung.wait_lost(SOON), Some(Loss::Expired));
    // As long again, while it tries to get its Lease back.
    thread::sleep(Duration::from_secs(3));
    // What is lost fails the count.
    for keeper in &keepers {
        let mut count = 0;
        await_that(
            || {
                count += renewals(keeper);
                count >= 2
            },
            "two renewals of one that does not hang",
        );
    }
    server.hang_no_more();
    assert!(hung.wait_held(SOON).is_some());
    drop((hung, keepers, set));
    ends(server);
}

#[test]
fn a_transport_that_never_returns_keeps_three_threads_of_one_lease_and_costs_no_other() {
    let server = Arc::new(Watched::default());
    let limits = SetLimits::default().requests(2);
    let set = server.client().claim_set(limits).unwrap();
    let mut keepers: Vec<_> = (0..5)
        .map(|number| set.keep(config(number, "me", 1_500)))
        .collect();
    await_that(|| are_held(&keepers), "all Leases");
    server.hang(&name(3), false);
    let hung = keepers.remove(3);
    assert_eq!(hung.wait_lost(SOON), Some(Loss::Expired));
    let is_stuck = || {
        let error = hung.last_error().map(|error| error.to_string());
        hung.next_event_timeout(Duration::ZERO);
        let source = hung
            .last_error()
            .and_then(|error| std::error::Error::source(&*error).map(ToString::to_string));
        [error, source]
            .into_iter()
            .flatten()
            .any(|text| text.starts_with("nothing was sent"))
    };
    await_that(is_stuck, "a request that is not sent");
    assert_eq!(server.hung.load(Ordering::SeqCst), 3);
    // What is lost fails the count.
    for keeper in &keepers {
        let mut count = 0;
        await_that(
            || {
                count += renewals(keeper);
                count >= 2
            },
            "two renewals of one that does not hang",
        );
    }
    server.hang_no_more();
    assert!(hung.wait_held(SOON).is_some());
    drop((hung, keepers, set));
    ends(server);
}

#[test]
fn those_that_wait_have_few_streams_and_get_their_leases_when_they_are_released() {
    const STREAMS: usize = 4;
    let server = Arc::new(Watched::default());
    let limits = SetLimits::default().streams(STREAMS);
    let [first, second] = ["first", "second"].map(|identity| {
        let set = server.client().claim_set(limits).unwrap();
        // Long enough that nobody takes over what is not released, nor looks whether it was.
        let keep = |number| set.keep(config(number, identity, 600_000));
        let keepers: Vec<_> = (0..40).map(keep).collect();
        match identity {
            "first" => await_that(|| are_held(&keepers), "all Leases"),
            _ => await_that(|| server.shared.load(Ordering::SeqCst) > 0, "a stream"),
        }
        keepers
    });
    first.iter().for_each(Keeper::stop);
    await_that(|| are_held(&second), "all Leases of the other");
    let most = server.most_streams.load(Ordering::SeqCst);
    assert!(most <= STREAMS, "{most}");
    first.iter().chain(&second).for_each(Keeper::stop);
    drop((first, second));
    ends(server);
}

#[test]
fn connections_are_as_many_as_requests_at_once() {
    const REQUESTS: usize = 8;
    let api = Mutex::new(ApiServer::new());
    let server = Server::start(move |seen: &Seen| {
        thread::sleep(Duration::from_millis(5));
        let answer = api
            .lock()
            .unwrap()
            .handle(&seen.request(), SystemTime::now());
        Answer::Keep(rendered(answer))
    });
    let client = Client::builder(server.url()).build().unwrap();
    let limits = SetLimits::default().requests(REQUESTS).streams(0);
    let set = client.claim_set(limits).unwrap();
    let keepers: Vec<_> = (0..60)
        .map(|number| set.keep(config(number, "me", 3_000)))
        .collect();
    await_that(|| are_held(&keepers), "all Leases");
    await_that(
        || keepers.iter().all(|keeper| renewals(keeper) > 0),
        "renewals",
    );
    assert!(server.connections() <= REQUESTS, "{}", server.connections());
    keepers.iter().for_each(Keeper::stop);
    let names: HashSet<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert!(names.len() > 60, "{names:?}");
}
