//! The built-in transport: HTTP/1.1 by ureq.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lease_proto::MAX_BODY;
use lease_proto::access::{
    Access, CredentialsError, FileStamp, TransportError,
    rustls::{self as settings, CertificateFiles, ChangingCertificate},
};
use lease_proto::observe;
use ureq::config::Config;
use ureq::{Agent, AsSendBody};

use crate::clock::Clock;
use crate::connector::{Labelled, agent, proxy};
use crate::muffle::Clear;
use crate::names::Names;
use crate::tls::TlsConnector;
use crate::transport::{Chunks, Transport};
use crate::veil::{Hidden, Veil};

/// Speaks HTTP to one server, over connections that are kept and used again.
pub(crate) struct HttpTransport {
    pool: Mutex<Pool>,
    /// What connections present, where that changes, and the files that it is in, if it is.
    certificate: Option<ChangingCertificate>,
    files: Option<CertificateFiles>,
    tls: TlsConnector,
    veil: Veil,
    names: Names,
    server: String,
    is_proxied: bool,
}

/// The connections, and the version of the certificate that they present.
struct Pool {
    agent: Agent,
    certificate: u64,
}

impl HttpTransport {
    /// Connects to nothing yet. A `certificate` that changes is presented where the access has none of its own.
    pub(crate) fn new(
        access: &Access,
        certificate: Option<ChangingCertificate>,
    ) -> Result<Self, CredentialsError> {
        Self::with_names(access, certificate, Names::default())
    }

    /// Of several addresses ureq tries one after the other, and the first of those left gets half of the time or more.
    fn with_names(
        access: &Access,
        certificate: Option<ChangingCertificate>,
        names: Names,
    ) -> Result<Self, CredentialsError> {
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(access.proxy.as_ref().map(proxy).transpose()?)
            .accept("")
            .accept_encoding("")
            .user_agent("")
            .max_response_header_size(MAX_HEADERS)
            .max_idle_connections(MAX_IDLE)
            .max_idle_connections_per_host(MAX_IDLE)
            .build();
        let files = CertificateFiles::of(access, &|path| fs::read(path))?;
        let certificate = match &files {
            Some(files) => Some(files.presented()),
            None => certificate.filter(|_| access.auth.client_certificate.is_none()),
        };
        let (tls, veil) = (
            TlsConnector::new(access, certificate.as_ref())?,
            Veil::default(),
        );
        Ok(Self {
            pool: Mutex::new(Pool {
                agent: agent(config, tls.clone(), veil.clone(), names.clone()),
                certificate: 0,
            }),
            certificate,
            files,
            tls,
            veil,
            names,
            server: access.server.to_string(),
            is_proxied: access.proxy.is_some(),
        })
    }

    /// Where there is another certificate than last time, later requests make new connections. Those that are under way keep
    /// theirs, and with them the certificate of then.
    fn agent(&self) -> Agent {
        if let Some(files) = &self.files {
            refresh(files);
        }
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self
            .certificate
            .as_ref()
            .map_or(0, ChangingCertificate::version);
        if version != pool.certificate {
            pool.agent = self.new_agent(&pool.agent);
            pool.certificate = version;
        }
        pool.agent.clone()
    }

    fn new_agent(&self, like: &Agent) -> Agent {
        let (tls, veil, names) = (self.tls.clone(), self.veil.clone(), self.names.clone());
        agent(like.config().clone(), tls, veil, names)
    }

