//! Every future of lease-tokio, dropped at every point that it can be dropped at.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use lease_proto::{
    Event, Identity, Parting, Patience, Released, SetLimits,
    plain::Preconditions,
    server::{Answer as Answered, ApiServer},
};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::{
    Fabric, await_that, config,
    driver::Driver,
    fabric::Fault,
    server::{Answer, Seen, Server, answer},
};

/// Further than any of the futures gets before it is done, or waits for something that does not come.
const POINTS: u32 = 12;
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

#[test]
fn a_release_that_is_dropped_goes_on() {
    for points in 0..POINTS {
        let (fabric, runtime) = (Fabric::new(), runtime());
        runtime.block_on(async {
            let client = lease_tokio::Client::over(&fabric);
            let guard = client.acquire(config("me", 30_000)).await.unwrap();
            drop_after(points, guard.release()).await;
        });
        await_that(|| fabric.holder().is_none(), "the release of a guard");
        runtime.block_on(async {
            let keeper = lease_tokio::Client::over(&fabric).keep(config("me", 30_000));
            keeper.held().await.unwrap();
            drop_after(points, keeper.release()).await;
        });
        await_that(|| fabric.holder().is_none(), "the release of a keeper");
        runtime.block_on(async {
            let client = lease_tokio::Client::over(&fabric);
            let guard = client.acquire(config("me", 30_000)).await.unwrap();
            drop_after(points, guard.release_with(Parting::default())).await;
        });
        await_that(|| fabric.holder().is_none(), "the parting of a guard");
        runtime.block_on(async {
            let keeper = lease_tokio::Client::over(&fabric).keep(config("me", 30_000));
            keeper.held().await.unwrap();
            drop_after(points, keeper.release_with(Parting::default())).await;
        });
        await_that(|| fabric.holder().is_none(), "the parting of a keeper");
        runtime.block_on(async {
            let client = lease_tokio::Client::over(&fabric);
            let guard = client.acquire(config("me", 30_000)).await.unwrap();
            let successor = Identity::new("me").unwrap();
            drop_after(points, guard.hand_over(successor, Duration::from_secs(1))).await;
        });
        await_that(|| fabric.holder().is_none(), "the hand-over of a guard");
        runtime.block_on(async {
            let keeper = lease_tokio::Client::over(&fabric).keep(config("me", 30_000));
            keeper.held().await.unwrap();
            let successor = Identity::new("me").unwrap();
            drop_after(points, keeper.hand_over(successor, Duration::from_secs(1))).await;
        });
        await_that(|| fabric.holder().is_none(), "the hand-over of a keeper");
        ends(&runtime);
    }
}

#[test]
fn work_that_is_dropped_is_over_and_the_lease_is_given_back_by_a_guard_and_kept_by_a_keeper() {
    for points in 0..POINTS {
        let (fabric, runtime) = (Fabric::new(), runtime());
        runtime.block_on(async {
            let client = lease_tokio::Client::over(&fabric);
            let guard = client.acquire(config("me", 30_000)).await.unwrap();
            let (work, is_over) = endless();
            let run = guard.run_while_held(Duration::ZERO, |_| work);
            drop_after(points, run).await;
            assert!(is_over.load(Ordering::Relaxed));
        });
        await_that(|| fabric.holder().is_none(), "the release");
        runtime.block_on(async {
            let keeper = lease_tokio::Client::over(&fabric).keep(config("me", 30_000));
            keeper.held().await.unwrap();
            let (work, is_over) = endless();
            let run = keeper.run_while_held(Duration::ZERO, |_| work);
            drop_after(points, run).await;
            assert!(is_over.load(Ordering::Relaxed) && keeper.is_held());
            keeper.release().await;
        });
        ends(&runtime);
    }
}

