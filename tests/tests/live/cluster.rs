//! The API server that the environment names, and what a third party does to it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use lease_blocking::{Client, Preconditions};
use lease_proto::wire::{Lease, MicroTime};
use libtest_mimic::Failed;

/// The API server that the environment names.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) server: String,
    pub(crate) ca: PathBuf,
    pub(crate) wrong_ca: PathBuf,
    pub(crate) namespace: String,
    pub(crate) audit_log: PathBuf,
    tokens: PathBuf,
}

impl Cluster {
    pub(crate) fn from_environment() -> Option<Self> {
        let server = env::var("LEASE_LIVE_SERVER").ok()?;
        let needed = |name: &str| {
            env::var(name).unwrap_or_else(|_| panic!("LEASE_LIVE_SERVER is set, and {name} is not"))
        };
        Some(Self {
            server,
            ca: needed("LEASE_LIVE_CA").into(),
            wrong_ca: needed("LEASE_LIVE_WRONG_CA").into(),
            namespace: needed("LEASE_LIVE_NAMESPACE"),
            audit_log: needed("LEASE_LIVE_AUDIT_LOG").into(),
            tokens: needed("LEASE_LIVE_TOKENS").into(),
        })
    }

    /// The file with the token of `user`.
    pub(crate) fn token_file(&self, user: &str) -> PathBuf {
        self.tokens.join(user)
    }

    /// A token file of the test's own, to be rewritten while it is used.
    pub(crate) fn own_token_file(&self, lease: &str, user: &str) -> PathBuf {
        let file = env::temp_dir().join(format!("lease-live-token-{}-{lease}", std::process::id()));
        self.rotate(&file, user);
        file
    }

    /// Puts the token of `user` in place of the one in `file`, at once as kubelet does.
    pub(crate) fn rotate(&self, file: &Path, user: &str) {
        let aside = file.with_extension("new");
        fs::copy(self.token_file(user), &aside).expect("token files can be read");
        fs::rename(&aside, file).expect("token files can be replaced");
    }

    pub(crate) fn record(&self, lease: &str) -> Result<Lease, Failed> {
        let lease = self.admin().get(lease)?;
        lease.ok_or_else(|| "the record is gone".into())
    }

    pub(crate) fn holder(&self, lease: &str) -> Result<Option<String>, Failed> {
        let lease = self.admin().get(lease)?;
        Ok(lease.and_then(|lease| lease.spec.holder().map(str::to_owned)))
    }

    /// Annotates the record, as kubectl does.
    pub(crate) fn annotate(&self, lease: &str, value: &str) -> Result<(), Failed> {
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases/{lease}",
            self.namespace
        );
        let patch = format!(r#"{{"metadata":{{"annotations":{{"noted":"{value}"}}}}}}"#);
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(patch.into_bytes())?;
        let answer = self.admin().send(request, Duration::from_secs(10), false)?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("annotating was answered with {}", answer.status()).into())
        }
    }

    /// Asks for something else than Leases.
    pub(crate) fn ask(
        &self,
        method: http::Method,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<(), Failed> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())?;
        let answer = self.admin().send(request, Duration::from_secs(10), false)?;
        let body = String::from_utf8_lossy(answer.body());
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("{path} was answered with {}: {body}", answer.status()).into())
        }
    }

    /// Creates a record that was renewed for the last time an hour ago, by `manager`.
    pub(crate) fn write_dead(
        &self,
        lease: &str,
        manager: &str,
        duration: Duration,
    ) -> Result<(), Failed> {
        let then = SystemTime::now() - Duration::from_secs(3_600);
        let then = MicroTime::from(then).to_string();
        let body = serde_json::json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": lease},
            "spec": {"holderIdentity": "dead", "leaseDurationSeconds": duration.as_secs(), "leaseTransitions": 3,
                "acquireTime": then, "renewTime": then},
        });
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases?fieldManager={manager}",
            self.namespace
        );
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())?;
        let answer = self.admin().send(request, Duration::from_secs(10), false)?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("creating was answered with {}", answer.status()).into())
        }
    }

    /// Deletes the record, whoever holds it.
    pub(crate) fn delete(&self, lease: &str) -> Result<(), Failed> {
        let was_there = self.admin().delete(lease, &Preconditions::default())?;
        if was_there {
            Ok(())
        } else {
            Err("there was nothing to delete".into())
        }
    }

    fn admin(&self) -> &'static Client {
        static ADMIN: OnceLock<Client> = OnceLock::new();
        ADMIN.get_or_init(|| {
            Client::builder(&self.server)
                .certificate_authority(self.ca.clone())
                .token_file(self.token_file("admin"))
                .namespace(&self.namespace)
                .build()
                .expect("the environment names a server that can be reached")
        })
    }
}
