//! How long others have to wait for a lease, and why.

use std::time::Duration;

use lease_blocking::proto::{
    Candidate, held_back, is_renewable, over_for_newcomers, successor,
    wire::{Lease, MicroTime},
};

use super::{
    duration,
    output::{self, Phase},
};

/// How long others have to wait if it is not renewed any more, by this machine's clock; unknown where the record does not say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Waits {
    /// Those who have watched it since it was renewed.
    pub(crate) waiter: Option<Duration>,
    /// Those who begin now.
    pub(crate) newcomer: Option<Duration>,
    is_renewable: bool,
    why: Why,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Why {
    Free,
    /// To this one, and others hold back for a while.
    Left(String),
    Controlled,
    /// A newcomer has to see for itself that nobody renews it.
    ToBeWatched,
    /// A newcomer goes by the time in the record, which several clocks stand for.
    ByClocks,
    Unknown,
}

impl Waits {
    pub(crate) fn of(lease: &Lease, now: MicroTime) -> Self {
        let spec = &lease.spec;
        let is_controlled = spec.strategy.as_ref().is_some_and(|it| !it.is_empty());
        let named = spec.lease_duration_seconds.filter(|named| *named > 0);
        let named = named.and_then(|named| u64::try_from(named).ok());
        let none = |why| Self {
            waiter: None,
            newcomer: None,
            is_renewable: true,
            why,
        };
        if is_controlled {
            return none(Why::Controlled);
        }
        if spec.holder().is_none() {
            if let (Some(to), Some(back)) = (successor(lease), held_back(lease)) {
                let released = spec.renew_time.as_ref().and_then(|it| it.time());
                let over =
                    released.map_or(back, |at| at.saturating_add(back).saturating_since(now));
                let left = whole(over.min(back));
                if !left.is_zero() {
                    return Self {
                        waiter: Some(left),
                        newcomer: Some(left),
                        is_renewable: true,
                        why: Why::Left(to),
                    };
                }
            }
            return Self {
                waiter: Some(Duration::ZERO),
                newcomer: Some(Duration::ZERO),
                is_renewable: true,
                why: Why::Free,
            };
        }
        let (Some(watched), Some(expires)) =
            (named.map(Duration::from_secs), output::expires(lease))
        else {
            return none(Why::Unknown);
        };
        let judged = over_for_newcomers(lease).map(|over| over.saturating_since(now));
        let (newcomer, why) = match judged {
            Some(judged) if judged < watched => (judged, Why::ByClocks),
            _ => (watched, Why::ToBeWatched),
        };
        Self {
            waiter: Some(whole(expires.saturating_since(now))),
            newcomer: Some(whole(newcomer)),
            is_renewable: is_renewable(lease),
            why,
        }
    }

    /// For people, each on a line. `first` goes before all others that wait by priority.
    pub(crate) fn lines(self, phase: Phase, first: Option<&Candidate>) -> Vec<String> {
        let after = |wait: Option<Duration>| match wait {
            None | Some(Duration::ZERO) => "at once".to_owned(),
            Some(wait) => format!("in {}", duration::show(wait)),
        };
        let unless = match phase {
            Phase::Held if self.is_renewable => ", unless it is renewed",
            Phase::Available | Phase::Held | Phase::Expired => "",
        };
        match self.why {
            Why::Free => match first {
                None => vec!["anybody, at once".to_owned()],
                Some(Candidate { identity, .. }) => vec![
                    format!("{identity}, at once: it goes first of those who wait by priority"),
                    "others who do, after that one; and whoever has no priority, at once".to_owned(),
                ],
            },
            Why::Left(to) => vec![
                format!("{to}, at once: it is left to that one"),
                format!("others, {}", after(self.newcomer)),
            ],
            Why::Controlled => {
                vec!["whom a controller chooses: spec.strategy is set".to_owned()]
            }
            Why::Unknown => vec![
                "whoever has watched it for as long as their own leases last: the record names no time".to_owned(),
            ],
            Why::ToBeWatched | Why::ByClocks => {
                let reason = match self.why {
                    Why::ByClocks => "its holder is over by all clocks then",
                    _ => "they have to see for themselves that nobody renews it",
                };
                vec![
                    format!("those who wait already, {}{unless}", after(self.waiter)),
                    format!("those who begin now, {}: {reason}", after(self.newcomer)),
                ]
            }
        }
    }
}

