//! What many Leases in one process cost: processor, memory, connections.

use std::{
    collections::HashSet,
    fs, thread,
    time::{Duration, Instant},
};

use lease_proto::server::{ApiServer, Rule};

use crate::{
    cluster::Cluster,
    front::{Backend, Front},
    numbers::table,
    process::{Ears, Library, Process, Setup, now},
    requests,
};

/// For how long a process is watched.
const WATCHED: Duration = Duration::from_secs(45);

/// What a process has used.
#[derive(Clone, Debug, Default)]
struct Cost {
    held: usize,
    lost: usize,
    connections: usize,
    mebibytes: f64,
    /// In seconds, of `WATCHED`.
    processor: f64,
    /// In a second.
    requests: f64,
}

impl Cost {
    fn cells(&self) -> Vec<String> {
        vec![
            self.held.to_string(),
            self.lost.to_string(),
            self.connections.to_string(),
            format!("{:.1}", self.mebibytes),
            format!("{:.2}", self.processor),
            format!("{:.0}", self.requests),
        ]
    }
}

const HEAD: [&str; 7] = [
    "",
    "held",
    "lost",
    "connections",
    "MiB",
    "CPU-seconds in 45 s",
    "requests a second",
];

/// Measures 200 Leases in a process of each library, one library after another.
pub(crate) fn two_hundred(cluster: &Cluster, libraries: &[Library]) {
    let rows = libraries.iter().map(|&library| {
        let lease = format!("many-{}", library.name());
        let setup = Setup {
            count: 200,
            ..Setup::new(library, &lease, "a")
        };
        let ears = Ears::new();
        let process = Process::start(cluster, setup, 0, &ears);
        let cost = watch(process, &ears, setup.count, &|since| {
            asked(cluster, &lease, since)
        });
        [vec![library.name().to_owned()], cost.cells()].concat()
    });
    table(
        "200 Leases of 15 s in one process",
        &HEAD,
        &rows.collect::<Vec<_>>(),
    );
}

/// Measures 1,000 Leases on this API server, and 10,000 on one in this process.
pub(crate) fn thousands(cluster: &Cluster) {
    let ears = Ears::new();
    let setup = |count| Setup {
        count,
        ..Setup::new(Library::LeaseTokio, "thousands", "a")
    };
    let process = Process::start(cluster, setup(1_000), 0, &ears);
    let real = watch(process, &ears, 1_000, &|since| {
        asked(cluster, "thousands", since)
    });

    let server = ApiServer::builder()
        .namespaces(["team"])
        .resource_version(1)
        .user("token", "holder")
        .rule(Rule::new("holder").namespace("team"))
        .build();
    let front = Front::start(Backend::from(server));
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.crt");
    fs::write(&ca, &front.ca).unwrap();
    let url = format!("https://localhost:{}", front.http2.port());
    let access = [
        ("LEASE_BENCH_SERVER", url.as_str()),
        ("LEASE_BENCH_CA", ca.to_str().unwrap()),
        ("LEASE_BENCH_TOKEN", "token"),
    ];
    let client =
        lease_blocking::Client::builder(format!("https://localhost:{}", front.http1.port()))
            .certificate_authority(ca.as_path())
            .token("token")
            .namespace("team")
            .build()
            .unwrap();
    // What is written has the next version each time.
    let written = |_| {
        let all = client.list().unwrap().into_iter();
        let versions = all.filter_map(|it| it.metadata.resource_version?.number());
        u64::try_from(versions.max().unwrap_or_default()).unwrap()
    };
    let ears = Ears::new();
    let process = Process::start_at(&access, "team", setup(10_000), 0, &ears);
    let here = watch(process, &ears, 10_000, &written);
    let rows = [
        ("1,000, kube-apiserver", real),
        ("10,000, in this process", here),
    ];
    let rows = rows.map(|(name, cost)| [vec![name.to_owned()], cost.cells()].concat());
    table("Leases of 15 s in one process, lease-tokio", &HEAD, &rows);
}

/// How often something was asked about these Leases since that instant, in Unix time.
fn asked(cluster: &Cluster, leases: &str, since: f64) -> u64 {
    let asked = requests::read(&cluster.audit_log, since, now());
    let about = asked.iter().filter(|it| it.uri.contains(leases)).count();
    u64::try_from(about).unwrap()
}

/// Waits until all is held, and says what it costs to keep.
///
/// `requests` counts them, those before an instant in Unix time or not.
fn watch(process: Process, ears: &Ears, count: usize, requests: &dyn Fn(f64) -> u64) -> Cost {
    let mut held = HashSet::new();
    let until = Instant::now() + Duration::from_secs(180);
    while held.len() < count && Instant::now() < until {
        if let Some(said) = ears.hear(Duration::from_secs(1), |_| true) {
            match said.event.as_str() {
                "acquired" => held.insert(said.lease),
                _ => held.remove(&said.lease),
            };
        }
    }
    thread::sleep(Duration::from_secs(5));
    ears.take();
    let since = now();
    let counted = requests(since);
    let before = processor(process.pid());
    thread::sleep(WATCHED);
    let processor = processor(process.pid()) - before;
    #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
    let requests = (requests(since) - counted) as f64 / WATCHED.as_secs_f64();
    let said = ears.take();
    let cost = Cost {
        held: held.len(),
        lost: said.iter().filter(|it| it.event == "lost").count(),
        connections: connections(process.pid()),
        mebibytes: mebibytes(process.pid()),
        processor,
        requests,
    };
    process.terminate();
    process.wait();
    cost
}

/// The processor's time that a process has used, in seconds.
fn processor(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may have spaces in it; what follows its parenthesis is the third field.
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: f64 = [11, 12]
        .iter()
        .map(|at| fields[*at].parse::<f64>().unwrap())
        .sum();
    // Linux counts in hundredths of a second, whatever else it does.
    ticks / 100.0
}

fn mebibytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kibibytes / 1_024.0
}

/// How many TCP connections a process has open.
fn connections(pid: u32) -> usize {
    let sockets: HashSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?;
            Some(link.trim_end_matches(']').to_owned())
        })
        .collect();
    let lines = ["tcp", "tcp6"].map(|it| fs::read_to_string(format!("/proc/{pid}/net/{it}")));
    let lines = lines.into_iter().flatten().collect::<String>();
    let established = lines.lines().filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(3) == Some(&"01") && fields.get(9).is_some_and(|it| sockets.contains(*it))
    });
    established.count()
}
