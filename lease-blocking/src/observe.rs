//! What `tracing` and `metrics` are told, where those features are on. Without them nothing is done here at all.
//!
//! The crate's own page says which event has which level, and lists the metrics.

use std::time::Duration;

#[cfg(any(feature = "metrics", feature = "tracing"))]
use lease_proto::Loss;
use lease_proto::{
    Claim, Event,
    access::{CredentialsError, ServerUrl},
};

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

/// Credentials that will soon be over are not renewed.
pub(crate) fn not_renewed(error: &CredentialsError) {
    #[cfg(feature = "tracing")]
    tracing::warn!(%error, "the credentials are not renewed ahead of time, which is tried again");
    #[cfg(not(feature = "tracing"))]
    let _nobody_asks = error;
}

/// Tells of one claim.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Observer {
    pub(crate) fn new(claim: &Claim) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _nobody_asks = claim;
        Self {
            #[cfg(feature = "tracing")]
            span: span(claim),
        }
    }

    /// Tells of nobody's claim: of what is done for several.
    pub(crate) fn silent() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::Span::none(),
        }
    }

    /// An event is told to the application.
    pub(crate) fn event(&self, claim: &Claim, event: &Event) {
        #[cfg(feature = "tracing")]
        self.span.in_scope(|| trace(event));
        #[cfg(feature = "metrics")]
        count(claim, event);
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _nobody_asks = event;
        #[cfg(not(feature = "metrics"))]
        let _nobody_counts = claim;
    }

    /// A request has got an answer, or none, after so long.
    pub(crate) fn answer(
        &self,
        claim: &Claim,
        outcome: &Result<http::Response<Vec<u8>>, TransportError>,
        took: Duration,
    ) {
        #[cfg(feature = "tracing")]
        self.span.in_scope(|| match outcome {
            Ok(answer) => {
                let status = answer.status().as_u16();
                tracing::trace!(status, ?took, "the API server answered");
            }
            // A message may quote what it is about, and never a secret: see `TransportError`.
            Err(error) => tracing::debug!(%error, ?took, "no answer"),
        });
        #[cfg(feature = "metrics")]
        measure(claim, outcome, took);
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _nobody_asks = (outcome, took);
        #[cfg(not(feature = "metrics"))]
        let _nobody_counts = claim;
    }

    /// A stream of changes has ended, as every one does, or was not to be had.
    pub(crate) fn end(&self, error: Option<&TransportError>) {
        #[cfg(feature = "tracing")]
        self.span.in_scope(|| match error {
            None => tracing::trace!("the stream of changes has ended"),
            Some(error) => tracing::debug!(%error, "no stream of changes"),
        });
        #[cfg(not(feature = "tracing"))]
        let _nobody_asks = error;
    }

    /// What a request has others tell, the HTTP library's connections among it, is told within the claim's span.
    pub(crate) fn within<T>(&self, request: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        return self.span.in_scope(request);
        #[cfg(not(feature = "tracing"))]
        request()
    }
}

#[cfg(feature = "tracing")]
fn span(claim: &Claim) -> tracing::Span {
    let (namespace, name) = names(claim);
    let identity = claim.identity().as_str();
    // Of the highest level, so that a filter that lets a warning through does not take from it whose it is.
    tracing::error_span!("lease", namespace, name, identity)
}

#[cfg(feature = "metrics")]
fn measure(
    claim: &Claim,
    outcome: &Result<http::Response<Vec<u8>>, TransportError>,
    took: Duration,
) {
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

#[cfg(any(feature = "metrics", feature = "tracing"))]
fn names(claim: &Claim) -> (&str, &str) {
    let config = claim.config();
    (config.namespace().as_str(), config.name().as_str())
}

#[cfg(feature = "tracing")]
fn trace(event: &Event) {
    macro_rules! tell {
        ($level:ident $(, $field:ident = $value:expr)*) => {
            tracing::$level!($($field = $value,)* "{event}")
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
        metrics::gauge!("leader_election_master_status", &labels).set(leads);
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
