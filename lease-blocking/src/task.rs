//! The thread that keeps one claim going, and how it is spoken to.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
};

use lease_proto::{Event, Parting, Patience, Plan};

use crate::{Claim, Keeper, mailbox::Mailbox, set::Seat, shared::Shared};

/// How a keeper speaks to whatever keeps its claim.
#[derive(Debug)]
pub(crate) enum Line {
    /// A thread of its own, until it was waited for.
    Thread(Mailbox, Option<JoinHandle<()>>),
    /// A thread that keeps others besides.
    Set(Seat),
}

impl Line {
    /// Has the Lease given up for good, and that left in the record.
    pub(crate) fn stop(&self, parting: Parting) {
        match self {
            Self::Thread(mailbox, _) => mailbox.release(parting),
            Self::Set(seat) => seat.stop(parting),
        }
    }

    /// Has the record looked at, under that number.
    pub(crate) fn verify(&self, look: u64) {
        match self {
            Self::Thread(mailbox, _) => mailbox.verify(look),
            Self::Set(seat) => seat.verify(look),
        }
    }

    /// Waits for the end of the thread, now that its work for this claim is done, unless it has other work.
    pub(crate) fn join(&mut self) {
        match self {
            Self::Thread(_, thread) => {
                let _caught = thread.take().map(JoinHandle::join);
            }
            Self::Set(seat) => seat.join(),
        }
    }
}

/// Keeps `claim` going on a thread of its own.
pub(crate) fn start(claim: Claim, plan: Plan) -> io::Result<Keeper> {
    let shared = Arc::new(Shared::new(claim.config()));
    if let Some(grant) = claim.grant() {
        let event = Event::Acquired(grant);
        shared.note(&event, claim.last_error(), claim.looked());
    }
    let mailbox = claim.mailbox();
    let (identity, renew_deadline) = (claim.identity().clone(), claim.config().renew_deadline());
    let kept = Arc::clone(&shared);
    let run = move || {
        // Whatever happens, nobody may believe in a Lease that is not kept any more.
        let _panicked = catch_unwind(AssertUnwindSafe(|| run(claim, &kept, plan)));
        kept.end();
    };
    let thread = thread::Builder::new()
        .name("lease-keeper".to_owned())
        .spawn(run)?;
    let line = Line::Thread(mailbox, Some(thread));
    Ok(Keeper::new(shared, line, identity, renew_deadline))
}

/// Drives a claim for as long as the plan says.
fn run(mut claim: Claim, shared: &Shared, plan: Plan) {
    loop {
        while let Some(event) = claim.next_event() {
            shared.note(&event, claim.last_error(), claim.looked());
            // Once only: a release that is refused says the same, and is over.
            if plan.is_ended_by(&event) && !shared.has_acquired() && !claim.is_stopping() {
                claim.stop(Parting::default());
            }
        }
        if plan != Plan::Forever || claim.is_stopping() {
            return;
        }
        // Whoever has just lost it must not begin again without a pause.
        claim.rest(claim.config().retry_period());
        // Told to stop meanwhile, it has begun to free what it may have written: that is driven to its end as well.
        if !claim.is_stopping() {
            claim.acquire(Patience::Forever);
        }
    }
}
