//! Tokens: given, in files that change, from plugins; and that none is ever shown.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use lease_proto::Config;
use lease_proto::access::{
    Access, Basic, CredentialsError, Exec, Kubeconfig, KubeconfigOptions, Material, Proxy, Secret,
    ServerUrl, TransportError,
};

use crate::certificates::Authority;
use crate::driver::{Driver, PATIENCE, chain, get};
use crate::plugins::Plugin;
use crate::server::{Answer, Server, answer, ok};

crate::scenarios! {
    a_changed_token_file_is_read_again,
    a_name_and_a_password_are_sent,
    a_pod_is_let_in_by_its_service_account,
    a_refused_token_is_read_again_at_once,
    a_refused_token_whose_file_is_away_is_reported_with_the_file,
    a_token_file_that_cannot_be_used_is_named,
    a_token_file_that_is_away_for_a_moment_is_no_failure,
    no_secret_is_shown,
    nothing_is_sent_where_nothing_is_given,
    the_files_of_a_kubeconfig_are_used,
}

fn nothing_is_sent_where_nothing_is_given<D: Driver>() {
    let server = Server::start(|_| ok());
    D::from_access(&access(&server))
        .unwrap()
        .fetch("/")
        .unwrap();
    assert_eq!(server.last().header("authorization"), None);
}

fn a_name_and_a_password_are_sent<D: Driver>() {
    let server = Server::start(|_| ok());
    let mut access = access(&server);
    access.auth.basic = Some(Basic {
        username: "Aladdin".to_owned(),
        password: Secret::from("open sesame"),
    });
    D::from_access(&access).unwrap().fetch("/").unwrap();
    assert_eq!(
        server.last().header("authorization"),
        Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    );
}

fn a_changed_token_file_is_read_again<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let path = files.path().join("token");
    fs::write(&path, "one\n").unwrap();
    let client = with_token_file::<D>(&server, &path);
    client.fetch("/").unwrap();
    assert_eq!(server.last().header("authorization"), Some("Bearer one"));
    fs::write(&path, "another\n").unwrap();
    client.fetch("/").unwrap();
    assert_eq!(
        server.last().header("authorization"),
        Some("Bearer another")
    );
    // Of the same length, and told by its time alone.
    fs::write(&path, "a third\n".replace(' ', "-")).unwrap();
    let later = fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(1);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(later).unwrap();
    client.fetch("/").unwrap();
    assert_eq!(
        server.last().header("authorization"),
        Some("Bearer a-third")
    );
}

fn a_refused_token_is_read_again_at_once<D: Driver>() {
    let (server, files) = (refusing("new"), tempfile::tempdir().unwrap());
    let path = files.path().join("token");
    fs::write(&path, "old").unwrap();
    let client = with_token_file::<D>(&server, &path);
    assert_eq!(client.fetch("/").unwrap().status(), 401);
    // Another token of the same length and time, as on a file system that tells no more.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "new").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    assert_eq!(
        client.fetch("/").unwrap().status(),
        401,
        "nothing tells that it has changed"
    );
    assert_eq!(
        client.exchange(get("/"), PATIENCE, true).unwrap().status(),
        200
    );
    assert_eq!(
        client.fetch("/").unwrap().status(),
        200,
        "what was read stays"
    );
}

fn a_refused_token_whose_file_is_away_is_reported_with_the_file<D: Driver>() {
    let (server, files) = (refusing("new"), tempfile::tempdir().unwrap());
    let path = files.path().join("token");
    for patience in [None, Some(Duration::from_secs(2))] {
        fs::write(&path, "old").unwrap();
        let client = with_token_file::<D>(&server, &path);
        fs::remove_file(&path).unwrap();
        let config = Config::builder("default", "leader", "me").build().unwrap();
        let error = chain(&client.refused_lease(config, patience));
        for expected in ["(401)", &path.display().to_string(), "No such file"] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
        // It is not sent again, as it is known to be of no use.
        let sent = server.seen().len();
        let error = client.fetch("/").unwrap_err();
        let TransportError::Credentials(CredentialsError::RefusedAndUnreadable {
            path: named, ..
        }) = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!((named, server.seen().len()), (&path, sent));
        fs::write(&path, "new").unwrap();
        assert_eq!(client.fetch("/").unwrap().status(), 200);
    }
}

fn a_token_file_that_is_away_for_a_moment_is_no_failure<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let path = files.path().join("token");
    fs::write(&path, "one").unwrap();
    let client = with_token_file::<D>(&server, &path);
    fs::remove_file(&path).unwrap();
    client.fetch("/").unwrap();
    assert_eq!(server.last().header("authorization"), Some("Bearer one"));
    let error = client.exchange(get("/"), PATIENCE, true).unwrap_err();
    let TransportError::Credentials(CredentialsError::RefusedAndUnreadable { path: named, .. }) =
        &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(*named, path);
    fs::write(&path, "two").unwrap();
    client.fetch("/").unwrap();
    assert_eq!(server.last().header("authorization"), Some("Bearer two"));
}

