//! What makes no sense is refused in one line that says what would, and changes nothing.

use std::fs;

use crate::Place;

#[test]
fn names_that_the_api_server_would_refuse_are_refused() {
    let place = Place::new();
    let long = "a".repeat(254);
    for name in ["", "Upper", "a/b", "a..b", "-a", "%2e", &long] {
        for command in ["acquire", "renew", "release"] {
            place
                .run(&[command, "--holder", "me", "--", name])
                .with(64)
                .saying(&["lease name"]);
        }
        place
            .run(&["status", "--", name])
            .with(64)
            .saying(&["lease name"]);
        place.run(&["run", name, "--", "touch", "ran"]).with(64);
    }
    place
        .run(&["status", "a", "--namespace", "A.b"])
        .with(64)
        .saying(&["namespace", "lowercase"]);
    for identity in ["", "a\nb", " a", &"x".repeat(254)] {
        place
            .run(&["acquire", "a", "--holder", identity])
            .with(64)
            .saying(&["identity", "253"]);
    }
    assert!(!place.file("leases").exists() && !place.file("ran").exists());
}

#[test]
fn durations_that_cannot_be_kept_are_refused() {
    let place = Place::new();
    for (ttl, right) in [
        ("0", "1s"),
        ("500ms", "1s"),
        ("2147483648s", "2147483647s"),
        ("30", "90s"),
        ("-5s", "90s"),
    ] {
        let ttl = format!("--ttl={ttl}");
        place
            .run(&["acquire", "a", "--holder", "me", &ttl])
            .with(64)
            .saying(&["--ttl", right]);
        place
            .run(&["run", "a", &ttl, "--", "touch", "ran"])
            .with(64)
            .saying(&["--ttl", right]);
    }
    assert_eq!(place.record("a"), None);
    assert!(!place.file("ran").exists());
    // Nobody but this library contends over a directory; on a cluster, others may.
    place
        .run(&["run", "a", "--ttl", "1s", "--", "true"])
        .with(0);
    let server = ["--server", "https://127.0.0.1:1", "--ttl", "1s"];
    let arguments = [&["run", "a"], &server[..], &["--", "true"]].concat();
    crate::Ran::from(place.bare(&arguments).output().unwrap())
        .with(64)
        .saying(&["--ttl 1s", "at least 3s"]);
    for (ttl, told) in [("0", "0s"), ("500ms", "500ms"), ("99999999h", "11415y")] {
        let ttl = format!("--ttl={ttl}");
        let there = [
            "acquire",
            "a",
            "--holder",
            "me",
            &ttl,
            "--server",
            "https://127.0.0.1:1",
        ];
        crate::Ran::from(place.bare(&there).output().unwrap())
            .with(64)
            .saying(&[&format!("--ttl {told} is"), "at least 3s"]);
    }
    place
        .run(&["run", "a", "--grace", "10s", "--", "true"])
        .with(64)
        .saying(&["--grace", "half"]);
}

#[test]
fn flags_of_run_that_make_no_sense_together_are_refused_by_name() {
    let place = Place::new();
    for (flags, names) in [
        (
            &["--no-wait", "--timeout", "1s"][..],
            ["--no-wait", "--timeout"],
        ),
        (&["--no-wait", "--wait"], ["--no-wait", "--wait"]),
        (&["--conflict-exit-code", "9"], ["--timeout", "--no-wait"]),
        (
            &["--no-wait", "--conflict-exit-code", "256"],
            ["--conflict-exit-code", "256"],
        ),
        (
            &["--on-lost", "warn", "--grace", "1s"],
            ["--grace", "--on-lost warn"],
        ),
        (&["--on-lost", "ignore"], ["--on-lost", "ignore"]),
        (
            &["--server", "https://x", "--context", "y"],
            ["--server", "--context"],
        ),
    ] {
        let arguments = [&["run", "a"], flags, &["--", "touch", "ran"]].concat();
        crate::Ran::from(place.bare(&arguments).output().unwrap())
            .with(64)
            .saying(&names);
    }
    assert!(!place.file("ran").exists());
}

#[test]
fn a_ttl_that_is_shorter_than_the_way_to_the_server_and_back_is_told_as_the_reason() {
    // It is connected to, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", silent.local_addr().unwrap());
    let place = Place::new();
    let slow = ["acquire", "a", "--holder", "me", "--server", &server];
    let slow = [&slow[..], &["--ttl", "3s", "--wait", "--timeout", "2s"]].concat();
    crate::Ran::from(place.bare(&slow).output().unwrap())
        .with(1)
        .saying(&["no answer", &server, "a longer one"]);
}

