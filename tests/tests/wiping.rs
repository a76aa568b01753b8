//! Tokens and passwords are wiped when what held them is dropped: nothing of them is left in this process's memory.
//!
//! One test, and a process of its own: whatever else is in memory is searched as well.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test code")]

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{Read, Seek, SeekFrom, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Request;
use lease_proto::access::{Access, Basic, Exec, Material, Proxy, Secret, ServerUrl};

/// What is looked for, written so that it is not found where it is only kept to be compared with.
struct Canary(Vec<u8>);

impl Canary {
    fn new() -> Self {
        let state = RandomState::new();
        let random = (0..PARTS * PART / 16).flat_map(|at| state.hash_one(at).to_le_bytes());
        let letters = random.flat_map(|byte| [byte >> 4, byte & 15]);
        Self(letters.map(|half| !(b'a' + half)).collect())
    }

    /// A file with it, that was never whole in a buffer of ours.
    fn file(&self, path: &Path, before: &str, after: &str) -> PathBuf {
        let mut file = File::create(path).unwrap();
        file.write_all(before.as_bytes()).unwrap();
        for byte in &self.0 {
            file.write_all(&[!byte]).unwrap();
        }
        file.write_all(after.as_bytes()).unwrap();
        path.to_owned()
    }

    fn secret(&self) -> Secret {
        let mut secret = Secret::with_capacity(self.0.len());
        secret.expose_mut().extend(self.0.iter().map(|byte| !byte));
        secret
    }

    /// The part of it that these bytes are.
    fn part_at(&self, memory: &[u8]) -> Option<usize> {
        let mut parts = self.0.chunks(PART);
        parts.position(|part| memory.iter().zip(part).all(|(byte, own)| *byte == !own))
    }

    /// How often a part of it stands in this process's memory: the part that is there most often, since what has been freed
    /// is soon overwritten here and there.
    fn count(&self) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = File::open("/proc/self/mem").unwrap();
        let mut buffer = vec![0; 4096];
        let zeros = buffer.clone();
        let mut counts = [0; PARTS];
        for map in maps.lines().filter(|map| map.contains(" rw")) {
            let (start, end) = map.split(' ').next().unwrap().split_once('-').unwrap();
            let mut at = u64::from_str_radix(start, 16).unwrap();
            let end = u64::from_str_radix(end, 16).unwrap();
            while at + (PART as u64) <= end {
                let length = buffer.len().min(usize::try_from(end - at).unwrap());
                // Some pages cannot be read, such as the kernel's own.
                if memory.seek(SeekFrom::Start(at)).is_err()
                    || memory.read_exact(&mut buffer[..length]).is_err()
                {
                    break;
                }
                let own = buffer.as_ptr() as u64;
                // Most of it is, and comparing is fast.
                if buffer[..length] == zeros[..length] {
                    at += (length - PART + 1) as u64;
                    continue;
                }
                for (offset, window) in buffer[..length].windows(PART).enumerate() {
                    let address = at + offset as u64;
                    let is_own = (own..own + buffer.len() as u64).contains(&address);
                    if let Some(part) = self.part_at(window).filter(|_| !is_own) {
                        counts[part] += 1;
                    }
                }
                buffer.fill(0);
                at += (length - PART + 1) as u64;
            }
        }
        counts.into_iter().max().unwrap()
    }
}

/// Tries to send something to nobody: by then the credentials have been got, and no library below has seen them.
fn send(access: &Access) {
    let request = || Request::get("/version").body(Vec::new()).unwrap();
    let timeout = Duration::from_secs(10);
    let client = lease_blocking::Client::from_access(access).unwrap();
    client.send(request(), timeout, false).unwrap_err();
    client.send(request(), timeout, true).unwrap_err();
    let client = lease_tokio::Client::from_access(access).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        client.send(request(), timeout, false).await.unwrap_err();
        client.send(request(), timeout, true).await.unwrap_err();
    });
}

fn nowhere() -> Access {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    Access::new(ServerUrl::parse(&format!("http://127.0.0.1:{port}")).unwrap())
}

#[test]
fn nothing_of_a_secret_is_left_when_its_holders_are_gone() {
    let folder = tempfile::tempdir().unwrap();

    // The search finds what is there.
    let canary = Canary::new();
    let secret = canary.secret();
    assert_eq!(canary.count(), 1);
    let copy = secret.clone();
    assert_eq!(canary.count(), 2);
    drop((secret, copy));
    assert_eq!(canary.count(), 0);

    let canary = Canary::new();
    let header = lease_proto::access::bearer(&canary.secret()).unwrap();
    assert_eq!(canary.count(), 1);
    drop(header.clone());
    assert_eq!(canary.count(), 1);
    drop(header);
    assert_eq!(canary.count(), 0, "a header");

    let canary = Canary::new();
    let mut access = nowhere();
    access.auth.token = Some(Material::Inline(canary.secret()));
    send(&access);
    assert_eq!(canary.count(), 1);
    drop(access);
    assert_eq!(canary.count(), 0, "a token");

    let canary = Canary::new();
    let mut access = nowhere();
    let path = canary.file(&folder.path().join("token"), "", "\n");
    access.auth.token = Some(Material::File(path));
    send(&access);
    assert_eq!(canary.count(), 0, "a token in a file");

    let canary = Canary::new();
    let mut access = nowhere();
    access.auth.basic = Some(Basic {
        username: "somebody".to_owned(),
        password: canary.secret(),
    });
    send(&access);
    drop(access);
    assert_eq!(canary.count(), 0, "a password");

    let canary = Canary::new();
    let mut access = nowhere();
    let version = "client.authentication.k8s.io/v1";
    let script = canary.file(
        &folder.path().join("plugin"),
        &format!(
            "#!/bin/sh\necho '{{\"apiVersion\":\"{version}\",\"kind\":\"ExecCredential\",\"status\":{{\"token\":\""
        ),
        "\"}}'\n",
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    access.auth.exec = Some(Exec::new(script, version));
    send(&access);
    assert_eq!(canary.count(), 0, "a plugin's token");

    let canary = Canary::new();
    let mut url = Secret::with_capacity(1_000);
    url.expose_mut().extend_from_slice(b"http://somebody:");
    url.expose_mut().extend_from_slice(canary.secret().expose());
    url.expose_mut().extend_from_slice(b"@proxy:3128");
    let proxy = Proxy::parse(std::str::from_utf8(url.expose()).unwrap()).unwrap();
    assert_eq!(canary.count(), 2);
    drop((url, proxy));
    assert_eq!(canary.count(), 0, "a proxy's password");
}

/// A canary is as long as a short token.
const PARTS: usize = 8;
const PART: usize = 32;
