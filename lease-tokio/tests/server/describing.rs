//! What it says of itself: help, completions, the page for man.

use std::{fs, process::Command};

use crate::Result;

#[test]
fn shells_and_man_are_told_what_can_be_typed() -> Result {
    let bare = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lease-server"));
        command.args(arguments);
        command
    };
    for (arguments, words) in [
        (&["completion", "bash"][..], ["--faults", "--token-file"]),
        (&["completion", "zsh"], ["--faults", "--token-file"]),
        (&["man"], [".SH SYNOPSIS", "\\-\\-faults"]),
    ] {
        let output = bare(arguments).output()?;
        let text = String::from_utf8(output.stdout)?;
        assert!(output.status.success(), "{arguments:?}");
        for word in words {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
    // What was asked for and cannot be printed is a failure.
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["man"],
        &["completion", "bash"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
        let output = bare(arguments).stdout(full).output()?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("standard output"), "{arguments:?}: {said}");
    }
    let both = bare(&["--verbose", "man"]).output()?;
    assert_eq!(both.status.code(), Some(64));
    Ok(())
}