    fn run(
        &self,
        request: http::Request<impl AsSendBody>,
        hidden: &Hidden,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, ureq::Error> {
        let agent = self.agent();
        let request = agent
            .configure_request(request)
            .timeout_global(Some(timeout.min(LONGEST)))
            .build();
        let (parts, body) = agent.run(request)?.into_parts();
        // ureq calls a body too large that is as long as the limit.
        let body = body.into_with_config().limit(MAX_BODY as u64 + 1).reader();
        let mut whole = Vec::new();
        Clear::new(body, hidden.cipher()).read_to_end(&mut whole)?;
        Ok(http::Response::from_parts(parts, whole))
    }

    fn open(
        &self,
        mut request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Chunks>, ureq::Error> {
        let hidden = self.veil.hide(request.headers_mut());
        // Shutting an agent down is the only way to end a read from another thread, so each stream has one.
        let agent = self.new_agent(&self.agent());
        let timeout = Some(timeout.min(LONGEST));
        let request = agent
            .configure_request(request.map(drop))
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .build();
        let answer = agent.run(request)?;
        Ok(answer.map(|body| {
            let clear = Clear::new(body.into_reader(), hidden.cipher());
            Chunks::new(clear, || agent.shutdown())
        }))
    }

    /// Has another address of the host come first after a failure: whatever is at this one, it may be no API server.
    fn or_skip<T>(
        &self,
        skipped: usize,
        timeout: Duration,
        answer: Result<T, ureq::Error>,
    ) -> Result<T, TransportError> {
        answer.map_err(|error| {
            self.names.skip(skipped);
            self.explain(error, timeout)
        })
    }

    fn explain(&self, error: ureq::Error, timeout: Duration) -> TransportError {
        let server = self.server.clone();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "another crate's enum, open and large"
        )]
        match error {
            ureq::Error::Timeout(_) => TransportError::Timeout {
                server,
                after: timeout,
            },
            ureq::Error::ConnectProxyFailed(_) => TransportError::Proxy {
                server,
                source: error.into(),
            },
            ureq::Error::BodyExceedsLimit(_) => TransportError::BodyTooLarge {
                server,
                limit: MAX_BODY,
            },
            ureq::Error::Http(error) => TransportError::InvalidRequest(error),
            // Through a proxy nothing else is looked up.
            error @ ureq::Error::HostNotFound if self.is_proxied => TransportError::Proxy {
                server,
                source: error.into(),
            },
            ureq::Error::HostNotFound => TransportError::Dns {
                server,
                source: io::Error::other("no address"),
            },
            ureq::Error::Other(other) => match other.downcast::<Labelled>() {
                Ok(labelled) => labelled.explain(server, self.is_proxied),
                Err(source) => TransportError::Interrupted { server, source },
            },
            ureq::Error::Io(error) => match settings::problem(&error) {
                Some(problem) => TransportError::Tls {
                    server,
                    problem,
                    source: error.into(),
                },
                None => TransportError::Interrupted {
                    server,
                    source: error.into(),
                },
            },
            error => TransportError::Interrupted {
                server,
                source: error.into(),
            },
        }
    }
}

impl Transport for HttpTransport {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        // An empty body that ureq is given it announces, even where the method has none.
        let mut request = request;
        let hidden = self.veil.hide(request.headers_mut());
        let skipped = self.names.skipped();
        let answer = if request.body().is_empty() {
            self.run(request.map(drop), &hidden, timeout)
        } else {
            self.run(request, &hidden, timeout)
        };
        self.or_skip(skipped, timeout, answer)
    }

    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Chunks>, TransportError> {
        let skipped = self.names.skipped();
        let answer = self.open(request, timeout);
        self.or_skip(skipped, timeout, answer)
    }
}

/// ureq's own would have every program carry how all of ureq is printed.
impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("server", &self.server)
            .finish_non_exhaustive()
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

const MAX_HEADERS: usize = 64 * 1024;
/// As many as a set of claims has requests under way by default. There are never more than there were requests at once, and
/// what is not used for a while is closed.
const MAX_IDLE: usize = 64;
/// Far beyond any request's deadline, and far from what instants cannot hold.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(all(test, unix))]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use lease_proto::access::ServerUrl;

    use super::*;

    /// To a host name with these addresses.
    fn transport(addresses: &[SocketAddr]) -> HttpTransport {
        let server = ServerUrl::parse_plain_http("http://several.example").unwrap();
        let addresses = addresses.to_vec();
        let names = Names::new(move |_| Ok(addresses.clone()));
        HttpTransport::with_names(&Access::new(server), None, names).unwrap()
    }

    fn ask(
        transport: &HttpTransport,
        timeout: Duration,
    ) -> Result<http::StatusCode, TransportError> {
        let mut request = http::Request::new(Vec::new());
        *request.uri_mut() = http::Uri::from_static("http://several.example/");
        let answer = transport.send(request, timeout);
        answer.map(|answer| answer.status())
    }

    fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _gone = stream.read(&mut [0; 1024]);
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        address
    }

    /// An address that does not answer while what is returned beside it lives: its queue is full.
    fn black_hole() -> (SocketAddr, impl Sized) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // A queue that is listened with once more takes the new length.
        rustix::net::listen(&listener, 1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        let wait = Duration::from_millis(100);
        while let Ok(stream) = TcpStream::connect_timeout(&address, wait) {
            queued.push(stream);
        }
        (address, (listener, queued))
    }

    #[test]
    fn a_server_is_reached_by_the_address_that_answers() {
        let address = server();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let (hole, _full) = black_hole();
        for other in [hole, nobody.unwrap()] {
            for addresses in [[other, address], [address, other]] {
                let status = ask(&transport(&addresses), Duration::from_secs(6));
                assert_eq!(status.unwrap(), 200, "{addresses:?}");
            }
        }
    }

    #[test]
    fn after_an_address_that_accepts_and_says_nothing_of_use_another_one_is_tried() {
        let address = server();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let closes = TcpListener::bind("127.0.0.1:0").unwrap();
        let closing = closes.local_addr().unwrap();
        thread::spawn(move || closes.incoming().for_each(drop));
        for other in [silent.local_addr().unwrap(), closing] {
            let transport = transport(&[other, address]);
            ask(&transport, Duration::from_millis(300)).unwrap_err();
            for _ in 0..3 {
                let status = ask(&transport, Duration::from_secs(6));
                assert_eq!(status.unwrap(), 200, "{other:?}");
            }
        }
    }
}
