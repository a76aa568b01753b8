//! No secret is printed: whatever command, at its most verbose, with good and bad credentials.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use crate::{Place, Ran, server::Server};

const CANARY: &str = "canary-5c1d9e";

/// Every command, as far as it can do without a second one.
const COMMANDS: [&[&str]; 6] = [
    &["run", "--no-wait", "--holder", "me", "a", "--", "true"],
    &["acquire", "--holder", "me", "-o", "json", "b"],
    &["renew", "--holder", "me", "b"],
    &["status", "-o", "json", "b"],
    &["status", "b"],
    &["release", "--holder", "me", "-o", "json", "b"],
];

#[test]
fn what_goes_well_shows_no_token() {
    let place = Place::new();
    let server = Server::start(CANARY, None);
    let (ca, token) = (
        place.keep("ca", &server.certificate),
        place.keep("token", CANARY),
    );
    let flags = [
        "--server",
        &server.url,
        "--certificate-authority",
        &ca,
        "--token-file",
        &token,
    ];
    for ran in place.everything(&flags, &[]) {
        ran.with(0);
    }
    let kubeconfig = place.kubeconfig(&server, &format!("token: {CANARY}"));
    for ran in place.everything(&["--kubeconfig", &kubeconfig], &[]) {
        ran.with(0);
    }
    let plugin = place.plugin(&format!("echo {CANARY} >&2; {}", answer(CANARY)));
    let kubeconfig = place.kubeconfig(&server, &plugin);
    for ran in place.everything(&["--kubeconfig", &kubeconfig, "--allow-exec"], &[]) {
        ran.with(0);
    }
}

#[test]
fn what_the_server_refuses_shows_no_token() {
    let place = Place::new();
    for (refusal, code) in [
        (None, 4),
        (Some("401 Unauthorized"), 4),
        (Some("403 Forbidden"), 4),
        (Some("307 Temporary Redirect"), 6),
        (Some("500 Internal Server Error"), 6),
    ] {
        // It knows another token.
        let server = Server::start("other", refusal);
        let (ca, token) = (
            place.keep("ca", &server.certificate),
            place.keep("token", CANARY),
        );
        let flags = [
            "--server",
            &server.url,
            "--certificate-authority",
            &ca,
            "--token-file",
            &token,
        ];
        let mut arguments = vec!["status", "b", "--verbose"];
        arguments.extend(flags);
        let ran = place.quiet(&arguments, &[]).with(code);
        // Its own words are told, but for what is secret in them.
        let is_told = ran.stderr.contains("what host: is");
        assert_eq!(is_told, refusal.is_some(), "{ran:?}");
        place.failing(&flags, &[]);
        // Nobody is believed whom the authority has not signed.
        let other = place.keep("other", &Server::start("other", None).certificate);
        let flags = [
            "--server",
            &server.url,
            "--certificate-authority",
            &other,
            "--token-file",
            &token,
        ];
        for ran in place.failing(&flags, &[]) {
            assert!(ran.stderr.contains("unknown authority"), "{ran:?}");
        }
    }
}

#[test]
fn credentials_that_cannot_be_used_are_not_shown() {
    let place = Place::new();
    let server = Server::start(CANARY, None);
    let ca = place.keep("ca", &server.certificate);
    for content in [
        format!("two\n{CANARY}"),
        format!("{CANARY}\u{1}"),
        format!("ä{CANARY}"),
    ] {
        let token = place.keep("token", &content);
        place.failing(
            &[
                "--server",
                &server.url,
                "--certificate-authority",
                &ca,
                "--token-file",
                &token,
            ],
            &[],
        );
    }
    // A token where a certificate should be.
    let token = place.keep("token", CANARY);
    place.failing(
        &["--server", &server.url, "--certificate-authority", &token],
        &[],
    );
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let (certificate, key) = (base64(&server.certificate), base64(&key));
    let pair = format!("client-certificate-data: {certificate}\n    client-key-data: ");
    for user in [
        format!("{pair}{}", base64(CANARY)),
        format!("{pair}{CANARY}"),
        format!("client-certificate-data: {CANARY}\n    client-key-data: {key}"),
        // Of another certificate.
        format!("{pair}{key}"),
        format!("client-key-data: {key}"),
        format!("token: [{CANARY}]"),
        format!("token: {CANARY}\n    token: {CANARY}"),
        format!("password: {CANARY}\n    username: {{{CANARY}: 1}}"),
        format!("token: \"{CANARY}"),
        format!("{CANARY}: ["),
        format!("as: root\n    token: {CANARY}"),
        format!("auth-provider: {{name: gcp, config: {{access-token: {CANARY}}}}}"),
    ] {
        let kubeconfig = place.kubeconfig(&server, &user);
        for ran in place.failing(&["--kubeconfig", &kubeconfig], &[]) {
            assert!(!ran.stderr.contains(&key[60..100]), "{ran:?}");
        }
    }
    let whole = place.keep("whole", CANARY);
    place.failing(&["--kubeconfig", &whole], &[]);
}

#[test]
fn what_a_plugin_says_is_not_shown() {
    let place = Place::new();
    let server = Server::start("other", None);
    for says in [
        format!("echo {CANARY}; echo {CANARY} >&2"),
        format!("echo {CANARY} >&2; exit 3"),
        format!("echo '{{\"status\":{{\"token\":[\"{CANARY}\"]}}}}'"),
        answer(CANARY),
        answer(&format!("{CANARY}\\n")),
        format!("kill -9 $$ # {CANARY}"),
    ] {
        let kubeconfig = place.kubeconfig(&server, &place.plugin(&says));
        place.failing(&["--kubeconfig", &kubeconfig, "--allow-exec"], &[]);
        place.failing(&["--kubeconfig", &kubeconfig], &[]);
    }
}

