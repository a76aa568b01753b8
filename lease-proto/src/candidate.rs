//! How a waiter that goes by priority announces itself: in a Lease of its own beside the contested one.

use std::{cmp::Reverse, time::Duration};

use crate::{
    config::{Config, LONGEST_CANDIDACY},
    wire::{Identity, Lease, LeaseName, MicroTime, RawTime},
};

/// The label that names the contested Lease.
const CANDIDATE_FOR: &str = "lease-proto/candidate-for";
/// The annotations: how important the waiter is, and since when it waits.
const PRIORITY: &str = "lease-proto/priority";
const SINCE: &str = "lease-proto/since";

/// The longest value that a label may have.
const LONGEST_LABEL: usize = 63;
/// How much of the contested Lease's name stands in that of the announcement, which ends in a hash.
const LONGEST_PREFIX: usize = 200;
/// After how many durations of its announcement a waiter goes before all that come later.
const PATIENCE: u32 = 720;

/// A waiter that has announced itself in a Lease of its own, beside the one that it waits for.
///
/// Announcements are advice: whoever waits with a [priority](crate::ConfigBuilder::priority) writes only if nobody goes before
/// it, and nothing else depends on them. The Lease carries the label `lease-proto/candidate-for`, the annotations
/// `lease-proto/priority` and `lease-proto/since`, and names the waiter as its holder.
///
/// ```
/// use lease_proto::{Candidate, LeaseName, Namespace, candidates_of, plain};
///
/// let namespace = Namespace::new("default")?;
/// let request = plain::list_of(&namespace, &candidates_of(&LeaseName::new("leader")?));
/// # fn exchange(_: http::Request<Vec<u8>>) -> http::Response<Vec<u8>> { http::Response::new(br#"{"items":[]}"#.to_vec()) }
/// let (leases, _) = plain::read_list(Some(&namespace), &exchange(request))?;
/// for waiting in leases.iter().filter_map(Candidate::read) {
///     println!("{} waits with priority {}", waiting.identity, waiting.priority);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Candidate {
    /// The identity under which it waits.
    pub identity: String,
    /// How important it is: higher goes first.
    pub priority: i32,
    /// Since when it waits, by its own clock, but within the second in which the API server has created the announcement.
    pub since: MicroTime,
    /// When it last said so, by its own clock.
    pub renewed: Option<MicroTime>,
    /// For how long after that it is alive.
    pub duration: Duration,
}

impl Candidate {
    /// Reads an announcement; `None` if the Lease is none, or somebody has edited it so that it says nothing.
    pub fn read(lease: &Lease) -> Option<Self> {
        candidate_for(lease)?;
        let time = |text: String| RawTime::new(text).time();
        let said = lease.metadata.annotation(SINCE).and_then(time)?;
        let created: Option<String> = lease
            .metadata
            .other
            .get("creationTimestamp")
            .and_then(|it| it.read());
        // Whoever waits with a clock that is wrong is not to wait for ever, nor to be first for ever.
        let since = match created.and_then(time) {
            Some(created) => said.clamp(created, created.saturating_add(Duration::from_secs(1))),
            None => said,
        };
        let seconds = lease.spec.lease_duration_seconds.unwrap_or(0);
        Some(Self {
            identity: lease.spec.holder()?.to_owned(),
            priority: lease.metadata.annotation(PRIORITY)?.parse().ok()?,
            since,
            renewed: lease.spec.renew_time.as_ref().and_then(RawTime::time),
            duration: Duration::from_secs(seconds.max(0).unsigned_abs()).min(LONGEST_CANDIDACY),
        })
    }

    /// Returns whoever waits and has not said so: after all that are as important and have.
    pub(crate) fn waiting(identity: &Identity, priority: i32, duration: Duration) -> Self {
        Self {
            identity: identity.as_str().to_owned(),
            priority,
            since: MicroTime::from_micros(i64::MAX),
            renewed: None,
            duration,
        }
    }

    /// Returns for how long this one is passed over, at the most, by those that come later and are more important: for 720 of its
    /// durations, an hour with the defaults.
    pub fn patience(&self) -> Duration {
        self.duration.saturating_mul(PATIENCE)
    }

