//! A file system that a program serves is told from a disk: the smallest one there can be, mounted for the test.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use lease_tests::store::Store;

use crate::{place, system};

#[test]
fn blocking_refuses_a_file_system_of_a_program() {
    a_file_system_of_a_program_is_refused::<lease_blocking::Client>();
}

#[test]
fn tokio_refuses_a_file_system_of_a_program() {
    a_file_system_of_a_program_is_refused::<lease_tokio::Client>();
}

fn a_file_system_of_a_program_is_refused<D: Store>() {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let Some(device) = device.ok().filter(|_| system::is_root()) else {
        eprintln!(
            "SKIPPED: only root can mount a file system of its own, and needs /dev/fuse for that"
        );
        return;
    };
    let (_folder, directory) = place();
    fs::create_dir(&directory).unwrap();
    let has_ended = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        let server = device.try_clone().unwrap();
        scope.spawn(|| serve(server, &has_ended));
        // Its name space ends with it, and the mount with that.
        let output = mounted::<D>(&directory, device).output();
        has_ended.store(true, Ordering::Relaxed);
        output.unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("network file system (FUSE)"),
        "{said}"
    );
}

/// The writer over a directory at which the file system is mounted.
fn mounted<D: Store>(directory: &Path, device: File) -> Command {
    let writer = system::writer::<D>(directory);
    let script =
        "mount -i -t fuse -o fd=0,rootmode=40000,user_id=0,group_id=0 none \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(directory);
    command.arg(writer.get_program()).args(writer.get_args());
    command.stdin(device);
    command
}

/// Answers what is asked of a file system with one empty directory, until it is not mounted any more.
fn serve(mut device: File, has_ended: &AtomicBool) {
    let mut request = vec![0; 1 << 17];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) => length,
            // It is not mounted yet.
            Err(error)
                if error.kind() == ErrorKind::PermissionDenied
                    && !has_ended.load(Ordering::Relaxed) =>
            {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(_) => return,
        };
        let word = |at: usize| {
            let bytes = request[..length].get(at..at + 4).unwrap();
            u32::from_ne_bytes(bytes.try_into().unwrap())
        };
        let (error, body) = match word(4) {
            FORGET => continue,
            GETATTR => (0, words(&attributes())),
            // Version 7.22, and at most 4 KiB at once.
            INIT => (0, words(&[7, 22, 0, 0, 0, 4_096])),
            OPENDIR => (0, words(&[0; 4])),
            STATFS => (0, words(&[0; 20])),
            RELEASEDIR => (0, Vec::new()),
            _ => (-NOT_IMPLEMENTED, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).unwrap();
        let mut answer = length.to_ne_bytes().to_vec();
        answer.extend(i32::to_ne_bytes(error));
        answer.extend(words(&[word(8), word(12)]));
        answer.extend(body);
        // Whoever asked may have gone.
        let _sent = device.write(&answer);
    }
}

/// Those of the directory: valid for an hour; its number, size and times; mode, links, owner.
fn attributes() -> [u32; 26] {
    let mut words = [0; 26];
    words[0] = 3_600;
    words[4] = 1;
    words[19] = 0o40_700;
    words[20] = 2;
    words
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

// `linux/fuse.h`.
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const RELEASEDIR: u32 = 29;

/// `ENOSYS`.
const NOT_IMPLEMENTED: i32 = 38;
