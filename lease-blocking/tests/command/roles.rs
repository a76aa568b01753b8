//! Roles that lack something: what still works, and what is said of the rest.

use crate::{Place, Ran, Started, await_that, server::Server};
use lease_blocking::proto::server::{ApiServer, Rule, Verb};

/// An API server with users who may do this and that, each with a file that has the token.
struct Cluster {
    server: String,
    authority: String,
    namespace: String,
    tokens: String,
    /// What the names of leases begin with.
    lease: &'static str,
}

/// Users, and what a Role grants them: those of `.ci/cluster`, and those without one verb.
const USERS: [(&str, &[Verb]); 6] = [
    ("minimal", &[Verb::Get, Verb::Create, Verb::Update]),
    ("patcher", &[Verb::Get, Verb::Create, Verb::Patch]),
    ("reader", &[Verb::Get, Verb::List, Verb::Watch]),
    ("nobody", &[]),
    (
        "no-create",
        &[Verb::Get, Verb::List, Verb::Watch, Verb::Update],
    ),
    (
        "no-delete",
        &[
            Verb::Get,
            Verb::List,
            Verb::Watch,
            Verb::Create,
            Verb::Update,
        ],
    ),
];

impl Cluster {
    fn of_our_own(place: &Place) -> Self {
        let mut api = ApiServer::builder()
            .namespaces(["default"])
            .admin("token-admin", "admin");
        for (user, verbs) in USERS {
            place.keep(user, &format!("token-{user}"));
            api = api.user(format!("token-{user}"), user).rule(
                Rule::new(user)
                    .verbs(verbs.iter().copied())
                    .namespace("default"),
            );
        }
        place.keep("admin", "token-admin");
        place.keep("bad", "token-of-nobody");
        let server = Server::serving(api.build());
        Self {
            authority: place.keep("ca", &server.certificate),
            server: server.url,
            namespace: "default".to_owned(),
            tokens: place.folder.path().to_str().unwrap().to_owned(),
            lease: "role",
        }
    }

    /// The one that `.ci/cluster` has started.
    fn live() -> Option<Self> {
        let Ok(server) = std::env::var("LEASE_LIVE_SERVER") else {
            crate::skip(
                "LEASE_LIVE_REQUIRED",
                "LEASE_LIVE_SERVER names no API server",
            );
            return None;
        };
        Some(Self {
            server,
            authority: std::env::var("LEASE_LIVE_CA").unwrap(),
            namespace: std::env::var("LEASE_LIVE_NAMESPACE").unwrap(),
            tokens: std::env::var("LEASE_LIVE_TOKENS").unwrap(),
            lease: "command",
        })
    }

    /// The arguments as this user.
    fn words(&self, user: &str, line: &str) -> Vec<String> {
        let named = line.replace("NAME", self.lease);
        let split =
            |text: &str| -> Vec<String> { text.split(' ').map(ToOwned::to_owned).collect() };
        // What is to be run comes last.
        let (named, program) = match named.split_once(" -- ") {
            Some((named, program)) => (named, split(&format!("-- {program}"))),
            None => (named.as_str(), Vec::new()),
        };
        let mut words = split(named);
        for (flag, value) in [
            ("--server", self.server.clone()),
            ("--certificate-authority", self.authority.clone()),
            ("--token-file", format!("{}/{user}", self.tokens)),
        ] {
            words.extend([flag.to_owned(), value]);
        }
        if !line.contains(" -n ") && !line.contains(" -A") {
            words.extend(["--namespace".to_owned(), self.namespace.clone()]);
        }
        words.extend(program);
        words
    }

