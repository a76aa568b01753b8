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
///
/// ```no_run
/// use lease_blocking::{Client, proto::{Config, Patience}};
///
/// let client = Client::try_default()?;
/// let config = Config::builder(client.namespace(), "leader", "me").build()?;
/// let mut claim = client.claim(config);
/// let stopper = claim.stopper();
/// std::thread::spawn(move || {
///     // When a signal comes, or a line on standard input.
///     let _ = std::io::stdin().read_line(&mut String::new());
///     stopper.stop();
/// });
/// claim.acquire(Patience::Forever);
/// while let Some(event) = claim.next_event() {
///     println!("{event}"); // at the end that it was released, or is not waited for any more
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stopper(pub(crate) Mailbox);

impl Stopper {
    /// Has the claim give the Lease up, as [`Claim::release`](crate::Claim::release) does. Its events tell how that goes, and
    /// end, if they are asked for.
    pub fn stop(&self) {
        self.0.release(Parting::default());
    }
}
