//! What the command needs beside itself: it is copied into images that have nothing but the C library.

#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn the_command_needs_no_shared_library_but_the_c_library_and_what_that_comes_with() {
    let output = Command::new("readelf")
        .args(["--dynamic", "--wide", env!("CARGO_BIN_EXE_lease")])
        .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let needed: Vec<_> = text
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    // libgcc_s unwinds stacks; Debian's libc6 depends on it.
    let is_allowed = |name: &&str| {
        matches!(*name, "libc.so.6" | "libgcc_s.so.1") || name.starts_with("ld-linux")
    };
    assert!(
        needed.contains(&"libc.so.6") && needed.iter().all(is_allowed),
        "{needed:?}"
    );
}
