//! Holding a Kubernetes Lease, without the I/O.
//!
//! A Lease (`coordination.k8s.io/v1`) is a record in the API server that names its holder, when the holder last renewed
//! it, and for how long after that nobody else may take it. This crate decides everything about it: when to write what,
//! what an answer proves, until when a holder may act as the holder, and when somebody else's lease is over. It opens no
//! socket, starts no thread and reads no clock. `lease-tokio` and `lease-blocking` do that for it, and so can any event
//! loop.
//!
//! # The protocol
//!
//! A [`Claim`] is one claimant's side of one Lease:
//!
//! ```text
//!           acquire            free: POST or PUT              an answer that echoes it
//!    Idle ───────────► Campaign ─────────────────► in flight ──────────────────────────► Held ◄─┐
//!    ▲ ▲ ▲               │  ▲                          │                                 │ │ │  │ Renewed: echoed, or
//!    │ │ └─── GaveUp ────┘  └─ 409, no answer: read ───┘                                 │ │ └──┘ read and found ours
//!    │ │                                                                                 │ │
//!    │ └──────── Lost ◄────────── not ours any more, deleted, or the grant ends ─────────┘ │
//!    │                                                                                     │
//!    └──────── Released ◄─────── clear the holder, delete ◄────── Lost(Released) ◄───── release
//! ```
//!
//! What a holder may believe. A [`Grant`] ends [`Config::grant_length`] after the moment just before the write that
//! earned it was handed to the driver, whenever the answer came. Only an answer that repeats what was written, for the same
//! incarnation of the object and with a later version, lengthens it. A record is ours if we wrote it, not if it bears our name. A
//! write without an answer is looked up, and never assumed. Once the grant has ended, no answer brings it back, and
//! [`Lost`](Event::Lost) is the first that is heard of it.
//!
//! What a claimant may take. A record that names nobody; or one that stayed the same for the time it names, counted on
//! this claimant's own clock; or one whose time is over by two clocks at once (below). Every write names the version and the
//! incarnation that were judged, so of several that judge alike one succeeds.
//!
//! What is written. An absent record is made, any other replaced as a whole as it was last read, with all that this library does
//! not know ([`WriteMethod`]). A holder writes once in each [renew interval](ConfigBuilder::renew_interval), without a look
//! before it; one write is under way at most. The version that the acquiring write was given is the [`FencingToken`].
//!
//! By which clocks. Nobody's grant depends on the time of day. But whoever starts anew would have to watch a record for the whole
//! of its duration, however long ago its holder died; so each `renewTime` is the later of the writer's wall clock and of what the
//! API server's can be at most, and the reader compares it with the earlier of its own wall clock and of what the API server's is
//! at least, both told by the `Date` of answers. It takes the Lease once duration and a margin (4 s, or more for durations of
//! more than 10 s) have passed between the two: no single clock that is wrong frees a live Lease. Only records that this library
//! wrote so are judged so ([`ConfigBuilder::server_time`]).
//!
//! How a claimant waits. It has the API server tell it of changes: one request whose answer goes on for minutes, and no other
//! until there is something to do. A release is heard of at once, renewals put off the instant at which the Lease is taken,
//! and then it is written without a look, after a pause that adapts to how many seem to wait. What is told this way earns
//! nothing: it lengthens no grant. Where streams are refused, break or stall, the record is looked at from time to time, and
//! a stream is asked for again later.
//!
//! Who goes first, where that is wanted ([`ConfigBuilder::priority`]). A waiter announces itself in a Lease of its own
//! ([`Candidate`]), which names its priority and since when it waits, and renews that; before it takes what has become free it
//! lists the others, and holds back for each that goes before it, for as long as that one is believed to need. More important ones
//! that keep coming go before it for a [while](Candidate::patience), and then no more. All of this may
//! be wrong, late or refused: what decides is still the write that names the version that was judged.
//!
//! How it is given back. The application hears that the Lease is [lost](Loss::Released) before anything is sent. Then the holder
//! is cleared, provided that the record is still the one that we wrote: a release never touches a successor's. [`OnRelease`] says
//! whether the record goes as well, or is left to expire. By the same write a [`Parting`] may leave something in it: that some
//! work is done ([`Once`]), so that nobody does it again; or to whom the Lease is left, for whom others hold back for a while.
//!
//! A Lease that is not to be renewed ([`ConfigBuilder::renewable`]) is held until its first grant ends, and the record says so.
//!
//! # The loop
//!
//! > After every input and every command, call [`Claim::poll_output`] until it says `Wait` or `Done`.
//!
//! 1. Read the clock, then the wall clock, and call [`poll_output`](Claim::poll_output).
//! 2. [`Output::Request`]: send it. Add the server's address and the credentials; do not follow redirects.
//! 3. [`Output::Cancel`]: stop waiting for that request, and close its connection.
//! 4. [`Output::Event`]: tell the application.
//! 5. [`Output::Wait`]: wait for that instant, for the outcome of a request, or for a command, whichever is first.
//!    [`Output::Done`]: wait for a command.
//! 6. Hand the outcome to [`handle_response`](Claim::handle_response) or [`handle_failure`](Claim::handle_failure), and go
//!    on with 1.
//!
//! A request that [asks for a stream](Request::is_stream) goes on beside the others. Whoever can carry it hands on its
//! beginning with `handle_response`, then its pieces with [`handle_chunk`](Claim::handle_chunk) and its end with
//! [`handle_end`](Claim::handle_end); whoever cannot says [`handle_no_stream`](Claim::handle_no_stream), and needs nothing else.
//!
//! ```
//! use std::time::{Duration, Instant, SystemTime};
//!
//! use lease_proto::{Claim, Config, Event, Output, Patience};
//!
//! # fn exchange(_: &http::Request<Vec<u8>>) -> Option<http::Response<Vec<u8>>> { None }
//! # fn sleep_until(_: Instant) {}
//! let config = Config::builder("default", "leader", "me").build()?;
//! let mut claim = Claim::new(config, 0x5eed, Instant::now());
//! claim.acquire(Patience::Once, Instant::now());
//! loop {
//!     match claim.poll_output(Instant::now(), SystemTime::now()) {          // 1
//!         Output::Request(request) => match exchange(&request.http) {       // 2
//!             Some(response) => claim.handle_response(request.id, &response, Instant::now()), // 6
//!             None => claim.handle_failure(request.id, Instant::now()),     // 6
//!         },
//!         Output::Cancel(_) => {}                                           // 3: this loop never has one in flight
//!         Output::Event(Event::Acquired(grant)) => {                        // 4
//!             println!("ours until {:?}", grant.valid_until);
//!         }
//!         Output::Event(_) => {}
//!         Output::Wait(until) => sleep_until(until),                        // 5
//!         Output::Done => break,
//!     }
//! }
//! # Ok::<(), lease_proto::ConfigError>(())
//! ```
//!
//! # Many Leases
//!
//! A [`ClaimSet`] keeps any number of claims behind the same face: requests come out with a [`Tag`] and events with a
//! [`ClaimId`], and there is one instant to wait for. [`SetLimits`] bound what is under way: of those that want to send, holders
//! go first, and of them the one whose grant ends first. Renewals are spread over time, and many that wait in one namespace share
//! one stream. What each claim does is what it would do alone.
//!
//! # What else there is
//!
//! | Where | What |
//! |---|---|
//! | [`wire`] | Leases as they travel: what is unknown is kept, what is unreadable is no error |
//! | [`access`] | where the API server is and how to be let in: in a pod, by kubeconfig, through proxies and credential plugins |
//! | [`plain`] | Leases read, written and watched without a claim |
//! | `server`, with the feature of that name | an API server for Leases, to test against or to keep in a directory |
//! | [`observe`] | claims told of through `tracing` and `metrics`, with the features of these names |
//! | [`Ledger`], [`Deadline`], [`Roster`] | what a driver keeps of a claim for the threads and tasks that rely on it |
//!
//! # What it does not cover
//!
//! No lock with a deadline can stop a process that was paused between looking at the clock and acting. For that there is
//! the [`FencingToken`]: a resource that refuses lower tokens than it has seen is safe even then.
//!
//! The rates of clocks are relied on: each machine's may be off by 0.1 %, and no more. Claimants that write without naming a
//! version, and people who edit records, can break what is promised; a holder learns of it at its next renewal.

pub mod access;
mod call;
mod candidate;
mod change;
mod claim;
mod config;
mod deadline;
mod headers;
mod ledger;
mod notes;
pub mod observe;
mod outcome;
pub mod plain;
mod refusal;
#[cfg(feature = "server")]
pub mod server;
mod set;
mod unclear;
pub mod wire;

pub use call::{MAX_BODY, Request, RequestId};
pub use candidate::{Candidate, candidate_for, candidates_of};
pub use claim::{
    Claim, Event, Failure, FencingToken, GaveUp, Grant, Loss, Output, Patience, Precedence,
    Released, Trouble, Waiting, over_for_newcomers,
};
pub use config::{Config, ConfigBuilder, ConfigError, OnRelease, WriteMethod};
pub use deadline::Deadline;
pub use ledger::Ledger;
pub use notes::{Done, Once, Parting, held_back, is_renewable, left_by, renewals, successor};
pub use outcome::{AcquireError, Lost, State, Unhealthy, VerifyError};
pub use refusal::{Refusal, Verb};
pub use set::{ClaimId, ClaimSet, Plan, Roster, SetLimits, SetOutput, Tag};
pub use unclear::Unclear;
pub use wire::{Identity, LeaseName, NameError, Namespace};
