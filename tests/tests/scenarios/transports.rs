//! What carries requests: each makes a claimant of an address, an authority and a token.

use std::{fmt, path::PathBuf, sync::Arc};

use lease_proto::access::{Access, Material, Secret, ServerUrl};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    claimant::{Claimant, runtime},
    event_loop::EventLoop,
    kube_transport::Kube,
    reqwest_transport::Reqwest,
};

/// What carries requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Hyper,
    Ureq,
    Kube,
    Reqwest,
    EventLoop,
}

/// Where a server is, and what it must be told.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) ca: Option<String>,
    pub(crate) token: Option<String>,
    /// Instead of a token, for those that read files.
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) namespace: String,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hyper => "hyper",
            Self::Ureq => "ureq",
            Self::Kube => "kube",
            Self::Reqwest => "reqwest",
            Self::EventLoop => "event-loop",
        })
    }
}

impl Transport {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hyper,
        Self::Ureq,
        Self::Kube,
        Self::Reqwest,
        Self::EventLoop,
    ];

    /// Whether it does where the server prefers that: `kube::Client` asks for HTTP/1.1 alone.
    pub(crate) fn speaks_http2(self) -> bool {
        matches!(self, Self::Hyper | Self::Reqwest)
    }

    /// Makes a claimant with connections of its own, as another process has.
    pub(crate) fn claimant(self, endpoint: &Endpoint) -> Box<dyn Claimant> {
        let Endpoint {
            url,
            ca,
            token,
            token_file,
            namespace,
        } = endpoint;
        macro_rules! client {
            ($driver:ident) => {{
                let builder = $driver::Client::builder(url).namespace(namespace);
                let mut builder = builder.allow_plain_http(true);
                if let Some(ca) = ca {
                    builder = builder.certificate_authority(ca.as_bytes());
                }
                if let Some(token) = token {
                    builder = builder.token(Secret::from(token.as_str()));
                }
                if let Some(file) = token_file {
                    builder = builder.token_file(file);
                }
                builder.build().unwrap()
            }};
        }
        let over = |transport: Arc<dyn lease_tokio::Transport>| {
            lease_tokio::Client::with_transport(transport, namespace)
        };
        match self {
            Self::Hyper => Box::new(client!(lease_tokio)),
            Self::Ureq => Box::new(client!(lease_blocking)),
            Self::Kube => Box::new(over(Arc::new(Kube(kube(endpoint))))),
            Self::Reqwest => {
                let ca = ca.as_ref().map(String::as_bytes);
                let transport = Reqwest::new(url, ca, token.as_deref()).unwrap();
                Box::new(over(Arc::new(transport)))
            }
            Self::EventLoop => {
                let mut access = Access::new(ServerUrl::parse_plain_http(url).unwrap());
                access.tls.ca = ca.as_ref().map(|ca| ca.as_bytes().into());
                let token = token.as_ref();
                let token = token.map(|token| Material::from(Secret::from(token.as_str())));
                access.auth.token = token.or_else(|| token_file.clone().map(Material::from));
                Box::new(EventLoop(access))
            }
        }
    }
}

fn kube(endpoint: &Endpoint) -> kube::Client {
    let mut config = kube::Config::new(endpoint.url.parse().unwrap());
    if let Some(ca) = &endpoint.ca {
        let der = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
        config.root_cert = Some(vec![der.to_vec()]);
    }
    let file = endpoint.token_file.as_ref();
    config.auth_info.token_file = file.map(|file| file.display().to_string());
    config.auth_info.token = endpoint.token.clone().map(Into::into);
    let _context = runtime().enter();
    kube::Client::try_from(config).unwrap()
}
