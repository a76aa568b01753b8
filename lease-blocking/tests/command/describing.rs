//! What the command says of itself to shells and to man.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{Place, Ran};

#[test]
fn shells_are_told_of_all_commands() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = Ran::from(place.bare(&["completion", shell]).output().unwrap())
            .with(0)
            .stdout;
        for word in ["run", "acquire", "watch", "--embedded", "all-namespaces"] {
            let word = word.trim_start_matches('-');
            assert!(
                script.contains(word),
                "{word} is not in the script for {shell}"
            );
        }
    }
    Ran::from(place.bare(&["completion", "cmd"]).output().unwrap())
        .with(64)
        .saying(&["bash", "zsh"]);
}

#[test]
fn bash_completes_by_the_script() {
    let place = Place::new();
    let script = Ran::from(place.bare(&["completion", "bash"]).output().unwrap()).stdout;
    fs::write(place.file("script"), script).unwrap();
    let asked = "source ./script; COMP_WORDS=(lease sta); COMP_CWORD=1; _lease lease sta lease; echo ${COMPREPLY[*]}";
    let output = Command::new("bash")
        .args(["--norc", "-c", asked])
        .current_dir(place.folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "status\n",
        "{output:?}"
    );
}

#[test]
fn each_command_has_a_page_for_man() {
    let place = Place::new();
    let page = |arguments: &[&str]| Ran::from(place.bare(arguments).output().unwrap());
    let all = page(&["man"]).with(0).stdout;
    assert!(
        all.starts_with(".ie") && all.contains(".SH SUBCOMMANDS"),
        "{all}"
    );
    let run = page(&["man", "run"]).with(0).stdout;
    assert!(
        run.contains("lease\\-run") && run.contains("\\-\\-grace") && run.contains("LEASE_TOKEN"),
        "{run}"
    );
    let synopsis = r"lease run [OPTIONS] <NAME> \-\- <CMD>...";
    assert!(
        run.contains(&format!(".SH SYNOPSIS\n{synopsis}\n")),
        "{run}"
    );
    page(&["man", "no"]).with(64).saying(&["\"no\"", "acquire"]);
}