fn a_token_file_that_cannot_be_used_is_named<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let path = files.path().join("token");
    let mut access = access(&server);
    access.auth.token = Some(Material::File(path.clone()));
    let shown = path.display();
    for (content, expected) in [
        (
            None,
            format!(
                "cannot read the token in {shown}; the file must exist and be readable by this process: No such"
            ),
        ),
        (
            Some(""),
            format!("the token in {shown} cannot be used: the token is empty"),
        ),
        (
            Some(" \n"),
            format!("the token in {shown} cannot be used: the token is empty"),
        ),
        (
            Some("can\nary"),
            format!("the token in {shown} cannot be used: the token holds characters"),
        ),
    ] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error = chain(&*D::from_access(&access).unwrap_err());
        assert!(error.starts_with(&expected), "{error}");
        assert!(!error.contains("ary"), "{error}");
    }
}

fn a_pod_is_let_in_by_its_service_account<D: Driver>() {
    let authority = Authority::new("cluster");
    let server = Server::start_tls(authority.server(&["127.0.0.1"]).server_config(None), |_| {
        ok()
    });
    let root = tempfile::tempdir().unwrap();
    let port = server.address.port().to_string();
    let env = |name: &str| match name {
        "KUBERNETES_SERVICE_HOST" => Some("127.0.0.1".to_owned()),
        "KUBERNETES_SERVICE_PORT" => Some(port.clone()),
        _ => None,
    };
    fs::write(root.path().join("ca.crt"), authority.pem()).unwrap();
    fs::write(root.path().join("token"), "one").unwrap();
    let error = chain(&*D::in_cluster_under(root.path(), &env).unwrap_err());
    assert!(
        error.starts_with("cannot read the namespace in "),
        "{error}"
    );
    fs::write(root.path().join("namespace"), "team-a\n").unwrap();
    let client = D::in_cluster_under(root.path(), &env).unwrap();
    assert_eq!(client.namespace(), "team-a");
    client.fetch("/").unwrap();
    assert_eq!(server.last().header("authorization"), Some("Bearer one"));
    let error = D::in_cluster_under(root.path(), &|_| None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("KUBERNETES_SERVICE_HOST is not set"),
        "{error}"
    );
}

fn the_files_of_a_kubeconfig_are_used<D: Driver>() {
    let authority = Authority::new("cluster");
    let server = Server::start_tls(authority.server(&["localhost"]).server_config(None), |_| {
        ok()
    });
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("ca.crt"), authority.pem()).unwrap();
    fs::write(files.path().join("token"), "from-file").unwrap();
    let path = files.path().join("config");
    let options = KubeconfigOptions::new().path(&path);
    let error = chain(&*D::from_kubeconfig(&options).unwrap_err());
    assert!(
        error.starts_with(&format!("cannot read the kubeconfig in {}", path.display())),
        "{error}"
    );
    let cluster = format!(
        "server: '{}', certificate-authority: ca.crt",
        server.tls_url()
    );
    fs::write(&path, kubeconfig(&cluster, "tokenFile: token")).unwrap();
    let client = D::from_kubeconfig(&options).unwrap();
    assert_eq!(client.namespace(), "team");
    client.fetch("/").unwrap();
    assert_eq!(
        server.last().header("authorization"),
        Some("Bearer from-file")
    );
    let error = D::from_kubeconfig(&options.clone().context("prod"))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(r#"there is no context "prod"; there are "dev""#),
        "{error}"
    );
}

