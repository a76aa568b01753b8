//! How connections are made: TCP, then TLS, each saying of a failure that it was its own.

use std::error::Error;
use std::fmt;
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
#[cfg(feature = "socks")]
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use lease_proto::access::rustls::ChangingCertificate;
use lease_proto::access::{
    Access, CredentialsError, Proxy, ProxyError, ProxyKind, rustls as settings,
};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::gathering::Gathering;
use crate::names::Names;
use crate::tcp;
use crate::transport::BoxFuture;
use crate::yielding::Yielding;

pub(crate) type Connector = Gathering<HttpsConnector<LabelledTcp>>;

/// Puts the connector for one server together.
pub(crate) fn connector(
    access: &Access,
    certificate: Option<&ChangingCertificate>,
    names: &Names,
) -> Result<Connector, CredentialsError> {
    let tcp = Tcp(names.clone());
    let platform = || rustls_native_certs::load_native_certs().certs;
    let mut config = settings::client_config(access, &|path| std::fs::read(path), &platform)?;
    if let Some(certificate) = certificate {
        certificate.install(&mut config);
    }
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .with_server_name_resolver(FixedServerNameResolver::new(settings::server_name(access)?))
        .enable_all_versions()
        .wrap_connector(LabelledTcp {
            way: match &access.proxy {
                Some(proxy) => way(proxy, tcp)?,
                None => Way::Direct(tcp),
            },
        });
    Ok(Gathering(connector))
}

/// What connects through a proxy.
fn way(proxy: &Proxy, tcp: Tcp) -> Result<Way, CredentialsError> {
    match proxy.kind() {
        ProxyKind::Http => tunnel(proxy, tcp).map(Way::Tunnel),
        #[cfg(feature = "socks")]
        ProxyKind::Socks5 => socks(proxy, tcp).map(Way::Socks),
        #[cfg(not(feature = "socks"))]
        ProxyKind::Socks5 => Err(ProxyError::NeedsFeature { feature: "socks" }.into()),
    }
}

#[cfg(feature = "socks")]
fn socks(proxy: &Proxy, tcp: Tcp) -> Result<SocksV5<Tcp>, CredentialsError> {
    let unusable = || CredentialsError::Proxy(ProxyError::Invalid);
    let uri = proxy.to_string().parse().map_err(|_| unusable())?;
    let socks = SocksV5::new(uri, tcp);
    let Some(basic) = proxy.basic() else {
        return Ok(socks);
    };
    let password = std::str::from_utf8(basic.password.expose()).map_err(|_| unusable())?;
    Ok(socks.with_auth(basic.username.clone(), password.to_owned()))
}

fn tunnel(proxy: &Proxy, tcp: Tcp) -> Result<Tunnel<Tcp>, CredentialsError> {
    let unusable = || CredentialsError::Proxy(ProxyError::Invalid);
    let uri = proxy.to_string().parse().map_err(|_| unusable())?;
    let tunnel = Tunnel::new(uri, tcp);
    let authorization = proxy.authorization();
    Ok(match authorization.map_err(|_| unusable())? {
        Some(authorization) => tunnel.with_auth(authorization),
        None => tunnel,
    })
}

/// A failure before there was a connection, TLS aside.
#[derive(Debug)]
pub(crate) struct Labelled {
    pub(crate) phase: Phase,
    source: Box<dyn Error + Send + Sync>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Connect,
    Dns,
    Proxy,
}

impl fmt::Display for Labelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed in phase {:?}", self.phase)
    }
}

impl Error for Labelled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Connects straight to the server, or through a proxy.
#[derive(Clone, Debug)]
pub(crate) struct LabelledTcp {
    way: Way,
}

#[derive(Clone)]
enum Way {
    Direct(Tcp),
    Tunnel(Tunnel<Tcp>),
    #[cfg(feature = "socks")]
    Socks(SocksV5<Tcp>),
}

/// hyper-util's own would show the password for SOCKS.
impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct(_) => "Direct",
            Self::Tunnel(_) => "Tunnel",
            #[cfg(feature = "socks")]
            Self::Socks(_) => "Socks",
        })
    }
}

impl Service<Uri> for LabelledTcp {
    type Response = TokioIo<Yielding<TcpStream>>;
    type Error = Labelled;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.way {
            Way::Direct(tcp) => tcp.poll_ready(context),
            Way::Tunnel(tunnel) => tunnel.poll_ready(context).map_err(label_proxy),
            #[cfg(feature = "socks")]
            Way::Socks(socks) => socks.poll_ready(context).map_err(label_proxy),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match &mut self.way {
            Way::Direct(tcp) => tcp.call(uri),
            Way::Tunnel(tunnel) => {
                let connecting = tunnel.call(uri);
                Box::pin(async move { connecting.await.map_err(label_proxy) })
            }
            #[cfg(feature = "socks")]
            Way::Socks(socks) => {
                // Of a URI without a port it would make one with 443, whatever the scheme.
                let connecting = socks.call(with_port(uri));
                Box::pin(async move { connecting.await.map_err(label_proxy) })
            }
        }
    }
}

/// Connects to the host of a URI.
#[derive(Clone, Debug)]
struct Tcp(Names);

impl Service<Uri> for Tcp {
    type Response = TokioIo<Yielding<TcpStream>>;
    type Error = Labelled;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let names = self.0.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let port = port(&uri);
            let addresses = names.addresses(host, port).await.map_err(label_dns)?;
            let stream = tcp::connect(addresses).await.map_err(label_tcp)?;
            stream.set_nodelay(true).map_err(label_tcp)?;
            Ok(TokioIo::new(Yielding::from(stream)))
        })
    }
}

fn port(uri: &Uri) -> u16 {
    let is_https = uri.scheme() == Some(&Scheme::HTTPS);
    let usual_port = if is_https { 443 } else { 80 };
    uri.port_u16().unwrap_or(usual_port)
}

#[cfg(feature = "socks")]
fn with_port(uri: Uri) -> Uri {
    let authority = format!("{}:{}", uri.host().unwrap_or_default(), port(&uri));
    let mut parts = uri.clone().into_parts();
    parts.authority = authority.parse().ok();
    Uri::from_parts(parts).unwrap_or(uri)
}

fn label_tcp(error: io::Error) -> Labelled {
    Labelled {
        phase: Phase::Connect,
        source: error.into(),
    }
}

fn label_proxy(error: impl Into<Box<dyn Error + Send + Sync>>) -> Labelled {
    Labelled {
        phase: Phase::Proxy,
        source: error.into(),
    }
}

fn label_dns(error: io::Error) -> Labelled {
    Labelled {
        phase: Phase::Dns,
        source: error.into(),
    }
}

#[cfg(all(test, not(feature = "socks")))]
#[expect(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_needs_a_feature_names_it() {
        let proxy = Proxy::parse("socks5://u:canary@proxy").unwrap();
        let error = way(&proxy, Tcp(Names::default())).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(
            said.contains("\"socks\"") && !said.contains("canary"),
            "{said}"
        );
    }
}
