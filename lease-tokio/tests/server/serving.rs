//! What it serves, to whom, and what it refuses.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use http::{Request, StatusCode};
use lease_tokio::{
    Client, KubeconfigOptions,
    proto::{Config, wire::Lease},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, SOON, Server, text};

/// The code and what is said by one that does not start.
pub(crate) fn refusal(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lease-server"));
    let process = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_child(&process);
    let (ended, end) = mpsc::channel::<()>();
    // One that serves all the same would do so for ever.
    thread::spawn(move || {
        if end.recv_timeout(SOON) == Err(RecvTimeoutError::Timeout) {
            let _over = kill_process(pid, Signal::KILL);
        }
    });
    let output = process.wait_with_output()?;
    drop(ended);
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

async fn get(client: &Client, path: &str) -> Result<http::Response<Vec<u8>>> {
    let request = Request::get(path).body(Vec::new())?;
    Ok(client.send(request, SOON, false).await?)
}

async fn acquire(client: &Client, name: &str, identity: &str) -> Result<lease_tokio::Guard> {
    let config = Config::builder("default", name, identity).build()?;
    Ok(client.try_acquire(config).await?)
}

/// Whom the record names, without what makes the name unique.
async fn holder(client: &Client, name: &str) -> Result<Option<String>> {
    let lease = client.get(name).await?;
    let holder = lease.and_then(|lease| lease.spec.holder().map(ToOwned::to_owned));
    Ok(holder.and_then(|it| it.split('_').next().map(ToOwned::to_owned)))
}

#[tokio::test]
async fn what_is_in_a_directory_outlives_the_server_and_is_shared_without_it() -> Result {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("leases");
    let server = Server::start(&["--data", text(&data)])?;
    let beside = Server::start(&["--data", text(&data)])?;
    let guard = acquire(&server.client()?, "nightly", "first").await?;
    assert!(
        acquire(&beside.client()?, "nightly", "second")
            .await
            .is_err()
    );
    let embedded = Client::embedded(&data).await?;
    assert!(acquire(&embedded, "nightly", "third").await.is_err());
    assert!(guard.is_held());
    // It is not given back: its server is gone.
    server.end()?;
    drop(guard);
    let again = Server::start(&["--data", text(&data)])?;
    assert_eq!(
        holder(&again.client()?, "nightly").await?.as_deref(),
        Some("first")
    );
    again.end()?;
    beside.end()?;
    Ok(())
}

#[test]
fn directories_that_cannot_be_used_are_named_and_left_as_they_are() -> Result {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("foreign"))?;
    fs::write(at("foreign/letter"), "dear")?;
    fs::write(at("file"), "text")?;
    let ours = at("ours");
    Server::start(&["--data", text(&ours)])?.end()?;
    assert_eq!(fs::metadata(&ours)?.permissions().mode() & 0o777, 0o700);
    let state = ours.join("leases.json");
    let whole = fs::read(&state)?;
    for (path, says) in [("foreign", "not empty"), ("file", "file")] {
        let (code, said) = refusal(&["--data", text(&at(path))])?;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains(says) && said.contains(text(&at(path))),
            "{said}"
        );
    }
    assert_eq!(fs::read(at("foreign/letter"))?, b"dear");
    assert_eq!(fs::read_dir(at("foreign"))?.count(), 1);
    for broken in [&b"{"[..], b"", &whole[..whole.len() / 2]] {
        fs::write(&state, broken)?;
        let (code, said) = refusal(&["--data", text(&ours)])?;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("leases.json") && said.contains("damaged"),
            "{said}"
        );
        assert_eq!(fs::read(&state)?, broken);
    }
    fs::write(&state, whole)?;
    Server::start(&["--data", text(&ours)])?.end()?;
    Ok(())
}

#[tokio::test]
async fn whoever_waits_over_the_directory_is_woken_by_what_the_server_writes() -> Result {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("leases");
    let server = Server::start(&["--data", text(&data)])?;
    let client = server.client()?;
    let config = Config::builder("default", "nightly", "holder")
        .lease_duration(Duration::from_mins(60))
        .build()?;
    let holder = client.try_acquire(config).await?;
    let config = Config::builder("default", "nightly", "waiter").build()?;
    let waiter = Client::embedded(&data).await?.keep(config);
    tokio::time::sleep(Duration::from_millis(300)).await;
    holder.release().await;
    // It would expire in an hour, and nobody looks before a share of that.
    let held = tokio::time::timeout(SOON, waiter.held()).await?;
    assert!(held.is_some());
    server.end()?;
    Ok(())
}

