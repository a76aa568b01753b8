//! What happened in worlds, so that a run in which nothing did is noticed.

use std::{fmt, ops::AddAssign};

use super::Micros;

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident: $text:literal,)+) => {
        /// What happened in worlds.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct Counts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
            }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>14}  {}", self.$name, $text)?;)+
                Ok(())
            }
        }
    };
}

counts! {
    /// Microseconds of simulated time.
    micros: "microseconds of simulated time",
    /// Claimants and rivals.
    claimants: "claimants and rivals",
    /// Things that went wrong, of whatever kind.
    faults: "faults",
    /// Requests that reached a server.
    requests: "requests that reached a server",
    /// Requests and answers that never arrived.
    dropped: "messages lost",
    /// Answers that were tampered with.
    tampered: "answers tampered with",
    /// Versions of the record.
    commits: "versions of the record",
    /// Answers of 409.
    conflicts: "conflicts (409)",
    /// Times that a Lease was acquired.
    acquired: "tenures begun",
    /// Of those, tenures taken from a holder that had let its time pass.
    taken_over: "  taken over from another at expiry",
    /// Times that a Lease was renewed.
    renewed: "renewals",
    /// Times that a Lease was lost.
    lost: "tenures ended",
    /// Of those, by the end of the grant.
    expired: "  by the end of the grant",
    /// Of those, by a look at the record.
    dispossessed: "  because the record said so",
    /// Of those, by release.
    released: "  by release",
    /// Writes without a clear answer that had been carried out.
    ambiguous_applied: "writes of unknown outcome that had been carried out",
    /// Writes without a clear answer that had not.
    ambiguous_not_applied: "writes of unknown outcome that had not",
    /// Tenures whose record a third party took away, which excuses an overlap until that is noticed.
    robbed: "holders robbed by third parties or rivals",
    /// Tenures of rivals.
    rival_tenures: "tenures of rivals",
    /// Quiet tails that were checked to the end.
    tails: "quiet tails passed",
}

impl Counts {
    /// Simulated time, in years.
    pub fn years(&self) -> f64 {
        let micros: Micros = self.micros;
        #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
        let seconds = micros as f64 / 1e6;
        seconds / (365.25 * 86_400.0)
    }
}
