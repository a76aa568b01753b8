//! How connections are made: through a proxy where there is one, each part saying of a failure that it was its own.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lease_proto::access::{
    CredentialsError, Proxy, ProxyError, ProxyKind, TlsProblem, TransportError, rustls as settings,
};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
#[cfg(feature = "socks")]
use ureq::unversioned::transport::SocksConnector;
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, ShutdownHandle, TcpConnector,
};

use crate::abort::Abortable;
use crate::names::Names;
use crate::tls::TlsConnector;
use crate::veil::Veil;

/// What speaks HTTP over the connections that are made so.
pub(crate) fn agent(config: Config, tls: TlsConnector, veil: Veil, names: Names) -> Agent {
    let connector = ();
    #[cfg(feature = "socks")]
    let connector = connector.chain(LabelledSocks::default());
    let connector = connector
        .chain(ConnectProxyConnector::default())
        .chain(LabelledTcp::default())
        .chain(tls)
        .chain(veil);
    Agent::with_parts(config, connector, LabelledResolver(names))
}

/// The proxy as ureq takes it, which resolves the server's name itself.
pub(crate) fn proxy(proxy: &Proxy) -> Result<ureq::Proxy, CredentialsError> {
    let unusable = || CredentialsError::Proxy(ProxyError::Invalid);
    let protocol = match proxy.kind() {
        ProxyKind::Http => ureq::ProxyProtocol::Http,
        ProxyKind::Socks5 if cfg!(feature = "socks") => ureq::ProxyProtocol::Socks5h,
        ProxyKind::Socks5 => return Err(ProxyError::NeedsFeature { feature: "socks" }.into()),
    };
    let builder = ureq::Proxy::builder(protocol)
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
pub(crate) struct Labelled {
    phase: Phase,
    source: io::Error,
}

impl Labelled {
    pub(crate) fn explain(self, server: String, is_proxied: bool) -> TransportError {
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

/// Speaks to a SOCKS proxy where there is one.
#[cfg(feature = "socks")]
#[derive(Debug, Default)]
struct LabelledSocks(SocksConnector);

#[cfg(feature = "socks")]
impl<In: ureq::unversioned::transport::Transport> Connector<In> for LabelledSocks {
    type Out = <SocksConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.0
            .connect(details, chained)
            .map_err(|error| Phase::Connect.label(error))
    }
}

#[derive(Debug)]
struct LabelledResolver(Names);

impl Resolver for LabelledResolver {
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

#[cfg(all(test, not(feature = "socks")))]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_needs_a_feature_names_it() {
        let error = proxy(&Proxy::parse("socks5://u:canary@proxy").unwrap()).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(
            said.contains("\"socks\"") && !said.contains("canary"),
            "{said}"
        );
    }
}
