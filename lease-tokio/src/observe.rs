//! What `tracing` and `metrics` are told, where those features are on. Without them nothing is done here at all.
//!
//! | level | what |
//! |---|---|
//! | ERROR | it cannot be acquired as things are |
//! | WARN | at risk, lost against its will, a colliding identity, a store that went back in time; a server that is not verified |
//! | INFO | acquired, released, recovered, whom it waits for, given up |
//! | DEBUG | renewals, looks, attempts that came to nothing, streams of changes that broke |
//! | TRACE | each answer, and how long it took |
//!
//! | metric | what |
//! |---|---|
//! | `leader_election_master_status` | gauge, label `name` as in client-go: 1 while the Lease is held, else 0 |
//! | `lease_acquired_total`, `lease_lost_total`, `lease_renewed_total` | counters, labels `namespace` and `name`; `lease_lost_total` does not count releases |
//! | `lease_trouble_total` | counter: attempts to acquire that came to nothing, and renewals that put the Lease at risk |
//! | `lease_answer_seconds` | histogram, label `status` besides: how long answers took; `none` where none came |

use std::time::Duration;

#[cfg(any(feature = "metrics", feature = "tracing"))]
use lease_proto::Loss;
use lease_proto::{Claim, Event, access::ServerUrl};

use crate::TransportError;

/// A client is made that believes whoever answers.
pub(crate) fn unverified(server: &ServerUrl) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        %server,
        "the certificate of the API server is not verified: whoever answers may read the credentials"
    );
    #[cfg(not(feature = "tracing"))]
    let _nobody_asks = server;
}

/// An event is told to the application.
pub(crate) fn event(claim: &Claim, event: &Event) {
    #[cfg(feature = "tracing")]
    trace(claim, event);
    #[cfg(feature = "metrics")]
    count(claim, event);
    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    let _nobody_asks = (claim, event);
}

/// A request has got an answer, or none, after so long.
pub(crate) fn answer(
    claim: &Claim,
    outcome: &Result<http::Response<Vec<u8>>, TransportError>,
    took: Duration,
) {
    #[cfg(feature = "tracing")]
    {
        let (namespace, name) = names(claim);
        match outcome {
            Ok(answer) => {
                let status = answer.status().as_u16();
                tracing::trace!(namespace, name, status, ?took, "the API server answered");
            }
            // A message may quote what it is about, and never a secret: see `TransportError`.
            Err(error) => tracing::debug!(namespace, name, %error, ?took, "no answer"),
        }
    }
    #[cfg(feature = "metrics")]
    {
        let status = outcome
            .as_ref()
            .map(|answer| answer.status().as_str().to_owned());
        let status = status.unwrap_or_else(|_| "none".to_owned());
        let (namespace, name) = names(claim);
        let labels = [
            ("namespace", namespace.to_owned()),
            ("name", name.to_owned()),
            ("status", status),
        ];
        metrics::histogram!("lease_answer_seconds", &labels).record(took);
    }
    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    let _nobody_asks = (claim, outcome, took);
}

/// A stream of changes has ended, as every one does, or was not to be had.
pub(crate) fn end(claim: &Claim, error: Option<&TransportError>) {
    #[cfg(feature = "tracing")]
    {
        let (namespace, name) = names(claim);
        match error {
            None => tracing::trace!(namespace, name, "the stream of changes has ended"),
            Some(error) => tracing::debug!(namespace, name, %error, "no stream of changes"),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _nobody_asks = (claim, error);
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
fn names(claim: &Claim) -> (&str, &str) {
    let config = claim.config();
    (config.namespace().as_str(), config.name().as_str())
}

#[cfg(feature = "tracing")]
fn trace(claim: &Claim, event: &Event) {
    let (namespace, name) = names(claim);
    let identity = claim.identity().as_str();
    macro_rules! tell {
        ($level:ident $(, $field:ident = $value:expr)*) => {
            tracing::$level!(namespace, name, identity, $($field = $value,)* "{event}")
        };
    }
    match event {
        Event::Acquired(grant) => {
            let token = grant.token.map(|token| token.to_string());
            tell!(info, token = token, transitions = grant.transitions);
        }
        Event::Failed(failure) => tell!(error, advice = failure.advice()),
        Event::AtRisk { .. } | Event::IdentityCollision | Event::StoreRegressed => tell!(warn),
        Event::Lost(Loss::Released) => tell!(info),
        Event::Lost(_) => tell!(warn),
        Event::Renewed(_) | Event::Verified(_) | Event::Retrying { .. } => tell!(debug),
        Event::Recovered
        | Event::Waiting(_)
        | Event::HolderChanged(_)
        | Event::GaveUp(_)
        | Event::Released(_)
        | _ => tell!(info),
    }
}

#[cfg(feature = "metrics")]
fn count(claim: &Claim, event: &Event) {
    let (namespace, name) = names(claim);
    let labels = [
        ("namespace", namespace.to_owned()),
        ("name", name.to_owned()),
    ];
    let add = |counter: &'static str| metrics::counter!(counter, &labels).increment(1);
    let lead = |leads: bool| {
        let leads = f64::from(u8::from(leads));
        metrics::gauge!("leader_election_master_status", "name" => name.to_owned()).set(leads);
    };
    match event {
        Event::Acquired(_) => {
            lead(true);
            add("lease_acquired_total");
        }
        Event::Renewed(_) => add("lease_renewed_total"),
        Event::Lost(loss) => {
            lead(false);
            if *loss != Loss::Released {
                add("lease_lost_total");
            }
        }
        Event::AtRisk { .. } | Event::Retrying { .. } | Event::Failed(_) => {
            add("lease_trouble_total")
        }
        Event::Waiting(_) => lead(false),
        Event::Recovered
        | Event::Verified(_)
        | Event::HolderChanged(_)
        | Event::GaveUp(_)
        | Event::IdentityCollision
        | Event::StoreRegressed
        | Event::Released(_)
        | _ => {}
    }
}
