//! A connection that leaves the others a turn after each read.
//!
//! hyper passes over interim answers for as long as there are any to read, and tokio lets it read a hundred times in a row: a
//! server that sends nothing else would keep the thread busy, and with it whoever was to notice that the request has taken
//! too long.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

#[derive(Debug)]
pub(crate) struct Yielding<S> {
    stream: S,
    has_read: bool,
}

impl<S> From<S> for Yielding<S> {
    fn from(stream: S) -> Self {
        Self {
            stream,
            has_read: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Yielding<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if mem::take(&mut self.has_read) {
            // Has the task woken once the timers and the other tasks had their turn.
            ready!(pin!(yield_now()).poll(context));
        }
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.has_read = true;
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Yielding<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Connection> Connection for Yielding<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::cell::Cell;
    use std::io::{Cursor, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::time::Duration;

    use http_body_util::Empty;
    use hyper::body::Bytes;
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;

    use tokio::sync::oneshot;

    use super::*;
    use crate::Client;

    struct Answer {
        asked: oneshot::Receiver<()>,
        bytes: Cursor<Vec<u8>>,
    }

    impl AsyncRead for Answer {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.asked.is_terminated() {
                ready!(Pin::new(&mut self.asked).poll(context)).unwrap();
            }
            Pin::new(&mut self.bytes).poll_read(context, buffer)
        }
    }

    const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\n";
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    /// The size of hyper's buffer, and how often that is filled.
    const AT_ONCE: usize = 8 << 10;
    const TIMES: usize = 50;
    /// What a socket has room for without anybody reading; and how many turns are left while that is read, at least. There are three
    /// where none is left on purpose.
    const AT_HAND: usize = 60 << 10;
    const FEW: usize = 5;

    #[tokio::test]
    async fn who_sends_interim_answers_without_end_leaves_the_thread_to_others_after_each_read() {
        let mut bytes = INTERIM.repeat(AT_ONCE * TIMES / INTERIM.len());
        bytes.extend(ANSWER);
        // All of it is there at once, so that no read has to wait, but for the first until something was asked.
        let (ask, asked) = oneshot::channel();
        let stream = tokio::io::join(
            Answer {
                asked,
                bytes: Cursor::new(bytes),
            },
            tokio::io::sink(),
        );
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(AT_ONCE)
            .handshake(TokioIo::new(Yielding::from(stream)))
            .await
            .unwrap();
        let request = http::Request::new(Empty::<Bytes>::new());
        let answer = sender.send_request(request);
        tokio::spawn(connection);
        yield_now().await;
        ask.send(()).unwrap();
        let turns = Cell::new(0);
        let others = take_turns(&turns);
        let answer = tokio::select! {
            answer = answer => answer.unwrap(),
            () = others => unreachable!("it has no end"),
        };
        assert_eq!(answer.status(), 200);
        assert!(turns.get() >= TIMES, "{} turns", turns.get());
    }

    /// What others do meanwhile, without end.
    async fn take_turns(turns: &Cell<usize>) {
        loop {
            turns.set(turns.get() + 1);
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn so_does_every_connection_of_a_client() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _request = stream.read(&mut [0; 1024]).unwrap();
            tell.send(()).unwrap();
            gone.recv().unwrap();
            stream
                .write_all(&INTERIM.repeat(AT_HAND / INTERIM.len()))
                .unwrap();
            stream.write_all(ANSWER).unwrap();
            tell.send(()).unwrap();
            let _closed = gone.recv();
        });
        let client = Client::builder(url).without_proxy().build().unwrap();
        let request = http::Request::get("/").body(Vec::new()).unwrap();
        let answer = client.send(request, Duration::from_secs(30), false);
        let turns = Cell::new(0);
        let others = async {
            while told.try_recv().is_err() {
                yield_now().await;
            }
            // Meanwhile the thread does nothing else, so that all of it is there at once.
            go.send(()).unwrap();
            told.recv().unwrap();
            take_turns(&turns).await;
        };
        let answer = tokio::select! {
            answer = answer => answer.unwrap(),
            () = others => unreachable!("it has no end"),
        };
        assert_eq!(answer.status(), 200);
        assert!(turns.get() >= FEW, "{} turns", turns.get());
    }
}
