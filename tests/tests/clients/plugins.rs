//! Credential plugins: run only where allowed, once, with limits, and never quoted.

use std::fs;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use lease_proto::access::{CredentialsError, ExecProblem, KubeconfigOptions, TransportError};
use tempfile::TempDir;

use crate::certificates::{Authority, Pair};
use crate::credentials::{kubeconfig, refusing};
use crate::driver::{Driver, PATIENCE, alone, chain, get};
use crate::server::{Answer, Seen, Server, answer, ok};

crate::scenarios! {
    a_plugin_is_ended_when_its_client_is_gone,
    a_plugin_is_ended_with_all_that_it_has_started,
    a_plugin_is_refused_until_allowed,
    a_plugin_may_leave_something_behind_that_has_its_output,
    a_plugin_runs_again_when_its_token_is_over,
    a_plugin_runs_ahead_of_time_and_nobody_waits_for_it,
    a_plugin_runs_once_until_its_token_is_refused,
    a_plugin_that_fails_is_named_and_not_quoted,
    a_plugin_runs_once_for_all_that_its_token_was_refused_to,
    a_plugins_standard_error_is_not_the_programs,
    a_slow_plugin_leaves_less_time_for_the_answer,
    a_plugins_certificate_is_presented_and_the_next_one_after_it,
    a_slow_plugin_has_a_time_of_its_own,
}

fn a_plugin_is_refused_until_allowed<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let plugin = Plugin::new(&files, "echo RAN >> runs");
    let options = plugin.kubeconfig(&server);
    let error = D::from_kubeconfig(&options.clone().allow_exec(false))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("which is not allowed; allow it with allow_exec"),
        "{error}"
    );
    assert_eq!(plugin.runs(), 0);
}

fn a_plugin_runs_once_until_its_token_is_refused<D: Driver>() {
    let (server, files) = (refusing("token-2"), tempfile::tempdir().unwrap());
    let plugin = Plugin::new(
        &files,
        r#"echo "$GREETING $1 $KUBERNETES_EXEC_INFO" >> runs
           [ "$(cat)" = "" ] || exit 1
           answer "\"token\":\"token-$(wc -l < runs | tr -d ' ')\"""#,
    );
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    assert_eq!(plugin.runs(), 0, "nothing is run before it is needed");
    assert_eq!(client.fetch("/").unwrap().status(), 401);
    assert_eq!(client.fetch("/").unwrap().status(), 401);
    assert_eq!(plugin.runs(), 1);
    assert_eq!(
        client.exchange(get("/"), PATIENCE, true).unwrap().status(),
        200
    );
    assert_eq!(client.fetch("/").unwrap().status(), 200);
    assert_eq!(plugin.runs(), 2);
    let log = fs::read_to_string(files.path().join("runs")).unwrap();
    assert!(log.starts_with("hello $(no-shell) {"), "{log}");
    assert!(
        log.contains(r#""kind":"ExecCredential""#) && log.contains(r#""interactive":false"#),
        "{log}"
    );
}

fn a_plugin_runs_again_when_its_token_is_over<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let plugin = Plugin::new(
        &files,
        r#"echo >> runs; answer "\"token\":\"t\",\"expirationTimestamp\":\"$(cat expires)\"""#,
    );
    fs::write(files.path().join("expires"), "2020-01-01T00:00:00Z").unwrap();
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    client.fetch("/").unwrap();
    fs::write(files.path().join("expires"), "2199-01-01T00:00:00Z").unwrap();
    client.fetch("/").unwrap();
    client.fetch("/").unwrap();
    assert_eq!(plugin.runs(), 2);
}

