//! What wakes a claim that waits, and how other threads speak to it.

use std::sync::mpsc;

use lease_proto::{Parting, RequestId};

use crate::TransportError;

/// What wakes a claim that waits.
#[derive(Debug)]
pub(crate) enum Input {
    Command(Command),
    Outcome(RequestId, Result<http::Response<Vec<u8>>, TransportError>),
    /// A stream has something to say.
    Told(RequestId),
}

/// What another thread asks of a claim.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Release(Parting),
    Verify(u64),
}

/// How another thread asks.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(pub(crate) mpsc::Sender<Input>);

impl Mailbox {
    pub(crate) fn release(&self, parting: Parting) {
        let _already_over = self.0.send(Input::Command(Command::Release(parting)));
    }

    pub(crate) fn verify(&self, look: u64) {
        let _already_over = self.0.send(Input::Command(Command::Verify(look)));
    }
}

/// Stops a claim from another thread, while its own waits in [`Claim::next_event`](crate::Claim::next_event), such as when the
/// process is to end.
#[derive(Clone, Debug)]
pub struct Stopper(pub(crate) Mailbox);

impl Stopper {
    /// Has the claim give the Lease up, as [`Claim::release`](crate::Claim::release) does. Its events tell how that goes, and
    /// end, if they are asked for.
    pub fn stop(&self) {
        self.0.release(Parting::default());
    }
}
