//! The built-in transport: HTTP/1.1 or HTTP/2, as the server prefers, by hyper.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lease_proto::MAX_BODY;
use lease_proto::access::{
    Access, CredentialsError, FileStamp, TlsProblem, TransportError,
    rustls::{self as settings, CertificateFiles, ChangingCertificate},
};
use lease_proto::observe;

use crate::clock::Clock;
use crate::connector::{Connector, Labelled, Phase, connector};
use crate::first::First;
use crate::names::Names;
use crate::transport::{BoxFuture, Chunks, Transport};

/// Speaks HTTP to one server, over connections that are kept and used again.
pub(crate) struct HttpTransport {
    connector: Connector,
    /// What connections present, where that changes, and the files that it is in, if it is.
    certificate: Option<ChangingCertificate>,
    files: Option<Arc<CertificateFiles>>,
    pool: Mutex<Pool>,
    names: Names,
    server: String,
    is_proxied: bool,
}

/// The connections, and how often they have been replaced by none.
struct Pool {
    client: Client,
    first: Arc<First>,
    generation: u64,
    /// The version of the certificate that they present.
    certificate: u64,
}

type Client = legacy::Client<Connector, Full<Bytes>>;

/// The connections for one request.
struct Way {
    client: Client,
    first: Arc<First>,
}

impl HttpTransport {
    /// Connects to nothing yet. A `certificate` that changes is presented where the access has none of its own.
    pub(crate) fn new(
        access: &Access,
        certificate: Option<ChangingCertificate>,
    ) -> Result<Self, CredentialsError> {
        Self::with_names(access, certificate, Names::default())
    }

    fn with_names(
        access: &Access,
        certificate: Option<ChangingCertificate>,
        names: Names,
    ) -> Result<Self, CredentialsError> {
        let files = CertificateFiles::of(access, &|path| fs::read(path))?.map(Arc::new);
        let certificate = match &files {
            Some(files) => Some(files.presented()),
            None => certificate.filter(|_| access.auth.client_certificate.is_none()),
        };
        let connector = connector(access, certificate.as_ref(), &names)?;
        Ok(Self {
            pool: Mutex::new(Pool {
                client: client(&connector),
                first: Arc::default(),
                generation: 0,
                certificate: 0,
            }),
            connector,
            certificate,
            files,
            names,
            server: access.server.to_string(),
            is_proxied: access.proxy.is_some(),
        })
    }

    async fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let (way, mut abandoned) = self.way().await;
        let answer = self.answer(&way, request).await;
        abandoned.ended(answer.is_ok());
        answer
    }

    async fn open(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Box<dyn Chunks>>, TransportError> {
        let (way, mut abandoned) = self.way().await;
        let answer = self.begin(&way, request).await;
        abandoned.ended(answer.is_ok());
        let server = self.server.clone();
        Ok(answer?.map(|body| Box::new(Pieces { body, server }) as Box<dyn Chunks>))
    }

    async fn way(&self) -> (Way, Abandoned<'_>) {
        if let Some(files) = self.files.clone() {
            // A file system may be slow. A panic changes nothing: what was there is presented.
            let _panicked = tokio::task::spawn_blocking(move || refresh(&files)).await;
        }
        let mut pool = self.pool();
        let version = self
            .certificate
            .as_ref()
            .map_or(0, ChangingCertificate::version);
        if version != pool.certificate {
            // Requests that are under way keep their connections, and with them the certificate of then.
            self.renew(&mut pool);
            pool.certificate = version;
        }
        let abandoned = Abandoned {
            transport: self,
            generation: pool.generation,
            skipped: self.names.skipped(),
            has_ended: false,
        };
        let way = Way {
            client: pool.client.clone(),
            first: Arc::clone(&pool.first),
        };
        (way, abandoned)
    }

    async fn answer(
        &self,
        way: &Way,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let (parts, body) = self.begin(way, request).await?.into_parts();
        match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => Ok(http::Response::from_parts(parts, body.to_bytes().to_vec())),
            Err(error) if error.is::<LengthLimitError>() => Err(TransportError::BodyTooLarge {
                server: self.server.clone(),
                limit: MAX_BODY,
            }),
            Err(source) => Err(TransportError::Interrupted {
                server: self.server.clone(),
                source,
            }),
        }
    }

    async fn begin(
        &self,
        way: &Way,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Incoming>, TransportError> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let turn = way.first.turn().await;
        let response = way.client.request(request).await;
        way.first.note(response.is_ok());
        drop(turn);
        response.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: legacy::Error) -> TransportError {
        let server = self.server.clone();
        if let Some(problem) = settings::problem(&error) {
            return TransportError::Tls {
                server,
                problem,
                source: error.into(),
            };
        }
        let label = find::<Labelled>(&error).map(|labelled| labelled.phase);
        // Through a proxy nothing else is connected to, nor looked up.
        match label.map(|phase| if self.is_proxied { Phase::Proxy } else { phase }) {
            Some(Phase::Dns) => TransportError::Dns {
                server,
                source: io_error(error),
            },
            Some(Phase::Connect) => TransportError::Connect {
                server,
                source: io_error(error),
            },
            Some(Phase::Proxy) => TransportError::Proxy {
                server,
                source: error.into(),
            },
            // Of the ways to a connection only TLS has no label.
            None if error.is_connect() => TransportError::Tls {
                server,
                problem: TlsProblem::Other,
                source: error.into(),
            },
            None => TransportError::Interrupted {
                server,
                source: error.into(),
            },
        }
    }

    /// Has later requests make new connections.
    fn renew(&self, pool: &mut Pool) {
        pool.client = client(&self.connector);
        pool.first = Arc::default();
        pool.generation += 1;
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for HttpTransport {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        Box::pin(self.exchange(request))
    }

    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Box<dyn Chunks>>, TransportError>> {
        Box::pin(self.open(request))
    }
}

