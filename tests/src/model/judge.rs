//! The promises: what a write may change, and who may believe.

use std::{sync::Arc, time::Instant};

use http::Method;

use super::{
    State,
    clock::TICK,
    facts::{Fact, Facts},
    node::Node,
    record::Record,
    state::Message,
};

/// Judges what a claimant's write has changed; `age` is for how many ticks the record had said nothing new.
pub(super) fn write(
    state: &mut State,
    message: &Message,
    before: &Record,
    age: u32,
    facts: &Facts,
) {
    let is_update = [Method::PUT, Method::PATCH].contains(message.request.method());
    if is_update && !before.exists {
        state.broken = Some("a deleted record came back by an update");
    }
    // Whoever has crashed meanwhile wrote under an earlier name.
    let name = Node::name(message.node, message.life);
    let is_named = state.record.holder.as_deref() == Some(&*name);
    if is_named {
        let author = &mut state.nodes[message.node];
        if author.robbed && author.life == message.life {
            Arc::make_mut(author).robbed = false;
        }
    }
    let Some(holder) = before.holder.as_deref().filter(|holder| *holder != name) else {
        return;
    };
    if state.record.holder.as_deref() == Some(holder) {
        state.broken = Some("a record was written in the name of another");
    } else if !is_named {
        state.broken = Some("the record of another was cleared or deleted");
    } else if u128::from(age) * TICK.as_millis() < u128::from(before.seconds) * 1_000 {
        state.broken = Some("the record of another was taken before its time was over");
    } else {
        facts.note(Fact::TakenOver);
    }
}

/// Judges who believes to hold the Lease.
pub(super) fn beliefs(state: &mut State, now: Instant) {
    let believe = |node: &&Arc<Node>| !node.robbed && node.believes(now);
    let mut believers = state.nodes.iter().filter(believe);
    let Some(first) = believers.next() else {
        return;
    };
    if believers.next().is_some() {
        state.broken = Some("two believe at once that they hold the Lease");
    } else if state.record.holder.as_deref() != Some(first.identity()) {
        state.broken = Some("somebody believes to hold a Lease whose record does not say so");
    }
}
