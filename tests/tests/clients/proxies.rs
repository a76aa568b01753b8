//! Servers that are reached through a proxy, by a name that only the proxy can find.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use lease_proto::access::{Access, KubeconfigOptions, Material, Proxy, ServerUrl, TransportError};

use crate::{
    certificates::Authority,
    driver::{Driver, alone, chain, get},
    server::{Server, nobody, ok},
    tunnels::{Tunnels, Will},
};

crate::scenarios! {
    a_kubeconfig_names_the_proxy,
    a_proxy_may_speak_socks,
    a_proxy_that_speaks_socks_and_refuses_is_said_to_be_the_trouble,
    a_proxy_sees_the_name_and_its_own_password_and_nothing_else,
    a_proxy_that_is_silent_is_given_up_in_time,
    a_proxy_that_is_not_there_is_said_to_be_the_trouble,
    a_proxy_that_refuses_is_said_to_be_the_trouble,
    the_environments_proxy_is_for_whoever_names_none_and_is_in_no_pod,
}

/// A SOCKS 5 proxy that wants this name and password, connects to this server, or to none, and notes what was asked for.
fn socks(server: Option<SocketAddr>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let log = Arc::clone(&log);
            // An error is the client's going away.
            thread::spawn(move || shake_hands(client, server, &log).ok());
        }
    });
    (address, asked)
}

fn shake_hands(
    mut client: TcpStream,
    server: Option<SocketAddr>,
    log: &Mutex<Vec<String>>,
) -> io::Result<()> {
    fn take(client: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        client.read_exact(&mut bytes)?;
        Ok(bytes)
    }
    fn text(client: &mut TcpStream) -> io::Result<String> {
        let length = take(client, 1)?[0];
        Ok(String::from_utf8(take(client, length.into())?).unwrap())
    }
    let methods = take(&mut client, 2)?[1];
    take(&mut client, methods.into())?;
    client.write_all(&[5, 2])?;
    take(&mut client, 1)?;
    let (name, password) = (text(&mut client)?, text(&mut client)?);
    client.write_all(&[1, 0])?;
    // By name, since only the proxy can find it.
    assert_eq!(take(&mut client, 4)?, [5, 1, 0, 3]);
    let host = text(&mut client)?;
    let port = take(&mut client, 2)?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    log.lock()
        .unwrap()
        .push(format!("{name}:{password}@{host}:{port}"));
    let Some(server) = server else {
        return client.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
    };
    let server = TcpStream::connect(server)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let (mut up, mut reader) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || io::copy(&mut reader, &mut up));
    let mut server = server;
    io::copy(&mut server, &mut client)?;
    Ok(())
}

fn a_proxy_may_speak_socks<D: Driver>() {
    let authority = Authority::new("good");
    let server = serve(&authority);
    let (proxy, asked) = socks(Some(server.address));
    for scheme in ["socks5", "socks5h"] {
        let access = access(&format!("{scheme}://me:can%61ry@{proxy}"), &authority);
        let client = D::from_access(&access).unwrap();
        assert_eq!(client.fetch("/apis").unwrap().status(), 200);
        assert!(!format!("{client:?} {client:#?} {access:?}").contains("canary"));
    }
    let asked = asked.lock().unwrap();
    assert_eq!(*asked, ["me:canary@k8s.invalid:6443"; 2]);
    assert_eq!(server.last().line, "GET /apis HTTP/1.1");
}

fn a_proxy_that_speaks_socks_and_refuses_is_said_to_be_the_trouble<D: Driver>() {
    let (proxy, asked) = socks(None);
    is_trouble::<D>(&format!("socks5://me:canary@{proxy}"));
    assert_eq!(asked.lock().unwrap().len(), 1);
    is_trouble::<D>(&format!("socks5://{}", nobody()));
    is_trouble::<D>("socks5://proxy.invalid");
}

fn access(proxy: &str, authority: &Authority) -> Access {
    let mut access = Access::new(ServerUrl::parse("https://k8s.invalid:6443").unwrap());
    access.tls.ca = Some(Material::from(authority.pem().into_bytes()));
    access.auth.token = Some(Material::Inline("server-token".into()));
    access.proxy = Some(Proxy::parse(proxy).unwrap());
    access
}

fn serve(authority: &Authority) -> Server {
    let pair = authority.server(&["k8s.invalid"]);
    Server::start_tls(pair.server_config(None), |_| ok())
}

fn a_proxy_sees_the_name_and_its_own_password_and_nothing_else<D: Driver>() {
    let authority = Authority::new("good");
    let server = serve(&authority);
    let proxy = Tunnels::start(Will::Connect(server.address));
    let client = D::from_access(&access(&proxy.url("me:canary@"), &authority)).unwrap();
    assert_eq!(client.fetch("/apis").unwrap().status(), 200);
    let heads = proxy.heads();
    let head = heads.first().unwrap();
    assert!(
        head.starts_with("CONNECT k8s.invalid:6443 HTTP/1.1\r\n"),
        "{head}"
    );
    let lower = head.to_ascii_lowercase();
    // me:canary
    assert!(
        head.contains("Basic bWU6Y2FuYXJ5") && lower.contains("proxy-authorization: "),
        "{head}"
    );
    assert!(!head.contains("server-token"), "{head}");
    let seen = server.last();
    assert_eq!(seen.line, "GET /apis HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer server-token"));
    assert_eq!(seen.header("proxy-authorization"), None);
    assert!(!format!("{client:?}").contains("canary"));
}

