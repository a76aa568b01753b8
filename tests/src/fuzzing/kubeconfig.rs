//! Kubeconfigs, whole and broken, with secrets that must not be seen again.

use std::{
    error::Error,
    fmt::{Debug, Write as _},
    path::Path,
};

use lease_proto::access::{ExecCredential, Kubeconfig, KubeconfigOptions, ServerUrl};

use super::reader::Reader;

/// Stands for everything secret. In base64 it is `Y2FuYXJ5LTdlNTc=`.
const SECRETS: [&str; 4] = [
    "canary-7e57",
    "Y2FuYXJ5LTdlNTc=",
    "[canary-7e57]",
    "{canary-7e57: canary-7e57}",
];
/// What no error may contain.
const CANARIES: [&str; 2] = ["canary-7e57", "Y2FuYXJ5LTdlNTc"];

/// Reads a kubeconfig, or what a credential plugin says.
///
/// # Panics
///
/// Reading panics, or a secret can be seen afterwards.
pub fn kubeconfig(data: &[u8]) {
    let mut reader = Reader::new(data);
    let path = Path::new("/home/u/.kube/config");
    match reader.byte() % 8 {
        0 => {
            if let Ok(config) = Kubeconfig::parse(path, reader.rest()) {
                try_all(&config, false);
            }
        }
        1 => {
            let text = String::from_utf8_lossy(reader.rest());
            address(&text);
        }
        2 => credential(&mut reader),
        3 => {
            let text = structured(&mut reader);
            let other = structured(&mut reader);
            let all = [&text, &other].map(|text| Kubeconfig::parse(path, text.as_bytes()));
            if let [Ok(first), Ok(second)] = all {
                try_all(&first.merge(second), true);
            }
        }
        _ => {
            let text = structured(&mut reader);
            match Kubeconfig::parse(path, text.as_bytes()) {
                Ok(config) => try_all(&config, true),
                Err(error) => check(&error, &text),
            }
        }
    }
}

/// What was read as an address says the same when it is read again.
fn address(text: &str) {
    let Ok(url) = ServerUrl::parse_plain_http(text) else {
        return;
    };
    let written = url.to_string();
    let again = ServerUrl::parse_plain_http(&written);
    assert_eq!(again.as_ref(), Ok(&url), "{text:?} is written {written:?}");
    let is_safe = ServerUrl::parse(text).is_ok();
    assert_eq!(is_safe, url.is_https() || url.is_loopback(), "{text:?}");
    let path = "/apis/coordination.k8s.io/v1/leases?limit=1";
    let whole = url.absolute(path).expect("an address takes any path");
    assert!(whole.to_string().ends_with(path), "{whole}");
}

fn credential(reader: &mut Reader<'_>) {
    let version = "client.authentication.k8s.io/v1";
    let at = usize::from(reader.byte());
    let length = usize::from(reader.byte() % 8);
    let mut text = format!(
        r#"{{"kind":"ExecCredential","apiVersion":"{version}","status":{{"expirationTimestamp":"2026-11-21T00:00:00Z","token":"{0}","clientCertificateData":"{0}","clientKeyData":"{0}"}}}}"#,
        SECRETS[0]
    )
    .into_bytes();
    let start = at % (text.len() + 1);
    let end = (start + length).min(text.len());
    let piece = reader.short();
    // What comes instead is no secret, whatever a fuzzer learns to write.
    if reveals(&String::from_utf8_lossy(piece)) {
        return;
    }
    text.splice(start..end, piece.iter().copied());
    let shown = String::from_utf8_lossy(&text).into_owned();
    match ExecCredential::parse(&text, version) {
        Ok(credential) => conceals(&format!("{credential:?}"), &shown),
        // Pieces of a broken answer may be where versions and kinds are.
        Err(error) if shown.matches(SECRETS[0]).count() == 3 && start > 110 => {
            check(&error, &shown)
        }
        Err(_) => {}
    }
}

/// Puts every context together, in every way.
fn try_all(config: &Kubeconfig, secret: bool) {
    let names: Vec<_> = config.contexts().map(str::to_owned).collect();
    let mut all = vec![KubeconfigOptions::new()];
    all.extend(
        names
            .iter()
            .take(4)
            .map(|name| KubeconfigOptions::new().context(name)),
    );
    for options in all {
        for allow in [false, true] {
            let options = options.clone().allow_exec(allow).allow_plain_http(allow);
            let outcome = config.access(&options);
            if !secret {
                continue;
            }
            match outcome {
                Ok(access) => conceals(&format!("{access:?}"), ""),
                Err(error) => check(&error, ""),
            }
        }
    }
    if secret {
        conceals(&format!("{config:?}"), "");
    }
}

