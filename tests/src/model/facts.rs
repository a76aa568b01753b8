//! What has happened on all paths, to see that what is checked is reached at all.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! facts {
    ($($name:ident: $text:literal,)+) => {
        /// Something that has to happen for a run to mean anything.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Fact {
            $($name,)+
        }

        const TEXTS: &[&str] = &[$($text,)+];
    };
}

facts! {
    Acquired: "tenures begun",
    Renewed: "renewals",
    TakenOver: "records taken whose holder had let its time pass",
    Lost: "tenures lost",
    Released: "releases",
    Verified: "looks of a holder",
    Settled: "writes without an answer, found carried out by a look",
    Conflicts: "conflicts",
    LateApplied: "writes that nobody waited for, carried out",
    LateRefused: "writes that nobody waited for, refused",
    LateAnswers: "answers that nobody waited for",
    Opened: "streams opened",
    Told: "changes told by streams",
    Robbed: "records taken away by third parties",
}

/// How often each has happened, over all transitions.
#[derive(Debug)]
pub struct Facts([AtomicU64; TEXTS.len()]);

impl Facts {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(super) fn note(&self, fact: Fact) {
        self.0[fact as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What each is called, and how often it has happened.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        TEXTS.iter().copied().zip(counts).collect()
    }
}
