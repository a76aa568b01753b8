//! The record as the server has it.

use lease_proto::server::ApiServer;
use serde_json::Value;

use super::{clock::Clock, key::Text};

/// The record as the server has it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) exists: bool,
    pub(super) holder: Option<String>,
    /// For how long the holder holds it.
    pub(super) seconds: u64,
    /// What observers look at to see whether the holder lives.
    signs: Value,
    pub(super) text: Text,
}

impl Record {
    pub(super) fn of(server: &ApiServer, clock: &Clock) -> Self {
        let lease = server.lease("default", "leader");
        let exists = lease.is_some();
        let lease = lease.unwrap_or_default();
        let (uid, spec) = (&lease["metadata"]["uid"], &lease["spec"]);
        let holder = spec["holderIdentity"].as_str();
        let holder = holder.filter(|holder| !holder.is_empty());
        Self {
            exists,
            holder: holder.map(str::to_owned),
            seconds: spec["leaseDurationSeconds"].as_u64().unwrap_or(0),
            signs: Value::Array(vec![
                uid.clone(),
                spec["holderIdentity"].clone(),
                spec["acquireTime"].clone(),
                spec["renewTime"].clone(),
            ]),
            text: Text::new(clock, format_args!("{lease}")),
        }
    }

    /// Whether observers see no sign of life between the two.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.signs == other.signs
    }
}
