//! Refusals that come in pieces, without what they repeat of the credentials.

use std::io::{self, Cursor, Read};

use lease_proto::{MAX_BODY, access::Echo};

use crate::transport::Chunks;

/// Gathers a refusal, as far as anybody reads it, and blots the credentials out before it is read.
pub(crate) fn blotted(chunks: Chunks, echo: Echo) -> Chunks {
    let (body, close) = chunks.into_parts();
    Chunks {
        body: Box::new(Blotted {
            body,
            echo,
            whole: None,
        }),
        close,
    }
}

struct Blotted {
    body: Box<dyn Read + Send>,
    echo: Echo,
    whole: Option<Cursor<Vec<u8>>>,
}

impl Read for Blotted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let whole = match &mut self.whole {
            Some(whole) => whole,
            None => {
                let mut whole = Vec::new();
                let limit = MAX_BODY as u64 + 1;
                self.body.by_ref().take(limit).read_to_end(&mut whole)?;
                self.echo.blot_refusal(&mut whole);
                self.whole.insert(Cursor::new(whole))
            }
        };
        whole.read(buffer)
    }
}
