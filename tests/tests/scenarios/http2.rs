//! An HTTP/2 server on a loopback port that answers as a scenario tells one of HTTP/1.1: what is told in bytes is said in
//! frames.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::{
    body::{Body, Bytes, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    certificates::{Authority, Pair},
    claimant::runtime,
    server::{Answer, Seen},
};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) ca: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

pub(crate) type Behaviour = dyn Fn(&Seen) -> Answer + Send + Sync;

/// What a server with this certificate speaks HTTP/2 with.
pub(crate) fn config(pair: &Pair) -> Arc<ServerConfig> {
    let mut config = (*pair.server_config(None)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

impl Server {
    pub(crate) fn listen(address: &str, authority: &Authority, behaviour: Arc<Behaviour>) -> Self {
        let listener = runtime().block_on(TcpListener::bind(address)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            ca: authority.pem(),
            seen: Arc::default(),
        };
        let acceptor = TlsAcceptor::from(config(&authority.server(&["localhost"])));
        let seen = Arc::clone(&server.seen);
        runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Arc::new(Connection {
                    behaviour: Arc::clone(&behaviour),
                    seen: Arc::clone(&seen),
                    requests: AtomicU32::new(0),
                    goes_away: Notify::new(),
                });
                tokio::spawn(connection.serve(acceptor.clone(), stream));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

struct Connection {
    behaviour: Arc<Behaviour>,
    seen: Arc<Mutex<Vec<Seen>>>,
    requests: AtomicU32,
    /// Told when a GOAWAY is to follow the answers that are under way.
    goes_away: Notify,
}

/// What is sent past the HTTP/2 of the server.
enum Raw {
    /// These frames, and it goes on.
    Frames(Vec<u8>),
    /// These bytes, and then nothing any more.
    End(Vec<u8>),
    /// These bytes, and then the latter of them for ever.
    Drip(Vec<u8>, Vec<u8>),
}

impl Connection {
    async fn serve(self: Arc<Self>, acceptor: TlsAcceptor, stream: TcpStream) {
        // Who does not like the certificate goes away.
        let Ok(stream) = acceptor.accept(stream).await else {
            return;
        };
        let (near, far) = tokio::io::duplex(1 << 16);
        let (raw, raws) = mpsc::unbounded_channel();
        let service = service_fn(|request| {
            let (connection, raw) = (Arc::clone(&self), raw.clone());
            async move { Ok::<_, Infallible>(connection.respond(request, raw).await) }
        });
        let builder = http2::Builder::new(TokioExecutor::new());
        let mut served = pin!(builder.serve_connection(TokioIo::new(far), service));
        let mut pumped = pin!(pump(stream, near, raws));
        loop {
            tokio::select! {
                // Whichever has an end: the client has gone away, or is to.
                _gone = &mut pumped => return,
                _over = &mut served => break,
                () = self.goes_away.notified() => served.as_mut().graceful_shutdown(),
            }
        }
        // What it has said last is still on its way.
        let _gone = tokio::time::timeout(Duration::from_secs(1), pumped).await;
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        raw: mpsc::UnboundedSender<Raw>,
    ) -> Response<Pieces> {
        // Clients number their requests with odd numbers.
        let stream = 2 * self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let path = head.uri.path_and_query().unwrap();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = value.to_str().unwrap_or_default();
            (name.to_string(), value.to_owned())
        });
        let seen = Seen {
            line: format!("{} {path} HTTP/2.0", head.method),
            headers: headers.collect(),
            body: body.unwrap_or_default().to_vec(),
        };
        let answer = (self.behaviour)(&seen);
        self.seen.lock().unwrap().push(seen);
        let mut say = |raw_bytes| raw.send(raw_bytes).unwrap();
        match answer {
            Answer::Keep(bytes) => whole(&bytes, stream, &mut say).await,
            Answer::Close(bytes) => {
                self.goes_away.notify_one();
                whole(&bytes, stream, &mut say).await
            }
            Answer::Hang(bytes) => {
                if !bytes.is_empty() {
                    let mut frames = begin_head(stream);
                    for part in bytes.chunks(MAX_FRAME / 2) {
                        frames.extend(continue_head(stream, part.len()));
                    }
                    say(Raw::End(frames));
                }
                std::future::pending().await
            }
            Answer::Flood(_) => unreachable!("no fault of a claim is one"),
            Answer::Drip(bytes) => match split(bytes) {
                Some((answer, _)) => answer.map(|()| Pieces::without_end()),
                None => {
                    say(Raw::Drip(begin_head(stream), continue_head(stream, 1)));
                    std::future::pending().await
                }
            },
        }
    }
}

/// The answer that bytes are, or what they are otherwise.
async fn whole(bytes: &[u8], stream: u32, say: &mut impl FnMut(Raw)) -> Response<Pieces> {
    let Some((answer, body)) = split(bytes) else {
        say(Raw::End(bytes.to_vec()));
        return std::future::pending().await;
    };
    if answer.status().is_informational() {
        // `:status` has the number 8 in the table of names.
        let mut payload = vec![8, 3];
        payload.extend(answer.status().as_str().as_bytes());
        say(Raw::Frames(frame(HEADERS, END_HEADERS, stream, &payload)));
        return Box::pin(whole(body, stream, say)).await;
    }
    let length = answer.headers().get("content-length");
    let length = length.map(|length| length.to_str().unwrap().parse::<usize>().unwrap());
    let is_short = length.is_some_and(|length| length > body.len());
    let body = body.to_vec();
    answer.map(|()| Pieces::of(body, is_short))
}

/// An HTTP/1.1 answer and its body, if it is one whose head has an end.
fn split(bytes: &[u8]) -> Option<(Response<()>, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = parsed.parse(bytes) else {
        return None;
    };
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(parsed.code?).unwrap();
    for header in parsed.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(header.value).unwrap();
        answer.headers_mut().insert(name, value);
    }
    Some((answer, &bytes[length..]))
}

/// Carries bytes both ways, until something else is to be sent.
async fn pump(
    stream: impl AsyncRead + AsyncWrite,
    near: impl AsyncRead + AsyncWrite,
    mut raws: mpsc::UnboundedReceiver<Raw>,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let (mut from_server, mut to_server) = tokio::io::split(near);
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                biased;
                raw = raws.recv() => match raw {
                    Some(Raw::Frames(frames)) => to_client.write_all(&frames).await?,
                    Some(Raw::End(bytes)) => {
                        to_client.write_all(&bytes).await?;
                        to_client.flush().await?;
                        std::future::pending::<()>().await;
                    }
                    Some(Raw::Drip(bytes, drop)) => {
                        to_client.write_all(&bytes).await?;
                        loop {
                            to_client.write_all(&drop).await?;
                            to_client.flush().await?;
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                    None => std::future::pending().await,
                },
                length = from_server.read(&mut buffer) => match length? {
                    0 => return to_client.shutdown().await,
                    length => to_client.write_all(&buffer[..length]).await?,
                },
            }
            to_client.flush().await?;
        }
    };
    tokio::try_join!(up, down).map(|_both| ())
}

