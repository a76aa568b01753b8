//! What is said where the server refuses what waiting by priority needs.

use lease_blocking::proto::{Refusal, Verb};

use super::say;

/// Says what was refused, what comes of that, and what would have it granted.
pub(crate) fn tell(refusal: &Refusal) {
    let outcome = if refusal.verb() == Verb::Delete {
        "its announcement stays behind, and others may hold back for it for a while"
    } else {
        "it waits without its priority"
    };
    say(format_args!("{refusal}; {outcome}"));
    say(format_args!("{}", refusal.advice()));
}
