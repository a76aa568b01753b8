//! What `tracing` and `metrics` are told, where those features are on. Without them nothing is done here at all.
//!
//! The pages of the drivers say which event has which level, and list the metrics. All have the target `lease`, whoever drives the
//! claim, so that one filter does for all.

use std::time::Duration;

#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::claim::Loss;
use crate::{
    access::{CredentialsError, ServerUrl, TransportError},
    claim::{Claim, Event},
};

/// The target of all events.
#[cfg(feature = "tracing")]
const TARGET: &str = "lease";

/// A client is made that believes whoever answers.
pub fn unverified(server: &ServerUrl) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        target: TARGET,
        %server,
        "the certificate of the API server is not verified: whoever answers may read the credentials"
    );
    #[cfg(not(feature = "tracing"))]
    let _nobody_asks = server;
}

/// Credentials that will soon be over are not renewed.
pub fn not_renewed(error: &CredentialsError) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, %error, "the credentials are not renewed ahead of time, which is tried again");
    #[cfg(not(feature = "tracing"))]
    let _nobody_asks = error;
}

/// Tells of one claim.
///
/// ```
/// use std::time::Instant;
///
/// use lease_proto::{Claim, Config, Event, observe::Observer};
///
/// let config = Config::builder("default", "leader", "me").build()?;
/// let claim = Claim::new(config, 0x5eed, Instant::now());
/// let mut observer = Observer::new(&claim);
/// observer.event(&claim, &Event::Recovered); // and so each that `poll_output` gives
/// # Ok::<(), lease_proto::ConfigError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Observer {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    /// While the Lease is held.
    #[cfg(feature = "metrics")]
    leading: Option<Leading>,
}

impl Observer {
    /// Begins to tell of a claim.
    pub fn new(claim: &Claim) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _nobody_asks = claim;
        Self {
            #[cfg(feature = "tracing")]
            span: span(claim),
            #[cfg(feature = "metrics")]
            leading: None,
        }
    }

    /// Tells of nobody's claim: of what is done for several.
    pub fn silent() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::Span::none(),
            #[cfg(feature = "metrics")]
            leading: None,
        }
    }

    /// The same for a request of the claim, which others carry and which may outlive it.
    pub fn of_request(&self) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: self.span.clone(),
            #[cfg(feature = "metrics")]
            leading: None,
        }
    }

    /// An event is told to the application.
    pub fn event(&mut self, claim: &Claim, event: &Event) {
        #[cfg(feature = "tracing")]
        self.span.in_scope(|| trace(event));
        #[cfg(feature = "metrics")]
        count(claim, event, &mut self.leading);
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _nobody_asks = event;
        #[cfg(not(feature = "metrics"))]
        let _nobody_counts = claim;
    }

    /// A request has got an answer, or none, after so long.
    pub fn answer(
        &self,
        claim: &Claim,
        outcome: &Result<http::Response<Vec<u8>>, TransportError>,
        took: Duration,
    ) {
        #[cfg(feature = "tracing")]
        self.span.in_scope(|| match outcome {
            Ok(answer) => {
                let status = answer.status().as_u16();
                tracing::trace!(target: TARGET, status, ?took, "the API server answered");
            }
            // A message may quote what it is about, and never a secret: see `TransportError`.
            Err(error) => tracing::debug!(target: TARGET, %error, ?took, "no answer"),
        });
        #[cfg(feature = "metrics")]
        measure(claim, outcome, took);
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _nobody_asks = (outcome, took);
        #[cfg(not(feature = "metrics"))]
        let _nobody_counts = claim;
    }

    /// A stream of changes has ended, as every one does, or was not to be had.
    pub fn end(&self, error: Option<&TransportError>) {
        #[cfg(feature = "tracing")]
        self.span.in_scope(|| match error {
            None => tracing::trace!(target: TARGET, "the stream of changes has ended"),
            Some(error) => tracing::debug!(target: TARGET, %error, "no stream of changes"),
        });
        #[cfg(not(feature = "tracing"))]
        let _nobody_asks = error;
    }

    /// What a request has others tell, the HTTP library's connections among it, is told within the claim's span.
    pub fn in_scope<T>(&self, request: impl FnOnce() -> T) -> T {
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
    tracing::error_span!(target: TARGET, "lease", namespace, name, identity)
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
            tracing::$level!(target: TARGET, $($field = $value,)* "{event}")
        };
    }
    match event {
        Event::Acquired(grant) => {
            let token = grant.token.map(|token| token.to_string());
            tell!(info, token = token, transitions = grant.transitions);
        }
        Event::Failed(failure) => tell!(error, advice = failure.advice()),
        Event::AtRisk { .. }
        | Event::IdentityCollision
        | Event::StoreRegressed
        | Event::Unranked(_) => tell!(warn),
        Event::Lost(Loss::Released) => tell!(info),
        Event::Lost(_) => tell!(warn),
        Event::Renewed(_) | Event::Verified(_) | Event::Retrying { .. } => tell!(debug),
        Event::Recovered
        | Event::Waiting(_)
        | Event::HolderChanged(_)
        | Event::GaveUp(_)
        | Event::Polling(_)
        | Event::Released(_) => tell!(info),
    }
}

/// What says 1 while a Lease is held, and 0 as soon as nobody keeps it any more, whatever became of that.
#[cfg(feature = "metrics")]
#[derive(Debug)]
struct Leading(metrics::Gauge);

#[cfg(feature = "metrics")]
impl Leading {
    fn new(gauge: metrics::Gauge) -> Self {
        gauge.set(1);
        Self(gauge)
    }
}

#[cfg(feature = "metrics")]
impl Drop for Leading {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

#[cfg(feature = "metrics")]
fn count(claim: &Claim, event: &Event, leading: &mut Option<Leading>) {
    let (namespace, name) = names(claim);
    let labels = [
        ("namespace", namespace.to_owned()),
        ("name", name.to_owned()),
    ];
    let add = |counter: &'static str| metrics::counter!(counter, &labels).increment(1);
    let gauge = || metrics::gauge!("leader_election_master_status", &labels);
    match event {
        Event::Acquired(_) => {
            leading.get_or_insert_with(|| Leading::new(gauge()));
            add("lease_acquired_total");
        }
        Event::Renewed(_) => add("lease_renewed_total"),
        Event::Lost(loss) => {
            *leading = None;
            if *loss != Loss::Released {
                add("lease_lost_total");
            }
        }
        Event::AtRisk { .. } | Event::Retrying { .. } | Event::Failed(_) => {
            add("lease_trouble_total")
        }
        // It is there from then on, and is not reset: another claim of this process may hold the Lease.
        Event::Waiting(_) => gauge().increment(0),
        Event::Recovered
        | Event::Verified(_)
        | Event::HolderChanged(_)
        | Event::GaveUp(_)
        | Event::IdentityCollision
        | Event::StoreRegressed
        | Event::Polling(_)
        | Event::Unranked(_)
        | Event::Released(_) => {}
    }
}