/// Checks that an error and its causes, in both forms, show no secret.
fn check<E: Error + Debug + 'static>(error: &E, text: &str) {
    let mut shown = format!("{error:?} {error:#?} {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        let _ = write!(shown, " {next} {next:?}");
        cause = next.source();
    }
    conceals(&shown, text);
}

fn conceals(shown: &str, text: &str) {
    assert!(!reveals(shown), "{shown}, of {text}");
}

fn reveals(shown: &str) -> bool {
    CANARIES.iter().any(|canary| shown.contains(canary))
}

/// A kubeconfig in which secrets stand only where secrets do.
fn structured(reader: &mut Reader<'_>) -> String {
    let mut text = String::new();
    line(&mut text, "current-context", &value(reader));
    text.push_str("clusters:\n");
    for _ in 0..reader.byte() % 3 {
        let _ = writeln!(text, "- name: {}\n  cluster:", value(reader));
        let _ = writeln!(text, "    server: {}", server(reader));
        for _ in 0..reader.byte() % 4 {
            let field = reader.pick(&[
                "certificate-authority",
                "insecure-skip-tls-verify",
                "tls-server-name",
                "certificate-authority-data",
                "unknown",
            ]);
            line(&mut text, &format!("    {field}"), &value(reader));
        }
        if reader.byte() % 8 == 7 {
            text.push_str("    proxy-url: http://u:canary-7e57@proxy\n");
        }
    }
    text.push_str("contexts:\n");
    for _ in 0..reader.byte() % 3 {
        let _ = writeln!(text, "- name: {}", value(reader));
        let (cluster, user, namespace) = (value(reader), value(reader), value(reader));
        let _ = writeln!(
            text,
            "  context: {{cluster: {cluster}, user: {user}, namespace: {namespace}}}"
        );
    }
    text.push_str("users:\n");
    for _ in 0..reader.byte() % 3 {
        let _ = writeln!(text, "- name: {}\n  user:", value(reader));
        for _ in 0..reader.byte() % 6 {
            user(reader, &mut text);
        }
    }
    text
}

/// A field of a user.
fn user(reader: &mut Reader<'_>, text: &mut String) {
    let secret = reader.pick(&SECRETS);
    match reader.byte() % 12 {
        0 | 1 => line(text, "    token", secret),
        2 => line(text, "    password", secret),
        3 => line(text, "    username", &value(reader)),
        4 => line(text, "    client-key-data", secret),
        5 => line(text, "    client-certificate-data", secret),
        6 => line(text, "    client-certificate", &value(reader)),
        7 => line(text, "    tokenFile", &value(reader)),
        8 => {
            let _ = writeln!(
                text,
                "    auth-provider: {{name: {}, config: {{access-token: {secret}}}}}",
                value(reader)
            );
        }
        9 => line(text, "    as", &value(reader)),
        _ => {
            let (command, version) = (value(reader), value(reader));
            let mode = reader.pick(&["Never", "Always", "1"]);
            let _ = writeln!(
                text,
                "    exec: {{command: {command}, apiVersion: {version}, args: [--token, {secret}], \
                 env: [{{name: TOKEN, value: {secret}}}], interactiveMode: {mode}}}"
            );
        }
    }
}

/// An address, with a password in it perhaps.
fn server(reader: &mut Reader<'_>) -> String {
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    match reader.byte() % 6 {
        0 => value(reader),
        1 => {
            let scheme = reader.pick(&["https", "http", "ftp", ""]);
            let before = String::from_utf8_lossy(reader.short()).into_owned();
            let after = String::from_utf8_lossy(reader.short()).into_owned();
            quoted(format!(
                "{scheme}://u:{before}canary-7e57{after}@host:6443/path"
            ))
        }
        2 => "http://10.0.0.1:8080".to_owned(),
        _ => "https://10.0.0.1:6443/k8s".to_owned(),
    }
}

/// A value that is no secret, and that ends where it ends.
fn value(reader: &mut Reader<'_>) -> String {
    const ODD: [&str; 12] = [
        "a",
        "b",
        "\"\"",
        "null",
        "~",
        "1",
        "true",
        "[]",
        "{}",
        "1e999",
        "!!binary YQ==",
        "'x'",
    ];
    match reader.byte() {
        255 => {
            let mut text = String::from_utf8_lossy(reader.short()).into_owned();
            // A name is no secret, whatever a fuzzer learns to write.
            if reveals(&text) {
                text.clear();
            }
            serde_json::Value::from(text).to_string()
        }
        byte if byte < 128 => "a".to_owned(),
        byte => ODD[usize::from(byte) % ODD.len()].to_owned(),
    }
}

fn line(text: &mut String, field: &str, value: &str) {
    let _ = writeln!(text, "{field}: {value}");
}
