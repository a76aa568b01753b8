//! The API servers: one store, several fronts with clocks of their own, and what stands before them.

use std::time::{Duration, SystemTime};

use http::{Method, Request, Response};
use lease_proto::server::{Answer, ApiServer, Version, WatchId, WatchOutput};
use serde_json::{Value, json};

use super::{Micros, SECOND, clock::Clock, plants::Bug};

/// The path of the one Lease.
pub(crate) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader";
/// The path of all Leases of its namespace.
pub(crate) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

/// The API servers.
#[derive(Debug)]
pub(crate) struct Servers {
    store: ApiServer,
    fronts: Vec<Front>,
    backup: Option<Vec<u8>>,
    /// What a webhook shortens durations to.
    pub(crate) webhook: Option<i64>,
    bug: Option<Bug>,
}

#[derive(Debug, Default)]
struct Front {
    clock: Clock,
    down_until: Micros,
}

impl Servers {
    pub(crate) fn new(seed: u64, fronts: usize, version: Version, bug: Option<Bug>) -> Self {
        let store = ApiServer::builder().seed(seed).history(8).version(version);
        Self {
            store: store.build(),
            fronts: (0..fronts).map(|_| Front::default()).collect(),
            backup: None,
            webhook: None,
            bug,
        }
    }

    /// How many fronts there are.
    pub(crate) fn len(&self) -> usize {
        self.fronts.len()
    }

    /// Whether a front takes requests.
    pub(crate) fn is_up(&self, front: usize, now: Micros) -> bool {
        self.fronts
            .get(front)
            .is_none_or(|front| front.down_until <= now)
    }

    /// Stops a front for a while.
    pub(crate) fn take_down(&mut self, front: usize, until: Micros) {
        if let Some(front) = self.fronts.get_mut(front) {
            front.down_until = until;
        }
    }

    /// Sets a front's clock.
    pub(crate) fn set_clock(&mut self, front: usize, error: i64) {
        if let Some(front) = self.fronts.get_mut(front) {
            front.clock.wall_error = error;
        }
    }

    /// All is well again.
    pub(crate) fn heal(&mut self) {
        self.webhook = None;
        for front in &mut self.fronts {
            front.down_until = 0;
        }
    }

    /// Answers a request.
    pub(crate) fn handle(
        &mut self,
        front: usize,
        request: &Request<Vec<u8>>,
        now: Micros,
    ) -> (Response<Vec<u8>>, Option<WatchId>) {
        let wall = self.wall(front, now);
        let changed = self.admit(request);
        match self.store.handle(changed.as_ref().unwrap_or(request), wall) {
            Answer::Whole(response) => (response, None),
            Answer::Watch(response, id) => (response.map(|()| Vec::new()), Some(id)),
        }
    }

    /// What a stream has to say, and after what time to look again.
    pub(crate) fn poll_watch(
        &mut self,
        front: usize,
        id: WatchId,
        now: Micros,
    ) -> (WatchOutput, Micros) {
        let wall = self.wall(front, now);
        let output = self.store.poll_watch(id, wall);
        let after = match &output {
            WatchOutput::Wait { until: Some(until) } => until.duration_since(wall).ok(),
            _ => None,
        };
        let after = after.and_then(|after| u64::try_from(after.as_micros()).ok());
        (output, after.unwrap_or(60 * SECOND))
    }

    /// Nobody watches any more.
    pub(crate) fn close(&mut self, id: Option<WatchId>) {
        if let Some(id) = id {
            self.store.close_watch(id);
        }
    }

    /// The latest version of anything.
    pub(crate) fn version(&self) -> u64 {
        self.store.resource_version()
    }

    /// The record as it stands.
    pub(crate) fn lease(&self) -> Option<Value> {
        self.store.lease("default", "leader")
    }

    /// Keeps a copy of the store.
    pub(crate) fn back_up(&mut self) {
        self.backup = Some(self.store.snapshot());
    }

    /// Goes back to the copy, if there is one; says whether it did.
    pub(crate) fn restore(&mut self) -> bool {
        let Some(backup) = &self.backup else {
            return false;
        };
        self.store.adopt(backup).is_ok()
    }

    fn wall(&self, front: usize, now: Micros) -> SystemTime {
        let front = self.fronts.get(front);
        front.map_or(SystemTime::UNIX_EPOCH + Duration::from_secs(1), |front| {
            front.clock.wall(now)
        })
    }

    /// What a write becomes on its way into the store, if anything changes it.
    fn admit(&self, request: &Request<Vec<u8>>) -> Option<Request<Vec<u8>>> {
        let is_write = [Method::PUT, Method::POST, Method::PATCH].contains(request.method());
        let changes = self.webhook.is_some()
            || matches!(
                self.bug,
                Some(Bug::NoCompareAndSwap | Bug::CreatedIsRenewal)
            );
        if !is_write || !changes {
            return None;
        }
        let mut request = request.clone();
        let mut body: Value = serde_json::from_slice(request.body()).ok()?;
        if let Some(seconds) = self.webhook
            && body["spec"]["leaseDurationSeconds"].as_i64() > Some(seconds)
        {
            body["spec"]["leaseDurationSeconds"] = json!(seconds);
        }
        match self.bug {
            Some(Bug::CreatedIsRenewal) => {
                if let Some(metadata) = body["metadata"].as_object_mut() {
                    metadata.remove("uid");
                }
            }
            Some(Bug::NoCompareAndSwap) => {
                if let Some(lease) = self.lease() {
                    body["metadata"]["resourceVersion"] =
                        lease["metadata"]["resourceVersion"].clone();
                    body["metadata"]["uid"] = lease["metadata"]["uid"].clone();
                    if request.method() == Method::POST {
                        *request.method_mut() = Method::PUT;
                        *request.uri_mut() = http::Uri::from_static(LEASE);
                    }
                }
            }
            _ => {}
        }
        *request.body_mut() = body.to_string().into_bytes();
        Some(request)
    }
}