    /// Puts those that wait for one Lease into the order in which they go: first who has waited out its [patience](Self::patience)
    /// since somebody else came, of those whoever came first; then the most important, and of those alike whoever came first.
    ///
    /// ```
    /// use lease_proto::{Candidate, wire::Lease};
    ///
    /// let leases: Vec<Lease> = Vec::new(); // as they were listed
    /// let mut waiting: Vec<_> = leases.iter().filter_map(Candidate::read).collect();
    /// Candidate::sort(&mut waiting);
    /// if let Some(first) = waiting.first() {
    ///     println!("{} is next", first.identity);
    /// }
    /// ```
    pub fn sort(all: &mut [Self]) {
        if let Some(latest) = all.iter().map(|it| it.since).max() {
            all.sort_by(|one, other| one.order(latest).cmp(&other.order(latest)));
        }
    }

    /// The order in which candidates go, of whom the last came at `latest`.
    ///
    /// Nobody's clock is read for that: who has waited for long is in nobody's way unless somebody has come long after it, and all
    /// that have the same list agree on who that is. Times are the API server's to the second, so a wrong clock moves nobody.
    pub(crate) fn order(&self, latest: MicroTime) -> impl Ord + '_ {
        let is_young = latest < self.since.saturating_add(self.patience());
        let priority = Reverse(is_young.then_some(self.priority));
        (is_young, priority, self.since, &self.identity)
    }
}

/// Returns for which Lease this one announces that somebody waits: its name, or a hash where that is too long for a label, as it
/// stands in [`candidates_of`]; `None` if it announces nobody.
pub fn candidate_for(lease: &Lease) -> Option<String> {
    lease.metadata.labels().remove(CANDIDATE_FOR)
}

/// Returns what selects the announcements of those who wait for a Lease: the key and the value of a label, joined by `=`.
pub fn candidates_of(lease: &LeaseName) -> String {
    format!("{CANDIDATE_FOR}={}", label(lease))
}

/// Returns the name of the announcement of `identity`; of the several that there are if one is taken by somebody else.
pub(crate) fn name(config: &Config, identity: &Identity, attempt: u32) -> LeaseName {
    let key = format!("{}\n{identity}\n{attempt}", config.name);
    LeaseName::hashed(&prefix(&config.name), key)
        .expect("what begins a name that is valid, cut after a letter or digit, begins one")
}

/// Returns whether an announcement of a claimant of this Lease may have that name.
pub(crate) fn is_named(lease: &LeaseName, name: &str) -> bool {
    let rest = name.strip_prefix(&prefix(lease));
    rest.is_some_and(|rest| rest.starts_with('-'))
}

fn prefix(lease: &LeaseName) -> String {
    let lease = lease.as_str();
    let prefix = lease.get(..LONGEST_PREFIX).unwrap_or(lease);
    format!("{}-candidate", prefix.trim_end_matches(['.', '-']))
}

/// Makes an announcement, or renews the last one.
pub(crate) fn announce(
    config: &Config,
    last: Option<&Lease>,
    identity: &Identity,
    (priority, since): (i32, MicroTime),
    (name, wall): (&LeaseName, MicroTime),
) -> Lease {
    let new = || Lease::new(config.namespace.as_str(), name.as_str());
    let mut lease = last.cloned().unwrap_or_else(new);
    lease.metadata.set_label(CANDIDATE_FOR, label(&config.name));
    lease
        .metadata
        .set_annotation(PRIORITY, priority.to_string());
    lease.metadata.set_annotation(SINCE, since.to_string());
    let spec = &mut lease.spec;
    let seconds = config.candidate_duration().as_secs();
    // The record has to change, even where the wall clock stands still or was set back.
    let last = spec.renew_time.as_ref().and_then(RawTime::time);
    let later = last.map_or(wall, |last| {
        wall.max(last.saturating_add(Duration::from_micros(1)))
    });
    spec.holder_identity = Some(identity.as_str().to_owned());
    spec.lease_duration_seconds = Some(i64::try_from(seconds).unwrap_or(i64::MAX));
    spec.acquire_time.get_or_insert_with(|| wall.into());
    spec.renew_time = Some(later.into());
    lease
}

