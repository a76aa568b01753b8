//! The API server that the environment names.

use std::{env, fs, path::PathBuf, time::Duration};

use http::Request;
use lease_blocking::Client;
use lease_proto::wire::Lease;

/// The API server that the environment names.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) server: String,
    pub(crate) ca: PathBuf,
    pub(crate) namespace: String,
    tokens: PathBuf,
    pub(crate) audit_log: PathBuf,
    pub(crate) script: i32,
    admin: Client,
}

impl Cluster {
    pub(crate) fn from_environment() -> Self {
        let needed = |name: &str| {
            env::var(name).unwrap_or_else(|_| {
                panic!(
                    "{name} is not set; .ci/cluster starts a kube-apiserver and sets it: \
                     .ci/cluster cargo bench -p lease-tests --bench processes"
                )
            })
        };
        let server = needed("LEASE_LIVE_SERVER");
        let ca = PathBuf::from(needed("LEASE_LIVE_CA"));
        let tokens = PathBuf::from(needed("LEASE_LIVE_TOKENS"));
        let namespace = needed("LEASE_LIVE_NAMESPACE");
        let admin = Client::builder(&server)
            .certificate_authority(ca.clone())
            .token_file(tokens.join("admin"))
            .namespace(&namespace)
            .build()
            .unwrap();
        Self {
            server,
            ca,
            namespace,
            tokens,
            audit_log: needed("LEASE_LIVE_AUDIT_LOG").into(),
            script: needed("LEASE_LIVE_CLUSTER_PID").parse().unwrap(),
            admin,
        }
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let token = fs::read_to_string(self.tokens.join(user)).unwrap();
        token.trim().to_owned()
    }

    pub(crate) fn lease(&self, name: &str) -> Option<Lease> {
        self.admin.get(name).unwrap()
    }

    pub(crate) fn update(&self, lease: &Lease) -> Lease {
        self.admin.update(lease).unwrap()
    }

    /// Writes a record that was renewed for the last time an hour ago, by a claimant that knew both clocks.
    pub(crate) fn write_dead(&self, name: &str) {
        let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
        let then = then.strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
        let body = serde_json::json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
            "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15, "leaseTransitions": 3,
                "acquireTime": then.to_string(), "renewTime": then.to_string()},
        });
        let namespace = &self.namespace;
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases?fieldManager=lease-proto"
        );
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .unwrap();
        let answer = self.admin.send(request, PATIENCE, false).unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