fn no_secret_is_shown<D: Driver>() {
    let server = Server::start(|_| Answer::Close(Vec::new()));
    let authority = Authority::new("a");
    let pair = authority.client();
    let key_line = pair.key.lines().nth(1).unwrap().to_owned();
    let files = tempfile::tempdir().unwrap();
    let plugin = Plugin::new(&files, r#"answer '"token":"canary"'"#);
    let in_file = files.path().join("token");
    fs::write(&in_file, "canary").unwrap();
    let mut tls = Access::new(ServerUrl::parse("https://localhost:1").unwrap());
    tls.auth.client_certificate = Some(lease_proto::access::ClientCertificate {
        certificate: pair.certificate.as_bytes().into(),
        key: pair.key.as_bytes().into(),
    });
    tls.tls.ca = Some(authority.pem().as_bytes().into());
    let mut inline = access(&server);
    inline.auth.token = Some(Secret::from("canary").into());
    let mut basic = access(&server);
    basic.auth.basic = Some(Basic {
        username: "u".to_owned(),
        password: Secret::from("canary"),
    });
    let mut shown = format!(
        "{inline:?} {basic:?} {tls:?} {:?}",
        plugin.kubeconfig(&server)
    );
    let clients = [
        D::from_access(&tls).unwrap(),
        D::from_access(&inline).unwrap(),
        D::from_access(&basic).unwrap(),
        with_token_file::<D>(&server, &in_file),
        D::from_kubeconfig(&plugin.kubeconfig(&server)).unwrap(),
    ];
    for client in clients {
        let error = client.fetch("/").unwrap_err();
        shown.push_str(&format!(
            "{client:?} {client:#?} {error:?} {error:#?} {}\n",
            chain(&error)
        ));
    }
    let sent = server.seen();
    assert!(
        sent.len() >= 4
            && sent
                .iter()
                .any(|seen| seen.header("authorization") == Some("Bearer canary"))
    );
    // What Debug makes of bytes, and their base64, would be secrets as well.
    for secret in ["canary", "99, 97, 110", "Y2FuYXJ5", key_line.as_str()] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// A server that lets in who has this token.
pub(crate) fn refusing(token: &str) -> Server {
    let expected = format!("Bearer {token}");
    Server::start(
        move |seen| match seen.header("authorization") == Some(expected.as_str()) {
            true => ok(),
            false => Answer::Keep(answer("401 Unauthorized", "{}")),
        },
    )
}

fn with_token_file<D: Driver>(server: &Server, path: &Path) -> D {
    let mut access = access(server);
    access.auth.token = Some(Material::File(path.to_owned()));
    D::from_access(&access).unwrap()
}

fn access(server: &Server) -> Access {
    Access::new(ServerUrl::parse(&server.url()).unwrap())
}

/// A kubeconfig of one cluster and one user, of which these are the fields.
pub(crate) fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "current-context: dev\ncontexts: [{{name: dev, context: {{cluster: c, user: u, namespace: team}}}}]\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

#[test]
fn a_password_in_the_address_is_neither_shown_nor_repeated() {
    for url in [
        "https://user:canary@host",
        "https://user:can/canary@host",
        "user:canary@host",
        "http://user:canary@10.0.0.1:8080/base?token=canary",
        "https://host/?token=canary",
        "https://host:canary",
    ] {
        let blocking = lease_blocking::Client::builder(url).allow_plain_http(true);
        let tokio = lease_tokio::Client::builder(url).allow_plain_http(true);
        let shown = [
            format!("{blocking:?} {blocking:#?} {tokio:?} {tokio:#?}"),
            refusal(&blocking.build().unwrap_err()),
            refusal(&tokio.build().unwrap_err()),
        ];
        for shown in shown {
            // What has no @ and no query before it is no password, and an error says what it is about.
            let is_secret = shown.contains("ClientBuilder") || url.contains(['@', '?']);
            assert!(!(is_secret && shown.contains("canary")), "{url}: {shown}");
        }
    }
}

fn refusal(error: &dyn std::error::Error) -> String {
    format!("{error:?} {error:#?} {}", chain(error))
}

#[test]
fn nothing_that_is_being_put_together_shows_a_secret() {
    let kubeconfig = kubeconfig(
        r#"server: "https://u:canary@h", proxy-url: "http://u:canary@p""#,
        r"token: canary, password: canary, client-key-data: Y2FuYXJ5",
    );
    let kubeconfig = Kubeconfig::parse(Path::new("config"), kubeconfig.as_bytes()).unwrap();
    let mut exec = Exec::new("plugin", "client.authentication.k8s.io/v1");
    exec.args.push(Secret::from("canary"));
    exec.env.push(("SECRET".to_owned(), Secret::from("canary")));
    let blocking = lease_blocking::Client::builder("https://h")
        .token("canary")
        .client_certificate(&b"canary"[..], &b"canary"[..])
        .proxy("http://u:canary@p");
    let tokio = lease_tokio::Client::builder("https://h")
        .token("canary")
        .client_certificate(&b"canary"[..], &b"canary"[..])
        .proxy("http://u:canary@p");
    let config = Config::builder("default", "leader", "me").build().unwrap();
    let blocking_client = lease_blocking::Client::builder("http://localhost:1")
        .token("canary")
        .build()
        .unwrap();
    let tokio_client = lease_tokio::Client::builder("http://localhost:1")
        .token("canary")
        .build()
        .unwrap();
    let shown = [
        format!("{kubeconfig:?} {kubeconfig:#?} {exec:?} {exec:#?}"),
        format!("{blocking:?} {blocking:#?} {tokio:?} {tokio:#?}"),
        format!("{:?}", blocking_client.claim(config.clone())),
        format!("{:?}", tokio_client.claim(config)),
        format!("{:?}", Proxy::parse("http://u:canary@p").unwrap()),
    ];
    for shown in shown {
        assert!(shown.len() > 20, "{shown}");
        for secret in ["canary", "99, 97, 110", "Y2FuYXJ5"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
    }
}