#[test]
fn passwords_in_addresses_are_not_shown() {
    let place = Place::new();
    let server = Server::start(CANARY, None);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for url in [
        format!("https://user:{CANARY}@127.0.0.1:1"),
        format!("https://{CANARY}@127.0.0.1:1"),
        format!("https://user:a/{CANARY}@127.0.0.1:1"),
        format!("user:{CANARY}@127.0.0.1:1"),
        format!("ftp://user:{CANARY}@127.0.0.1:1"),
        format!("https://127.0.0.1:1/?token={CANARY}"),
        format!("https://127.0.0.1:1/#{CANARY}"),
    ] {
        for ran in place.failing(&["--server", &url], &[]) {
            ran.with(64);
        }
        let kubeconfig = place.kubeconfig_of(&url, "", "token: t");
        place.failing(&["--kubeconfig", &kubeconfig], &[]);
    }
    for proxy in [
        format!("http://user:{CANARY}@{nobody}"),
        format!("http://user:{CANARY}@host:99999"),
        format!("http://user:{CANARY}%zz@host"),
        format!("socks5://user:{CANARY}@host"),
        format!("user:{CANARY}@host:port"),
        format!("http://host/{CANARY}"),
    ] {
        // This machine is never reached through a proxy that the environment names.
        for name in ["HTTPS_PROXY", "https_proxy"] {
            let flags = [
                "--server",
                "https://server.invalid",
                "--token-file",
                "token",
            ];
            place.keep("token", CANARY);
            place.failing(&flags, &[(name, &proxy)]);
        }
        let proxy = format!("proxy-url: \"{proxy}\"");
        let kubeconfig = place.kubeconfig_of(&server.url, &proxy, "token: t");
        place.failing(&["--kubeconfig", &kubeconfig], &[]);
    }
}

#[test]
fn what_is_typed_amiss_is_not_shown() {
    let place = Place::new();
    let token = format!("--token={CANARY}");
    for arguments in [
        &["status", "b", &token][..],
        &["status", "b", "--token", CANARY],
        &["acquire", "b", "--password", CANARY],
    ] {
        place.quiet(arguments, &[]).with(64);
    }
}

impl Place {
    fn kubeconfig(&self, server: &Server, user: &str) -> String {
        let ca = self.keep("ca", &server.certificate);
        self.kubeconfig_of(&server.url, &format!("certificate-authority: {ca}"), user)
    }

    fn kubeconfig_of(&self, url: &str, cluster: &str, user: &str) -> String {
        let text = format!(
            "current-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster:\n    server: \"{url}\"\n    {cluster}\n\
             users:\n- name: u\n  user:\n    {user}\n"
        );
        self.keep("kubeconfig", &text)
    }

    /// A plugin that does this, as a kubeconfig's user names it; its arguments and its environment are secret too.
    fn plugin(&self, script: &str) -> String {
        let path = self.keep("plugin", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(Path::new(&path), fs::Permissions::from_mode(0o755)).unwrap();
        format!(
            "exec:\n      command: {path}\n      apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: Never\n\
             \x20     args: [{CANARY}]\n      env: [{{name: SECRET, value: {CANARY}}}]"
        )
    }

    /// Runs every command, each at its most verbose.
    fn everything(&self, flags: &[&str], env: &[(&str, &str)]) -> Vec<Ran> {
        let all = COMMANDS.iter().map(|command| {
            let at = command.iter().position(|word| *word == "--");
            let (ours, program) = command.split_at(at.unwrap_or(command.len()));
            let words = [ours, &["--verbose"], flags, program].concat();
            self.quiet(&words, env)
        });
        all.collect()
    }

    /// As `everything`, and each fails and says why.
    #[track_caller]
    fn failing(&self, flags: &[&str], env: &[(&str, &str)]) -> Vec<Ran> {
        // With a short time to wait: what may pass is tried again.
        let commands: [&[&str]; 4] = [
            &["run", "--no-wait", "--holder", "me", "a", "--verbose"],
            &["acquire", "--holder", "me", "b", "--verbose"],
            &["release", "--holder", "me", "b", "--verbose"],
            &["status", "-o", "json", "b", "--verbose"],
        ];
        let mut all = Vec::new();
        for command in commands {
            let program: &[&str] = if command[0] == "run" {
                &["--", "true"]
            } else {
                &[]
            };
            let ran = self.quiet(&[command, flags, program].concat(), env);
            assert!(
                ran.code != Some(0) && !ran.stderr.is_empty(),
                "{command:?} {ran:?}"
            );
            all.push(ran);
        }
        all
    }

    /// Runs a command, and sees that nothing it says holds the secret.
    #[track_caller]
    fn quiet(&self, arguments: &[&str], env: &[(&str, &str)]) -> Ran {
        let mut command = self.bare(arguments);
        command
            .env("RUST_BACKTRACE", "full")
            .env("RUST_LOG", "trace")
            .envs(env.iter().copied());
        let ran = Ran::from(command.output().unwrap());
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let is_quiet = !said.contains(CANARY) && !said.contains(&base64(CANARY));
        assert!(is_quiet, "{arguments:?}: {ran:?}");
        ran
    }
}

/// A script that prints a credential with this token.
fn answer(token: &str) -> String {
    format!(
        r#"echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{token}"}}}}'"#
    )
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) & 0x3f;
            let letter = char::from(ALPHABET[sextet as usize]);
            out.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    out
}