#[tokio::test]
async fn what_is_in_memory_is_gone_with_the_server() -> Result {
    let server = Server::start(&[])?;
    let client = server.client()?;
    let _guard = acquire(&client, "nightly", "first").await?;
    assert_eq!(holder(&client, "nightly").await?.as_deref(), Some("first"));
    let before = client
        .get("nightly")
        .await?
        .ok_or("it was acquired above")?;
    server.end()?;
    let again = Server::start(&[])?;
    let client = again.client()?;
    assert_eq!(holder(&client, "nightly").await?, None);
    // Nobody takes the new server's Lease for the old one's, and tokens grow.
    let _guard = acquire(&client, "nightly", "second").await?;
    let after = client
        .get("nightly")
        .await?
        .ok_or("it was acquired above")?;
    assert_ne!(before.metadata.uid, after.metadata.uid);
    let version = |lease: &Lease| lease.metadata.resource_version.as_ref()?.number();
    assert!(version(&before).is_some() && version(&before) < version(&after));
    Ok(())
}

#[tokio::test]
async fn a_waiter_is_told_at_once_and_the_server_ends_although_it_listens() -> Result {
    let server = Server::start(&["--verbose"])?;
    let holder = acquire(&server.client()?, "leader", "first").await?;
    let waiter = {
        let client = server.client()?;
        let config = Config::builder("default", "leader", "second").build()?;
        client.keep(config)
    };
    // The stream is open, and a release is told through it long before the waiter would look by itself.
    tokio::time::sleep(Duration::from_millis(500)).await;
    holder.release().await;
    assert!(
        tokio::time::timeout(Duration::from_secs(4), waiter.held())
            .await?
            .is_some()
    );
    let spectator = server.client()?;
    let path = "/apis/coordination.k8s.io/v1/leases?watch=true";
    let request = Request::get(path).body(Vec::new())?;
    let mut stream = spectator.stream(request, SOON, false).await?.into_body();
    assert!(stream.next().await.is_some_and(|chunk| chunk.is_ok()));
    let said = server.end()?;
    while let Some(Ok(_)) = stream.next().await {}
    assert!(said.contains("leases?watch=true 200"), "{said}");
    Ok(())
}

