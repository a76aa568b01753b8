//! The loop: what the claim wants is done, and what comes of it is handed back.
//!
//! The numbers are those of the loop in the documentation of the crate.

use std::{
    io,
    ops::ControlFlow,
    time::{Instant, SystemTime},
};

use lease_proto::{Claim, Event, Output};
use mio::{Events, Poll};

use crate::{exchange::Exchange, remote::Server};

/// What the application is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// Something happened to the claim.
    Event(Event),
    /// No answer came to a request, for this reason.
    NoAnswer(io::Error),
    /// The loop was woken, perhaps by the application.
    Woken,
}

/// Drives a claim until it is at rest, or the application has had enough. It may give the claim orders whenever it is told
/// something.
pub(crate) fn drive(
    claim: &mut Claim,
    server: &mut Server,
    poll: &mut Poll,
    mut tell: impl FnMut(&mut Claim, Told) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut ready = Events::with_capacity(4);
    let mut exchange: Option<Exchange> = None;
    loop {
        let until = loop {
            // 1. The clock first, then the wall clock. `Instant` stands still on Linux while the machine sleeps: where that
            //    can happen, make instants of CLOCK_BOOTTIME, as the drivers do.
            let now = Instant::now();
            match claim.poll_output(now, SystemTime::now()) {
                // 2. Send it. A failure is an outcome like any other. This loop has one socket, and no room for a stream of
                //    changes: a claimant that waits then looks at the record from time to time.
                Output::Request(request) if request.is_stream => {
                    claim.handle_no_stream(request.id, now);
                }
                Output::Request(request) => match Exchange::begin(&request, server, poll) {
                    Ok(begun) => exchange = Some(begun),
                    Err(error) => {
                        claim.handle_failure(request.id, Instant::now());
                        if tell(claim, Told::NoAnswer(error)).is_break() {
                            return Ok(());
                        }
                    }
                },
                // 3. Stop waiting for it: dropping the exchange closes its connection.
                Output::Cancel(_) => exchange = None,
                // 4. Tell the application.
                Output::Event(event) => {
                    if tell(claim, Told::Event(event)).is_break() {
                        return Ok(());
                    }
                }
                // 5. Wait for that instant, or for the socket.
                Output::Wait(until) => break until,
                Output::Done => return Ok(()),
            }
        };
        let timeout = until.saturating_duration_since(Instant::now());
        match poll.poll(&mut ready, Some(timeout)) {
            Ok(()) => {}
            // A signal, such as the one that has a stopped process go on: time has passed, so everything is asked anew.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // 6. Hand the outcome back, and go on with 1.
        let outcome = exchange.as_mut().map(Exchange::advance);
        let told = match (&exchange, outcome) {
            (Some(going), Some(Ok(Some(response)))) => {
                claim.handle_response(going.id(), &response, Instant::now());
                exchange = None;
                Told::Woken
            }
            (Some(going), Some(Err(error))) => {
                claim.handle_failure(going.id(), Instant::now());
                exchange = None;
                server.try_another();
                Told::NoAnswer(error)
            }
            _ => Told::Woken,
        };
        if tell(claim, told).is_break() {
            return Ok(());
        }
    }
}
