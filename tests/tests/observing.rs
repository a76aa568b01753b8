//! What the drivers tell `tracing` and `metrics` of a claim's life over HTTP, and that no secret is among it.
//!
//! One test, since loggers and recorders are the process's.

#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "clients/server.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod server;

use std::{
    fs, io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use lease_proto::{
    Config, Released,
    server::{Answer as Answered, ApiServer},
};
use metrics::{SharedString, Unit};
use metrics_util::{
    CompositeKey, MetricKind,
    debugging::{DebugValue, DebuggingRecorder},
};
use tracing_subscriber::fmt::MakeWriter;

use self::server::{Answer, Seen, Server, answer};

const CANARY: &str = "canary-0d5e77";
/// What stands in each row of a dump of it.
const IN_ROWS: &str = "QZQZQZ";

/// What has been logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.text())).unwrap()
    }
}

/// The API server of lease-proto behind HTTP, which fails while it is told to.
fn serve(fails: Arc<AtomicBool>) -> Server {
    let api = Mutex::new(ApiServer::new());
    Server::start(move |seen: &Seen| {
        assert!(
            seen.header("authorization")
                .is_some_and(|it| it.contains(CANARY))
        );
        if fails.load(Ordering::Relaxed) {
            let echo = format!(r#"{{"message":"what is {CANARY} to you"}}"#);
            // A server may repeat what it was sent, and that is not ours to log either.
            return Answer::Keep(answer("503 Service Unavailable", &echo));
        }
        let mut words = seen.line.split(' ');
        let mut request = http::Request::builder()
            .method(words.next().unwrap())
            .uri(words.next().unwrap());
        for (name, value) in &seen.headers {
            if name != "authorization" {
                request = request.header(name, value);
            }
        }
        let request = request.body(seen.body.clone()).unwrap();
        let answered = api.lock().unwrap().handle(&request, SystemTime::now());
        let Answered::Whole(answered) = answered else {
            panic!("nothing is watched");
        };
        let body = String::from_utf8_lossy(answered.body());
        Answer::Keep(answer(&answered.status().to_string(), &body))
    })
}

fn config(identity: &str) -> Config {
    let config = Config::builder("default", "observed", identity);
    config
        .lease_duration(Duration::from_secs(3))
        .build()
        .unwrap()
}

/// Taking one begins all counters anew.
type Snapshot = Vec<(CompositeKey, Option<Unit>, Option<SharedString>, DebugValue)>;

fn value(snapshot: &Snapshot, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> f64 {
    let found = snapshot.iter().find(|(key, ..)| {
        let has = |(label, value): &(&str, &str)| {
            let mut own = key.key().labels();
            own.any(|it| it.key() == *label && it.value() == *value)
        };
        key.kind() == kind && key.key().name() == name && labels.iter().all(has)
    });
    match found {
        Some((.., DebugValue::Counter(count))) => f64::from(u32::try_from(*count).unwrap()),
        Some((.., DebugValue::Gauge(value))) => value.into_inner(),
        Some((.., DebugValue::Histogram(values))) => {
            f64::from(u32::try_from(values.len()).unwrap())
        }
        None => panic!("{name} {labels:?} is not there"),
    }
}

/// A tenure with two renewals, of which one fails at first, a look, and a release.
fn live(fails: &AtomicBool, log: &Log, release: impl FnOnce() -> Option<Released>) {
    let until = Instant::now() + Duration::from_secs(30);
    let mut seen = String::new();
    let mut await_text = |text: &str| {
        while !seen.contains(text) {
            assert!(Instant::now() < until, "no {text:?} in {seen}");
            thread::sleep(Duration::from_millis(5));
            seen.push_str(&log.take());
        }
    };
    await_text("the lease was renewed");
    fails.store(true, Ordering::Relaxed);
    await_text("the lease is at risk");
    fails.store(false, Ordering::Relaxed);
    await_text("the lease is not at risk any more");
    assert_eq!(release(), Some(Released::Cleared));
    await_text("the release has ended: the record names no holder");
    for (level, text) in [
        ("INFO", "the lease is held"),
        ("DEBUG", "the lease was renewed"),
        ("WARN", "the lease is at risk"),
        ("INFO", "the lease is not held any more: it was released"),
        ("TRACE", "the API server answered"),
    ] {
        let mut lines = seen.lines();
        let is_told = lines.any(|line| {
            let whose = line.contains(r#"lease{namespace="default" name="observed" identity="#);
            line.contains(level) && line.contains(text) && whose
        });
        assert!(is_told, "no {level} {text:?} in {seen}");
    }
    assert!(!seen.contains(CANARY) && !seen.contains(IN_ROWS), "{seen}");
}

fn warns_of_servers_that_are_not_verified(log: &Log) {
    macro_rules! said {
        ($driver:ident, $url:expr, $skips:expr) => {{
            let builder = $driver::Client::builder($url).token(CANARY);
            let client = builder.insecure_skip_verify($skips).build().unwrap();
            (client.skips_verification(), log.take())
        }};
    }
    for (url, skips, warns) in [
        ("https://localhost:1", true, true),
        ("http://localhost:1", true, false),
        ("http://localhost:1", false, false),
    ] {
        for (skipped, said) in [
            said!(lease_blocking, url, skips),
            said!(lease_tokio, url, skips),
        ] {
            assert_eq!(skipped, warns, "{url}");
            let is_told = said.contains("WARN") && said.contains("is not verified");
            assert_eq!(is_told, warns, "{said}");
            assert!(!said.contains(CANARY), "{said}");
        }
    }
}

#[test]
fn a_life_is_told_without_its_secrets() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .init();
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    recorder.install().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, format!("{CANARY}{}", "QZ".repeat(40))).unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let server = serve(Arc::clone(&fails));
    let is_leading = || {
        // As client-go has it, and with what tells Leases of one name apart.
        let labels = [("name", "observed"), ("namespace", "default")];
        let name = "leader_election_master_status";
        let snapshot = snapshots.snapshot().into_vec();
        value(&snapshot, MetricKind::Gauge, name, &labels) > 0.5
    };

    warns_of_servers_that_are_not_verified(&log);
    let client = lease_blocking::Client::builder(server.url())
        .token_file(&token)
        .build()
        .unwrap();
    let guard = client.acquire(config("blocking")).unwrap();
    assert!(is_leading());
    live(&fails, &log, || guard.release());
    assert!(!is_leading());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = lease_tokio::Client::builder(server.url())
        .token_file(&token)
        .build()
        .unwrap();
    let guard = runtime.block_on(client.acquire(config("tokio"))).unwrap();
    live(&fails, &log, || runtime.block_on(guard.release()));
    let snapshot = snapshots.snapshot().into_vec();
    let labels = [("namespace", "default"), ("name", "observed")];
    let count = |name| value(&snapshot, MetricKind::Counter, name, &labels);
    for counter in [
        "lease_acquired_total",
        "lease_renewed_total",
        "lease_trouble_total",
    ] {
        assert!(count(counter) > 0.5, "{counter}");
    }
    let labels = [
        ("namespace", "default"),
        ("name", "observed"),
        ("status", "200"),
    ];
    let answers = value(
        &snapshot,
        MetricKind::Histogram,
        "lease_answer_seconds",
        &labels,
    );
    assert!(answers > 1.0, "{answers}");
}