#[tokio::test]
async fn whoever_knows_no_token_gets_nothing_and_a_kubeconfig_leads_in() -> Result {
    let directory = tempfile::tempdir()?;
    let (tokens, kubeconfig) = (
        directory.path().join("tokens"),
        directory.path().join("config"),
    );
    fs::write(&tokens, "s3cret-canary,ann,1\nother\n")?;
    let arguments = [
        "--token-file",
        text(&tokens),
        "--kubeconfig",
        text(&kubeconfig),
        "-v",
    ];
    let server = Server::start(&arguments)?;
    let answer = get(&server.client()?, LEASES).await?;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(String::from_utf8(answer.into_body())?.contains("\"reason\":\"Unauthorized\""));
    assert_eq!(
        get(&server.client()?, "/readyz").await?.status(),
        StatusCode::OK
    );
    for (token, code) in [
        ("other", 200),
        ("s3cret-canary", 200),
        ("ann", 401),
        ("other2", 401),
    ] {
        let client = Client::builder(&server.url).token(token).build()?;
        assert_eq!(get(&client, LEASES).await?.status(), code, "{token}");
    }
    let mode = fs::metadata(&kubeconfig)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = Client::from_kubeconfig(&KubeconfigOptions::new().path(&kubeconfig))?;
    let _guard = acquire(&client, "nightly", "me").await?;
    let said = server.end()?;
    assert!(
        said.contains(" 401 ") && !said.contains("s3cret-canary"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn tls_is_spoken_with_the_certificate_that_was_given() -> Result {
    let directory = tempfile::tempdir()?;
    let (cert, key) = (
        directory.path().join("tls.crt"),
        directory.path().join("tls.key"),
    );
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    fs::write(&cert, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    let kubeconfig = directory.path().join("config");
    let server = Server::start(&[
        "--tls-cert",
        text(&cert),
        "--tls-key",
        text(&key),
        "--kubeconfig",
        text(&kubeconfig),
    ])?;
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let client = Client::from_kubeconfig(&KubeconfigOptions::new().path(&kubeconfig))?;
    let guard = acquire(&client, "nightly", "me").await?;
    guard.release().await;
    // Somebody who knows no such authority does not talk to it.
    assert!(get(&server.client()?, LEASES).await.is_err());
    server.end()?;
    // A device is not replaced by a file, and a link leads to where the file is.
    let at = |name: &str| directory.path().join(name);
    let (device, link) = (at("device"), at("link"));
    std::os::unix::fs::symlink("/dev/full", &device)?;
    std::os::unix::fs::symlink("linked.yaml", &link)?;
    let (code, said) = refusal(&["--listen", "127.0.0.1:0", "--kubeconfig", text(&device)])?;
    assert!(code == Some(1) && said.contains("no file"), "{said}");
    let listens = ["--kubeconfig", text(&link)];
    Server::start(&listens)?.end()?;
    assert!(link.is_symlink() && at("linked.yaml").is_file());
    let (code, said) = refusal(&["--tls-cert", text(&key), "--tls-key", text(&key)])?;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("no certificate") && said.contains("tls.key"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn faults_come_as_asked_and_in_the_same_order_with_the_same_seed() -> Result {
    let mut runs = Vec::new();
    for seed in ["7", "7", "8"] {
        let server = Server::start(&["--faults", "503=30%,429=10%,drop=10%", "--seed", seed])?;
        let client = server.client()?;
        let mut codes = Vec::new();
        for _ in 0..200 {
            let answer = get(&client, LEASES).await;
            codes.push(answer.map_or(0, |answer| answer.status().as_u16()));
        }
        // Whoever asks whether it is there is not lied to.
        assert_eq!(get(&client, "/readyz").await?.status(), StatusCode::OK);
        runs.push(codes);
    }
    let count = |code| runs.iter().flatten().filter(|it| **it == code).count();
    assert_eq!(runs.first(), runs.get(1));
    assert_ne!(runs.first(), runs.get(2));
    assert!((120..240).contains(&count(503)), "{}", count(503));
    assert!((20..100).contains(&count(429)) && (15..100).contains(&count(0)));
    Ok(())
}

#[tokio::test]
async fn a_claim_gets_through_what_goes_wrong() -> Result {
    let faults = "409=20%,500=5%,drop=20%,delay=0ms..20ms";
    let server = Server::start(&["--faults", faults, "--seed", "7"])?;
    let config = Config::builder("default", "leader", "me").build()?;
    let keeper = server.client()?.keep(config);
    assert!(tokio::time::timeout(SOON, keeper.held()).await?.is_some());
    keeper.release().await;
    let said = server.end()?;
    assert!(said.contains("--seed 7"), "{said}");
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused_by_name() -> Result {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    for (arguments, code, says) in [
        (&["--tls-cert", "cert.pem"][..], 64, "--tls-key"),
        (&["--tls-key", "key.pem"], 64, "--tls-cert"),
        (&["--tls-ca", "ca.pem"], 64, "--tls-cert"),
        (&["--seed", "7"], 64, "--faults"),
        (&["--faults", "409"], 64, "409=5%"),
        (&["--faults", "409=200%"], 64, "share"),
        (&["--faults", "delay=5"], 64, "50ms"),
        (&["--listen", "localhost"], 64, "--listen"),
        (&["--listen", &taken], 1, "--listen 127.0.0.1:0"),
        (&["--token-file", "/nowhere"], 1, "/nowhere"),
        (&["--token-file", "/dev/null"], 1, "no token"),
        (
            &["--tls-cert", "/nowhere", "--tls-key", "/nowhere"],
            1,
            "/nowhere",
        ),
        (&["--data", "/proc/1/leases"], 1, "/proc/1/leases"),
        (
            &["--listen", "127.0.0.1:0", "--kubeconfig", "/nowhere/config"],
            1,
            "/nowhere/config",
        ),
        (&["extra"], 64, "extra"),
    ] {
        let (exit, said) = refusal(arguments)?;
        assert_eq!(exit, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let mut help = Command::new(env!("CARGO_BIN_EXE_lease-server"));
    let help = help.arg("--help").output()?;
    assert!(help.status.success() && String::from_utf8(help.stdout)?.contains("64 where"));
    Ok(())
}

#[test]
fn a_kubeconfig_that_leads_elsewhere_is_left_alone() -> Result {
    let directory = tempfile::tempdir()?;
    let kubeconfig = directory.path().join("config");
    let theirs = "apiVersion: v1\nkind: Config\nclusters: []\n";
    fs::write(&kubeconfig, theirs)?;
    let arguments = ["--listen", "127.0.0.1:0", "--kubeconfig", text(&kubeconfig)];
    let (exit, said) = refusal(&arguments)?;
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("leads to other servers"), "{said}");
    assert_eq!(fs::read_to_string(&kubeconfig)?, theirs);
    // What it has written itself it writes again.
    fs::remove_file(&kubeconfig)?;
    for _ in 0..2 {
        Server::start(&arguments[2..])?;
    }
    Ok(())
}

#[test]
fn whoever_lets_the_network_in_is_told_what_that_means() -> Result {
    let directory = tempfile::tempdir()?;
    let tokens = directory.path().join("tokens");
    fs::write(&tokens, "token\n")?;
    for (arguments, says) in [
        (&["--listen", "0.0.0.0:0"][..], "may do anything"),
        (
            &["--listen", "0.0.0.0:0", "--token-file", text(&tokens)],
            "in the clear",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lease-server"));
        let mut process = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        process.kill()?;
        let said = String::from_utf8(process.wait_with_output()?.stderr)?;
        assert!(said.contains(says), "{said}");
    }
    let said = Server::start(&[])?.end()?;
    assert_eq!(said, "");
    Ok(())
}

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
