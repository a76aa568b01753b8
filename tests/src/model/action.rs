//! What can happen next.

/// What can happen next. Messages are named by their place among those under way.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// A tick passes, and whoever is not paused does what is due.
    Tick,
    /// A request reaches the server, and its answer the claimant if that still waits for it.
    Exchange(usize),
    /// An answer reaches its claimant, which goes on if it was paused.
    Answer(usize),
    /// The next line of a stream reaches its claimant, which goes on if it was paused.
    Tell(usize),
    /// A paused claimant goes on.
    Continue(usize),
    /// A misfortune.
    Misfortune(Misfortune),
}

/// What can go wrong, or is done from outside: there are only so many of these on each path.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Misfortune {
    /// A request is held up: it reaches the server at any time from now on, or never.
    DelayRequest(usize),
    /// A request reaches the server, and its answer is held up: it reaches the claimant at any time from now on, or never.
    DelayAnswer(usize),
    /// A connection breaks before the request has reached the server.
    BreakBefore(usize),
    /// A connection breaks when the server has carried the request out.
    BreakAfter(usize),
    /// A request reaches the server, and once more at any time from now on, or never.
    Repeat(usize),
    /// A stream is held up: its next lines reach the claimant at any time from now on, or never.
    DelayStream(usize),
    /// A stream breaks, or the connection of what asks for one.
    BreakStream(usize),
    /// A claimant stops where it is.
    Pause(usize),
    /// A claimant dies, and another one begins in its place.
    Crash(usize),
    /// A claimant is told to release.
    Release(usize),
    /// A claimant is told to look whether it still holds the Lease.
    Verify(usize),
    /// A third party annotates the record.
    Annotate,
    /// A third party clears the holder.
    Clear,
    /// A third party takes the record, whoever holds it.
    Steal,
    /// A third party deletes the record.
    Delete,
    /// A third party makes the record anew, for itself.
    Recreate,
}