/// Nobody is promised less than it takes.
fn whole(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-01-01T00:01:00.000000Z";

    fn lease(renewed: &str, manager: &str) -> Lease {
        let record = json!({
            "metadata": {"name": "a", "managedFields": [{
                "manager": manager, "operation": "Update",
                "fieldsV1": {"f:spec": {"f:renewTime": {}}},
            }]},
            "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": renewed},
        });
        serde_json::from_value(record).expect("a lease")
    }

    fn waits(lease: &Lease) -> (Option<u64>, Option<u64>) {
        let waits = Waits::of(lease, NOW.parse().expect("a time"));
        let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs());
        (seconds(waits.waiter), seconds(waits.newcomer))
    }

    #[test]
    fn those_who_wait_go_by_its_expiry_and_newcomers_watch_it_for_as_long_as_it_lasts() {
        let renewed = "2026-01-01T00:00:57.000000Z";
        assert_eq!(waits(&lease(renewed, "kubelet")), (Some(12), Some(15)));
        assert_eq!(waits(&lease(renewed, "lease-proto")), (Some(12), Some(15)));
    }

    #[test]
    fn newcomers_believe_the_time_of_those_only_who_write_it_by_the_rules() {
        let expired = "2026-01-01T00:00:44.000000Z";
        assert_eq!(waits(&lease(expired, "kubelet")), (Some(0), Some(15)));
        // Five seconds of margin, of which one is over.
        assert_eq!(waits(&lease(expired, "lease-proto")), (Some(0), Some(4)));
        let dead = "2025-12-31T00:00:00.000000Z";
        assert_eq!(waits(&lease(dead, "kubelet")), (Some(0), Some(15)));
        assert_eq!(waits(&lease(dead, "lease-proto")), (Some(0), Some(0)));
    }

    #[test]
    fn what_is_free_or_run_by_a_controller_or_names_no_time_is_told_apart() {
        let mut record = lease("2026-01-01T00:00:57.000000Z", "kubelet");
        let told = |record: &Lease| {
            Waits::of(record, NOW.parse().expect("a time")).lines(Phase::Held, None)
        };
        assert_eq!(
            told(&record),
            [
                "those who wait already, in 12s, unless it is renewed",
                "those who begin now, in 15s: they have to see for themselves that nobody renews it",
            ]
        );
        record.spec.lease_duration_seconds = None;
        assert_eq!(waits(&record), (None, None));
        assert!(told(&record)[0].contains("names no time"));
        record.spec.holder_identity = Some(String::new());
        assert_eq!(waits(&record), (Some(0), Some(0)));
        assert_eq!(told(&record), ["anybody, at once"]);
        let left = json!({"to": "next", "seconds": 30, "at": "2026-01-01T00:00:57.000000Z"});
        let mut kept = serde_json::to_value(&record).expect("it is JSON");
        kept["metadata"]["annotations"] = json!({"lease-proto/successor": left.to_string()});
        let mut record = serde_json::from_value(kept).expect("a lease");
        assert_eq!(waits(&record), (Some(27), Some(27)));
        assert_eq!(
            told(&record),
            ["next, at once: it is left to that one", "others, in 27s"]
        );
        let later = Waits::of(
            &record,
            "2026-01-01T00:01:27.000000Z".parse().expect("a time"),
        );
        assert_eq!(later.lines(Phase::Available, None), ["anybody, at once"]);
        record.spec.strategy = Some("OldestEmulationVersion".to_owned());
        assert_eq!(waits(&record), (None, None));
        assert!(told(&record)[0].contains("controller"));
    }
}