#[test]
fn combinations_that_make_no_sense_are_refused_by_name() {
    let place = Place::new();
    let server = "--server=http://127.0.0.1:1";
    for (arguments, words) in [
        (&["status", "a", server, "--allow-exec"][..], "--allow-exec"),
        (&["status", "a", server, "--context", "c"], "--context"),
        (
            &["status", "a", server, "--kubeconfig", "k"],
            "--kubeconfig",
        ),
        (
            &["status", "a", "--embedded", "--context", "c"],
            "--context",
        ),
        (
            &["status", "a", "--embedded", "--allow-exec"],
            "--allow-exec",
        ),
        (
            &["status", "a", "--embedded", "--allow-plain-http"],
            "--allow-plain-http",
        ),
        (&["status", "a", "--certificate-authority", "c"], "--server"),
        (&["status", "a", "-o", "name", "-q"], "--quiet"),
        (&["status", "a", "-w", "--holder", "me"], "--holder"),
        (&["status"], "<NAME>"),
        (&["status", "a", "b"], "'b'"),
        (&["list", "a"], "'a'"),
        (&["watch", "-o", "yaml"], "yaml"),
        (
            &["acquire", "a", "--holder", "me", "--no-wait"],
            "--no-wait",
        ),
        (
            &["acquire", "a", "--holder", "me", "--wait", "--timeout=0"],
            "--timeout 0",
        ),
        (
            &["run", "a", "--wait", "--timeout=0", "--", "true"],
            "--timeout 0",
        ),
        (&["renew", "a", "--holder", "me", "--wait"], "--wait"),
        (&["release", "a", "--holder", "me", "--ttl", "5s"], "--ttl"),
    ] {
        crate::Ran::from(place.bare(arguments).output().unwrap())
            .with(64)
            .saying(&[words]);
    }
}

#[test]
fn where_the_leases_are_must_be_said() {
    let place = Place::new();
    let ran = |arguments: &[&str]| crate::Ran::from(place.bare(arguments).output().unwrap());
    for way in [
        "--kubeconfig",
        "KUBECONFIG",
        "--server",
        "pod",
        "--embedded",
    ] {
        ran(&["status", "a"]).with(6).saying(&[way]);
        ran(&["run", "a", "--", "true"]).with(125).saying(&[way]);
    }
    ran(&["status", "a", "--server", "10.0.0.1:6443"])
        .with(64)
        .saying(&["no scheme", "https://10.0.0.1:6443"]);
    ran(&["status", "a", "--server", "ftp://x"])
        .with(64)
        .saying(&["ftp"]);
    ran(&["status", "a", "--server", "http://10.0.0.1:80"])
        .with(64)
        .saying(&[
            "http://10.0.0.1:80",
            "plain http",
            "https://",
            "--allow-plain-http",
        ]);
    // Not what says that nobody holds it.
    ran(&["status", "a", "--server", "https://127.0.0.1:1"])
        .with(6)
        .saying(&["127.0.0.1:1", "connect"]);
    ran(&["status", "a", "--embedded", "--server", "https://x"])
        .with(64)
        .saying(&["--embedded"]);
    ran(&["status", "a", "--token-file", "t"])
        .with(64)
        .saying(&["--server"]);
}

#[test]
fn files_that_are_missing_or_cannot_be_used_are_named() {
    let place = Place::new();
    let ran = |arguments: &[&str]| crate::Ran::from(place.bare(arguments).output().unwrap());
    let server = ["status", "a", "--server", "https://127.0.0.1:1"];
    let with = |more: &[&str]| ran(&[&server[..], more].concat());
    with(&["--token-file", "no-such-token"])
        .with(6)
        .saying(&["no-such-token"]);
    with(&["--certificate-authority", "no-such-ca"])
        .with(6)
        .saying(&["no-such-ca"]);
    fs::write(place.file("ca"), "not a certificate").unwrap();
    with(&["--certificate-authority", "ca"])
        .with(6)
        .saying(&["ca", "PEM"]);
    fs::create_dir(place.file("folder")).unwrap();
    with(&["--token-file", "folder"])
        .with(6)
        .saying(&["folder"]);
}

