//! The planted bugs: what goes into a shipped claim, or comes out of it, changed so that it behaves as if it had the bug.

mod inwards;
mod outwards;

use std::time::{Duration, Instant, SystemTime};

use http::Method;
use lease_proto::{Claim, Grant, RequestId};
use serde_json::Value;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// A bug that is planted to see whether it is noticed; the numbers are those of the list that it comes from.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum Bug {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Bug {
            /// All of them that worlds can have.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its number.
            pub fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number,)+
                }
            }

            /// What a claimant with this bug does.
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

bugs! {
    /// counts a grant from when the answer came
    DeadlineFromResponse = 1,
    /// publishes the duration rounded down
    FloorDuration = 2,
    /// renews without resourceVersion
    NoVersion = 3,
    /// renews without uid
    NoUid = 4,
    /// deletes without preconditions
    NoPreconditions = 5,
    /// releases what a look showed, whoever holds it
    ReleaseWithoutLooking = 6,
    /// says Lost only after it has released
    ReleaseBeforeLost = 7,
    /// takes any conflict for a loss
    ConflictIsLoss = 8,
    /// after a conflict takes a record with its name for its own
    ConflictKeptByName = 9,
    /// takes any record with its name for its own
    NameIsOwnership = 10,
    /// waits anew with each version, whoever wrote it
    VersionRestartsTimer = 11,
    /// counts others' time from when it asked
    TimerFromRequest = 12,
    /// waits for its own duration instead of the record's
    OwnDuration = 13,
    /// takes a record without duration for expired
    MissingDurationIsExpired = 14,
    /// takes a record without readable times for expired
    BadTimeIsExpired = 15,
    /// renews with the same renewTime
    SameRenewTime = 16,
    /// takes a 200 with an unchanged version for a renewal
    UnchangedVersion = 17,
    /// takes a 201 for a renewal
    CreatedIsRenewal = 18,
    /// takes a failure of the server for a refusal
    ErrorIsRefusal = 19,
    /// lives on when a 200 comes after the end of its grant
    LateAnswerRevives = 20,
    /// says Renewed after Lost
    RenewedAfterLost = 21,
    /// says Lost twice
    TwoLost = 22,
    /// reads a clock that does not count sleep
    MonotonicClock = 23,
    /// believes in a duration that was shortened
    NoClamp = 24,
    /// judges by the servers' stamps, without the second that they are cut by
    StampWithoutSecond = 25,
    /// judges by the servers' clocks alone
    StampAlone = 26,
    /// judges by the servers' stamps after the store went back
    StampAfterRestore = 27,
    /// gives leaseTransitions as token
    TokenIsTransitions = 28,
    /// ignores Retry-After
    IgnoresRetryAfter = 29,
    /// writes empty managedFields
    EmptyManagedFields = 30,
    /// drops others' annotations
    DropsAnnotations = 31,
    /// takes over by its wall clock
    WallTakeover = 32,
    /// has two writes under way at once
    ParallelWrites = 33,
    /// asks to be woken at once, again and again
    HotLoop = 34,
    /// shows its token where requests are printed
    TokenInDebug = 35,
    /// is answered by a server that takes every write for one on the latest version
    NoCompareAndSwap = 36,
    /// has a clock that runs at half speed
    SlowClock = 37,
    /// judges by the servers' clock, whatever its own shows
    ServerClockAlone = 38,
    /// judges by its wall clock, whatever the servers' shows
    WallClockAlone = 39,
    /// writes its wall clock, and says that it knew the servers'
    UnfoundedDate = 40,
    /// hands the answer for one claim of its set to another
    AnswerToAnother = 41,
    /// gives the room of a write that is under way away
    RoomTooEarly = 42,
    /// tells one claim's application what another claim of its set says
    EventToAnother = 43,
    /// withholds what the stream tells that claims share
    WithheldNews = 44,
    /// takes what is free whoever goes before it
    OutOfTurn = 45,
    /// takes what was left to another
    TakesBequest = 46,
    /// takes those that are less important for young, however long they have waited
    IgnoresAge = 47,
    /// holds back from what was left to it
    ForgoesBequest = 48,
}

impl Bug {
    /// Whether it is one that sets of claims can have.
    pub(crate) fn is_of_sets(self) -> bool {
        use Bug::{AnswerToAnother, EventToAnother, RoomTooEarly, WithheldNews};
        matches!(
            self,
            AnswerToAnother | EventToAnother | RoomTooEarly | WithheldNews
        )
    }
}

/// A bug between a claim and the world, with what it must remember.
#[derive(Debug)]
pub(crate) struct Plant {
    bug: Bug,
    identity: String,
    priority: i32,
    seconds: i64,
    asked: Option<Asked>,
    /// The times of the last write that names us.
    written: Option<(Value, Value)>,
    /// Whose outcome was not clear, and which is forgotten.
    forgotten: Option<Value>,
    believes_until: Option<Instant>,
    held_back: Option<super::claimant::Say>,
    last_grant: Option<Grant>,
    /// A renewal that was under way when the grant ended.
    late: Option<RequestId>,
    holding: bool,
    releasing: bool,
    after_conflict: bool,
    /// The highest version seen.
    highest: u64,
    uid: Value,
}

/// The request under way.
#[derive(Clone, Debug)]
struct Asked {
    id: RequestId,
    method: Method,
    body: Value,
    at: Instant,
}

impl Plant {
    pub(crate) fn new(bug: Bug, claim: &Claim) -> Self {
        Self {
            bug,
            identity: claim.identity().as_str().to_owned(),
            priority: claim.config().priority().unwrap_or(0),
            seconds: claim.config().published_seconds(),
            asked: None,
            written: None,
            forgotten: None,
            believes_until: None,
            held_back: None,
            last_grant: None,
            late: None,
            holding: false,
            releasing: false,
            after_conflict: false,
            highest: 0,
            uid: Value::Null,
        }
    }

    pub(crate) fn bug(&self) -> Bug {
        self.bug
    }

    /// Whether the application is told that it holds the Lease, beyond what the claim says.
    pub(crate) fn believes(&self, now: Instant) -> bool {
        self.believes_until.is_some_and(|until| now < until) || self.held_back.is_some()
    }

    /// What the wall clock seems to show.
    pub(crate) fn reads(&self, wall: SystemTime) -> SystemTime {
        match self.bug {
            Bug::ServerClockAlone => wall + AHEAD,
            _ => wall,
        }
    }

    /// No answer will come to a request.
    pub(crate) fn fail(&mut self, id: RequestId) {
        if let Some(asked) = self.asked.take_if(|asked| asked.id == id)
            && self.bug == Bug::ErrorIsRefusal
            && asked.method != Method::GET
        {
            self.forgotten = Some(asked.body["spec"]["renewTime"].clone());
        }
    }

    /// It was told to release, or something else.
    pub(crate) fn releases(&mut self, releasing: bool) {
        self.releasing = releasing;
    }

    /// Until when a grant lasts that is counted from now.
    fn from_now(claim: &Claim, now: Instant) -> Instant {
        now + claim.config().grant_length()
    }
}

/// Further than this no two clocks may be apart that are gone by; a clock that is far ahead of another leaves that alone to
/// decide.
const AHEAD: Duration = Duration::from_secs(20 * 3_600);

/// A later time than `time`, by microseconds.
fn moved(time: &Value, micros: u64) -> Value {
    let raw = lease_proto::wire::RawTime::new(time.as_str().unwrap_or_default());
    let Some(time) = raw.time() else {
        return time.clone();
    };
    let later = time.saturating_add(Duration::from_micros(micros));
    Value::String(later.to_string())
}
