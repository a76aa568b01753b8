//! A proxy between one claimant and the API server, which harms what goes through it.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    runtime::Handle,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// What the proxy does with what comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// Nothing goes through, on connections that are there and on new ones; afterwards what was held back does.
    BlackHole,
    /// What the claimant sends is late by that much.
    DelayRequests(Duration),
    /// What the server sends is late by that much.
    DelayAnswers(Duration),
    /// Requests reach the server, and are carried out; their answers are lost.
    DropAnswers,
    /// New connections are answered with something that is not TLS; the others are reset.
    Garbage,
    /// The connections that are there stand still; new ones work. Afterwards what was held back goes through.
    Hang,
    /// Everything goes through.
    Pass,
    /// Every connection is reset.
    Reset,
    /// New connections are answered by a server with a certificate that nobody knows; the others are reset.
    WrongCertificate,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlackHole => "black-hole",
            Self::DelayRequests(_) => "delay-requests",
            Self::DelayAnswers(_) => "delay-answers",
            Self::DropAnswers => "drop-answers",
            Self::Garbage => "garbage",
            Self::Hang => "hang",
            Self::Pass => "pass",
            Self::Reset => "reset",
            Self::WrongCertificate => "wrong-certificate",
        })
    }
}

impl Mode {
    fn resets(self) -> bool {
        matches!(self, Self::Garbage | Self::Reset | Self::WrongCertificate)
    }
}

/// A proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// Opens a proxy to `upstream` on a port of its own.
    ///
    /// # Errors
    ///
    /// Fails if there is no port.
    pub fn open(runtime: &Handle, upstream: SocketAddr) -> io::Result<Self> {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let (mode, watched) = watch::channel(Mode::Pass);
        let proxy = Self {
            address: listener.local_addr()?,
            mode,
        };
        let stranger = stranger()?;
        runtime.spawn(accept(listener, upstream, watched, stranger));
        Ok(proxy)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// TLS with a certificate for the right address that nobody has signed but itself.
fn stranger() -> io::Result<TlsAcceptor> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    stranger: TlsAcceptor,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            open = until(&mut mode, |_| false) => match open {
                Ok(()) => continue,
                Err(Closed) => return,
            },
        };
        if let Ok((client, _)) = accepted {
            let serve = serve(client, upstream, mode.clone(), stranger.clone());
            tokio::spawn(async move {
                // Either side may end it at any moment.
                let _ended = serve.await;
            });
        }
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    stranger: TlsAcceptor,
) -> io::Result<()> {
    let begun_in = *mode.borrow();
    match begun_in {
        Mode::Reset => return client.set_zero_linger(),
        Mode::Garbage => {
            return client
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nno TLS here\n")
                .await;
        }
        Mode::WrongCertificate => {
            // The claimant hangs up in the middle; if it does not, it would send its request to a stranger.
            let mut stream = stranger.accept(client).await?;
            let mut request = [0; 4096];
            let _length = stream.read(&mut request).await?;
            return stream.shutdown().await;
        }
        Mode::BlackHole
        | Mode::DelayRequests(_)
        | Mode::DelayAnswers(_)
        | Mode::DropAnswers
        | Mode::Hang
        | Mode::Pass => {}
    }
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let link = Link {
        is_new_in_hang: AtomicBool::new(begun_in == Mode::Hang),
        requests: AtomicU64::new(0),
        has_lost: AtomicBool::new(false),
    };
    let must_end = async {
        // What has lost a part of its bytes is of no use to anybody.
        let spoilt = |mode: Mode| {
            mode.resets() || mode != Mode::DropAnswers && link.has_lost.load(Ordering::Relaxed)
        };
        let _closed = until(&mut mode.clone(), spoilt).await;
    };
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let up = link.pump(true, client_read, server_write, mode.clone());
    let down = link.pump(false, server_read, client_write, mode.clone());
    tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.map(|_both| ()),
        () = must_end => {
            mode.mark_unchanged();
            client.set_zero_linger()?;
            server.set_zero_linger()
        }
    }
}

/// The two directions of a connection.
#[derive(Debug)]
struct Link {
    /// Made while others hang, so it does not.
    is_new_in_hang: AtomicBool,
    /// How many requests have gone up while answers are dropped.
    requests: AtomicU64,
    /// Whether an answer was dropped.
    has_lost: AtomicBool,
}

impl Link {
    async fn pump(
        &self,
        is_up: bool,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        mut mode: watch::Receiver<Mode>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        let mut records = Records::default();
        loop {
            let length = from.read(&mut buffer).await?;
            let chunk = buffer.get(..length).unwrap_or_default();
            let now = *mode.borrow();
            if now != Mode::Hang {
                self.is_new_in_hang.store(false, Ordering::Relaxed);
            }
            let requests = if is_up { records.count(chunk) } else { 0 };
            match now {
                Mode::DelayRequests(by) if is_up => tokio::time::sleep(by).await,
                Mode::DelayAnswers(by) if !is_up => tokio::time::sleep(by).await,
                Mode::DropAnswers if is_up => {
                    self.requests.fetch_add(requests, Ordering::Relaxed);
                }
                Mode::DropAnswers if self.requests.load(Ordering::Relaxed) > 0 => {
                    self.has_lost.store(true, Ordering::Relaxed);
                    if length > 0 {
                        continue;
                    }
                }
                Mode::BlackHole
                | Mode::DelayRequests(_)
                | Mode::DelayAnswers(_)
                | Mode::DropAnswers
                | Mode::Garbage
                | Mode::Hang
                | Mode::Pass
                | Mode::Reset
                | Mode::WrongCertificate => {}
            }
            let may_pass = |mode: Mode| match mode {
                Mode::BlackHole => false,
                Mode::Hang => self.is_new_in_hang.load(Ordering::Relaxed),
                _ => true,
            };
            if until(&mut mode, may_pass).await.is_err() {
                return Ok(());
            }
            if length == 0 {
                return to.shutdown().await;
            }
            to.write_all(chunk).await?;
        }
    }
}

