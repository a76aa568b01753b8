//! What the drivers tell `tracing` and `metrics` of a claim's life over HTTP, and that no secret is among it.
//!
//! The log is the process's, and so is the recorder: what one test is about is told from the rest by the name of its Lease.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "test code")]

#[path = "../clients/certificates.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod certificates;
#[path = "../scenarios/claimant.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod claimant;
mod echoes;
#[path = "../scenarios/front.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod front;
mod leading;
mod recorder;
mod secrets;
#[path = "../clients/server.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod server;
#[path = "../clients/tunnels.rs"]
#[expect(dead_code, reason = "the tests of the clients use the rest")]
mod tunnels;

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
    AcquireError, Config, Released,
    server::{Answer as Answered, ApiServer},
};
use tracing_subscriber::fmt::MakeWriter;

use self::{
    recorder::Metrics,
    server::{Answer, Seen, Server, answer},
};

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
        if seen.line.contains("watch=") {
            return Answer::Hang(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec());
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
            panic!("a watch is answered above");
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

/// Whether that is said of the Lease that this is about.
fn is_told(log: &str, text: &str) -> bool {
    log.lines().any(|line| {
        let whose = line.contains(r#"lease{namespace="default" name="observed" identity="#);
        line.contains(text) && whose
    })
}

/// Waits for the Lease while somebody else holds it, by a watch, which carries the credentials as well.
fn wait_in_vain(server: &Server, acquire: impl FnOnce() -> AcquireError) {
    let watches = || {
        let seen = server.seen();
        let watches = seen.iter().filter(|seen| seen.line.contains("watch="));
        watches.count()
    };
    let before = watches();
    assert!(matches!(acquire(), AcquireError::TimedOut { .. }));
    assert!(watches() > before);
}

/// A tenure with two renewals, of which one fails at first, a look, and a release.
fn live(fails: &AtomicBool, log: &Log, release: impl FnOnce() -> Option<Released>) {
    let until = Instant::now() + Duration::from_secs(30);
    let mut seen = String::new();
    let mut await_text = |text: &str| {
        while !is_told(&seen, text) {
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
        let is_of_level = lines
            .any(|line| line.contains(level) && line.contains(": lease: ") && is_told(line, text));
        assert!(is_of_level, "no {level} {text:?} in {seen}");
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
    let metrics = Metrics::of_process();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, format!("{CANARY}{}", "QZ".repeat(40))).unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let server = serve(Arc::clone(&fails));
    let labels = [("namespace", "default"), ("name", "observed")];
    let patience = Duration::from_secs(1);

    warns_of_servers_that_are_not_verified(&log);
    let client = lease_blocking::Client::builder(server.url())
        .token_file(&token)
        .build()
        .unwrap();
    let guard = client.acquire(config("blocking")).unwrap();
    wait_in_vain(&server, || {
        let waiter = client.acquire_timeout(config("waiter"), patience);
        waiter.unwrap_err()
    });
    live(&fails, &log, || guard.release());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = lease_tokio::Client::builder(server.url())
        .token_file(&token)
        .build()
        .unwrap();
    let guard = runtime.block_on(client.acquire(config("tokio"))).unwrap();
    wait_in_vain(&server, || {
        let waiter = client.acquire_timeout(config("waiter"), patience);
        runtime.block_on(waiter).unwrap_err()
    });
    live(&fails, &log, || runtime.block_on(guard.release()));
    secrets::none_is_told_of_what_goes_over_tls_and_through_a_proxy(&log, &token);
    secrets::none_is_told_of_what_a_proxy_sends_back(&log);
    echoes::none_is_told_of_what_is_sent_back(&log, &token);
    for counter in [
        "lease_acquired_total",
        "lease_renewed_total",
        "lease_trouble_total",
    ] {
        assert!(metrics.counter(counter, &labels) > 0, "{counter}");
    }
    // Both were released.
    assert_eq!(metrics.counter("lease_lost_total", &labels), 0);
    let [namespace, name] = labels;
    let labels = [namespace, name, ("status", "200")];
    assert!(metrics.values("lease_answer_seconds", &labels) > 1);
}
