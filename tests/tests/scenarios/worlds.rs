//! Where scenarios are played: a server or a store, and a way to it.

use std::{fs, sync::Arc};

use http::{Request, Response};
use lease_proto::{
    access::TransportError,
    server::{ApiServer, Rule},
};

use crate::{
    claimant::{Claimant, runtime},
    cluster::Cluster,
    front::{Backend, Front},
    transports::{Endpoint, Transport},
};

/// A server or a store, and a way to it.
pub(crate) struct World {
    /// `server::way`.
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// Whether it tells users apart.
    pub(crate) has_users: bool,
    claimant: Box<dyn Fn(User) -> Box<dyn Claimant> + Send + Sync>,
    admin: Arc<Admin>,
}

type Admin = dyn Fn(Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> + Send + Sync;

/// Who claims.
#[derive(Clone, Copy, Debug)]
pub(crate) enum User {
    A,
    B,
    /// May do nothing.
    Nobody,
}

impl World {
    /// A claimant with connections of its own, as another process has.
    pub(crate) fn claimant(&self, user: User) -> Box<dyn Claimant> {
        (self.claimant)(user)
    }

    /// Does something by the hand of somebody who may do everything.
    pub(crate) fn admin(&self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        (self.admin)(request).unwrap()
    }
}

impl User {
    fn name(self) -> &'static str {
        match self {
            Self::A => "holder-a",
            Self::B => "holder-b",
            Self::Nobody => "nobody",
        }
    }
}

/// A server's addresses by wire, and what lets users in.
struct Ports {
    server: &'static str,
    namespace: String,
    front: Front,
    /// The server itself, where the front is only before it.
    itself: Option<(String, String)>,
    token: Box<dyn Fn(&str) -> String + Send + Sync>,
}

/// The API server of lease-proto in this process, by every way.
pub(crate) fn in_process() -> Vec<World> {
    let api = ApiServer::builder()
        .namespaces(["team"])
        .user("holder-a", "holder-a")
        .user("holder-b", "holder-b")
        .user("nobody", "nobody")
        .admin("admin", "admin")
        .rule(Rule::new("holder-a").namespace("team"))
        .rule(Rule::new("holder-b").namespace("team"))
        .build();
    over(Ports {
        server: "in-process",
        namespace: "team".to_owned(),
        front: Front::start(Backend::Here(api.into())),
        itself: None,
        token: Box::new(str::to_owned),
    })
}

/// A real API server, by every way. Where one has no TLS, or another version of HTTP than the server prefers, something like
/// `kubectl proxy` is between.
pub(crate) fn live(cluster: &Cluster) -> Vec<World> {
    let ca = fs::read_to_string(&cluster.ca).unwrap();
    let client = lease_tokio::Client::builder(&cluster.server)
        .certificate_authority(ca.as_bytes())
        .build()
        .unwrap();
    let tokens = ["holder-a", "holder-b", "nobody", "admin"].map(|user| {
        let token = fs::read_to_string(cluster.token_file(user)).unwrap();
        (user, token.trim().to_owned())
    });
    over(Ports {
        server: "live",
        namespace: cluster.namespace.clone(),
        front: Front::start(Backend::Elsewhere(client)),
        itself: Some((cluster.server.clone(), ca)),
        token: Box::new(move |user| {
            let found = tokens.iter().find(|(name, _)| *name == user);
            found.expect("it is one of them").1.clone()
        }),
    })
}

/// Stores within processes, by the driver that has them.
pub(crate) fn stores() -> Vec<World> {
    macro_rules! store {
        ($name:literal, $claimant:expr, |$admin:ident, $request:ident| $send:expr) => {
            World {
                name: $name.to_owned(),
                namespace: "default".to_owned(),
                has_users: false,
                admin: {
                    let claimant = $claimant;
                    Arc::new(move |$request| {
                        let $admin = claimant();
                        $send
                    })
                },
                claimant: {
                    let claimant = $claimant;
                    Box::new(move |_| Box::new(claimant()))
                },
            }
        };
    }
    let tokio = lease_tokio::Client::in_memory();
    let blocking = lease_blocking::Client::in_memory();
    // It is gone with the process: claimants in it may outlive the scenarios.
    let directory = Arc::new(tempfile::tempdir().unwrap());
    vec![
        store!(
            "memory::tokio",
            {
                let tokio = tokio.clone();
                move || tokio.clone()
            },
            |client, request| runtime().block_on(client.send(request, PATIENCE, false))
        ),
        store!(
            "memory::blocking",
            {
                let blocking = blocking.clone();
                move || blocking.clone()
            },
            |client, request| client.send(request, PATIENCE, false)
        ),
        store!(
            "embedded::blocking",
            {
                let directory = Arc::clone(&directory);
                move || lease_blocking::Client::embedded(directory.path()).unwrap()
            },
            |client, request| client.send(request, PATIENCE, false)
        ),
    ]
}

fn over(ports: Ports) -> Vec<World> {
    let ports = Arc::new(ports);
    let Front {
        plain,
        http1,
        http2,
        ca,
    } = &ports.front;
    let plain = (format!("http://{plain}"), None);
    let tls = |port: u16| (format!("https://localhost:{port}"), Some(ca.clone()));
    let (http1, http2) = (tls(http1.port()), tls(http2.port()));
    let itself = ports.itself.clone().map(|(url, ca)| (url, Some(ca)));
    // As the client and the server agree where nobody is between them.
    let preferred =
        |between: &(String, Option<String>)| itself.clone().unwrap_or_else(|| between.clone());
    let ways = [
        ("plain", Transport::Hyper, plain.clone()),
        ("http1-tls", Transport::Hyper, http1.clone()),
        ("http2-tls", Transport::Hyper, preferred(&http2)),
        ("plain", Transport::Ureq, plain.clone()),
        ("tls", Transport::Ureq, preferred(&http1)),
        ("plain", Transport::Kube, plain.clone()),
        ("tls", Transport::Kube, preferred(&http1)),
        ("plain", Transport::Reqwest, plain.clone()),
        ("tls", Transport::Reqwest, preferred(&http1)),
        ("plain", Transport::EventLoop, plain),
    ];
    let admin = {
        let (url, ca) = preferred(&http1);
        let ca = ca.unwrap_or_default();
        let builder = lease_blocking::Client::builder(url).certificate_authority(ca.as_bytes());
        let client = builder.token((ports.token)("admin").as_str()).build();
        let client = client.unwrap();
        Arc::new(move |request| client.send(request, PATIENCE, false))
    };
    let world = |(wire, transport, (url, ca)): (&str, Transport, (String, Option<String>))| {
        let of_it = Arc::clone(&ports);
        World {
            name: format!("{}::{transport}-{wire}", ports.server),
            namespace: ports.namespace.clone(),
            has_users: true,
            claimant: Box::new(move |user| {
                transport.claimant(&Endpoint {
                    url: url.clone(),
                    ca: ca.clone(),
                    token: Some((of_it.token)(user.name())),
                    token_file: None,
                    namespace: of_it.namespace.clone(),
                })
            }),
            admin: Arc::clone(&admin) as Arc<Admin>,
        }
    };
    ways.into_iter().map(world).collect()
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
