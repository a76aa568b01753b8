//! Writers are killed at any moment: nothing that was answered is lost, and nobody is kept out.

use std::{
    env, fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use lease_proto::server::ApiServer;
use lease_tests::{
    random::Random,
    store::{self, Store},
};

use crate::system::writer;

/// How many writers are killed, unless `LEASE_KILLS` says otherwise. `LEASE_SEED` has them killed as long after their start as
/// it was then, if not at the same instruction.
const KILLS: usize = 1_000;

/// What a writer has done to its Lease.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    count: u64,
    version: u64,
}

#[test]
fn writers_that_are_killed_lose_nothing_and_keep_nobody_out() {
    let kills = env::var("LEASE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let seed = env::var("LEASE_SEED").map_or_else(|_| seed(), |seed| seed.parse().unwrap());
    let mut random = Random::new(seed);
    // On a disk most of the time is spent waiting for it; in memory, between any two instructions.
    let mut folders = vec![tempfile::tempdir().unwrap()];
    folders.extend(tempfile::tempdir_in("/dev/shm"));
    let (mut killed, mut writes, mut unanswered) = (0, 0, 0);
    let mut place = 0;
    while killed < kills {
        // A new store, to be killed while it is being made, and then an old one for some time.
        place += 1;
        let folder = &folders[place % folders.len()];
        let directory = folder.path().join(format!("leases{place}"));
        let mut before = [Written::default(); 2];
        for round in 0..20 {
            let running = [
                start::<lease_blocking::Client>(&directory, "blocking"),
                start::<lease_tokio::Client>(&directory, "tokio"),
            ];
            let most = if round == 0 { 12_000 } else { 40_000 };
            let printed = running.map(|mut child| {
                thread::sleep(Duration::from_micros(random.between(0, most)));
                child.kill().unwrap();
                killed += 1;
                printed(child)
            });
            check(&directory, seed, &mut before, &printed, &mut unanswered);
        }
        writes += before.iter().map(|it| it.count).sum::<u64>();
        fs::remove_dir_all(&directory).unwrap();
    }
    eprintln!("{killed} writers killed, {writes} writes, {unanswered} of them not answered");
    assert!(writes > 0 && (kills < 1_000 || unanswered > 0));
}

fn start<D: Store>(directory: &Path, lease: &str) -> Child {
    writer::<D>(directory)
        .args(["--lease", lease])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The last write that was answered, if any was.
#[expect(clippy::unwrap_in_result, reason = "test code")]
fn printed(child: Child) -> Option<Written> {
    let output = child.wait_with_output().unwrap();
    // A writer that was not killed has found something wrong.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let lines = String::from_utf8(output.stdout).unwrap();
    let (count, version) = lines.lines().last()?.split_once(' ').unwrap();
    Some(Written {
        count: count.parse().unwrap(),
        version: version.parse().unwrap(),
    })
}

/// Looks at what is there after both have been killed.
fn check(
    directory: &Path,
    seed: u64,
    before: &mut [Written; 2],
    printed: &[Option<Written>; 2],
    unanswered: &mut u64,
) {
    let said = |what: &str| format!("LEASE_SEED={seed}: {what}: {before:?}, then {printed:?}");
    // Whoever was killed has freed the lock by dying.
    let client = lease_blocking::Client::open(directory)
        .unwrap_or_else(|error| panic!("{}", said(&crate::chain(&error))));
    let state = fs::read(directory.join("leases.json")).unwrap();
    let server = ApiServer::builder().restore(&state).unwrap();
    let mut found = [Written::default(); 2];
    for (index, name) in ["blocking", "tokio"].into_iter().enumerate() {
        let lease = client.read(name).unwrap();
        let lease = lease.as_ref();
        let it = Written {
            count: store::count(lease),
            version: store::version(lease),
        };
        let answered = printed[index].unwrap_or(before[index]);
        // The one that was under way when it was killed has been carried out, or has not.
        let is_last = it.count == answered.count && it.version == answered.version;
        let is_next = it.count == answered.count + 1 && it.version > answered.version;
        assert!(
            is_last || is_next,
            "{}, found {it:?}",
            said("a write is lost")
        );
        *unanswered += u64::from(is_next);
        found[index] = it;
    }
    // Every write has a version of its own, from the second on: the first is that of the empty store.
    let total: u64 = found.iter().map(|it| it.count).sum();
    assert_eq!(server.resource_version(), total + 1, "{}", said("versions"));
    *before = found;
}

fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % 1_000_000
}
