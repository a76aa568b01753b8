//! Requests while somebody else has the lock, and after somebody has died with it.

use std::{
    fs::{self, File, OpenOptions},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lease_proto::wire::Lease;
use lease_tests::store::Store;
use rustix::fs::{FlockOperation, flock};

use crate::{SOON, chain, driver::Driver, place};

/// Holds the lock of a directory for as long as it lives, as a process that is stopped does.
fn hold(directory: &Path) -> File {
    let lock = File::open(directory.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    lock
}

fn lease(name: &str) -> Lease {
    Lease::new("default", name)
}

pub(crate) fn a_directory_that_stays_locked_costs_an_answer_in_time<D: Store + Timed + Sync>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    let holder = hold(&directory);
    let begun = Instant::now();
    let second = Duration::from_secs(1);
    let said = client.make_within("a", second).unwrap_err();
    let holding = format!("process {} keeps", std::process::id());
    assert!(said.contains(&holding) && said.contains("locked"), "{said}");
    assert!(begun.elapsed() < SOON);
    // Whoever waits when it is freed gets it then.
    thread::scope(|scope| {
        let waiter = scope.spawn(|| client.make(&lease("a")).unwrap());
        thread::sleep(Duration::from_millis(50));
        assert!(!waiter.is_finished());
        drop(holder);
        waiter.join().unwrap();
    });
}

pub(crate) fn a_request_whose_time_is_over_is_not_begun<D: Driver + Store + Timed>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    let holder = hold(&directory);
    assert!(client.make_within("a", Duration::from_millis(100)).is_err());
    assert!(client.make_within("b", Duration::ZERO).is_err());
    drop(holder);
    assert!(client.make_within("c", Duration::ZERO).is_err());
    client.make_within("d", Duration::MAX).unwrap();
    for name in ["a", "b", "c"] {
        assert!(client.read(name).unwrap().is_none(), "{name}");
    }
    assert!(client.read("d").unwrap().is_some());
}

pub(crate) fn a_lock_that_was_removed_is_waited_for_in_vain<D: Driver + Store + Sync>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    let holder = hold(&directory);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| client.make(&lease("a")).unwrap());
        thread::sleep(Duration::from_millis(50));
        // Made again, and locked, by those who come after.
        fs::remove_file(directory.join("lock")).unwrap();
        let later = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(directory.join("lock"))
            .unwrap();
        flock(&later, FlockOperation::LockExclusive).unwrap();
        drop(holder);
        thread::sleep(Duration::from_millis(50));
        assert!(!waiter.is_finished());
        drop(later);
        waiter.join().unwrap();
    });
    // What it says of the store is written again.
    D::open(&directory).unwrap();
    assert_ne!(fs::read(directory.join("lock")).unwrap(), b"");
}

pub(crate) fn waiting_takes_one_thread_however_often_it_fails<D: Driver + Store + Timed>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    let mut holder = hold(&directory);
    let inode = |file: &File| {
        use std::os::unix::fs::MetadataExt;
        file.metadata().unwrap().ino().to_string()
    };
    let waiting = |inode: &str| {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let mine = |line: &&str| line.contains("->") && line.contains(&format!(":{inode} "));
        locks.lines().filter(mine).count()
    };
    // The kernel shows a lock twice, or not at all, when others come and go while its list is read.
    let waiting = |inode: &str| {
        let mut counted: [usize; 9] = std::array::from_fn(|_| waiting(inode));
        counted.sort_unstable();
        counted[counted.len() / 2]
    };
    for _ in 0..20 {
        let waited = client.make_within("a", Duration::from_millis(20));
        assert!(waited.is_err());
        // A thread that has only just begun may not wait yet.
        let until = Instant::now() + SOON;
        while waiting(&inode(&holder)) == 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(waiting(&inode(&holder)), 1);
    }
    // Nobody waits for that thread when it gets the lock, and it keeps nobody out.
    drop(holder);
    D::open(&directory).unwrap();
    client.make_within("a", SOON).unwrap();
    holder = hold(&directory);
    assert_eq!(waiting(&inode(&holder)), 0);
}

pub(crate) fn what_was_left_unfinished_is_in_nobodys_way<D: Driver + Store>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    let unfinished = directory.join("leases.json.new");
    fs::write(&unfinished, "{\"form").unwrap();
    client.make(&lease("a")).unwrap();
    assert!(!unfinished.exists());
    fs::write(&unfinished, "{\"form").unwrap();
    let client = D::open(&directory).unwrap();
    assert!(client.read("a").unwrap().is_some());
}

/// Requests with a time of their own.
pub(crate) trait Timed {
    fn make_within(&self, name: &str, timeout: Duration) -> Result<(), String>;
}

impl Timed for lease_blocking::Client {
    fn make_within(&self, name: &str, timeout: Duration) -> Result<(), String> {
        let answer = self.send(creation(name), timeout, false);
        answer.map(accepted).map_err(|error| chain(&error))
    }
}

impl Timed for lease_tokio::Client {
    fn make_within(&self, name: &str, timeout: Duration) -> Result<(), String> {
        let answer = self.send(creation(name), timeout, false);
        let answer = lease_tests::store::runtime().block_on(answer);
        answer.map(accepted).map_err(|error| chain(&error))
    }
}

fn creation(name: &str) -> http::Request<Vec<u8>> {
    let body = format!("{{\"metadata\":{{\"name\":\"{name}\"}}}}");
    http::Request::post("/apis/coordination.k8s.io/v1/namespaces/default/leases")
        .header("content-type", "application/json")
        .body(body.into_bytes())
        .unwrap()
}

fn accepted(response: http::Response<Vec<u8>>) {
    assert_eq!(response.status(), 201);
}

#[test]
fn a_future_that_is_dropped_leaves_all_or_nothing() {
    let (_folder, directory) = place();
    let runtime = lease_tests::store::runtime();
    let client: lease_tokio::Client = Store::open(&directory).unwrap();
    let mut random = lease_tests::random::Random::new(7);
    let (mut made, mut dropped) = (0, 0);
    for number in 0..200 {
        let name = format!("l{number}");
        let patience = Duration::from_micros(random.between(1, 8_000));
        let answered = runtime.block_on(async {
            tokio::time::timeout(patience, client.send(creation(&name), SOON, false)).await
        });
        // The next one is not kept waiting, and sees it whole or not at all.
        let found = client.read(&name).unwrap();
        made += u64::from(found.is_some());
        match answered {
            Ok(answer) => {
                accepted(answer.unwrap());
                assert!(found.is_some());
            }
            Err(_) => dropped += 1,
        }
    }
    let state = fs::read(directory.join("leases.json")).unwrap();
    let server = lease_proto::server::ApiServer::builder()
        .restore(&state)
        .unwrap();
    assert_eq!(server.resource_version(), made + 1);
    assert!(dropped > 0 && made > 0, "{dropped} dropped, {made} made");
}

#[test]
fn a_runtime_ends_while_its_request_waits_for_the_lock() {
    let (_folder, directory) = place();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime
        .block_on(lease_tokio::Client::embedded(&directory))
        .unwrap();
    let holder = hold(&directory);
    runtime.spawn(async move {
        client
            .send(creation("a"), Duration::from_millis(500), false)
            .await
    });
    thread::sleep(Duration::from_millis(100));
    // It would wait for ever if a thread of its own waited in the kernel.
    drop(runtime);
    drop(holder);
}
