//! How connections are made: TCP, then TLS, each saying of a failure that it was its own.

use std::error::Error;
use std::fmt;
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use lease_proto::access::rustls::ChangingCertificate;
use lease_proto::access::{Access, CredentialsError, Proxy, ProxyError, rustls as settings};
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

use crate::tcp;
use crate::transport::BoxFuture;

pub(crate) type Connector = HttpsConnector<LabelledTcp>;

/// Puts the connector for one server together.
pub(crate) fn connector(
    access: &Access,
    certificate: Option<&ChangingCertificate>,
) -> Result<Connector, CredentialsError> {
    let platform = || rustls_native_certs::load_native_certs().certs;
    let mut config = settings::client_config(access, &|path| std::fs::read(path), &platform)?;
    if let Some(certificate) = certificate {
        certificate.install(&mut config);
    }
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .with_server_name_resolver(FixedServerNameResolver::new(settings::server_name(access)?))
        .enable_all_versions()
        .wrap_connector(LabelledTcp {
            tunnel: access.proxy.as_ref().map(tunnel).transpose()?,
        }))
}

/// What connects through a proxy.
fn tunnel(proxy: &Proxy) -> Result<Tunnel<Tcp>, CredentialsError> {
    let unusable = || CredentialsError::Proxy(ProxyError::Invalid);
    let uri = proxy.to_string().parse().map_err(|_| unusable())?;
    let tunnel = Tunnel::new(uri, Tcp);
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
    tunnel: Option<Tunnel<Tcp>>,
}

impl Service<Uri> for LabelledTcp {
    type Response = TokioIo<TcpStream>;
    type Error = Labelled;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.tunnel {
            Some(tunnel) => tunnel.poll_ready(context).map_err(label_proxy),
            None => Tcp.poll_ready(context),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(tunnel) = &mut self.tunnel else {
            return Tcp.call(uri);
        };
        let connecting = tunnel.call(uri);
        Box::pin(async move { connecting.await.map_err(label_proxy) })
    }
}

/// Connects to the host of a URI.
#[derive(Clone, Copy, Debug)]
struct Tcp;

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = Labelled;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let usual_port = if uri.scheme() == Some(&Scheme::HTTPS) {
                443
            } else {
                80
            };
            let port = uri.port_u16().unwrap_or(usual_port);
            let addresses = lookup_host((host, port)).await.map_err(label_dns)?;
            let stream = tcp::connect(addresses).await.map_err(label_tcp)?;
            stream.set_nodelay(true).map_err(label_tcp)?;
            Ok(TokioIo::new(stream))
        })
    }
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
