//! What others wrote, made harmless for people's eyes and terminals.
//!
//! Who may write a record may write into the terminals of all who look at it: colours, a title, a line that looks like one of
//! ours, or a text that runs backwards. JSON and YAML escape for themselves.

/// A text as one line that shows what cannot be seen: controls, and what turns the direction of writing.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(PLAIN) {
        let plain = piece
            .chars()
            .next_back()
            .filter(|last| PLAIN.contains(last));
        let rest = plain.map_or(piece, |last| piece.strip_suffix(last).unwrap_or(piece));
        shown.extend(rest.escape_debug());
        shown.extend(plain);
    }
    shown
}

/// The same of several lines.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Harmless, though it is escaped where a text stands in quotes.
const PLAIN: [char; 3] = ['"', '\'', '\\'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_and_the_rest_stays() {
        let text =
            "\u{1b}[31mevil\nName: \"fake\"\u{1b}]0;pwn\u{7}\t\u{9b}1m\u{202e}back\u{2066}\u{7f}\r";
        assert_eq!(
            line(text),
            r#"\u{1b}[31mevil\nName: "fake"\u{1b}]0;pwn\u{7}\t\u{9b}1m\u{202e}back\u{2066}\u{7f}\r"#
        );
        for ordinary in [
            "worker-1",
            "Jörg's \"Zoë\" C:\\",
            "e\u{301}te\u{301}",
            "日本語 עברית हिन्दी",
        ] {
            assert_eq!(line(ordinary), ordinary);
        }
        assert_eq!(lines("one\u{1b}\ntwo\n"), "one\\u{1b}\ntwo\n");
    }
}
