//! What can go wrong.

use http::Method;

use super::{Misfortune, State, System};

impl System {
    /// What can go wrong in a state.
    pub(super) fn misfortunes(&self, state: &State, mut push: impl FnMut(Misfortune)) {
        for (at, message) in state.messages.iter().enumerate() {
            let is_fresh = message.response.is_none() && !message.late;
            if !is_fresh || state.nodes[message.node].paused {
                continue;
            }
            push(Misfortune::DelayRequest(at));
            if message.is_stream {
                continue;
            }
            push(Misfortune::DelayAnswer(at));
            push(Misfortune::BreakBefore(at));
            if message.request.method() != Method::GET {
                push(Misfortune::BreakAfter(at));
                push(Misfortune::Repeat(at));
            }
        }
        let now = self.clock.now(state.tick);
        for (index, node) in state.nodes.iter().enumerate() {
            push(Misfortune::Crash(index));
            if node.paused {
                continue;
            }
            push(Misfortune::Pause(index));
            if let Some(stream) = &node.stream {
                push(Misfortune::BreakStream(index));
                if stream.watch.is_some() && stream.held_up.is_none() {
                    push(Misfortune::DelayStream(index));
                }
            }
            if node.claim.is_held(now) {
                push(Misfortune::Release(index));
                push(Misfortune::Verify(index));
            }
        }
        if !state.record.exists {
            push(Misfortune::Recreate);
            return;
        }
        push(Misfortune::Annotate);
        push(Misfortune::Delete);
        push(Misfortune::Steal);
        if state.record.holder.is_some() {
            push(Misfortune::Clear);
        }
    }
}
