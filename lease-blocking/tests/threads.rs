//! How many threads there are, and for how long. The tests take turns: each counts the threads of the whole process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test code")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lease_blocking::{
    Client, Transport, TransportError,
    proto::{Config, ConfigBuilder, Event},
};

/// Long enough for a loaded machine, and much shorter than any request may take.
const SOON: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);

static TURN: Mutex<()> = Mutex::new(());

/// Never comes back, whatever its timeout.
#[derive(Debug, Default)]
struct Stuck(AtomicUsize);

impl Transport for Stuck {
    fn send(
        &self,
        _: http::Request<Vec<u8>>,
        _: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        loop {
            thread::park();
        }
    }
}

#[test]
fn a_transport_that_never_comes_back_costs_three_threads_and_no_more() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = threads("lease-request");
    let transport = Arc::new(Stuck::default());
    let client = Client::with_transport(Arc::clone(&transport) as Arc<dyn Transport>, "default");
    let config = config("default").request_timeout(Duration::from_millis(20));
    let config = config.retry_period(Duration::from_millis(20));
    let mut claim = client.claim(config.build().unwrap());
    claim.acquire(lease_blocking::proto::Patience::Forever);
    let mut failures = 0;
    while failures < 8 {
        failures += usize::from(matches!(claim.next_event(), Some(Event::Retrying { .. })));
    }
    assert_eq!(transport.0.load(Ordering::SeqCst), 3);
    assert_eq!(threads("lease-request"), before + 3);
    let why = std::error::Error::source(claim.last_error().unwrap())
        .unwrap()
        .to_string();
    assert!(why.contains("not come back"), "{why}");
}

#[test]
fn a_request_under_way_ends_with_its_claim() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = threads("lease-");
    let (url, asked) = server();
    let client = Client::builder(url).build().unwrap();
    let keeper = client.keep(config("silent").build().unwrap()).unwrap();
    await_that(|| asked.load(Ordering::SeqCst) == 1, "the request");
    drop(keeper);
    // Those of another test may have ended meanwhile.
    await_that(|| threads("lease-") <= before, "the end of the threads");
}

#[test]
fn a_watch_that_is_not_answered_yet_ends_with_its_claim() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = threads("lease-");
    let (url, asked) = server();
    let client = Client::builder(url).build().unwrap();
    let keeper = client.keep(config("default").build().unwrap()).unwrap();
    await_that(|| asked.load(Ordering::SeqCst) == 2, "the watch");
    assert_eq!(threads("lease-watch"), 1);
    drop(keeper);
    // Those of another test may have ended meanwhile.
    await_that(|| threads("lease-") <= before, "the end of the threads");
}

#[cfg(feature = "memory")]
#[test]
fn whoever_holds_or_waits_takes_hardly_any_of_a_processor() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let client = Client::in_memory();
    let set = client.claim_set(lease_blocking::proto::SetLimits::default());
    let (keeper, waiting) = (
        client.keep(config("default").build().unwrap()).unwrap(),
        Config::builder("default", "leader", "other").lease_duration(HOUR),
    );
    keeper.wait_held(SOON).unwrap();
    let waiting = waiting.build().unwrap();
    let in_set = set.unwrap().keep(waiting.clone());
    let waiter = client.keep(waiting).unwrap();
    let asker = thread::Builder::new().name("lease-asker".to_owned());
    let asker = asker.spawn(move || waiter.wait_held(Duration::from_secs(4)).is_some());
    thread::sleep(Duration::from_secs(1));
    let before = ticks("lease-");
    assert!(before.0 >= 4, "{before:?}");
    thread::sleep(Duration::from_secs(2));
    let after = ticks("lease-");
    // Who spins takes a hundred in a second, or half of that where others spin as well.
    assert!(after.1 - before.1 < 20, "{before:?} {after:?}");
    assert!(!asker.unwrap().join().unwrap());
    drop((keeper, in_set));
}

fn config(namespace: &str) -> ConfigBuilder {
    Config::builder(namespace, "leader", "me")
        .lease_duration(HOUR)
        .request_timeout(HOUR / 4)
}

/// Says that somebody holds the Lease, and nothing to who watches. Counts the requests.
fn server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                let mut request = vec![0; 16 * 1024];
                while let Ok(length @ 1..) = stream.read(&mut request) {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let text = String::from_utf8_lossy(&request[..length]).into_owned();
                    if text.contains("watch=true") || text.contains("/silent/") {
                        continue;
                    }
                    let _gone = stream.write_all(answer().as_bytes());
                }
            });
        }
    });
    (url, asked)
}

fn answer() -> String {
    let body = concat!(
        r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"leader","namespace":"default","#,
        r#""uid":"5b8a7a4e-1111-4222-8333-0123456789ab","resourceVersion":"7"},"spec":{"holderIdentity":"other","#,
        r#""leaseDurationSeconds":3600,"acquireTime":"2026-11-20T19:31:57.250000Z","renewTime":"2026-11-20T19:31:57.250000Z"}}"#
    );
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn await_that(mut holds: impl FnMut() -> bool, what: &str) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// How many threads have names that begin like that.
fn threads(prefix: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

/// How many threads have names that begin like that, and what they have taken of processors, in hundredths of a second.
#[cfg(feature = "memory")]
fn ticks(prefix: &str) -> (usize, u64) {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let of = stats.filter_map(|stat| {
        let (before, after) = stat.rsplit_once(") ")?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split(' ').collect();
        let taken = [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<u64>().unwrap());
        name.starts_with(prefix).then(|| taken.sum::<u64>())
    });
    of.fold((0, 0), |(count, all), taken| (count + 1, all + taken))
}
