//! Many Leases in one task: bounds, isolation, and what is left afterwards.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::Method;
use lease_proto::{
    Config, Event, Loss, SetLimits,
    access::TransportError,
    server::{Answer, ApiServer},
};
use lease_tokio::{BoxFuture, ClaimSet, Client, Keeper, Memory, Transport};
use tokio::time;

use crate::{await_that, driver::runtime};

/// Counts what is under way over a server in memory, and lets one Lease's requests hang.
#[derive(Debug)]
struct Counting {
    server: Mutex<ApiServer>,
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

/// Whose requests hang.
const HANGS: &str = "shard-7";

impl Counting {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            server: Mutex::new(ApiServer::new()),
            asked: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }
}

/// Ends when it is dropped, as the request does.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Transport for Counting {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            let _under_way = UnderWay(&self.under_way);
            self.most.fetch_max(now, Ordering::SeqCst);
            let hangs = request.method() == Method::PUT && request.uri().path().ends_with(HANGS);
            time::sleep(if hangs {
                timeout * 2
            } else {
                Duration::from_millis(2)
            })
            .await;
            match self
                .server
                .lock()
                .unwrap()
                .handle(&request, SystemTime::now())
            {
                Answer::Whole(answer) => Ok(answer),
                Answer::Watch { .. } => panic!("streams are not to be had here"),
            }
        })
    }
}

fn config(name: &str, millis: u64) -> Config {
    let config = Config::builder("default", name, "me").whole_second_observers(false);
    config
        .lease_duration(Duration::from_millis(millis))
        .build()
        .unwrap()
}

fn keep_all(set: &ClaimSet, count: usize, millis: u64) -> Vec<Keeper> {
    let keep = |shard| set.keep(config(&format!("shard-{shard}"), millis));
    (0..count).map(keep).collect()
}

#[test]
fn hundreds_are_held_within_the_bound_on_requests_and_one_that_hangs_costs_no_other() {
    let transport = Counting::new();
    let client = Client::with_transport(Arc::clone(&transport) as _, "default");
    let set = {
        let _context = runtime().enter();
        client.claim_set(SetLimits::default().requests(8))
    };
    let keepers = keep_all(&set, 300, 15_000);
    await_that(|| keepers.iter().all(Keeper::is_held), "all of them");
    let (hangs, others): (Vec<_>, Vec<_>) = (0..)
        .zip(&keepers)
        .partition(|(shard, _)| HANGS == format!("shard-{shard}"));
    let hung = hangs[0].1;
    // It says what is wrong as soon as it is in danger.
    let is_in_danger = || {
        let event = runtime().block_on(hung.next_event());
        matches!(event, Some(Event::AtRisk { .. }))
    };
    await_that(is_in_danger, "an event");
    let error = hung.last_error();
    assert!(
        matches!(error.as_deref(), Some(TransportError::Timeout { .. })),
        "{error:?}"
    );
    await_that(|| !hung.is_held(), "the end of the one that hangs");
    let asked = transport.asked.load(Ordering::SeqCst);
    await_that(
        || transport.asked.load(Ordering::SeqCst) > asked + 600,
        "two renewals of each",
    );
    for (shard, keeper) in others {
        assert!(keeper.is_held(), "{shard}");
        while let Some(event) = runtime().block_on(async {
            let next = time::timeout(Duration::ZERO, keeper.next_event()).await;
            next.ok().flatten()
        }) {
            assert!(!matches!(event, Event::Lost(_)), "{shard}: {event}");
        }
    }
    assert!(transport.most.load(Ordering::SeqCst) <= 8);
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_paused_time_is_held_by_all_with_a_write_each_five_seconds() {
    let memory = Memory::new();
    let set = memory.client().claim_set(SetLimits::default());
    let keepers = keep_all(&set, 100, 15_000);
    for keeper in &keepers {
        keeper.held().await.unwrap();
    }
    time::sleep(Duration::from_secs(3_600)).await;
    for keeper in &keepers {
        assert!(keeper.is_held());
        let mut renewals = 0;
        while let Ok(Some(event)) = time::timeout(Duration::ZERO, keeper.next_event()).await {
            assert!(!matches!(event, Event::Lost(_)), "{event}");
            renewals += usize::from(matches!(event, Event::Renewed(_)));
        }
        assert!((600..1_000).contains(&renewals), "{renewals}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_lost_one_begins_again_after_a_pause() {
    let memory = Memory::new();
    let set = memory.client().claim_set(SetLimits::default());
    let keeper = set.keep(config("shard", 15_000));
    keeper.held().await.unwrap();
    let patch =
        http::Request::patch("/apis/coordination.k8s.io/v1/namespaces/default/leases/shard")
            .header("content-type", "application/merge-patch+json")
            .body(br#"{"spec":{"holderIdentity":"other"}}"#.to_vec())
            .unwrap();
    memory.with(|faults| drop(faults.server_mut().handle(&patch, SystemTime::now())));
    let by = "other".to_owned();
    assert_eq!(keeper.lost().await, Loss::TakenOver { by });
    let begun = time::Instant::now();
    keeper.held().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn nothing_is_left_once_the_set_and_its_handles_are_dropped() {
    let client = Memory::new().client();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let set = {
        let _context = runtime.enter();
        client.claim_set(SetLimits::default())
    };
    let mut keepers = keep_all(&set, 20, 15_000);
    await_that(|| keepers.iter().all(Keeper::is_held), "all of them");
    let last = keepers.pop();
    drop(keepers);
    await_that(|| set.len() == 1, "the releases");
    // The handle is what a keeper is kept by, not the set.
    drop(set);
    assert!(last.as_ref().is_some_and(Keeper::is_held));
    assert!(runtime.metrics().num_alive_tasks() >= 1);
    drop(last);
    await_that(
        || runtime.metrics().num_alive_tasks() == 0,
        "the end of the task",
    );
    let leases = runtime.block_on(client.list()).unwrap();
    assert_eq!(leases.len(), 20);
    assert!(leases.iter().all(|lease| lease.spec.holder().is_none()));
}

#[test]
fn a_runtime_that_is_gone_holds_none_and_takes_none() {
    let client = Memory::new().client();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let set = {
        let _context = runtime.enter();
        client.claim_set(SetLimits::default())
    };
    let keepers = keep_all(&set, 20, 60_000);
    await_that(|| keepers.iter().all(Keeper::is_held), "all of them");
    runtime.shutdown_timeout(Duration::from_secs(10));
    for keeper in keepers {
        assert!(!keeper.is_held() && keeper.grant().is_none() && keeper.has_ended());
    }
    let late = set.keep(config("late", 15_000));
    assert!(late.has_ended() && set.is_empty());
}