fn a_plugin_that_fails_is_named_and_not_quoted<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let short = Duration::from_millis(300);
    for (script, timeout, expected) in [
        (
            "echo canary; echo canary >&2; exit 3",
            PATIENCE,
            "exit status: 3",
        ),
        (
            "echo canary",
            PATIENCE,
            "gave no credentials: the credential plugin's answer is no ExecCredential",
        ),
        ("answer '\"canary\":1'", PATIENCE, "has no status.token"),
        (
            "answer '\"clientCertificateData\":\"canary\",\"clientKeyData\":\"canary\"'",
            PATIENCE,
            "cannot be used: the client certificate as given is not PEM",
        ),
        (
            r#"answer '"token":"can\nary"'"#,
            PATIENCE,
            "gave a token that cannot be used: the token holds",
        ),
        ("yes canary", PATIENCE, "wrote more than 1048576 bytes"),
        (
            "echo $$ > pid; exec sleep 600",
            short,
            "plugin gave no answer in the 300ms that it is given, and was stopped",
        ),
        (
            "echo $$ > pid; exec sleep 600 >&-",
            short,
            "plugin gave no answer in the 300ms that it is given, and was stopped",
        ),
    ] {
        let plugin = Plugin::new(&files, script);
        let options = plugin.kubeconfig(&server).exec_timeout(timeout);
        let client = D::from_kubeconfig(&options).unwrap();
        let started = Instant::now();
        let error = client.exchange(get("/"), PATIENCE, false).unwrap_err();
        assert!(started.elapsed() < PATIENCE, "{script}");
        let text = chain(&error);
        if timeout == short {
            plugin.is_stopped();
        }
        assert!(text.contains(expected), "{script}: {text}");
        assert!(
            !format!("{text} {error:?}").contains("canary"),
            "{script}: {text} {error:?}"
        );
    }
    let plugin = Plugin::new(&files, "");
    fs::remove_file(files.path().join("plugin")).unwrap();
    let error = D::from_kubeconfig(&plugin.kubeconfig(&server))
        .unwrap()
        .fetch("/")
        .unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("cannot be run; apt install it: No such file"),
        "{text}"
    );
    assert_eq!(server.seen().len(), 0);
}

fn a_slow_plugin_has_a_time_of_its_own<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let plugin = Plugin::new(&files, r#"echo >> runs; sleep 2; answer '"token":"t"'"#);
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    let short = Duration::from_millis(400);
    let error = client.exchange(get("/"), short, false).unwrap_err();
    let TransportError::Credentials(CredentialsError::Exec { problem, .. }) = &error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(problem, ExecProblem::Unfinished { .. }),
        "{error:?}"
    );
    let text = chain(&error);
    assert!(
        text.contains("plugin has given no answer for 0.") && text.contains("it is given 60s"),
        "{text}"
    );
    let started = Instant::now();
    while client.exchange(get("/"), short, false).is_err() {
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(server.last().header("authorization"), Some("Bearer t"));
    assert_eq!(plugin.runs(), 1);
}

fn a_plugin_runs_ahead_of_time_and_nobody_waits_for_it<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    // Good for 14 s, of which 10 are for the request, and 2.8 to get the next.
    let plugin = Plugin::new(
        &files,
        r#"echo >> runs; [ -e slow ] && sleep 1
           answer "\"token\":\"token-$(wc -l < runs | tr -d ' ')\",\"expirationTimestamp\":\"$(cat expires)\"""#,
    );
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(14);
    fs::write(files.path().join("expires"), expires.to_string()).unwrap();
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    client.fetch("/").unwrap();
    fs::write(files.path().join("slow"), "").unwrap();
    fs::write(files.path().join("expires"), "2199-01-01T00:00:00Z").unwrap();
    let token = || server.last().header("authorization").unwrap().to_owned();
    let mut meanwhile = Vec::new();
    let started = Instant::now();
    while token() != "Bearer token-2" {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
        client.fetch("/").unwrap();
        if plugin.runs() == 2 {
            meanwhile.push(token());
        }
    }
    assert!(
        meanwhile.len() > 2 && meanwhile[0] == "Bearer token-1",
        "the old one is sent while the new one is got: {meanwhile:?}"
    );
    assert_eq!(plugin.runs(), 2);
}

fn a_plugin_is_ended_with_all_that_it_has_started<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let plugin = Plugin::new(&files, "sleep 600 & echo $! > pid; wait");
    let options = plugin
        .kubeconfig(&server)
        .exec_timeout(Duration::from_millis(400));
    let client = D::from_kubeconfig(&options).unwrap();
    client.fetch("/").unwrap_err();
    plugin.is_stopped();
}

