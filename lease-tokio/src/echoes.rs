//! Refusals that come in pieces, without what they repeat of the credentials.

use lease_proto::{
    MAX_BODY,
    access::{Echo, TransportError},
};

use crate::transport::{BoxFuture, Chunks};

/// Gathers a refusal, as far as anybody reads it, and blots the credentials out before it is handed on.
pub(crate) fn blotted(body: Box<dyn Chunks>, echo: Echo) -> Box<dyn Chunks> {
    Box::new(Blotted {
        body,
        echo,
        whole: Some(Vec::new()),
    })
}

struct Blotted {
    body: Box<dyn Chunks>,
    echo: Echo,
    /// What has come, until it is handed on.
    whole: Option<Vec<u8>>,
}

impl Chunks for Blotted {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>> {
        Box::pin(async {
            while let Some(whole) = &mut self.whole
                && whole.len() <= MAX_BODY
            {
                match self.body.next().await {
                    Some(Ok(chunk)) => whole.extend(chunk),
                    Some(Err(error)) => return Some(Err(error)),
                    None => break,
                }
            }
            let mut whole = self.whole.take()?;
            self.echo.blot_refusal(&mut whole);
            Some(Ok(whole))
        })
    }
}
