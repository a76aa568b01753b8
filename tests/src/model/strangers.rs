//! What third parties ask of the server.

use http::{Request, header::CONTENT_TYPE};
use lease_proto::wire::MicroTime;
use serde_json::{Value, json};

use super::{action::Misfortune, clock::Clock};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader";

/// The request of a third party, and whether it takes the record away from whoever holds it.
pub(super) fn request(what: Misfortune, tick: u32) -> Option<(Request<Vec<u8>>, bool)> {
    let now = MicroTime::from(Clock::wall(tick)).to_string();
    let held = json!({"holderIdentity": "stranger", "leaseDurationSeconds": 2, "acquireTime": now, "renewTime": now});
    let (request, robs) = match what {
        Misfortune::Annotate => {
            // A text that is new each time.
            let note = json!({"metadata": {"annotations": {"seen": now}}});
            (patch(&note), false)
        }
        Misfortune::Clear => (patch(&json!({"spec": {"holderIdentity": ""}})), true),
        Misfortune::Steal => (patch(&json!({ "spec": held })), true),
        Misfortune::Delete => (Request::delete(LEASE).body(Vec::new()), true),
        Misfortune::Recreate => {
            let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "leader"}, "spec": held});
            let request = Request::post(LEASES).header(CONTENT_TYPE, "application/json");
            (request.body(body.to_string().into_bytes()), false)
        }
        _ => return None,
    };
    Some((request.expect("the paths are valid ones"), robs))
}

fn patch(body: &Value) -> Result<Request<Vec<u8>>, http::Error> {
    Request::patch(LEASE)
        .header(CONTENT_TYPE, "application/merge-patch+json")
        .body(body.to_string().into_bytes())
}
