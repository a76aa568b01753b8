//! As much of YAML as people write Leases in: mappings, plain and quoted values, `{…}` and `[…]`, comments.
//!
//! Anchors, tags, block texts and many documents are not read.

use serde_json::{Map, Number, Value};

/// How deep mappings may stand inside of one another.
const MAX_DEPTH: usize = 32;

/// The value of a document; nothing if it is beyond what is read here.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let content = without_comment(line).trim_end();
        if content.trim().is_empty() || content == "---" {
            continue;
        }
        let inner = content.trim_start_matches(' ');
        lines.push((content.len() - inner.len(), inner));
    }
    let mut rest = lines.as_slice();
    let value = block(&mut rest, 0)?;
    rest.is_empty().then_some(value)
}

/// Lines with their indents.
type Lines<'a, 'b> = &'b [(usize, &'a str)];

/// A value that takes whole lines.
fn block(lines: &mut Lines<'_, '_>, depth: usize) -> Option<Value> {
    let (indent, first) = *lines.first()?;
    if depth > MAX_DEPTH {
        return None;
    }
    if first == "-" || first.starts_with("- ") {
        return sequence(lines, indent);
    }
    if first.starts_with(['{', '[']) {
        *lines = lines.get(1..)?;
        return scalar(first);
    }
    let mut map = Map::new();
    while let Some((at, line)) = lines.first().copied() {
        if at < indent {
            break;
        }
        let (key, value) = line
            .split_once(": ")
            .or_else(|| line.strip_suffix(':').map(|it| (it, "")))?;
        if at > indent {
            return None;
        }
        *lines = lines.get(1..)?;
        let value = match value.trim() {
            "" => match lines.first() {
                Some((next, line))
                    if *next > indent || *next == indent && line.starts_with("- ") =>
                {
                    block(lines, depth + 1)?
                }
                _ => Value::Null,
            },
            inline => scalar(inline)?,
        };
        map.insert(text(key.trim())?, value);
    }
    Some(Value::Object(map))
}

/// A list with one plain value a line.
fn sequence(lines: &mut Lines<'_, '_>, indent: usize) -> Option<Value> {
    let mut items = Vec::new();
    while let Some((at, line)) = lines.first().copied() {
        let Some(item) = line.strip_prefix("- ").filter(|_| at == indent) else {
            break;
        };
        let item = item.trim();
        let is_mapping = !item.starts_with(['{', '[', '"', '\'']) && item.contains(": ");
        if is_mapping {
            return None;
        }
        items.push(scalar(item)?);
        *lines = lines.get(1..)?;
    }
    Some(Value::Array(items))
}

/// A value on one line.
fn scalar(text: &str) -> Option<Value> {
    let mut flow = Flow { rest: text };
    let value = flow.value("", 0)?;
    flow.rest.trim().is_empty().then_some(value)
}

/// A text that is no more than that: a key.
fn text(text: &str) -> Option<String> {
    match text.chars().next()? {
        '"' | '\'' => match scalar(text)? {
            Value::String(text) => Some(text),
            Value::Array(_)
            | Value::Bool(_)
            | Value::Null
            | Value::Number(_)
            | Value::Object(_) => None,
        },
        '&' | '*' | '!' | '|' | '>' | '?' | '%' | '@' | '`' | '{' | '[' => None,
        _ => Some(text.to_owned()),
    }
}

/// Reads values within a line.
struct Flow<'a> {
    rest: &'a str,
}

impl Flow<'_> {
    /// A value, which ends at one of some characters if it is plain.
    fn value(&mut self, ends: &str, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '{' => self.map(depth),
            '[' => self.list(depth),
            quote @ ('"' | '\'') => self.quoted(quote).map(Value::String),
            _ => {
                let end = self.rest.find(|it| ends.contains(it));
                let (plain, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                typed(plain.trim())
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        self.skip('{')?;
        while self.skip('}').is_none() {
            let key = match self.value(":,}", depth + 1)? {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_) => return None,
            };
            self.skip(':')?;
            map.insert(key, self.value(",}", depth + 1)?);
            if self.skip(',').is_none() && !self.rest.starts_with('}') {
                return None;
            }
        }
        Some(Value::Object(map))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut list = Vec::new();
        self.skip('[')?;
        while self.skip(']').is_none() {
            list.push(self.value(",]", depth + 1)?);
            if self.skip(',').is_none() && !self.rest.starts_with(']') {
                return None;
            }
        }
        Some(Value::Array(list))
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut end = None;
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            if quote == '"' && character == '\\' {
                characters.next();
            } else if character == quote {
                if quote == '\'' && characters.peek().is_some_and(|it| it.1 == '\'') {
                    characters.next();
                    continue;
                }
                end = Some(at + 1);
                break;
            }
        }
        let (quoted, rest) = self.rest.split_at(end?);
        self.rest = rest.trim_start();
        if quote == '"' {
            return serde_json::from_str(quoted).ok();
        }
        let inner = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
        Some(inner.replace("''", "'"))
    }

    /// Goes past a character, if it is next.
    fn skip(&mut self, character: char) -> Option<()> {
        self.rest = self.rest.trim_start();
        self.rest = self.rest.strip_prefix(character)?.trim_start();
        Some(())
    }
}

/// A plain value by what it looks like.
fn typed(plain: &str) -> Option<Value> {
    match plain {
        "" | "~" | "null" => return Some(Value::Null),
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    let looks_numeric = plain
        .chars()
        .all(|it| it.is_ascii_digit() || matches!(it, '-' | '+' | '.' | 'e' | 'E'));
    if looks_numeric && let Ok(number) = plain.parse::<Number>() {
        return Some(Value::Number(number));
    }
    text(plain).map(Value::String)
}

/// A line without its comment.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut previous = ' ';
    for (at, character) in line.char_indices() {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') && !previous.is_alphanumeric() => {
                quote = Some(character);
            }
            None if character == '#' && previous.is_whitespace() => {
                return line.get(..at).unwrap_or(line);
            }
            None => {}
        }
        previous = character;
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_as_people_write_it_is_read() {
        let text = "---
# who holds it
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: 'it''s'   # a name
  labels: {app: web, \"tier\": db}
  finalizers:
  - a/b
  - \"c # d\"
spec:
  holderIdentity: pod-x
  leaseDurationSeconds: 15
  renewTime: 2026-11-20T12:00:00.123456Z
";
        let expected = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": "it's",
                "labels": {"app": "web", "tier": "db"},
                "finalizers": ["a/b", "c # d"],
            },
            "spec": {
                "holderIdentity": "pod-x",
                "leaseDurationSeconds": 15,
                "renewTime": "2026-11-20T12:00:00.123456Z",
            },
        });
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn what_is_beyond_it_is_refused() {
        for text in [
            "",
            "a: &b c",
            "a: |\n  text",
            "a:\n   b: 1\n  c: 2",
            "a: {b",
            "- a: 1\n  b: 2",
            "a",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