/// Returns the value of the label: the name of the contested Lease, or a hash where that is too long.
fn label(lease: &LeaseName) -> String {
    let name = lease.as_str();
    if name.len() <= LONGEST_LABEL {
        return name.to_owned();
    }
    let hashed = LeaseName::hashed("", name);
    hashed
        .expect("digits of a hash are a name")
        .as_str()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(name: &str) -> Config {
        Config::builder("default", name, "me").build().unwrap()
    }

    fn time(text: &str) -> MicroTime {
        RawTime::new(text).time().unwrap()
    }

    #[test]
    fn names_and_labels_are_valid_however_long_the_lease_is() {
        let me = Identity::new("me").unwrap();
        let long = format!("{}.{}", "a".repeat(199), "b".repeat(53));
        for lease in ["leader", &long] {
            let config = config(lease);
            let names = [0, 1].map(|attempt| name(&config, &me, attempt));
            assert_ne!(names[0], names[1]);
            let selector = candidates_of(config.name());
            let (_, value) = selector.split_once('=').unwrap();
            assert!(value.len() <= LONGEST_LABEL, "{value}");
        }
    }

    #[test]
    fn what_is_announced_is_read_again() {
        let (config, me) = (config("leader"), Identity::new("me").unwrap());
        let wall = time("2026-11-20T01:00:00.25Z");
        let name = name(&config, &me, 0);
        let lease = announce(&config, None, &me, (7, wall), (&name, wall));
        let read = Candidate::read(&lease).unwrap();
        assert_eq!((read.priority, read.since), (7, wall));
        assert_eq!(read.identity, "me");
        let again = announce(&config, Some(&lease), &me, (7, wall), (&name, wall));
        assert_ne!(lease.spec.renew_time, again.spec.renew_time);
        assert_eq!(Candidate::read(&Lease::new("default", "leader")), None);
    }

    #[test]
    fn whose_clock_is_wrong_waits_since_its_announcement_was_created() {
        let (config, me) = (config("leader"), Identity::new("me").unwrap());
        let name = name(&config, &me, 0);
        for said in ["2026-11-20T00:00:00Z", "2026-11-20T02:00:00Z"] {
            let lease = announce(&config, None, &me, (7, time(said)), (&name, time(said)));
            let mut value = serde_json::to_value(&lease).unwrap();
            value["metadata"]["creationTimestamp"] = json!("2026-11-20T01:00:00Z");
            let lease: Lease = serde_json::from_value(value).unwrap();
            let read = Candidate::read(&lease).unwrap();
            let created = time("2026-11-20T01:00:00Z");
            assert!(read.since.saturating_since(created) <= Duration::from_secs(1));
            assert!(read.since >= created);
        }
    }

    /// Who is next of these, by name, priority, and the second in which each came.
    fn order_of(all: &[(&str, i32, u64)]) -> Vec<String> {
        let noon = time("2026-11-20T12:00:00Z");
        let all = all.iter().map(|(identity, priority, came)| Candidate {
            identity: (*identity).to_owned(),
            priority: *priority,
            since: noon.saturating_add(Duration::from_secs(*came)),
            renewed: None,
            duration: Duration::from_secs(5),
        });
        let mut all: Vec<_> = all.collect();
        Candidate::sort(&mut all);
        all.into_iter().map(|it| it.identity).collect()
    }

    #[test]
    fn the_most_important_goes_first_until_somebody_has_waited_for_an_hour() {
        let hour = 3_600;
        let (low, high) = (("low", 0, 0), ("high", 9, 60));
        let late = ("late", 9, hour - 1);
        assert_eq!(order_of(&[low, high, late]), ["high", "late", "low"]);
        // It comes so late that the first one has waited for long enough, and the second one has not.
        let later = ("later", 9, hour);
        assert_eq!(order_of(&[later, low, high]), ["low", "high", "later"]);
        // Then who came first goes first, however important.
        let last = ("last", 99, 2 * hour);
        assert_eq!(
            order_of(&[last, high, later, low]),
            ["low", "high", "later", "last"]
        );
        assert_eq!(order_of(&[]), [""; 0]);
    }
}