/// Counts requests in TLS that it cannot read, by the size of what is sent.
#[derive(Debug, Default)]
struct Records {
    header: Vec<u8>,
    left: usize,
}

impl Records {
    /// A request is a record of application data; the one that ends a handshake is shorter than any request with a token.
    const LEAST: usize = 200;
    const APPLICATION_DATA: u8 = 23;

    fn count(&mut self, mut chunk: &[u8]) -> u64 {
        let mut requests = 0;
        while !chunk.is_empty() {
            let skipped = self.left.min(chunk.len());
            self.left -= skipped;
            chunk = chunk.get(skipped..).unwrap_or_default();
            let Some((first, rest)) = chunk.split_first() else {
                break;
            };
            self.header.push(*first);
            chunk = rest;
            if let [kind, _, _, high, low] = *self.header.as_slice() {
                self.left = usize::from(u16::from_be_bytes([high, low]));
                requests += u64::from(kind == Self::APPLICATION_DATA && self.left >= Self::LEAST);
                self.header.clear();
            }
        }
        requests
    }
}

/// The proxy was dropped.
#[derive(Debug)]
struct Closed;

/// Waits until the mode is as asked for.
async fn until(
    mode: &mut watch::Receiver<Mode>,
    mut wanted: impl FnMut(Mode) -> bool,
) -> Result<(), Closed> {
    mode.wait_for(|mode| wanted(*mode))
        .await
        .map(|_mode| ())
        .map_err(|_closed| Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_a_handshake_however_they_are_cut() {
        let mut sent = vec![22, 3, 1, 0, 250];
        sent.extend([0; 250]);
        sent.extend([23, 3, 3, 0, 69]);
        sent.extend([0; 69]);
        sent.extend([23, 3, 3, 2, 0]);
        sent.extend([23; 512]);
        assert_eq!(Records::default().count(&sent), 1);
        for size in [1, 2, 7, 300] {
            let mut records = Records::default();
            let requests: u64 = sent.chunks(size).map(|chunk| records.count(chunk)).sum();
            assert_eq!(requests, 1, "cut into pieces of {size}");
        }
    }

    /// A server that sends back what it gets, and a proxy before it.
    fn echo(runtime: &tokio::runtime::Runtime) -> Proxy {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let upstream = listener.local_addr().expect("it listens");
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let other = stream.try_clone().expect("there are descriptors");
                    io::copy(&mut &stream, &mut &other)
                });
            }
        });
        Proxy::open(runtime.handle(), upstream).expect("there are ports")
    }

    /// Sends something through, and returns what comes back within a while.
    fn send(stream: &std::net::TcpStream, text: &str, within: Duration) -> io::Result<Vec<u8>> {
        use std::io::{Read, Write};

        let (mut stream, mut answer) = (stream, vec![0; text.len()]);
        stream.set_read_timeout(Some(within))?;
        stream.write_all(text.as_bytes())?;
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// Nothing is waited for so long that comes, on a loaded machine.
    const LONG: Duration = Duration::from_secs(20);

    /// What does not come is waited for.
    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn it_harms_what_goes_through_and_only_while_it_is_told_to() {
        use std::io::Read;

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("there are threads");
        let proxy = echo(&runtime);
        let connect = || {
            let stream = std::net::TcpStream::connect(proxy.address())?;
            stream.set_nodelay(true).map(|()| stream)
        };
        let first = connect().expect("the proxy listens");
        assert_eq!(send(&first, "one", LONG).expect("it passes"), b"one");

        proxy.set(Mode::BlackHole);
        send(&first, "two", SHORT).expect_err("nothing comes through");
        proxy.set(Mode::Pass);
        let mut late = [0; 3];
        first.set_read_timeout(None).expect("it can be set");
        (&first).read_exact(&mut late).expect("it was held back");
        assert_eq!(&late, b"two");

        proxy.set(Mode::Hang);
        send(&first, "three", SHORT).expect_err("it stands still");
        let second = connect().expect("the proxy listens");
        assert_eq!(send(&second, "four", LONG).expect("it is new"), b"four");

        let begun = std::time::Instant::now();
        proxy.set(Mode::DelayAnswers(Duration::from_millis(200)));
        assert_eq!(send(&second, "five", LONG).expect("it is in time"), b"five");
        assert!(begun.elapsed() >= Duration::from_millis(200));

        proxy.set(Mode::Reset);
        send(&second, "six", LONG).expect_err("it is reset");
        let reset = connect().and_then(|third| send(&third, "seven", LONG));
        reset.expect_err("new ones are, too");
    }

    #[test]
    fn an_answer_is_dropped_after_its_request_has_come_through() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("there are threads");
        let proxy = echo(&runtime);
        let stream = std::net::TcpStream::connect(proxy.address()).expect("the proxy listens");
        proxy.set(Mode::DropAnswers);
        // A handshake comes back, or there would be no request.
        let handshake = "\u{16}\u{3}\u{1}\u{0}\u{1}x";
        assert_eq!(
            send(&stream, handshake, LONG).expect("it passes"),
            handshake.as_bytes()
        );
        let request = format!("\u{17}\u{3}\u{3}\u{1}\u{0}{}", "x".repeat(256));
        send(&stream, &request, SHORT).expect_err("the answer is dropped");
        proxy.set(Mode::Pass);
        send(&stream, "more", LONG).expect_err("what has lost bytes is reset");
    }
}
