//! What the API server saw of a Lease, by its own account.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use lease_proto::wire::RawTime;
use libtest_mimic::Failed;
use serde_json::Value;

use crate::cluster::Cluster;

/// How often each user did what to a Lease: `("holder-a", "update")` with the code 200, and so on.
pub(crate) type Tally = BTreeMap<(String, String, u64), usize>;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) user: String,
    pub(crate) verb: String,
    pub(crate) code: u64,
    /// When it came, since 1970.
    pub(crate) micros: i64,
}

/// The requests on `lease` so far that have been answered, in the order of their answers.
pub(crate) fn requests(cluster: &Cluster, lease: &str) -> Result<Vec<Request>, Failed> {
    // A line may come a moment after the answer.
    thread::sleep(Duration::from_millis(300));
    let log = fs::read_to_string(&cluster.audit_log)?;
    let mut all = Vec::new();
    for line in log.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let is_about_it = entry["objectRef"]["name"] == lease;
        if is_about_it && entry["stage"] == "ResponseComplete" {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let came = RawTime::new(text(&entry["requestReceivedTimestamp"])).time();
            all.push(Request {
                user: text(&entry["user"]["username"]),
                verb: text(&entry["verb"]),
                code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
                micros: came.ok_or("a request without its time")?.as_micros(),
            });
        }
    }
    Ok(all)
}

/// Counts the requests on `lease` so far.
pub(crate) fn tally(cluster: &Cluster, lease: &str) -> Result<Tally, Failed> {
    let mut tally = Tally::new();
    for Request {
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