/// A header section that is not over.
fn begin_head(stream: u32) -> Vec<u8> {
    // `:status: 200` has the number 8 in the table of pairs.
    frame(HEADERS, 0, stream, &[0x88])
}

/// Another header of it, with a value of this length.
fn continue_head(stream: u32, length: usize) -> Vec<u8> {
    let mut payload = vec![0, 1, b'a'];
    if let Some(mut rest) = length.checked_sub(127) {
        payload.push(127);
        while rest >= 128 {
            payload.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        payload.push(u8::try_from(rest).unwrap());
    } else {
        payload.push(u8::try_from(length).unwrap());
    }
    payload.resize(payload.len() + length, b'x');
    frame(CONTINUATION, 0, stream, &payload)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A body in pieces.
pub(crate) struct Pieces(mpsc::Receiver<Result<Bytes, io::Error>>);

impl Pieces {
    fn of(whole: Vec<u8>, is_short: bool) -> Self {
        let (outbox, pieces) = mpsc::channel(2);
        outbox.try_send(Ok(Bytes::from(whole))).unwrap();
        if is_short {
            let cut = io::Error::other("the rest is missing");
            outbox.try_send(Err(cut)).unwrap();
        }
        Self(pieces)
    }

    fn without_end() -> Self {
        let (outbox, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            while outbox.send(Ok(Bytes::from_static(b"x"))).await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self(pieces)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// No frame is larger, unless the client allows that.
const MAX_FRAME: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(20);
