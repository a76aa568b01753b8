//! A real API server that answers 429, because all that it does at once for a user is taken.

#![expect(clippy::print_stdout, reason = "the figures are part of the result")]

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lease_blocking::Client;
use lease_tests::audit::Line;
use libtest_mimic::Failed;
use serde_json::json;

use crate::{
    audit::requests,
    check,
    claimant::{Kind, Start},
    cluster::Cluster,
};

/// Who is kept busy, and does nothing else in this suite.
const USER: &str = "holder-c";
/// What the server asks for is a second.
const RETRY_AFTER: i64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Rule R3 of load: nobody asks before the time that a 429 names is over, and the Lease is kept.
pub(crate) fn a_pause_that_the_server_asks_for_is_kept(cluster: &Cluster) -> Result<(), Failed> {
    let narrow = Narrow::new(cluster)?;
    for kind in [Kind::Tokio, Kind::Blocking, Kind::Command] {
        let mut start = Start::new(cluster, kind, "busy", USER);
        start.ttl = 15;
        let mut claimant = start.run()?;
        claimant.expect("acquired", PATIENCE)?;
        let hung = narrow.fill()?;
        // Twice is enough: a command tells its program to end well before the Lease does.
        let until = Instant::now() + PATIENCE;
        while refused(&requests(cluster, &start.lease)?) < 2 {
            check(Instant::now() < until, &format!("{kind} is not refused"))?;
        }
        drop(hung);
        claimant.expect_nothing(Duration::from_secs(6))?;
        claimant.terminate()?;
        let seen = requests(cluster, &start.lease)?;
        let refused = refused(&seen);
        let early: Vec<&[Line]> = seen.windows(2).filter(|pair| is_early(pair)).collect();
        check(early.is_empty(), &format!("{kind} asked early: {early:?}"))?;
        println!("{kind}: {refused} times 429, and none of them was answered early");
    }
    Ok(())
}

fn refused(seen: &[Line]) -> usize {
    seen.iter().filter(|it| it.code == 429).count()
}

/// Whether the second was sent before the first one's time was over.
fn is_early(pair: &[Line]) -> bool {
    let [first, second] = pair else {
        return false;
    };
    first.code == 429 && second.came < first.came + RETRY_AFTER
}

/// What the API server does at once for that user, which is not much.
struct Narrow<'a> {
    cluster: &'a Cluster,
    user: Client,
}

impl<'a> Narrow<'a> {
    fn new(cluster: &'a Cluster) -> Result<Self, Failed> {
        let user = Client::builder(&cluster.server)
            .certificate_authority(cluster.ca.clone())
            .token_file(cluster.token_file(USER))
            .build()?;
        let this = Self { cluster, user };
        let level = json!({
            "apiVersion": VERSION, "kind": "PriorityLevelConfiguration", "metadata": {"name": NAME},
            "spec": {"type": "Limited", "limited": {"assuredConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}},
        });
        let schema = json!({
            "apiVersion": VERSION, "kind": "FlowSchema", "metadata": {"name": NAME},
            "spec": {
                "priorityLevelConfiguration": {"name": NAME},
                "matchingPrecedence": 100,
                "rules": [{
                    "subjects": [{"kind": "User", "user": {"name": USER}}],
                    "resourceRules": [{
                        "verbs": ["*"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "namespaces": ["*"],
                    }],
                }],
            },
        });
        for (kind, object) in [
            ("prioritylevelconfigurations", level),
            ("flowschemas", schema),
        ] {
            cluster.ask(http::Method::POST, &format!("{PATH}/{kind}"), &object)?;
        }
        Ok(this)
    }

    /// Begins so many requests, whose bodies do not come, that the next one is refused.
    fn fill(&self) -> Result<Hung, Failed> {
        let mut hung = Hung(Vec::new());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            for _ in 0..4 {
                hung.0.push(self.hang()?);
            }
            thread::sleep(Duration::from_millis(300));
            let looked = self.user.send(
                http::Request::get("/apis/coordination.k8s.io/v1/namespaces/default/leases/none")
                    .body(Vec::new())?,
                PATIENCE,
                false,
            );
            if looked?.status().as_u16() == 429 {
                return Ok(hung);
            }
        }
        Err("the API server takes any number of requests at once".into())
    }

    /// A write without its body.
    fn hang(&self) -> Result<Child, Failed> {
        let cluster = self.cluster;
        let token = std::fs::read_to_string(cluster.token_file(USER))?;
        let (server, namespace) = (&cluster.server, &cluster.namespace);
        let child = Command::new("curl")
            .args([
                "--disable",
                "--silent",
                "--noproxy",
                "*",
                "--http1.1",
                "--cacert",
            ])
            .arg(&cluster.ca)
            .args([
                "--header",
                &format!("Authorization: Bearer {}", token.trim()),
            ])
            .args([
                "--header",
                "Content-Type: application/json",
                "--header",
                "Expect:",
            ])
            .args(["--request", "POST", "--upload-file", "."])
            .arg(format!(
                "{server}/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.map_err(|error| format!("curl cannot be run: {error}").into())
    }
}

impl Drop for Narrow<'_> {
    fn drop(&mut self) {
        for kind in ["flowschemas", "prioritylevelconfigurations"] {
            let path = format!("{PATH}/{kind}/{NAME}");
            let _gone = self.cluster.ask(http::Method::DELETE, &path, &json!({}));
        }
    }
}

/// Requests that have begun; they end when this is dropped.
struct Hung(Vec<Child>);

impl Drop for Hung {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _already_gone = child.kill();
            let _already_waited = child.wait();
        }
    }
}

const NAME: &str = "one-at-a-time";
const VERSION: &str = "flowcontrol.apiserver.k8s.io/v1beta1";
const PATH: &str = "/apis/flowcontrol.apiserver.k8s.io/v1beta1";
