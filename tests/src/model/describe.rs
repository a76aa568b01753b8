//! Actions, for people to read.

use super::{Action, Misfortune, State, System, state::Message};

impl System {
    /// Says what an action does in a state.
    pub(super) fn describe(&self, state: &State, action: Action) -> String {
        let what = match action {
            Action::Tick => "a tick passes".to_owned(),
            Action::Exchange(at) => format!("{} reaches the server", request(state, at)),
            Action::Answer(at) => format!("the answer to {} comes", request(state, at)),
            Action::Tell(node) => format!("n{node} is told of a change"),
            Action::Continue(node) => format!("n{node} goes on"),
            Action::Misfortune(what) => format!("! {}", describe(state, what)),
        };
        let next = stateright::Model::next_state(self, state, action);
        let holders: Vec<String> = next.iter().flat_map(|next| next.believers()).collect();
        let record = next
            .as_ref()
            .map_or_else(String::new, State::describe_record);
        format!(
            "{:>3}  {what:<64}  {record}, believing: {}",
            state.tick(),
            holders.join(" and ")
        )
    }
}

fn describe(state: &State, what: Misfortune) -> String {
    match what {
        Misfortune::DelayRequest(at) => format!("{} is held up", request(state, at)),
        Misfortune::DelayAnswer(at) => {
            format!("{} is carried out, its answer held up", request(state, at))
        }
        Misfortune::BreakBefore(at) => {
            format!("{} is cut off before it arrives", request(state, at))
        }
        Misfortune::BreakAfter(at) => {
            format!("{} is carried out, its answer cut off", request(state, at))
        }
        Misfortune::Repeat(at) => format!("{} is sent twice on its way", request(state, at)),
        Misfortune::DelayStream(node) => format!("the stream of n{node} is held up"),
        Misfortune::BreakStream(node) => format!("the stream of n{node} breaks"),
        Misfortune::Pause(node) => format!("n{node} pauses"),
        Misfortune::Crash(node) => format!("n{node} crashes and begins anew"),
        Misfortune::Release(node) => format!("n{node} is told to release"),
        Misfortune::Verify(node) => format!("n{node} is told to look"),
        Misfortune::Annotate => "somebody annotates the record".to_owned(),
        Misfortune::Clear => "somebody clears the holder".to_owned(),
        Misfortune::Steal => "somebody takes the record".to_owned(),
        Misfortune::Delete => "somebody deletes the record".to_owned(),
        Misfortune::Recreate => "somebody makes the record anew".to_owned(),
    }
}

fn request(state: &State, at: usize) -> String {
    let Some(message) = state.message(at) else {
        return "nothing".to_owned();
    };
    let Message {
        node, life, sent, ..
    } = message;
    let method = message.request.method();
    let is_clearing = message
        .request
        .body()
        .windows(19)
        .any(|it| it == b"holderIdentity\":\"\",");
    let clears = if is_clearing { ", which clears" } else { "" };
    format!("{method} of n{node}l{life}, sent at {sent}{clears},")
}
