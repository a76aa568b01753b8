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
