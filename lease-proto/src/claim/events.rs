//! What is still to be told to the application.

use std::collections::VecDeque;

use super::event::Event;

/// Events in the order in which they happened. It takes no memory while there are none, which is nearly always.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    pub(crate) fn push_back(&mut self, event: Event) {
        self.0.reserve_exact(1);
        self.0.push_back(event);
    }

    pub(crate) fn pop_front(&mut self) -> Option<Event> {
        let event = self.0.pop_front();
        if event.is_some() && self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        event
    }
}