#[test]
fn kubeconfigs_that_cannot_be_used_say_why() {
    let place = Place::new();
    let whole = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: get-token, interactiveMode: Never}}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
";
    for (text, words) in [
        (whole.to_owned(), ["current-context", "here"]),
        (
            format!("{whole}current-context: there\n"),
            ["there", "here"],
        ),
        (
            format!("{whole}current-context: here\n"),
            ["get-token", "--allow-exec"],
        ),
        ("a: [b\n".to_owned(), ["config", "YAML"]),
    ] {
        fs::write(place.file("config"), text).unwrap();
        let output = place
            .bare(&["status", "a", "--kubeconfig", "config"])
            .output()
            .unwrap();
        crate::Ran::from(output).with(6).saying(&words);
        let output = place
            .bare(&["run", "a", "--kubeconfig", "config", "--", "true"])
            .output()
            .unwrap();
        crate::Ran::from(output).with(125).saying(&words);
    }
}

#[test]
fn programs_that_cannot_be_run_are_told_before_anything_is_acquired() {
    let place = Place::new();
    place
        .run(&["run", "a", "--", "no-such-program"])
        .with(127)
        .saying(&["no-such-program"]);
    place
        .run(&["run", "a", "--", "./no-such-program"])
        .with(127)
        .saying(&["no-such-program"]);
    fs::write(place.file("text"), "not a program").unwrap();
    place
        .run(&["run", "a", "--", "./text"])
        .with(126)
        .saying(&["./text", "executed"]);
    place
        .run(&["run", "a", "--", "/"])
        .with(126)
        .saying(&["executed"]);
    assert!(!place.file("leases").exists());
    place.run(&["run", "a"]).with(64).saying(&["CMD"]);
    place.run(&["frobnicate"]).with(64).saying(&["frobnicate"]);
    place.run(&["acquire", "a"]).with(64).saying(&["--holder"]);
}

#[test]
fn directories_that_cannot_be_used_are_never_emptied() {
    let place = Place::new();
    let status = |directory: &str| {
        let directory = format!("--embedded={directory}");
        crate::Ran::from(place.bare(&["status", "a", &directory]).output().unwrap())
    };
    fs::create_dir(place.file("foreign")).unwrap();
    fs::write(place.file("foreign/letter"), "dear").unwrap();
    status("foreign").with(6).saying(&["foreign", "not empty"]);
    fs::write(place.file("file"), "").unwrap();
    status("file").with(6).saying(&["file"]);

    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    let state = place.file("leases/leases.json");
    let kept = fs::read(&state).unwrap();
    for broken in [
        &b"{"[..],
        b"",
        b"{\"format\":99}",
        kept.get(..kept.len() / 2).unwrap(),
    ] {
        fs::write(&state, broken).unwrap();
        place
            .run(&["acquire", "a", "--holder", "you"])
            .with(1)
            .saying(&["leases.json", "damaged"]);
        assert_eq!(fs::read(&state).unwrap(), broken);
    }
    fs::remove_file(&state).unwrap();
    place
        .run(&["acquire", "a", "--holder", "you"])
        .with(1)
        .saying(&["leases.json", "gone"]);
    fs::write(&state, kept).unwrap();
    place.run(&["acquire", "a", "--holder", "you"]).with(5);
}

#[test]
fn a_server_that_is_not_verified_is_warned_of() {
    let place = Place::new();
    let cluster = |skips| {
        format!(
            "clusters:\n- name: c\n  cluster: {{server: \"https://127.0.0.1:1\", insecure-skip-tls-verify: {skips}}}\n\
             contexts:\n- name: c\n  context: {{cluster: c, user: u}}\ncurrent-context: c\n\
             users:\n- name: u\n  user: {{token: canary}}\n"
        )
    };
    for (skips, warns) in [(true, true), (false, false)] {
        fs::write(place.file("kubeconfig"), cluster(skips)).unwrap();
        let mut command = place.bare(&["status", "a", "--kubeconfig", "kubeconfig"]);
        let ran = crate::Ran::from(command.output().unwrap())
            .with(6)
            .saying(&["127.0.0.1:1"]);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        let warned = lines[0].starts_with("lease: warning: ") && lines[0].contains("not verified");
        assert_eq!(warned, warns, "{lines:?}");
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    }
}
