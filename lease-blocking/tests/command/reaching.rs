//! Leases that cannot be reached: a server that refuses, a directory that is not there, or that others have.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
};

use crate::{Place, Ran, server::Server};

/// Every command that needs the leases, and what `run` is to run.
const COMMANDS: [&[&str]; 13] = [
    &["status", "a"],
    &["status", "a", "--watch"],
    &["list"],
    &["watch"],
    &["acquire", "a", "--holder", "me"],
    &["acquire", "a", "--holder", "me", "--ttl", "9s"],
    &[
        "acquire",
        "a",
        "--holder",
        "me",
        "--wait",
        "--timeout",
        "1s",
    ],
    &[
        "acquire",
        "a",
        "--holder",
        "me",
        "--ttl",
        "9s",
        "--timeout",
        "1s",
    ],
    &["renew", "a", "--holder", "me"],
    &["release", "a", "--holder", "me"],
    &["release", "a", "--force", "--yes"],
    &["run", "a", "--no-wait", "--", "true"],
    &["run", "a", "--timeout", "1s", "--once", "k", "--", "true"],
];

fn code_of(command: &[&str]) -> i32 {
    match command.first() {
        Some(&"run") => 125,
        // Its 1 says that nobody holds it.
        Some(&"status") => 6,
        _ => 1,
    }
}

