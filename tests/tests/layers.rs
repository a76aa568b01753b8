//! Which file may import from which: a table, and the imports that are really there.

use std::{collections::BTreeMap, fs, path::Path};

use lease_tests::sources;

/// A part of a crate, named by the start of its path below `src`, and the parts that it may import from.
type Table = &'static [(&'static str, &'static [&'static str])];

const PROTO: Table = &[
    ("wire", &[]),
    ("headers", &["wire"]),
    ("config", &["wire"]),
    ("notes", &["wire", "config"]),
    ("refusal", &["wire"]),
    ("unclear", &["wire", "refusal"]),
    (
        "call",
        &["wire", "headers", "notes", "config", "refusal", "unclear"],
    ),
    ("change", &["wire", "config"]),
    ("plain", &["wire", "refusal", "call"]),
    ("candidate", &["wire", "config"]),
    (
        "claim/candidacy",
        &[
            "wire",
            "config",
            "refusal",
            "call",
            "plain",
            "candidate",
            "claim/budget",
        ],
    ),
    ("claim/budget", &["config"]),
    ("claim/retry", &[]),
    ("claim/crowd", &["claim/retry"]),
    ("claim/grant", &[]),
    ("claim/waiting", &[]),
    ("claim/events", &["claim/event"]),
    ("claim/news", &["wire"]),
    ("claim/stream", &["call", "claim/news", "claim/retry"]),
    (
        "claim/event",
        &["call", "refusal", "unclear", "claim/grant", "claim/waiting"],
    ),
    (
        "claim/observed",
        &["wire", "notes", "config", "claim/waiting"],
    ),
    ("claim/writes", &["wire"]),
    (
        "claim/state",
        &[
            "wire",
            "notes",
            "call",
            "claim/event",
            "claim/grant",
            "claim/retry",
            "claim/waiting",
            "claim/writes",
        ],
    ),
    (
        "claim",
        &[
            "wire",
            "notes",
            "config",
            "refusal",
            "call",
            "change",
            "candidate",
            "headers",
            "claim/budget",
            "claim/candidacy",
            "claim/crowd",
            "claim/event",
            "claim/events",
            "claim/grant",
            "claim/news",
            "claim/observed",
            "claim/retry",
            "claim/state",
            "claim/stream",
            "claim/waiting",
            "claim/writes",
        ],
    ),
    ("set/output", &["call", "claim"]),
    ("set/limits", &[]),
    ("set/timers", &[]),
    ("set/queue", &["claim"]),
    ("set/ticket", &[]),
    ("set/load", &["set/ticket"]),
    ("set/traffic", &["set/load", "set/ticket"]),
    ("set/member", &["claim", "set/queue", "set/ticket"]),
    ("set/slots", &["set/member", "set/output"]),
    ("set/watches", &["config", "call", "claim"]),
    ("set/streams", &["set/member", "set/timers", "set/watches"]),
    (
        "set",
        &[
            "wire",
            "notes",
            "config",
            "headers",
            "call",
            "change",
            "claim",
            "set/limits",
            "set/member",
            "set/output",
            "set/queue",
            "set/slots",
            "set/streams",
            "set/ticket",
            "set/timers",
            "set/traffic",
            "set/watches",
        ],
    ),
    ("deadline", &[]),
    ("outcome", &["claim", "access"]),
    ("ledger", &["notes", "claim", "access", "outcome"]),
    ("observe", &["claim", "access"]),
    ("access", &[]),
    // The tests' world: it must not share an idea of paths and codes with what it tests.
    ("server", &[]),
    (
        "lib",
        &[
            "wire",
            "notes",
            "config",
            "refusal",
            "unclear",
            "headers",
            "call",
            "candidate",
            "claim",
            "set",
            "plain",
            "deadline",
            "outcome",
            "ledger",
            "observe",
            "access",
            "server",
        ],
    ),
];