/// A body as it comes.
struct Pieces {
    body: Incoming,
    server: String,
}

impl Chunks for Pieces {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>> {
        Box::pin(async {
            loop {
                match self.body.frame().await? {
                    Ok(frame) => {
                        // What is no data is a trailer, of which nothing is expected.
                        if let Ok(data) = frame.into_data() {
                            return Some(Ok(data.to_vec()));
                        }
                    }
                    Err(source) => {
                        return Some(Err(TransportError::Interrupted {
                            server: self.server.clone(),
                            source: source.into(),
                        }));
                    }
                }
            }
        })
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Notes that a request was given up before its answer: its connection, which HTTP/2 shares, may be dead, so the next
/// request makes a new one. Requests that are under way keep theirs.
struct Abandoned<'a> {
    transport: &'a HttpTransport,
    generation: u64,
    /// How many of the host's addresses were passed over when it began.
    skipped: usize,
    has_ended: bool,
}

impl Abandoned<'_> {
    /// Takes note that the request has ended. Where nothing came of it, another address comes first from then on: whatever is at
    /// this one, it may be no API server.
    fn ended(&mut self, well: bool) {
        self.has_ended = true;
        if !well {
            self.transport.names.skip(self.skipped);
        }
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        self.transport.names.skip(self.skipped);
        let mut pool = self.transport.pool();
        // Of many that are given up at once only the first has anything to replace.
        if pool.generation == self.generation {
            self.transport.renew(&mut pool);
        }
    }
}

/// Reads a client certificate's files again where they have changed. Where that fails, what was there is presented.
fn refresh(files: &CertificateFiles) {
    let stamp = |path: &Path| FileStamp::of(&fs::metadata(path).ok()?);
    let refreshed = files.refresh(Clock::new().now(), &stamp, &|path| fs::read(path));
    if let Err(error) = refreshed {
        observe::not_renewed(&error);
    }
}

fn client(connector: &Connector) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADERS_H2)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(connector.clone())
}

/// The innermost error of a type: what a tunnel reports of TCP or of a name look-up has both labels.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        found = error.downcast_ref::<T>().or(found);
        next = error.source();
    }
    found
}

/// Keeps what kind of error the system reported, and the chain that led to it.
fn io_error(error: legacy::Error) -> io::Error {
    let kind = find::<io::Error>(&error).map_or(io::ErrorKind::Other, io::Error::kind);
    io::Error::new(kind, error)
}

/// Longer than any pause between renewals that is of use.
const IDLE: Duration = Duration::from_secs(90);
const MAX_HEADERS: usize = 64 * 1024;
const MAX_HEADERS_H2: u32 = 64 * 1024;
/// Sent only while a request is under way. Together they take less than a request may by default, 5 s, so that what was
/// sent over a connection that is gone is told to be lost while there is time for another.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use lease_proto::access::ServerUrl;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn after_an_address_that_accepts_and_says_nothing_of_use_another_one_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _gone = stream.read(&mut [0; 1024]).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                let _gone = stream.write_all(answer).await;
            }
        });
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closes = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closing = closes.local_addr().unwrap();
        tokio::spawn(async move { while closes.accept().await.is_ok() {} });
        for other in [silent.local_addr().unwrap(), closing] {
            let server = ServerUrl::parse_plain_http("http://several.example").unwrap();
            let names = Names::new(move |_, _| Ok(vec![other, address]));
            let transport = HttpTransport::with_names(&Access::new(server), None, names).unwrap();
            let ask = || {
                let request = http::Request::get("http://several.example/").body(Vec::new());
                transport.send(request.unwrap(), PING_TIMEOUT)
            };
            // Given up, as the client does in the end.
            let first = timeout(Duration::from_millis(300), ask()).await;
            assert!(!matches!(first, Ok(Ok(_))), "{first:?}");
            for _ in 0..3 {
                let answer = timeout(Duration::from_secs(6), ask()).await.unwrap();
                assert_eq!(answer.unwrap().status(), 200, "{other:?}");
            }
        }
    }
}
