//! What the API server saw of a Lease, by its own account.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use lease_tests::audit::{self, Line};
use libtest_mimic::Failed;

use crate::cluster::Cluster;

/// How often each user did what to a Lease: `("holder-a", "update")` with the code 200, and so on.
pub(crate) type Tally = BTreeMap<(String, String, u16), usize>;

/// The requests on `lease` so far that have been answered, in the order of their answers.
pub(crate) fn requests(cluster: &Cluster, lease: &str) -> Result<Vec<Line>, Failed> {
    // A line may come a moment after the answer.
    thread::sleep(Duration::from_millis(300));
    let log = fs::read_to_string(&cluster.audit_log)?;
    let lines = audit::lines(&log).filter(|line| line.is_complete && line.lease == lease);
    Ok(lines.collect())
}

/// Counts the requests on `lease` so far.
pub(crate) fn tally(cluster: &Cluster, lease: &str) -> Result<Tally, Failed> {
    let mut tally = Tally::new();
    for Line {
        user, verb, code, ..
    } in requests(cluster, lease)?
    {
        *tally.entry((user, verb, code)).or_default() += 1;
    }
    Ok(tally)
}

/// How many more of `verb` there are in `later` than in `earlier`, with any code.
pub(crate) fn more(earlier: &Tally, later: &Tally, user: &str, verb: &str) -> usize {
    let count = |tally: &Tally| -> usize {
        let of_it = tally.iter().filter(|((u, v, _), _)| u == user && v == verb);
        of_it.map(|(_, count)| count).sum()
    };
    count(later) - count(earlier)
}
