//! Where scenarios are played: a server or a store, and a way to it.

use std::{fs, net::SocketAddr, sync::Arc};

use http::{Request, Response};
use lease_proto::{
    access::TransportError,
    server::{ApiServer, Rule},
};

use crate::{
    claimant::{Claimant, SOON, Store, runtime},
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
        front: Front::start(Backend::from(api)),
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
    let tokio = lease_tokio::Client::in_memory();
    let blocking = lease_blocking::Client::in_memory();
    // It goes with the process: claimants may outlive their scenarios.
    let directory = || Arc::new(tempfile::tempdir().unwrap());
    let (for_blocking, for_tokio) = (directory(), directory());
    let blocking_store = move || lease_blocking::Client::embedded(for_blocking.path()).unwrap();
    let tokio_store = move || {
        let opening = lease_tokio::Client::embedded(for_tokio.path());
        runtime().block_on(opening).unwrap()
    };
    vec![
        store("memory::tokio", move |_| Box::new(tokio.clone())),
        store("memory::blocking", move |_| Box::new(blocking.clone())),
        store("embedded::tokio", move |_| Box::new(tokio_store())),
        store("embedded::blocking", move |_| Box::new(blocking_store())),
    ]
}

fn store(name: &str, open: impl Fn(User) -> Box<dyn Store> + Send + Sync + 'static) -> World {
    let open = Arc::new(open);
    World {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        has_users: false,
        admin: {
            let open = Arc::clone(&open);
            Arc::new(move |request| open(User::A).ask(request))
        },
        claimant: Box::new(move |user| open(user)),
    }
}

/// What carries requests, where to, and the authority that it must know.
type Path = (Transport, String, Option<String>);

fn over(ports: Ports) -> Vec<World> {
    let ports = Arc::new(ports);
    let front = &ports.front;
    let plain = |transport| -> Path { (transport, format!("http://{}", front.plain), None) };
    let tls = |transport, port: SocketAddr| -> Path {
        let url = format!("https://localhost:{}", port.port());
        (transport, url, Some(front.ca.clone()))
    };
    // Where nobody is between, the client and the server agree on the version of HTTP.
    let direct = |transport, port| match ports.itself.clone() {
        Some((url, ca)) => (transport, url, Some(ca)),
        None => tls(transport, port),
    };
    let alone = |name, path: Path| (name, [path.clone(), path]);
    let ways = [
        alone("hyper-plain", plain(Transport::Hyper)),
        alone("hyper-http1-tls", tls(Transport::Hyper, front.http1)),
        alone("hyper-http2-tls", direct(Transport::Hyper, front.http2)),
        alone("ureq-plain", plain(Transport::Ureq)),
        alone("ureq-tls", direct(Transport::Ureq, front.http1)),
        alone("kube-plain", plain(Transport::Kube)),
        alone("kube-tls", direct(Transport::Kube, front.http1)),
        alone("reqwest-plain", plain(Transport::Reqwest)),
        alone("reqwest-tls", direct(Transport::Reqwest, front.http1)),
        alone("event-loop-plain", plain(Transport::EventLoop)),
        alone("event-loop-tls", direct(Transport::EventLoop, front.http1)),
        // One of each contend.
        (
            "hyper-and-ureq",
            [
                direct(Transport::Hyper, front.http2),
                direct(Transport::Ureq, front.http1),
            ],
        ),
        (
            "event-loop-and-kube",
            [
                plain(Transport::EventLoop),
                direct(Transport::Kube, front.http1),
            ],
        ),
    ];
    let admin = {
        let (_, url, ca) = direct(Transport::Ureq, front.http1);
        let builder = lease_blocking::Client::builder(url).token((ports.token)("admin").as_str());
        let builder = builder.certificate_authority(ca.unwrap_or_default().as_bytes());
        let client = builder.build().unwrap();
        Arc::new(move |request| client.send(request, SOON, false))
    };
    let world = |(name, paths): (&str, [Path; 2])| {
        let ports = Arc::clone(&ports);
        World {
            name: format!("{}::{name}", ports.server),
            namespace: ports.namespace.clone(),
            has_users: true,
            admin: Arc::clone(&admin) as Arc<Admin>,
            claimant: Box::new(move |user| {
                let (transport, url, ca) = match user {
                    User::A => &paths[0],
                    User::B | User::Nobody => &paths[1],
                };
                transport.claimant(&Endpoint {
                    url: url.clone(),
                    ca: ca.clone(),
                    token: Some((ports.token)(user.name())),
                    token_file: None,
                    namespace: ports.namespace.clone(),
                })
            }),
        }
    };
    ways.into_iter().map(world).collect()
}