/// The command with more flags, which stand before what is run.
fn with<'a>(command: &[&'a str], flags: &[&'a str]) -> Vec<&'a str> {
    let (name, rest) = command.split_first().unwrap();
    [&[*name], flags, rest].concat()
}

#[test]
fn a_server_that_refuses_the_connection_is_a_failure_of_each_command() {
    let place = Place::new();
    let address = "http://127.0.0.1:1";
    let run: &[&str] = &["run", "a", "--timeout", "1s", "--", "true"];
    for command in COMMANDS.into_iter().chain([run]) {
        let mut ran = place.bare(&with(command, &["--server", address]));
        let ran = Ran::from(ran.output().unwrap())
            .with(code_of(command))
            .saying(&[address, "Connection refused"]);
        // What went wrong is told once.
        let told = ran.stderr.matches("Connection refused").count();
        assert_eq!(told, 1, "{command:?}: {ran:?}");
    }
}

/// A server that answers whatever it is asked with this code.
fn answering(code: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 65_536];
            let _ = stream.read(&mut asked);
            let answer =
                format!("HTTP/1.1 {code} Odd\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn a_server_that_fails_has_nobody_in_the_way() {
    let place = Place::new();
    for code in [500, 503, 429] {
        let server = answering(code);
        for (command, ends) in [
            (
                &[
                    "run",
                    "a",
                    "--timeout",
                    "1s",
                    "--conflict-exit-code",
                    "0",
                    "--",
                    "touch",
                    "ran",
                ][..],
                125,
            ),
            (
                &[
                    "acquire",
                    "a",
                    "--holder",
                    "me",
                    "--ttl",
                    "1h",
                    "--timeout",
                    "2s",
                ],
                1,
            ),
        ] {
            let mut ran = place.bare(&with(command, &["--server", &server]));
            let ran = Ran::from(ran.output().unwrap()).with(ends);
            assert!(!ran.stderr.contains("held"), "{}", ran.stderr);
        }
    }
    assert!(!place.file("ran").exists());
}

#[test]
fn what_stands_in_the_way_of_a_lease_of_hours_is_said_while_it_is_tried() {
    let place = Place::new();
    let server = answering(500);
    let waiting = Place::spawn(place.bare(&[
        "acquire",
        "a",
        "--holder",
        "me",
        "--ttl",
        "2h",
        "--timeout",
        "8s",
        "--server",
        &server,
    ]));
    waiting
        .end()
        .with(1)
        .saying(&["a: ", "500", "; trying again", "timed out"]);
}

#[test]
fn a_certificate_that_is_not_believed_is_told_in_words_with_the_flag_to_look_at() {
    let place = Place::new();
    let (server, other) = (Server::start("canary", None), Server::start("canary", None));
    let token = place.keep("token", "canary");
    let certificate = place.keep("ca.crt", &other.certificate);
    let status = [
        "status",
        "a",
        "--server",
        &server.url,
        "--token-file",
        &token,
    ];
    let mut ran = place.bare(&with(&status, &["--certificate-authority", &certificate]));
    let ran = Ran::from(ran.output().unwrap())
        .with(6)
        .saying(&["is signed by an unknown authority", "certificate-authority"]);
    assert!(!ran.stderr.contains("invalid peer certificate"), "{ran:?}");
}

#[test]
fn who_waits_waits_for_a_server_that_is_not_there_yet() {
    let place = Place::new();
    let server = Server::start("canary", None);
    let token = place.keep("token", "canary");
    let certificate = place.keep("ca.crt", &server.certificate);
    let acquire = ["acquire", "a", "--holder", "me", "--wait"];
    let run = ["run", "b", "--once", "k", "--", "true"];
    for command in [&acquire[..], &run] {
        let address = behind_a_gate(&server.url, 2);
        let there = [
            ["--server", &address],
            ["--token-file", &token],
            ["--certificate-authority", &certificate],
        ]
        .concat();
        let mut ran = place.bare(&with(command, &there));
        let ran = Ran::from(ran.output().unwrap()).with(0);
        assert!(ran.stderr.contains("trying again"), "{ran:?}");
    }
}

/// The address of a port that closes so many connections, and lets the later ones through to the server.
fn behind_a_gate(server: &str, closed: usize) -> String {
    let (scheme, server) = server.split_once("://").unwrap();
    let server = server.to_owned();
    let gate = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gate.local_addr().unwrap();
    thread::spawn(move || {
        for near in gate.incoming().map_while(Result::ok).skip(closed) {
            let far = TcpStream::connect(&server).unwrap();
            let ways = [
                (near.try_clone().unwrap(), far.try_clone().unwrap()),
                (far, near),
            ];
            for (mut from, mut to) in ways {
                thread::spawn(move || {
                    let _until_it_ends = io::copy(&mut from, &mut to);
                    let _gone = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    format!("{scheme}://localhost:{}", address.port())
}

#[test]
fn a_directory_that_others_keep_locked_is_no_api_server() {
    let place = Place::new();
    place.run(&["acquire", "b", "--holder", "me"]).with(0);
    let lock = OpenOptions::new()
        .write(true)
        .open(place.file("leases/lock"))
        .unwrap();
    let holder = place.start(&["run", "a", "--ttl", "3s", "--", "sleep", "60"]);
    crate::await_that(|| place.record("a").is_some(), "the lease");
    lock.lock().unwrap();
    let ran = holder.end().with(123);
    for said in ["API server", "transport"] {
        assert!(!ran.stderr.contains(said), "{said} in {ran:?}");
    }
    assert!(ran.stderr.contains("locked"), "{ran:?}");
}

#[test]
fn who_only_reads_makes_no_directory() {
    let place = Place::new();
    let empty = place.file("empty");
    fs::create_dir(&empty).unwrap();
    for command in COMMANDS.into_iter().take(4) {
        for (directory, why) in [("typo", "does not exist"), ("empty", "is empty")] {
            let directory = format!("--embedded={directory}");
            let mut ran = place.bare(&with(command, &[&directory]));
            Ran::from(ran.output().unwrap())
                .with(2)
                .saying(&["there are no leases in", why]);
        }
    }
    assert!(!place.file("typo").exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn a_directory_that_others_may_look_into_is_shut_or_refused() {
    let place = Place::new();
    let leases = place.file("leases");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open = || fs::set_permissions(&leases, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&leases).unwrap();
    open();
    place.run(&["acquire", "a", "--holder", "me"]).with(0);
    assert_eq!(mode(&leases), 0o700);
    open();
    for command in [&["status", "a"][..], &["acquire", "a", "--holder", "me"]] {
        let advice = format!("chmod 700 {}", leases.display());
        place
            .run(command)
            .with(code_of(command))
            .saying(&["755", &advice]);
    }
    fs::set_permissions(&leases, Permissions::from_mode(0o700)).unwrap();
    place.run(&["status", "a"]).with(0);
}