    fn run(&self, place: &Place, user: &str, line: &str) -> Ran {
        let words = self.words(user, line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        place.bare(&words).output().unwrap().into()
    }

    fn start(&self, place: &Place, user: &str, line: &str) -> Started {
        let words = self.words(user, line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = place.bare(&words);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        Started(command.spawn().unwrap())
    }

    /// The version, which every write changes.
    fn version(&self, place: &Place) -> String {
        let ran = self.run(place, "admin", "status NAME -o json");
        let read: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        read["resourceVersion"].as_str().unwrap().to_owned()
    }

    /// Everything that is the same for both kinds of server.
    fn is_told_what_is_missing(&self, place: &Place) {
        let run = |user: &str, line: &str| self.run(place, user, line);
        let lacks = |user: &str, line: &str, verb: &str, grants: &str| {
            let (said, wanted) = (
                "Error from server (Forbidden): leases.coordination.k8s.io",
                format!("User \"{user}\" cannot {verb} resource \"leases\""),
            );
            let ran = run(user, line).with(4).saying(&[said, &wanted, grants]);
            assert!(ran.stderr.contains("kind: Role\n"), "{ran:?}");
        };
        // Without anything, and without being known.
        lacks("nobody", "status NAME", "get", "\"get\"");
        run("bad", "status NAME")
            .with(4)
            .saying(&["Error from server (Unauthorized)", "expired"]);

        // Only reading: what is not there cannot be created, what is there not be changed.
        lacks(
            "reader",
            "acquire NAME --holder me",
            "create",
            "[\"create\"]",
        );
        run("reader", "list").with(0);
        run("minimal", "acquire NAME --holder me --ttl 1h").with(0);
        let before = self.version(place);
        run("reader", "status NAME").with(0);
        for line in [
            "acquire NAME --holder me",
            "renew NAME --holder me",
            "release NAME --holder me",
            "release NAME --force --yes",
        ] {
            lacks("reader", line, "update", "\"update\"");
        }
        run("reader", "acquire NAME --holder you").with(5);
        run("reader", "release NAME --holder you").with(5);
        assert_eq!(self.version(place), before);

        // Without `update`: what is there can be read and not be kept. `patch` alone is not what the command writes by.
        lacks("patcher", "renew NAME --holder me", "update", "\"update\"");
        // Who may not list sees no candidates, and is not troubled with that.
        assert_eq!(run("patcher", "status NAME").with(0).stderr, "");
        assert_eq!(self.version(place), before);

        // Without `list`, `watch` and `delete` everything but lists works, and who waits looks from time to time.
        run("minimal", "renew NAME --holder me --ttl 3s").with(0);
        run("minimal", "status NAME -q").with(0);
        let waiter = self.start(
            place,
            "minimal",
            "acquire NAME --holder you --wait --ttl 1h",
        );
        run("minimal", "release NAME --holder me").with(0);
        waiter.end().with(0);
        lacks("minimal", "list", "list", "[\"get\", \"list\", \"watch\"]");
        run("minimal", "release NAME --force --yes --holder you").with(0);

        // A namespace that does not exist is told as such.
        run("admin", "acquire NAME --holder me -n nowhere")
            .with(2)
            .saying(&[
                "Error from server (NotFound): namespaces \"nowhere\" not found",
                "kubectl create namespace nowhere",
            ]);
        run("admin", "status no-such-lease")
            .with(2)
            .saying(&["no lease no-such-lease", &self.namespace]);
        run("minimal", "list -A").with(4).saying(&[
            "(Forbidden)",
            "kind: ClusterRole\n",
            "\"list\"",
        ]);
    }
}

#[test]
fn whoever_lacks_a_verb_is_told_which_and_what_grants_it() {
    let place = Place::new();
    Cluster::of_our_own(&place).is_told_what_is_missing(&place);
}

#[test]
fn whoever_lacks_a_verb_is_told_so_of_a_real_cluster() {
    if let Some(cluster) = Cluster::live() {
        cluster.is_told_what_is_missing(&Place::new());
    }
}

#[test]
fn what_is_there_already_is_held_without_the_verb_create_and_given_back_without_delete() {
    let place = Place::new();
    let cluster = Cluster::of_our_own(&place);
    let run = |user: &str, line: &str| cluster.run(&place, user, line);
    run("no-create", "acquire NAME --holder me")
        .with(4)
        .saying(&["cannot create", "[\"create\"]"]);
    run("no-delete", "acquire NAME --holder you --ttl 1h").with(0);
    let waiter = cluster.start(&place, "no-create", "acquire NAME --holder me --wait");
    run("no-delete", "release NAME --holder you").with(0);
    waiter.end().with(0);
    run("no-create", "renew NAME --holder me").with(0);
    run("no-create", "release NAME --holder me").with(0);
    run("no-create", "status NAME").with(1);
}

#[test]
fn whoever_may_not_withdraw_its_announcement_is_told_what_grants_it() {
    let place = Place::new();
    let cluster = Cluster::of_our_own(&place);
    let admin = |line: &str| cluster.run(&place, "admin", line).with(0).stdout;
    for (lease, line) in [
        ("one", "acquire one --holder me --priority 1 --wait"),
        ("two", "run two --priority 1 -- true"),
    ] {
        admin(&format!("acquire {lease} --holder you --ttl 1h"));
        let waiter = cluster.start(&place, "no-delete", line);
        let announcement = format!("{lease}-candidate-");
        await_that(
            || admin("list --candidates -o name").contains(&announcement),
            "its announcement",
        );
        admin(&format!("release {lease} --holder you"));
        let ran = waiter.end().with(0);
        for wanted in [
            "User \"no-delete\" cannot delete resource \"leases\"",
            "lacks the verb \"delete\"",
            "\"update\", \"delete\"]",
        ] {
            assert!(ran.stderr.contains(wanted), "{wanted} is not in {ran:?}");
        }
        let outcome = "; its announcement stays behind";
        assert_eq!(ran.stderr.matches(outcome).count(), 1, "{ran:?}");
        assert!(!ran.stderr.contains("resourceNames"), "{ran:?}");
    }
}

#[test]
fn whoever_may_not_watch_looks_from_time_to_time_and_says_so() {
    let place = Place::new();
    let cluster = Cluster::of_our_own(&place);
    cluster
        .run(&place, "minimal", "acquire NAME --holder me --ttl 1h")
        .with(0);
    let watch = cluster.start(&place, "minimal", "watch NAME");
    let (out, errors) = (place.file("out"), place.file("errors"));
    let mut watch = watch;
    let copy = |mut from: Box<dyn std::io::Read + Send>, to: std::path::PathBuf| {
        std::thread::spawn(move || {
            let mut to = std::fs::File::create(to).unwrap();
            std::io::copy(&mut from, &mut to).unwrap()
        })
    };
    copy(Box::new(watch.0.stdout.take().unwrap()), out);
    copy(Box::new(watch.0.stderr.take().unwrap()), errors);
    place.await_text("out", "is held by me");
    place.await_text("errors", "cannot watch resource \"leases\"");
    place.await_text("errors", "looking every 2 s instead");
    cluster
        .run(&place, "minimal", "release NAME --holder me")
        .with(0);
    await_that(
        || place.text("out").contains("released by me"),
        "the release, by a look",
    );
}
