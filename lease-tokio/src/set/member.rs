//! What a set knows of one claim beside the protocol's part.

use std::sync::Arc;

use lease_proto::{Claim, observe::Observer};

use crate::{TransportError, shared::Shared};

/// One claim of a set.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    pub(super) observer: Observer,
    pub(super) last_error: Option<Arc<TransportError>>,
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, claim: &Claim) -> Self {
        Self {
            shared,
            observer: Observer::new(claim),
            last_error: None,
        }
    }
}
