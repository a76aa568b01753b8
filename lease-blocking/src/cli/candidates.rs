//! Who waits for a lease by priority, as far as that can be seen.

use std::time::Duration;

use lease_blocking::{
    Client,
    proto::{
        Candidate, LeaseName, Namespace, candidate_for, candidates_of, plain,
        wire::{Lease, MicroTime},
    },
};
use serde_json::{Value, json};

use super::changes::now;

/// Those that are known to wait, who goes first before all others; `None` where that is not known.
pub(crate) type Candidates = Option<Vec<Candidate>>;

/// Asks who waits for `lease`. Whoever may not list them, and who gets no answer, sees the lease all the same.
pub(crate) fn ask(client: &Client, lease: &Lease) -> Candidates {
    let namespace = Namespace::new(client.namespace()).ok()?;
    let name = LeaseName::new(lease.metadata.name.as_str()).ok()?;
    let request = plain::list_of(&namespace, &candidates_of(&name));
    let answer = client.send(request, ANSWER, false).ok()?;
    let (leases, _) = plain::read_list(Some(&namespace), &answer).ok()?;
    Some(alive(leases.iter(), lease, now()))
}

/// Finds who waits for `lease` among all that there are.
pub(crate) fn among(all: &[Lease], lease: &Lease) -> Candidates {
    let name = LeaseName::new(lease.metadata.name.as_str()).ok()?;
    let selector = candidates_of(&name);
    let (_, label) = selector.split_once('=')?;
    let its = all.iter().filter(|other| {
        other.metadata.namespace == lease.metadata.namespace
            && candidate_for(other).as_deref() == Some(label)
    });
    Some(alive(its, lease, now()))
}

/// For programs.
pub(crate) fn object(candidates: &Candidates) -> Value {
    let object = |it: &Candidate| {
        json!({
            "identity": it.identity,
            "priority": it.priority,
            "since": it.since.to_string(),
        })
    };
    let objects = candidates.as_ref();
    objects.map_or(Value::Null, |all| all.iter().map(object).collect())
}

/// Those that still say that they wait, by this machine's clock. Whoever holds the lease has had its turn.
fn alive<'a>(
    leases: impl Iterator<Item = &'a Lease>,
    contested: &Lease,
    now: MicroTime,
) -> Vec<Candidate> {
    let waits = |it: &Candidate| {
        let over = |at: MicroTime| at.saturating_add(it.duration).saturating_add(LATE);
        let is_alive = it.renewed.is_some_and(|at| now < over(at));
        is_alive && contested.spec.holder() != Some(it.identity.as_str())
    };
    let mut all: Vec<_> = leases.filter_map(Candidate::read).filter(waits).collect();
    Candidate::sort(&mut all);
    all
}

/// How long the answer may take, which is not worth much waiting.
const ANSWER: Duration = Duration::from_secs(5);
/// By how much clocks may differ before somebody who waits is not shown.
const LATE: Duration = Duration::from_secs(2);
