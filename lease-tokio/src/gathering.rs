//! Connections whose small writes go out together.
//!
//! Where a connection says that it can write several buffers at once, h2 leaves each body in its own, and flushes before the
//! next: one write and one TLS record for each request. TLS copies them in any case, so they are copied before, and what is to be
//! sent at once goes out at once.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower_service::Service;

use crate::transport::BoxFuture;

/// Makes such connections, of those that another connector makes; or is one.
#[derive(Clone, Debug)]
pub(crate) struct Gathering<T>(pub(crate) T);

impl<C> Service<Uri> for Gathering<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Gathering<C::Response>;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { connecting.await.map(Gathering) })
    }
}

impl<S: Read + Unpin> Read for Gathering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Gathering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: Connection> Connection for Gathering<S> {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::{
        future::{Ready, ready},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use http_body_util::Full;
    use hyper::{body::Bytes, client::conn::http2};
    use hyper_util::rt::TokioExecutor;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Takes all that is written, as TLS does, and counts how often that is; nothing is ever to be read.
    #[derive(Clone, Default)]
    struct Counting {
        writes: Arc<AtomicUsize>,
        bytes: Arc<AtomicUsize>,
    }

    impl Counting {
        fn write(&self, bytes: usize) -> Poll<io::Result<usize>> {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            Poll::Ready(Ok(bytes))
        }
    }

    impl Read for Counting {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Write for Counting {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.write(bytes.len())
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.write(slices.iter().map(|slice| slice.len()).sum())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Connection for Counting {
        fn connected(&self) -> Connected {
            Connected::new()
        }
    }

    /// It is its own connection.
    impl Service<Uri> for Counting {
        type Response = Self;
        type Error = io::Error;
        type Future = Ready<io::Result<Self>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Uri) -> Self::Future {
            ready(Ok(self.clone()))
        }
    }

    const REQUESTS: usize = 16;
    /// As large as a Lease.
    const BODY: usize = 400;

    /// Sends many requests at once over HTTP/2; returns how many writes they took.
    async fn writes<C>(mut connector: C, counting: &Counting) -> usize
    where
        C: Service<Uri, Error = io::Error>,
        C::Response: Read + Write + Unpin + Send + 'static,
    {
        let stream = connector
            .call(Uri::from_static("http://there"))
            .await
            .unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        for _ in 0..100 {
            yield_now().await;
        }
        let before = counting.writes.load(Ordering::Relaxed);
        for _ in 0..REQUESTS {
            let mut sender = sender.clone();
            tasks.spawn(async move {
                let body = Full::new(Bytes::from(vec![0; BODY]));
                let request = http::Request::put("http://there/it").body(body).unwrap();
                drop(sender.send_request(request).await);
            });
        }
        for _ in 0..100 {
            yield_now().await;
        }
        let sent = counting.bytes.load(Ordering::Relaxed);
        assert!(sent > REQUESTS * BODY, "all of them: {sent} bytes");
        counting.writes.load(Ordering::Relaxed) - before
    }

    #[tokio::test]
    async fn requests_that_are_begun_together_are_sent_together() {
        let counting = Counting::default();
        let each = writes(counting.clone(), &counting).await;
        assert!(each >= REQUESTS, "this is why: {each} writes");
        let counting = Counting::default();
        let together = writes(Gathering(counting.clone()), &counting).await;
        assert!(together <= 2, "{together} writes");
    }
}
