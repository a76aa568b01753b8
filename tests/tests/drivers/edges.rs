//! What comes at the last moment: work that is stopped before its Lease is freed, a thread that has ended before its handle is
//! gone, requests that nobody waits for any more, and streams that panic.

use std::{
    cell::RefCell,
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use lease_proto::{Config, Loss, SetLimits, access::TransportError};

use crate::{
    Fabric, SOON, await_that, config,
    driver::{Driver as _, runtime},
    fabric::Fault,
};

/// Cleans up for as long as anybody else would need to take the Lease, were it free.
struct CleansUp<'a>(&'a Fabric, &'a AtomicBool);

impl Drop for CleansUp<'_> {
    fn drop(&mut self) {
        // A release that has begun is tried again, and comes through.
        self.0.always(None);
        thread::sleep(Duration::from_secs(2));
        let is_ours = self
            .0
            .holder()
            .is_some_and(|holder| holder.starts_with("me"));
        self.1.store(is_ours, Ordering::SeqCst);
    }
}

#[test]
fn a_lease_is_free_only_when_work_that_was_stopped_has_cleaned_up() {
    let (fabric, was_ours) = (Fabric::new(), AtomicBool::new(false));
    let cleans_up = CleansUp(&fabric, &was_ours);
    let outcome = runtime().block_on(async {
        let client = lease_tokio::Client::over(&fabric);
        let guard = client.acquire(config("me", 12_000)).await.unwrap();
        fabric.always(Some(Fault::Fail));
        let work = |_| async move {
            let _cleans_up = cleans_up;
            std::future::pending::<()>().await;
        };
        guard.run_while_held(Duration::from_secs(6), work).await
    });
    assert_eq!(outcome.unwrap_err().loss(), &Loss::AtRisk);
    assert!(was_ours.load(Ordering::SeqCst));
    await_that(|| fabric.holder().is_none(), "the release");
}

/// A server in memory, a stream of which says nothing until it is closed, by the thread that gives it up.
#[derive(Debug, Default)]
struct Silent {
    server: lease_blocking::Memory,
    reads: Arc<AtomicUsize>,
    has_ended: Arc<AtomicBool>,
}

/// Takes a moment to end, and says so: as the last thing that its thread does.
struct Slow(Arc<AtomicBool>);

impl Drop for Slow {
    fn drop(&mut self) {
        thread::sleep(Duration::from_millis(500));
        self.0.store(true, Ordering::SeqCst);
    }
}

thread_local! {
    static LAST: RefCell<Option<Slow>> = const { RefCell::new(None) };
}

/// Waits until it is closed.
struct Closed(Arc<(Mutex<bool>, Condvar)>, Arc<AtomicUsize>);

impl io::Read for Closed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let (is_closed, told) = &*self.0;
        let is_closed = is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = told.wait_while(is_closed, |is_closed| !*is_closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        Ok(0)
    }
}

impl lease_blocking::Transport for Silent {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.server.send(request, timeout)
    }

    fn stream(
        &self,
        _: http::Request<Vec<u8>>,
        _: Duration,
    ) -> Result<http::Response<lease_blocking::Chunks>, TransportError> {
        let closed = Arc::new((Mutex::new(false), Condvar::new()));
        let body = Closed(Arc::clone(&closed), Arc::clone(&self.reads));
        let has_ended = Arc::clone(&self.has_ended);
        let close = move || {
            LAST.set(Some(Slow(has_ended)));
            *closed.0.lock().unwrap() = true;
            closed.1.notify_all();
        };
        Ok(http::Response::new(lease_blocking::Chunks::new(
            body, close,
        )))
    }
}

#[test]
fn the_thread_of_a_blocking_keeper_has_ended_when_the_keeper_is_gone() {
    let transport = Arc::new(Silent::default());
    let of = |identity: &str| {
        Config::builder("default", "leader", identity)
            .build()
            .unwrap()
    };
    let client =
        lease_blocking::Client::with_transport(Arc::<Silent>::clone(&transport), "default");
    let _holder = client.acquire(of("other")).unwrap();
    let keeper = client.keep(of("me")).unwrap();
    // It is read, so the keeper has what closes it.
    let is_watching = || transport.reads.load(Ordering::SeqCst) > 0;
    await_that(is_watching, "the stream");
    drop(keeper);
    assert!(transport.has_ended.load(Ordering::SeqCst));
}

/// Notes the time that each request is given.
#[derive(Debug, Default)]
struct Noting {
    server: lease_tokio::Memory,
    given: Mutex<Vec<Duration>>,
}

impl lease_tokio::Transport for Noting {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> lease_tokio::BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        self.given.lock().unwrap().push(timeout);
        self.server.send(request, timeout)
    }
}

#[tokio::test]
async fn a_request_of_a_set_that_is_over_before_it_begins_is_not_sent() {
    let transport = Arc::new(Noting::default());
    let client = lease_tokio::Client::with_transport(Arc::<Noting>::clone(&transport), "default");
    let set = client.claim_set(SetLimits::default());
    let keeper = set.keep(config("me", 3_000));
    // Of this runtime's one thread the set has its turn first, then whoever keeps the thread from all else, then the request.
    tokio::spawn(async { thread::sleep(Duration::from_secs(4)) });
    tokio::time::timeout(SOON, keeper.held())
        .await
        .unwrap()
        .unwrap();
    let given = transport.given.lock().unwrap();
    assert!(given.iter().all(|given| !given.is_zero()), "{given:?}");
    assert!(!given.is_empty());
}

/// A server in memory whose streams panic: when they are asked for what comes next, or while that is awaited.
#[derive(Debug, Default)]
struct Panicking {
    server: lease_tokio::Memory,
    streams: AtomicUsize,
}

struct Bomb {
    at_once: bool,
}

impl lease_tokio::Chunks for Bomb {
    fn next(&mut self) -> lease_tokio::BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>> {
        assert!(!self.at_once, "as it is told to");
        Box::pin(async { panic!("as it is told to") })
    }
}

impl lease_tokio::Transport for Panicking {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> lease_tokio::BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        self.server.send(request, timeout)
    }

    fn stream(
        &self,
        _: http::Request<Vec<u8>>,
        _: Duration,
    ) -> lease_tokio::BoxFuture<
        '_,
        Result<http::Response<Box<dyn lease_tokio::Chunks>>, TransportError>,
    > {
        let at_once = self
            .streams
            .fetch_add(1, Ordering::SeqCst)
            .is_multiple_of(2);
        let bomb: Box<dyn lease_tokio::Chunks> = Box::new(Bomb { at_once });
        Box::pin(async move { Ok(http::Response::new(bomb)) })
    }
}

#[tokio::test]
async fn a_stream_that_panics_ends_no_claim() {
    let transport = Arc::new(Panicking::default());
    let client =
        lease_tokio::Client::with_transport(Arc::<Panicking>::clone(&transport), "default");
    let holder = client.acquire(config("other", 15_000)).await.unwrap();
    let set = client.claim_set(SetLimits::default());
    let alone = client.keep(config("me", 15_000));
    while transport.streams.load(Ordering::SeqCst) < 2 {
        assert!(!alone.has_ended());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let among = set.keep(config("third", 15_000));
    while transport.streams.load(Ordering::SeqCst) < 6 {
        assert!(!alone.has_ended() && !among.has_ended());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    holder.release().await;
    drop(among);
    tokio::time::timeout(SOON, alone.held())
        .await
        .unwrap()
        .unwrap();
}
