//! The task that keeps one claim going, and how it is spoken to.

use std::sync::Arc;

use lease_proto::{Event, Parting, Patience, Plan};
use tokio::sync::mpsc;

use crate::{
    Claim, Keeper,
    set::Seat,
    shared::{Shared, be_seen},
};

/// How a keeper speaks to whatever keeps its claim.
#[derive(Debug)]
pub(crate) enum Line {
    /// Dropping it tells the task to release and to end.
    Task(mpsc::UnboundedSender<Command>),
    /// The same, of a task that keeps others besides.
    Set(Seat),
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    Release(Parting),
    Verify(u64),
}

impl Line {
    /// Has the Lease given up for good, and that left in the record.
    pub(crate) fn stop(&self, parting: Parting) {
        match self {
            Self::Task(commands) => drop(commands.send(Command::Release(parting))),
            Self::Set(seat) => seat.stop(parting),
        }
    }

    /// Has the record looked at, under that number.
    pub(crate) fn verify(&self, look: u64) {
        match self {
            Self::Task(commands) => drop(commands.send(Command::Verify(look))),
            Self::Set(seat) => seat.verify(look),
        }
    }
}

/// Keeps `claim` going in a task of its own.
pub(crate) fn start(claim: Claim, plan: Plan) -> Keeper {
    let shared = Arc::new(Shared::new(
        claim.config(),
        claim.clock(),
        Arc::clone(claim.seen()),
    ));
    let (commands, inbox) = mpsc::unbounded_channel();
    if let Some(grant) = claim.grant() {
        let event = Event::Acquired(grant);
        shared.note(&event, claim.last_error(), claim.looked());
    }
    let line = Line::Task(commands);
    let keeper = Keeper::new(Arc::clone(&shared), line, claim.proto(), claim.clock());
    tokio::spawn(async move {
        // Whatever happens to this task, nobody may believe in a Lease that is not kept any more.
        let end = End(shared);
        Task {
            claim,
            inbox,
            is_stopping: false,
        }
        .run(&end.0, plan)
        .await;
    });
    keeper
}

/// What the task does.
#[derive(Debug)]
struct Task {
    claim: Claim,
    inbox: mpsc::UnboundedReceiver<Command>,
    is_stopping: bool,
}

impl Task {
    /// Drives the claim for as long as the plan says.
    async fn run(mut self, shared: &Shared, plan: Plan) {
        loop {
            self.drive(shared, plan).await;
            if plan != Plan::Forever || self.is_stopping {
                return;
            }
            // Whoever has just lost it must not begin again without a pause.
            self.rest().await;
            // Told to stop meanwhile, it has begun to free what it may have written: that is driven to its end as well.
            if !self.is_stopping {
                self.claim.acquire(Patience::Forever);
            }
        }
    }

    /// Drives the claim until it is at rest.
    async fn drive(&mut self, shared: &Shared, plan: Plan) {
        loop {
            tokio::select! {
                // The claim first: what it has to say comes before what is asked of it, and once it is at rest nothing is.
                biased;
                event = self.claim.next_event() => match event {
                    Some(event) => {
                        shared.note(&event, self.claim.last_error(), self.claim.looked());
                        // Once only: a release that is refused says the same, and is over.
                        if plan.is_ended_by(&event) && !shared.has_acquired() && !self.is_stopping {
                            self.stop(Parting::default());
                        }
                    }
                    None => return,
                },
                command = self.inbox.recv(), if !self.is_stopping => self.take(command),
            }
        }
    }

    /// Does nothing for a retry period, unless it is told to stop.
    async fn rest(&mut self) {
        let pause = self.claim.config().retry_period();
        be_seen(self.claim.seen(), self.claim.clock().now(), pause);
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        while !self.is_stopping {
            tokio::select! {
                biased;
                command = self.inbox.recv() => self.take(command),
                () = &mut pause => return,
            }
        }
    }

    fn take(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Verify(look)) => self.claim.look(look),
            Some(Command::Release(parting)) => self.stop(parting),
            // The keeper was dropped.
            None => self.stop(Parting::default()),
        }
    }

    fn stop(&mut self, parting: Parting) {
        self.is_stopping = true;
        self.claim.release_with(parting);
    }
}

/// Says that the task has ended, however it ends.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