fn a_proxy_that_refuses_is_said_to_be_the_trouble<D: Driver>() {
    for status in [
        "403 Forbidden",
        "407 Proxy Authentication Required",
        "502 Bad Gateway",
    ] {
        let proxy = Tunnels::start(Will::Refuse(status));
        is_trouble::<D>(&proxy.url("me:canary@"));
    }
}

fn a_proxy_that_is_not_there_is_said_to_be_the_trouble<D: Driver>() {
    is_trouble::<D>(&format!("http://{}", nobody()));
    is_trouble::<D>("http://proxy.invalid:3128");
}

fn is_trouble<D: Driver>(proxy: &str) {
    let client = D::from_access(&access(proxy, &Authority::new("good"))).unwrap();
    let error = client.fetch("/").unwrap_err();
    assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
    let said = format!("{} {error:?}", chain(&error));
    assert!(
        said.starts_with("the proxy does not connect to https://k8s.invalid:6443"),
        "{said}"
    );
    assert!(
        !said.contains("canary") && !said.contains("Y2FuYXJ5"),
        "{said}"
    );
}

fn a_proxy_that_is_silent_is_given_up_in_time<D: Driver>() {
    let proxy = Tunnels::start(Will::Hang);
    let client = D::from_access(&access(&proxy.url(""), &Authority::new("good"))).unwrap();
    let begun = Instant::now();
    let error = client.exchange(get("/"), Duration::from_millis(300), false);
    assert!(
        matches!(error, Err(TransportError::Timeout { .. })),
        "{error:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

fn a_kubeconfig_names_the_proxy<D: Driver>() {
    let authority = Authority::new("good");
    let server = serve(&authority);
    let proxy = Tunnels::start(Will::Connect(server.address));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
    let config = format!(
        "current-context: c\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\n\
         clusters:\n\
         - name: k\n  cluster: {{server: 'https://k8s.invalid', certificate-authority: ca.crt, proxy-url: '{}'}}\n",
        proxy.url("")
    );
    let path = folder.path().join("config");
    std::fs::write(&path, config).unwrap();
    let client = D::from_kubeconfig(&KubeconfigOptions::new().path(&path)).unwrap();
    assert_eq!(client.fetch("/").unwrap().status(), 200);
    let heads = proxy.heads();
    assert!(
        heads[0].starts_with("CONNECT k8s.invalid:443 "),
        "{heads:?}"
    );
    assert!(
        !heads[0].to_ascii_lowercase().contains("authorization"),
        "{heads:?}"
    );
}

/// The environment is a process's own, so each of these has one. The proxy there is not to be found: that tells whether it was
/// asked.
fn the_environments_proxy_is_for_whoever_names_none_and_is_in_no_pod<D: Driver>() {
    let test = (
        "proxies",
        "the_environments_proxy_is_for_whoever_names_none_and_is_in_no_pod",
    );
    let only = |child: &mut Command| {
        for variable in ["https_proxy", "NO_PROXY", "no_proxy"] {
            child.env_remove(variable);
        }
    };
    if alone::<D>(test, "HTTPS_PROXY", NOWHERE, only).is_some() {
        return;
    }
    let asks = |error: TransportError| {
        let asks = matches!(error, TransportError::Proxy { .. });
        assert!(
            asks || matches!(error, TransportError::Dns { .. }),
            "{error:?}"
        );
        asks
    };
    for (without, expected) in [(false, true), (true, false)] {
        let client = D::of_url("https://k8s.invalid", without);
        assert_eq!(asks(client.fetch("/").unwrap_err()), expected, "{without}");
    }
    a_kubeconfig_names_the_proxy::<D>();

    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("config");
    let config = "current-context: c\n\
        contexts: [{name: c, context: {cluster: k, user: u}}]\n\
        users: [{name: u, user: {token: t}}]\n\
        clusters: [{name: k, cluster: {server: 'https://k8s.invalid'}}]\n";
    std::fs::write(&path, config).unwrap();
    let client = D::from_kubeconfig(&KubeconfigOptions::new().path(&path)).unwrap();
    assert!(asks(client.fetch("/").unwrap_err()));

    for (name, content) in [
        ("ca.crt", Authority::new("cluster").pem()),
        ("token", "t".to_owned()),
        ("namespace", "default".to_owned()),
    ] {
        std::fs::write(files.path().join(name), content).unwrap();
    }
    let pod = |name: &str| match name {
        "KUBERNETES_SERVICE_HOST" => Some("k8s.invalid".to_owned()),
        "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
        other => std::env::var(other).ok(),
    };
    let client = D::in_cluster_under(files.path(), &pod).unwrap();
    assert!(!asks(client.fetch("/").unwrap_err()));
}

const NOWHERE: &str = "http://proxy.invalid:3128";