fn a_plugin_is_ended_when_its_client_is_gone<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let plugin = Plugin::new(&files, "sleep 600 & echo $! > pid; wait");
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    let short = Duration::from_secs(1);
    client.exchange(get("/"), short, false).unwrap_err();
    drop(client);
    plugin.is_stopped();
}

fn a_plugin_may_leave_something_behind_that_has_its_output<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let plugin = Plugin::new(&files, r#"sleep 600 & echo $! > pid; answer '"token":"t"'"#);
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    let started = Instant::now();
    client.fetch("/").unwrap();
    assert!(started.elapsed() < PATIENCE / 2);
    assert_eq!(server.last().header("authorization"), Some("Bearer t"));
    let left = fs::read_to_string(files.path().join("pid")).unwrap();
    let left = rustix::process::Pid::from_raw(left.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL)
        .expect("what it has left behind is its own affair, and goes on");
}

fn a_plugins_certificate_is_presented_and_the_next_one_after_it<D: Driver>() {
    let (authority, clients) = (Authority::new("cluster"), Authority::new("clients"));
    let pair = authority.server(&["localhost"]);
    let server = Server::start_tls(pair.server_config(Some(&clients)), |seen: &Seen| {
        if seen.line.contains("/refused") {
            return Answer::Keep(answer("401 Unauthorized", "{}"));
        }
        ok()
    });
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("ca.crt"), authority.pem()).unwrap();
    let plugin = Plugin::new(&files, r#"echo >> runs; answer "$(cat status)""#);
    let give = |pair: &Pair, more: &str| {
        let quoted = |pem: &str| serde_json::Value::from(pem).to_string();
        let (certificate, key) = (quoted(&pair.certificate), quoted(&pair.key));
        let status =
            format!(r#""clientCertificateData":{certificate},"clientKeyData":{key}{more}"#);
        fs::write(files.path().join("status"), status).unwrap();
    };
    let cluster = format!(
        "server: '{}', certificate-authority: ca.crt",
        server.tls_url()
    );
    let client = D::from_kubeconfig(&plugin.kubeconfig_of(&cluster)).unwrap();

    give(&clients.client(), "");
    for _ in 0..3 {
        assert_eq!(client.fetch("/").unwrap().status(), 200);
    }
    // A request may come before the connection of the last one is free again.
    let before = server.connections();
    assert_eq!(plugin.runs(), 1);
    assert_eq!(server.last().header("authorization"), None);

    // After a 401 the plugin is asked again; what it gives is presented, on a connection of its own, with its token.
    give(&clients.client(), r#","token":"t""#);
    let again = || {
        assert_eq!(client.fetch("/refused").unwrap().status(), 401);
        client.exchange(get("/"), PATIENCE, true)
    };
    assert_eq!(again().unwrap().status(), 200);
    assert!(server.connections() > before);
    assert_eq!(plugin.runs(), 2);
    assert_eq!(server.last().header("authorization"), Some("Bearer t"));

    // The new one is really the one that is presented: of another authority it is refused.
    give(&Authority::new("others").client(), "");
    let error = again().unwrap_err();
    assert!(
        !matches!(error, TransportError::Credentials(_)),
        "{error:?}"
    );
}

/// Of requests that are refused one after the other, which all went out with the same token, each has the credentials reloaded:
/// what was got for the first is good enough for the rest.
fn a_plugin_runs_once_for_all_that_its_token_was_refused_to<D: Driver>() {
    let gate = Arc::new(Barrier::new(REFUSED));
    let together = Arc::clone(&gate);
    let server = Server::start(move |seen: &Seen| {
        if seen.header("authorization") == Some("Bearer token-1") {
            // All of them have been sent before the first is refused.
            together.wait();
            return Answer::Keep(answer("401 Unauthorized", "{}"));
        }
        ok()
    });
    let files = tempfile::tempdir().unwrap();
    let script = r#"echo >> runs; answer "\"token\":\"token-$(wc -l < runs | tr -d ' ')\"""#;
    let plugin = Plugin::new(&files, script);
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    let refused = Barrier::new(REFUSED);
    let last = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..REFUSED {
            scope.spawn(|| {
                assert_eq!(client.fetch("/").unwrap().status(), 401);
                refused.wait();
                // One after the other, as if each had been refused a little later.
                let _turn = last.lock().unwrap();
                let again = client.exchange(get("/"), PATIENCE, true).unwrap();
                assert_eq!(again.status(), 200);
            });
        }
    });
    assert_eq!(plugin.runs(), 2);
    assert_eq!(
        server.last().header("authorization"),
        Some("Bearer token-2")
    );
}

