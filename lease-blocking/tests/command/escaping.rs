//! What stands in a record cannot write to the terminal of whoever looks at it, nor add lines of its own.

use std::process::Stdio;

use serde_json::Value;

use crate::Place;

const EVIL: &str = "\u{1b}[31mevil\nName: fake\u{1b}]0;pwn\u{7}\u{9b}1m\u{202e}";
const SHOWN: &str = r"\u{1b}[31mevil\nName: fake\u{1b}]0;pwn\u{7}\u{9b}1m\u{202e}";

#[test]
fn what_others_wrote_is_shown_escaped_to_people_and_exactly_to_programs() {
    let place = Place::new();
    let acquire = ["acquire", "a", "--holder", "Zoë", "--ttl", "1h"];
    place.run(&acquire).with(0);
    let mut record = place.record("a").unwrap();
    record.spec.holder_identity = Some(format!("Zoë{EVIL}"));
    record.metadata.set_annotation("note", EVIL);
    let record = place.client().update(&record).unwrap();

    let mut watch = place.lease(&["watch", "a"]);
    let mut watch = crate::Started(watch.stdout(Stdio::piped()).spawn().unwrap());
    let stdout = watch.0.stdout.take().unwrap();
    let mut first = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut first).unwrap();
    drop(watch);

    let said = |arguments: &[&str], code| {
        let ran = place.run(arguments).with(code);
        ran.stdout + &ran.stderr
    };
    let takeover = ["acquire", "a", "--holder", "me"];
    let release = ["release", "a", "--holder", "me"];
    for text in [
        first,
        said(&["status", "a"], 0),
        said(&["status", "a", "-o", "wide"], 0),
        said(&["list"], 0),
        said(&["list", "-o", "wide"], 0),
        said(&takeover, 5),
        said(&release, 5),
    ] {
        assert!(text.contains(&format!("Zoë{SHOWN}")), "{text}");
        let is_raw = |it: char| it != '\n' && it.is_control() || it == '\u{202e}';
        assert!(!text.contains(is_raw), "{text:?}");
        assert!(!text.contains("\nName: fake"), "{text}");
    }
    let wide = said(&["status", "a", "-o", "wide"], 0);
    assert!(wide.contains(&format!("note={SHOWN}")), "{wide}");

    let json: Value = serde_json::from_str(&said(&["status", "a", "-o", "json"], 0)).unwrap();
    assert_eq!(json["holder"].as_str(), record.spec.holder());
}
