//! How connections are made: TCP, then TLS, each saying of a failure that it was its own.

use std::error::Error;
use std::fmt;
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use lease_proto::access::{Access, CredentialsError, Proxy, ProxyError, rustls as settings};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::transport::BoxFuture;

pub(crate) type Connector = HttpsConnector<LabelledTcp>;

/// Puts the connector for one server together.
pub(crate) fn connector(access: &Access) -> Result<Connector, CredentialsError> {
    let platform = || rustls_native_certs::load_native_certs().certs;
    let config = settings::client_config(access, &|path| std::fs::read(path), &platform)?;
    let mut tcp = HttpConnector::new_with_resolver(LabelledResolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .with_server_name_resolver(FixedServerNameResolver::new(settings::server_name(access)?))
        .enable_all_versions()
        .wrap_connector(LabelledTcp {
            tunnel: access
                .proxy
                .as_ref()
                .map(|proxy| tunnel(proxy, &tcp))
                .transpose()?,
            tcp,
        }))
}

/// What connects through a proxy.
fn tunnel(proxy: &Proxy, tcp: &Tcp) -> Result<Tunnel<Tcp>, CredentialsError> {
    let unusable = || CredentialsError::Proxy(ProxyError::Invalid);
    let uri = proxy.to_string().parse().map_err(|_| unusable())?;
    let tunnel = Tunnel::new(uri, tcp.clone());
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

type Tcp = HttpConnector<LabelledResolver>;

#[derive(Clone, Debug)]
pub(crate) struct LabelledTcp {
    tcp: Tcp,
    tunnel: Option<Tunnel<Tcp>>,
}

impl Service<Uri> for LabelledTcp {
    type Response = TokioIo<TcpStream>;
    type Error = Labelled;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.tunnel {
            Some(tunnel) => tunnel.poll_ready(context).map_err(label_proxy),
            None => self.tcp.poll_ready(context).map_err(label_tcp),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if let Some(tunnel) = &mut self.tunnel {
            let connecting = tunnel.call(uri);
            return Box::pin(async move { connecting.await.map_err(label_proxy) });
        }
        let connecting = self.tcp.call(uri);
        Box::pin(async move { connecting.await.map_err(label_tcp) })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LabelledResolver(GaiResolver);

impl Service<Name> for LabelledResolver {
    type Response = GaiAddrs;
    type Error = Labelled;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context).map_err(label_dns)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(label_dns) })
    }
}

fn label_tcp(error: impl Into<Box<dyn Error + Send + Sync>>) -> Labelled {
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
