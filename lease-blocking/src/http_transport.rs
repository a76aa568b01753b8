//! The built-in transport: HTTP/1.1 by ureq.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use lease_proto::MAX_BODY;
use lease_proto::access::{
    Access, CredentialsError, Proxy, ProxyError, TlsProblem, TransportError, rustls as settings,
};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, ShutdownHandle, TcpConnector,
};
use ureq::{Agent, AsSendBody};

use crate::abort::Abortable;
use crate::tls::TlsConnector;
use crate::transport::{Chunks, Transport};
use crate::veil::Veil;

/// Speaks HTTP to one server, over connections that are kept and used again.
pub(crate) struct HttpTransport {
    agent: Agent,
    tls: TlsConnector,
    veil: Veil,
    server: String,
    is_proxied: bool,
}

impl HttpTransport {
    /// Connects to nothing yet.
    pub(crate) fn new(access: &Access) -> Result<Self, CredentialsError> {
        Self::with_resolver(access, DefaultResolver::default())
    }

    /// Of several addresses ureq tries one after the other, and the first of those left gets half of the time or more.
    fn with_resolver(access: &Access, resolver: impl Resolver) -> Result<Self, CredentialsError> {
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(access.proxy.as_ref().map(proxy).transpose()?)
            .accept("")
            .accept_encoding("")
            .user_agent("")
            .max_response_header_size(MAX_HEADERS)
            .build();
        let (tls, veil) = (TlsConnector::new(access)?, Veil::default());
        Ok(Self {
            agent: agent(config, tls.clone(), veil.clone(), resolver),
            tls,
            veil,
            server: access.server.to_string(),
            is_proxied: access.proxy.is_some(),
        })
    }

    fn run(
        &self,
        request: http::Request<impl AsSendBody>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, ureq::Error> {
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(timeout.min(LONGEST)))
            .build();
        let (parts, body) = self.agent.run(request)?.into_parts();
        // ureq calls a body too large that is as long as the limit.
        let body = body
            .into_with_config()
            .limit(MAX_BODY as u64 + 1)
            .read_to_vec()?;
        Ok(http::Response::from_parts(parts, body))
    }

    fn open(
        &self,
        mut request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Chunks>, ureq::Error> {
        let _hidden = self.veil.hide(request.headers_mut());
        // Shutting an agent down is the only way to end a read from another thread, so each stream has one.
        let (config, resolver) = (self.agent.config().clone(), DefaultResolver::default());
        let agent = agent(config, self.tls.clone(), self.veil.clone(), resolver);
        let timeout = Some(timeout.min(LONGEST));
        let request = agent
            .configure_request(request.map(drop))
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .build();
        let answer = agent.run(request)?;
        Ok(answer.map(|body| Chunks::new(body.into_reader(), || agent.shutdown())))
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
        let _hidden = self.veil.hide(request.headers_mut());
        let answer = if request.body().is_empty() {
            self.run(request.map(drop), timeout)
        } else {
            self.run(request, timeout)
        };
        answer.map_err(|error| self.explain(error, timeout))
    }

    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Chunks>, TransportError> {
        let answer = self.open(request, timeout);
        answer.map_err(|error| self.explain(error, timeout))
    }
}

fn agent(config: Config, tls: TlsConnector, veil: Veil, resolver: impl Resolver) -> Agent {
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(LabelledTcp::default())
            .chain(tls)
            .chain(veil);
    Agent::with_parts(config, connector, LabelledResolver(resolver))
}

/// ureq's own would have every program carry how all of ureq is printed.
impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// The proxy as ureq takes it, which resolves the server's name itself.
fn proxy(proxy: &Proxy) -> Result<ureq::Proxy, CredentialsError> {
    let unusable = || CredentialsError::Proxy(ProxyError::Invalid);
    let builder = ureq::Proxy::builder(ureq::ProxyProtocol::Http)
        .host(proxy.host())
        .port(proxy.port())
        .resolve_target(false);
    let builder = match proxy.basic() {
        Some(basic) => {
            let password = std::str::from_utf8(basic.password.expose());
            let password = password.map_err(|_| unusable())?;
            builder.username(&basic.username).password(password)
        }
        None => builder,
    };
    builder.build().map_err(|_| unusable())
}

/// How far a call had come when it failed; ureq itself says only that there was an I/O error.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Connect,
    Dns,
    Tls,
}

impl Phase {
    /// Puts the label on an I/O error and leaves the others, timeouts among them, as they are.
    pub(crate) fn label(self, error: ureq::Error) -> ureq::Error {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "another crate's enum, open and large"
        )]
        match error {
            ureq::Error::Io(source) => ureq::Error::Other(Box::new(Labelled {
                phase: self,
                source,
            })),
            error => error,
        }
    }
}

#[derive(Debug)]
struct Labelled {
    phase: Phase,
    source: io::Error,
}

impl Labelled {
    fn explain(self, server: String, is_proxied: bool) -> TransportError {
        let source = self.source;
        match self.phase {
            // Nothing else is connected to.
            Phase::Connect | Phase::Dns if is_proxied => TransportError::Proxy {
                server,
                source: source.into(),
            },
            Phase::Connect => TransportError::Connect { server, source },
            Phase::Dns => TransportError::Dns { server, source },
            Phase::Tls => TransportError::Tls {
                server,
                problem: settings::problem(&source).unwrap_or(TlsProblem::Other),
                source: source.into(),
            },
        }
    }
}

impl fmt::Display for Labelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed in phase {:?}", self.phase)
    }
}

impl Error for Labelled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[derive(Debug, Default)]
struct LabelledTcp(TcpConnector);

impl<In: ureq::unversioned::transport::Transport> Connector<In> for LabelledTcp {
    type Out = Abortable<<TcpConnector as Connector<In>>::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let handle = Arc::new(Mutex::new(None));
        let (noted, register) = (Arc::clone(&handle), Arc::clone(&details.register_shutdown));
        let details = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::new(move |handle: Weak<dyn ShutdownHandle>| {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Weak::clone(&handle));
                register(handle)
            }),
        };
        let connected = self.0.connect(&details, chained);
        let connected = connected.map_err(|error| Phase::Connect.label(error))?;
        let handle = handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(connected.map(|inner| Abortable::new(inner, handle)))
    }
}

#[derive(Debug)]
struct LabelledResolver<R>(R);

impl<R: Resolver> Resolver for LabelledResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0
            .resolve(uri, config, timeout)
            .map_err(|error| Phase::Dns.label(error))
    }
}

const MAX_HEADERS: usize = 64 * 1024;
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

    /// A host name with these addresses.
    #[derive(Debug)]
    struct Addresses(Vec<SocketAddr>);

    impl Resolver for Addresses {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut found = self.empty();
            for address in &self.0 {
                found.push(*address);
            }
            Ok(found)
        }
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _gone = stream.read(&mut [0; 1024]);
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let (hole, _full) = black_hole();
        for other in [hole, nobody.unwrap()] {
            for addresses in [[other, address], [address, other]] {
                let server = ServerUrl::parse_plain_http("http://several.example").unwrap();
                let resolver = Addresses(addresses.to_vec());
                let transport = HttpTransport::with_resolver(&Access::new(server), resolver);
                let request = http::Request::get("http://several.example/").body(Vec::new());
                let timeout = Duration::from_secs(6);
                let answer = transport.unwrap().send(request.unwrap(), timeout);
                assert_eq!(answer.unwrap().status(), 200, "{addresses:?}");
            }
        }
    }
}
