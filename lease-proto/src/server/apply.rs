//! Server-side apply.

use super::{managed_fields::Writer, object::Lease, route::Query, status::Failure};

/// What an apply comes to.
#[derive(Debug)]
pub(super) enum Applied {
    Changed(Box<Lease>),
    Same,
}

pub(super) fn read(_body: &[u8], _query: &Query<'_>) -> Result<Option<Lease>, Failure> {
    Ok(None)
}

pub(super) fn merge(
    _live: Option<&Lease>,
    config: Lease,
    _writer: Writer<'_>,
    _force: bool,
) -> Result<Applied, Failure> {
    Ok(Applied::Changed(Box::new(config)))
}