#[test]
fn every_file_of_the_core_imports_only_from_the_rows_above_it() {
    check("lease-proto", PROTO);
}

fn check(krate: &str, table: Table) {
    let root = sources::root().join(krate).join("src");
    let mut seen = BTreeMap::new();
    for file in sources::below(&root) {
        let module = module(&root, &file);
        if module.contains("tests") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("the file was just listed");
        let text = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let row = row(table, &module).unwrap_or_else(|| panic!("{module} is not in the table"));
        *seen.entry(row.0).or_insert(0) += 1;
        for import in imports(text, &module) {
            let Some((part, _)) = self::row(table, &import) else {
                panic!("{krate}: {module} imports from {import}, which is not in the table");
            };
            assert!(
                *part == row.0 || row.1.contains(part),
                "{krate}: {module} imports from {import}; it may import from {:?}",
                row.1
            );
        }
    }
    for (part, _) in table {
        assert!(
            seen.contains_key(part),
            "{krate}: no file belongs to {part}: remove its row"
        );
    }
}

/// The longest row whose name begins the path of `module`.
fn row(table: Table, module: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    let begins = |name: &str| {
        module
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    table
        .iter()
        .filter(|(name, _)| begins(name))
        .max_by_key(|(name, _)| name.len())
}

/// What the `use` lines of a file, and paths that begin with `crate::` anywhere in it, import from this crate.
fn imports(text: &str, module: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent);
    let mut found = Vec::new();
    for (start, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in code.match_indices(start) {
            let before = code.get(..at).and_then(|code| code.chars().next_back());
            if before.is_some_and(|c| c.is_alphanumeric() || c == ':' || c == '$') {
                continue;
            }
            let rest = code.get(at + start.len()..).unwrap_or_default();
            for name in heads(rest) {
                found.push(if base.is_empty() {
                    name
                } else {
                    format!("{base}/{name}")
                });
            }
        }
    }
    found
}

/// The first names of a use tree: of `a::b` that is `a::b`'s module path, of `{a::b, c}` both.
fn heads(tree: &str) -> Vec<String> {
    let Some(list) = tree.strip_prefix('{') else {
        return vec![head(tree)];
    };
    let mut depth = 0_u32;
    let mut parts = vec![String::new()];
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth = depth + u32::from(c == '{') - u32::from(c == '}');
                parts.last_mut().expect("never empty").push(c);
            }
        }
    }
    let parts = parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty());
    parts.map(head).collect()
}

/// The module path at the start of `path`: its lowercase names, joined by slashes.
fn head(path: &str) -> String {
    let names = path.split("::").map(|name| {
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
        (
            name.get(..end.unwrap_or(name.len())).unwrap_or_default(),
            end.is_none(),
        )
    });
    let mut modules = Vec::new();
    for (name, goes_on) in names {
        if name.starts_with(|c: char| c.is_lowercase()) {
            modules.push(name);
        }
        if !goes_on {
            break;
        }
    }
    modules.join("/")
}

/// The module that a file holds, as a path: `claim/mod.rs` is `claim`.
fn module(root: &Path, file: &Path) -> String {
    let path = file
        .strip_prefix(root)
        .expect("below the root")
        .with_extension("");
    let path = path.to_string_lossy().replace('\\', "/");
    path.strip_suffix("/mod")
        .map_or_else(|| path.clone(), str::to_owned)
}

#[test]
fn the_reader_of_imports_reads_them() {
    let text = "use crate::{call::{A, B}, wire::Lease}; // use crate::no::No\nuse super::event::Event; fn f(x: crate::config::Config) {}";
    let mut found = imports(text, "claim/state");
    found.sort();
    assert_eq!(found, ["call", "claim/event", "config", "wire"]);
    assert!(row(PROTO, "claim/event").is_some_and(|row| row.0 == "claim/event"));
    assert!(row(PROTO, "claim/campaign").is_some_and(|row| row.0 == "claim"));
    assert!(row(PROTO, "nonsense").is_none());
}