const REFUSED: usize = 8;

/// What a plugin has taken of a request's time is not given to the server once more.
fn a_slow_plugin_leaves_less_time_for_the_answer<D: Driver>() {
    let arrived = Arc::new(Mutex::new(None));
    let arrives = Arc::clone(&arrived);
    let server = Server::start(move |_: &Seen| {
        *arrives.lock().unwrap() = Some(Instant::now());
        Answer::Hang(Vec::new())
    });
    let files = tempfile::tempdir().unwrap();
    let plugin = Plugin::new(&files, r#"sleep 6; answer '"token":"t"'"#);
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    let timeout = Duration::from_secs(8);
    let error = client.exchange(get("/"), timeout, false).unwrap_err();
    assert!(matches!(error, TransportError::Timeout { .. }), "{error:?}");
    // On a loaded machine it arrives later, and has less.
    let waited = arrived.lock().unwrap().unwrap().elapsed();
    assert!(waited < Duration::from_secs(6), "{waited:?}");
}

/// What it writes there may be a secret, and would be among the program's own output.
fn a_plugins_standard_error_is_not_the_programs<D: Driver>() {
    let test = ("plugins", "a_plugins_standard_error_is_not_the_programs");
    if let Some(output) = alone::<D>(test, CHILD, "1", |_| {}) {
        for said in [output.stdout, output.stderr] {
            let said = String::from_utf8_lossy(&said);
            assert!(!said.contains("canary"), "{said}");
        }
        return;
    }
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let script = r#"echo can''ary >&2; answer '"token":"t"'"#;
    let plugin = Plugin::new(&files, script);
    let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
    assert_eq!(client.fetch("/").unwrap().status(), 200);
}

const CHILD: &str = "LEASE_TEST_PLUGIN";

/// A shell script that stands for a credential plugin.
pub(crate) struct Plugin<'a> {
    files: &'a TempDir,
}

impl<'a> Plugin<'a> {
    pub(crate) fn new(files: &'a TempDir, script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let path = files.path().join("plugin");
        let answer = r#"answer() {
            printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{%s}}' "$1"
        }"#;
        let text = format!(
            "#!/bin/sh\ncd {}\n{answer}\n{script}\n",
            files.path().display()
        );
        // Renamed into place, because a file that is open for writing cannot be run.
        let aside = files.path().join("aside");
        fs::write(&aside, text).unwrap();
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&aside, &path).unwrap();
        Self { files }
    }

    pub(crate) fn kubeconfig(&self, server: &Server) -> KubeconfigOptions {
        self.kubeconfig_of(&format!("server: '{}'", server.url()))
    }

    fn kubeconfig_of(&self, cluster: &str) -> KubeconfigOptions {
        let path = self.files.path().join("config");
        let exec = "exec: {command: ./plugin, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, \
                    args: [$(no-shell)], env: [{name: GREETING, value: hello}], installHint: apt install it}";
        fs::write(&path, kubeconfig(cluster, exec)).unwrap();
        KubeconfigOptions::new().path(path).allow_exec(true)
    }

    pub(crate) fn runs(&self) -> usize {
        fs::read_to_string(self.files.path().join("runs")).map_or(0, |log| log.lines().count())
    }

    /// Waits until the program that wrote its number is gone.
    fn is_stopped(&self) {
        let number = fs::read_to_string(self.files.path().join("pid")).unwrap();
        let status = format!("/proc/{}/status", number.trim());
        let started = Instant::now();
        // Gone, or waiting only to be noticed; where there is no /proc there is nothing to see.
        while fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
            assert!(started.elapsed() < PATIENCE, "{number} goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
