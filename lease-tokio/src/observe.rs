//! What a future has others tell, told within the span of its claim.

use std::{future::poll_fn, pin::pin};

use lease_proto::observe::Observer;

pub(crate) fn within<F: Future>(
    observer: &Observer,
    request: F,
) -> impl Future<Output = F::Output> + use<F> {
    let observer = observer.of_request();
    async move {
        let mut request = pin!(request);
        poll_fn(|cx| observer.in_scope(|| request.as_mut().poll(cx))).await
    }
}