#[test]
fn a_look_that_is_dropped_costs_nothing() {
    for points in 0..POINTS {
        let (fabric, runtime) = (Fabric::new(), runtime());
        runtime.block_on(async {
            let client = lease_tokio::Client::over(&fabric);
            let guard = client.acquire(config("me", 30_000)).await.unwrap();
            drop_after(points, guard.verify()).await;
            assert!(guard.is_held());
            assert_eq!(guard.verify().await, Ok(()));
            assert_eq!(guard.release().await, Some(Released::Cleared));
        });
        ends(&runtime);
    }
}

#[test]
fn who_waits_for_events_and_gives_up_misses_none() {
    let (fabric, runtime) = (Fabric::new(), runtime());
    fabric.once(Method::POST, Fault::Fail);
    runtime.block_on(async {
        let keeper = lease_tokio::Client::over(&fabric).keep(config("me", 3_000));
        let mut events = Vec::new();
        while events.len() < 3 {
            // All that wait at once, and none for longer than a step.
            tokio::select! {
                biased;
                event = keeper.next_event() => events.push(event.unwrap()),
                _ = async { tokio::join!(keeper.held(), keeper.lost()) } => {}
                () = tokio::task::yield_now() => {}
            }
        }
        let [first, second, third] = &events[..] else {
            panic!("{events:?}");
        };
        assert!(matches!(first, Event::Retrying { .. }), "{events:?}");
        assert!(matches!(second, Event::Acquired(_)), "{events:?}");
        assert!(matches!(third, Event::Renewed(_)), "{events:?}");
        keeper.release().await;

        let client = lease_tokio::Client::over(&fabric);
        let guard = client.acquire(config("me", 3_000)).await.unwrap();
        loop {
            tokio::select! {
                biased;
                event = guard.next_event() => {
                    assert!(matches!(event, Some(Event::Acquired(_))), "{event:?}");
                    break;
                }
                _ = async { tokio::join!(guard.lost(), guard.wait_lost(Duration::from_secs(60))) } => {}
                () = tokio::task::yield_now() => {}
            }
        }
        guard.release().await;
    });
    ends(&runtime);
}

#[test]
fn an_acquisition_in_time_or_at_once_that_is_dropped_leaves_nothing_held() {
    for points in 0..POINTS {
        let (fabric, runtime) = (Fabric::new(), runtime());
        runtime.block_on(async {
            let client = lease_tokio::Client::over(&fabric);
            drop_after(points, client.try_acquire(config("me", 30_000))).await;
        });
        ends(&runtime);
        runtime.block_on(async {
            let client = lease_tokio::Client::over(&fabric);
            let timeout = Duration::from_secs(60);
            drop_after(
                points,
                client.acquire_timeout(config("me", 30_000), timeout),
            )
            .await;
        });
        ends(&runtime);
        assert_eq!(fabric.holder(), None);
    }
}

#[test]
fn an_acquisition_of_a_set_or_of_a_claim_that_is_dropped_leaves_nothing_held() {
    for points in 0..POINTS {
        let (fabric, runtime) = (Fabric::new(), runtime());
        let timeout = Duration::from_secs(60);
        macro_rules! drop_after {
            (|$client:ident, $set:ident| $attempt:expr) => {
                runtime.block_on(async {
                    let $client = lease_tokio::Client::over(&fabric);
                    let $set = $client.claim_set(SetLimits::default());
                    drop_after(points, $attempt).await;
                });
                ends(&runtime);
                assert_eq!(fabric.holder(), None);
            };
        }
        let config = || config("me", 30_000);
        drop_after!(|_client, set| set.acquire(config()));
        drop_after!(|_client, set| set.try_acquire(config()));
        drop_after!(|_client, set| set.acquire_timeout(config(), timeout));
        drop_after!(|client, _set| client.claim(config()).hold(Patience::Forever));
    }
}

