//! A body of an answer, at once or in pieces.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// A body that is there as a whole, or that comes in pieces until nobody sends any more.
#[derive(Debug)]
pub(crate) enum Answer {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Bytes>),
}

impl From<Vec<u8>> for Answer {
    fn from(whole: Vec<u8>) -> Self {
        Self::Whole(Some(Bytes::from(whole)).filter(|whole| !whole.is_empty()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::Whole(whole) => Poll::Ready(whole.take()),
            Self::Pieces(pieces) => pieces.poll_recv(context),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => {
                let length = whole.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
