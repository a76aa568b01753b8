//! What may differ between two runs of a server: uids, each for each. Versions may not.

use std::collections::BTreeMap;

use serde_json::Value;

/// Which of our uids stands for which of the recorded ones.
#[derive(Default)]
pub(crate) struct Likeness {
    uids: BTreeMap<String, String>,
}

impl Likeness {
    /// A recorded text in our words.
    pub(crate) fn translated(&self, text: &str) -> String {
        self.uids
            .iter()
            .fold(text.to_owned(), |text, (recorded, ours)| {
                text.replace(recorded, ours)
            })
    }

    /// Notes which of our uids stand where recorded ones did, unless that is known, or the other way round.
    pub(crate) fn learn(&mut self, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                for (key, recorded) in recorded {
                    match (key.as_str(), recorded, ours.get(key)) {
                        ("uid", Value::String(recorded), Some(Value::String(ours))) => {
                            let is_taken = self.uids.values().any(|it| it == ours);
                            if !is_taken && !self.uids.contains_key(recorded) {
                                self.uids.insert(recorded.clone(), ours.clone());
                            }
                        }
                        (_, _, Some(ours)) => self.learn(recorded, ours),
                        (_, _, None) => {}
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => {
                for (recorded, ours) in recorded.iter().zip(ours) {
                    self.learn(recorded, ours);
                }
            }
            _ => {}
        }
    }
}

/// Says where two values differ, as paths.
pub(crate) fn differences(recorded: &Value, ours: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    compare(recorded, ours, "", &mut found);
    found
}

fn compare(recorded: &Value, ours: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            let mut keys: Vec<_> = recorded.keys().chain(ours.keys()).collect();
            keys.sort();
            keys.dedup();
            let missing = Value::String("(absent)".to_owned());
            for key in keys {
                let side =
                    |it: &serde_json::Map<String, Value>| it.get(key).unwrap_or(&missing).clone();
                compare(&side(recorded), &side(ours), &format!("{at}/{key}"), found);
            }
        }
        (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
            for (index, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                compare(recorded, ours, &format!("{at}/{index}"), found);
            }
        }
        _ if recorded == ours => {}
        _ => found.push((at.to_owned(), format!("recorded {recorded}, got {ours}"))),
    }
}