#[test]
fn a_directory_whose_opening_is_dropped_can_be_opened() {
    for points in 0..POINTS {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime());
        let directory = folder.path().join("leases");
        runtime.block_on(async {
            drop_after(points, lease_tokio::Client::embedded(&directory)).await;
            let client = lease_tokio::Client::embedded(&directory).await.unwrap();
            assert_eq!(client.get("leader").await.unwrap(), None);
        });
        ends(&runtime);
    }
}

#[test]
fn a_plain_call_that_is_dropped_leaves_a_client_that_works_and_no_task() {
    let api = std::sync::Mutex::new(ApiServer::new());
    let server = Server::start(move |seen: &Seen| {
        let mut words = seen.line.split(' ');
        let mut request = http::Request::builder()
            .method(words.next().unwrap())
            .uri(words.next().unwrap());
        for (name, value) in &seen.headers {
            request = request.header(name, value);
        }
        let request = request.body(seen.body.clone()).unwrap();
        let now = std::time::SystemTime::now();
        let Answered::Whole(answered) = api.lock().unwrap().handle(&request, now) else {
            panic!("nothing is watched");
        };
        let body = String::from_utf8_lossy(answered.body());
        Answer::Keep(answer(&answered.status().to_string(), &body))
    });
    let runtime = runtime();
    let client = lease_tokio::Client::builder(server.url()).build().unwrap();
    runtime.block_on(async {
        let mut lease = lease_proto::wire::Lease::default();
        "leader".clone_into(&mut lease.metadata.name);
        for points in (0..200).step_by(7) {
            drop_after(points, client.list()).await;
            drop_after(points, client.list_everywhere()).await;
            drop_after(points, client.get("leader")).await;
            let request = || http::Request::get(LEASES).body(Vec::new()).unwrap();
            let patience = Duration::from_secs(60);
            drop_after(points, client.send(request(), patience, false)).await;
            drop_after(points, client.stream(request(), patience, false)).await;
            drop_after(points, client.create(&lease)).await;
            if let Some(stored) = client.get("leader").await.unwrap() {
                drop_after(points, client.update(&stored)).await;
                drop_after(points, client.delete("leader", &Preconditions::default())).await;
            }
            assert!(client.list().await.unwrap().len() <= 1);
        }
    });
    drop(client);
    ends(&runtime);
}

#[test]
fn a_shutdown_ends_in_time_while_the_server_is_away() {
    let (fabric, runtime) = (Fabric::new(), runtime());
    runtime.block_on(async {
        let client = lease_tokio::Client::over(&fabric);
        let guard = client.acquire(config("me", 1_500)).await.unwrap();
        fabric.always(Some(Fault::Hang));
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        tokio::select! {
            loss = guard.lost() => panic!("{loss}"),
            () = shutdown.cancelled() => {}
        }
        let begun = Instant::now();
        let deadline = Duration::from_millis(100);
        let released = tokio::time::timeout(deadline, guard.release()).await;
        assert!(released.is_err() && begun.elapsed() < Duration::from_secs(1));
    });
    // The claim itself gives up when the grant is over.
    ends(&runtime);
}

/// A runtime of the test's own, whose tasks can be counted.
fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn ends(runtime: &Runtime) {
    await_that(
        || runtime.metrics().num_alive_tasks() == 0,
        "the end of all tasks",
    );
}

/// Polls a future so often, unless it is done before, and drops it.
async fn drop_after<F: Future>(points: u32, future: F) {
    let mut future = pin!(future);
    for _ in 0..points {
        tokio::select! {
            biased;
            _ = &mut future => return,
            () = tokio::task::yield_now() => {}
        }
    }
}

/// Work that never ends, and whether it is over all the same.
fn endless() -> (impl Future<Output = ()>, Arc<AtomicBool>) {
    struct Mark(Arc<AtomicBool>);
    impl Drop for Mark {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mark = Mark(Arc::clone(&is_over));
    let work = async move {
        let _mark = mark;
        std::future::pending::<()>().await;
    };
    (work, is_over)
}
