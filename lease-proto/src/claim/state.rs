//! Where a claim stands: one struct for each state, with its deadlines.

use std::time::Instant;

use super::{
    event::{Failure, Trouble},
    grant::Grant,
    waiting::Precedence,
    writes::Sent,
};
use crate::{
    call::{Call, RequestId},
    notes::Parting,
    wire::MicroTime,
};

/// How long to go on trying to acquire.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use lease_proto::{Claim, Config, Patience};
///
/// let now = Instant::now();
/// let mut claim = Claim::new(Config::builder("default", "leader", "me").build()?, 0x5eed, now);
/// claim.acquire(Patience::Until(now + Duration::from_secs(60)), now);
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Patience {
    /// One try: what somebody else holds is left alone. Lost races and failures are tried again
    /// [`acquire_retries`](crate::ConfigBuilder::acquire_retries) times.
    Once,
    /// Until this instant.
    Until(Instant),
    /// For ever.
    Forever,
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) enum Phase {
    /// Nothing is wanted.
    #[default]
    Idle,
    /// The Lease is wanted.
    Campaign(Campaign),
    /// The Lease is held.
    Held(Tenure),
    /// The Lease is being given back.
    Release(Release),
}

/// Trying to acquire.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Campaign {
    /// Tells the writes of this campaign from those of earlier ones.
    pub(crate) number: u64,
    pub(crate) patience: Patience,
    /// Whether only a tenure that is our identity's already is wanted.
    pub(crate) resume: bool,
    pub(crate) step: CampaignStep,
    /// Not before this instant.
    pub(crate) at: Instant,
    /// How many lost races and failures are still allowed when acquiring once.
    pub(crate) retries_left: u32,
    /// Whether the last request was refused with a 401, so that the credentials were read again for this one.
    pub(crate) reloaded: bool,
    /// Whom the application knows that it waits for, and why; the inner `None` stands for a record that was deleted.
    pub(crate) told_holder: Option<(Option<String>, Precedence)>,
    pub(crate) told_failure: Option<Box<Failure>>,
    /// What was wrong with the last request, until one is answered as it should be.
    pub(crate) trouble: Option<Box<Trouble>>,
    pub(crate) told_collision: bool,
    /// Whether somebody else holds the Lease, as far as is known.
    pub(crate) waits: bool,
    /// What is known of refusals, once it has waited: then it was let in before.
    pub(crate) let_in: Option<Box<LetIn>>,
    /// From when on the Lease is free, or will be, if the stream told so: then others may have waited for that too.
    pub(crate) contested: Option<Instant>,
    /// Whether the stream is to tell who was faster.
    pub(crate) awaits_news: bool,
    /// What the stream tells to be free is not taken before this instant, since others were faster again and again.
    pub(crate) makes_room_until: Option<Instant>,
}

/// What has been refused to a campaign that was let in before.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct LetIn {
    /// Since when it may not look.
    pub(crate) refused_since: Option<Instant>,
    /// Whether a write was refused.
    pub(crate) write_refused: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum CampaignStep {
    /// Look at the record.
    Read,
    /// Take it, if what was seen still allows that.
    Write,
}

/// Holding.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Tenure {
    pub(crate) grant: Grant,
    /// The incarnation of the record that is held.
    pub(crate) uid: String,
    /// The last write that is known to have been carried out.
    pub(crate) last: Renewal,
    pub(crate) step: TenureStep,
    /// Not before this instant; of no meaning after `grant.valid_until`.
    pub(crate) at: Instant,
    /// Whether the last write was raced, so that the next one makes room.
    pub(crate) raced: bool,
    /// Whether the application knows that renewals fail.
    pub(crate) told_trouble: bool,
    pub(crate) reloaded: bool,
    /// If the application asked for a look at the record: not before this instant.
    pub(crate) verify: Option<Instant>,
    /// Whether the last try that a pause asked for by the server was cut short for has been made.
    pub(crate) last_try_made: bool,
}

/// What there is to know of a write that was carried out.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Renewal {
    pub(crate) acquire_time: MicroTime,
    pub(crate) renew_time: MicroTime,
    pub(crate) campaign: u64,
}

impl From<&Sent> for Renewal {
    fn from(write: &Sent) -> Self {
        Self {
            acquire_time: write.acquire_time,
            renew_time: write.renew_time,
            campaign: write.campaign,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum TenureStep {
    /// Write a new `renewTime`.
    Renew,
    /// Look at the record before anything else is written: it is not known how it stands.
    Read,
}

/// Giving back.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Release {
    pub(crate) step: ReleaseStep,
    /// Not before this instant.
    pub(crate) at: Instant,
    /// Not after this instant.
    pub(crate) until: Instant,
    pub(crate) reloaded: bool,
    /// Until when refusals are taken for those of a server that has only just been started, if it was let in before.
    pub(crate) doubts_until: Option<Instant>,
    /// Whether only a write that may or may not have been carried out is undone, of which nobody was told.
    pub(crate) quiet: bool,
    /// The `renewTime` of the write that cleared the record, once it was sent.
    pub(crate) cleared_at: Option<MicroTime>,
    /// What is left in the record, if anything.
    pub(crate) parting: Option<Box<Parting>>,
    /// What is wanted afterwards.
    pub(crate) then: Option<Patience>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum ReleaseStep {
    /// Look whether the record is ours.
    Read,
    /// Clear the holder.
    Clear,
    /// Delete the cleared record.
    Delete,
}

/// The request whose outcome is awaited.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct InFlight {
    pub(crate) id: RequestId,
    pub(crate) call: Call,
    pub(crate) sent: Instant,
    pub(crate) deadline: Instant,
    /// What it writes, if it names us as the holder.
    pub(crate) write: Option<Sent>,
}
