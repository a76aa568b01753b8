//! What fuzzing has found worth keeping, done again on an ordinary toolchain; and proof that its oracle can fail.

use std::{
    fs, panic,
    path::{Path, PathBuf},
};

use lease_tests::fuzzing::{Planted, TARGETS, scripts_with};

#[test]
fn the_whole_corpus_keeps_every_promise() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() > 10, "{name}: {} inputs", inputs.len());
        for (path, input) in inputs {
            let outcome = panic::catch_unwind(|| target(&input));
            assert!(outcome.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let mut folders: Vec<_> = entries(&corpus())
        .into_iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    folders.sort();
    assert_eq!(folders, TARGETS.map(|(name, _)| name));
}

#[test]
fn every_planted_bug_is_found_by_the_corpus() {
    let inputs = inputs("scripts");
    // Panics are what is looked for.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let unnoticed: Vec<_> = Planted::ALL
        .into_iter()
        .filter(|bug| {
            !inputs
                .iter()
                .any(|(_, input)| panic::catch_unwind(|| scripts_with(input, Some(*bug))).is_err())
        })
        .collect();
    panic::set_hook(hook);
    assert_eq!(unnoticed, []);
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = entries(&corpus().join(target)).into_iter();
    files
        .map(|path| {
            let input = fs::read(&path).expect("the file was just listed");
            (path, input)
        })
        .collect()
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder exists");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
}
