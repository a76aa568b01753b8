//! Credential plugins: run only where allowed, once, with limits, and never quoted.

use std::fs;
use std::time::{Duration, Instant};

use lease_proto::access::{CredentialsError, ExecProblem, KubeconfigOptions, TransportError};
use tempfile::TempDir;

use crate::credentials::{kubeconfig, refusing};
use crate::driver::{Driver, PATIENCE, chain, get};
use crate::server::{Server, ok};

crate::scenarios! {
    a_plugin_is_refused_until_allowed,
    a_plugin_runs_again_when_its_token_is_over,
    a_plugin_runs_once_until_its_token_is_refused,
    a_plugin_that_fails_is_named_and_not_quoted,
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
            "no token, which is not",
        ),
        ("yes canary", PATIENCE, "wrote more than 1048576 bytes"),
        ("echo $$ > pid; exec sleep 600", short, ""),
        ("echo $$ > pid; exec sleep 600 >&-", short, ""),
    ] {
        let plugin = Plugin::new(&files, script);
        let client = D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap();
        let started = Instant::now();
        let error = client.exchange(get("/"), timeout, false).unwrap_err();
        assert!(started.elapsed() < PATIENCE, "{script}");
        let text = chain(&error);
        if timeout == short {
            let in_time = matches!(
                error,
                TransportError::Timeout { .. }
                    | TransportError::Credentials(CredentialsError::Exec {
                        problem: ExecProblem::Timeout { .. },
                        ..
                    })
            );
            assert!(in_time, "{script}: {error:?}");
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
        let path = self.files.path().join("config");
        let exec = "exec: {command: ./plugin, apiVersion: client.authentication.k8s.io/v1, \
                    args: [$(no-shell)], env: [{name: GREETING, value: hello}], installHint: apt install it}";
        fs::write(
            &path,
            kubeconfig(&format!("server: '{}'", server.url()), exec),
        )
        .unwrap();
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
