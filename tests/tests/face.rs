//! What a newcomer sees first: every public type has an example, and README says what `Cargo.toml` says.

use std::fs;

use lease_tests::sources;

const CRATES: [&str; 3] = ["lease-proto", "lease-tokio", "lease-blocking"];

/// All that is `pub` can be reached from outside: the lint `unreachable_pub` sees to that.
#[test]
fn every_public_type_has_an_example() {
    let (mut with, mut without) = (0, Vec::new());
    for krate in CRATES {
        for file in sources::below(&sources::root().join(krate).join("src")) {
            let text = fs::read_to_string(&file).expect("the file was just listed");
            for (name, has_example) in types(&text) {
                if has_example {
                    with += 1;
                } else {
                    let file = file.strip_prefix(sources::root()).expect("below the root");
                    without.push(format!("{name} in {}", file.display()));
                }
            }
        }
    }
    assert!(
        without.is_empty(),
        "give each a code block in its documentation, that compiles and shows how a user meets it:\n{}",
        without.join("\n")
    );
    assert!(with > 100, "only {with} types were found");
}

/// What is said of each of a program's futures is tested in the files named here, by dropping it.
#[test]
fn every_future_says_what_becomes_of_it_when_it_is_dropped_and_a_test_drops_it() {
    let read = |file: &str| fs::read_to_string(sources::root().join(file)).expect("readable");
    let tests = ["cancelling", "dropping"].map(|it| read(&format!("tests/tests/drivers/{it}.rs")));
    let (mut found, mut untold, mut untested) = (0, Vec::new(), Vec::new());
    let folder = sources::root().join("lease-tokio/src");
    for file in sources::below(&folder) {
        // Commands have no callers.
        if file.starts_with(folder.join("bin")) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("the file was just listed");
        let mut is_said = false;
        for line in text.lines().map(str::trim) {
            is_said |= line == "/// # Cancel safety";
            if let Some(rest) = line.strip_prefix("pub async fn ") {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                found += 1;
                if !is_said {
                    untold.push(name.to_owned());
                }
                let call = |before: &str| format!("{before}{name}(");
                if !tests
                    .iter()
                    .any(|test| test.contains(&call(".")) || test.contains(&call("::")))
                {
                    untested.push(name.to_owned());
                }
            }
            let is_doc = line.starts_with("///") || line.starts_with("#[");
            is_said &= is_doc;
        }
    }
    assert!(untold.is_empty(), "nothing is said of {untold:?}");
    assert!(untested.is_empty(), "no test drops {untested:?}");
    assert!(found > 25, "only {found} were found");
}

#[test]
fn the_readme_names_the_oldest_rust_that_will_do() {
    let read = |name| fs::read_to_string(sources::root().join(name)).expect("readable");
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("Cargo.toml has a rust-version")
        .trim_matches('"');
    let said = format!("a Rust toolchain ({version} or later)");
    assert!(
        read("README.md").contains(&said),
        "README.md must say: {said}"
    );
}

#[test]
fn the_reader_of_types_tells_examples_from_other_blocks() {
    let text = r#"
/// ```
/// let a = A;
/// ```
#[derive(Debug)]
pub struct A;

/// ```text
/// a picture
/// ```
#[expect(
    clippy::exhaustive_enums,
    reason = "none"
)]
pub enum B {}

/// ```ignore
/// ```
    pub trait C: Send {}

#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// ```
pub struct D<T>(T);

/// Not to be named from outside.
#[expect(unnameable_types, reason = "none")]
pub struct E;

pub(crate) struct F;

/// ```text
/// ```
///
/// ```no_run
/// ```
pub union G {}
"#;
    let found = types(text);
    let expected = [
        ("A", true),
        ("B", false),
        ("C", false),
        ("D", true),
        ("G", true),
    ];
    assert_eq!(found, expected.map(|(name, it)| (name.to_owned(), it)));
}

/// The public types of a file, and whether there is an example in what stands before each.
fn types(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut before = Vec::new();
    for line in text.lines().map(str::trim) {
        let name = ["struct ", "enum ", "trait ", "union "]
            .iter()
            .find_map(|word| line.strip_prefix("pub ")?.strip_prefix(word));
        if let Some(name) = name {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
            if !before
                .iter()
                .any(|line: &&str| line.contains("unnameable_types"))
            {
                found.push((name.to_owned(), has_example(&before)));
            }
        }
        if line.is_empty() {
            before.clear();
        } else {
            before.push(line);
        }
    }
    found
}

/// Whether documentation has a block that is compiled.
fn has_example(lines: &[&str]) -> bool {
    let mut is_inside = false;
    for line in lines {
        let text = line.strip_prefix("///").or_else(|| {
            line.split_once("doc = \"")
                .map(|(_, text)| text.trim_end_matches("\")]"))
        });
        let Some(info) = text.and_then(|text| text.trim().strip_prefix("```")) else {
            continue;
        };
        if !is_inside && info.split(',').all(|it| ["", "no_run"].contains(&it)) {
            return true;
        }
        is_inside = !is_inside;
    }
    false
}
