//! Who the server is, and who the client is, by certificates.

use lease_proto::access::{
    Access, ClientCertificate, Material, ServerUrl, TlsProblem, TransportError,
};

use crate::certificates::{Authority, Pair};
use crate::driver::{Driver, Failure, chain};
use crate::exchange::let_it_be_put_back;
use crate::server::{Server, ok};

crate::scenarios! {
    a_certificate_authority_that_is_none_is_refused,
    a_certificate_for_another_name_is_refused_unless_that_name_is_asked_for,
    a_client_certificate_in_files_is_followed_by_the_next,
    a_client_certificate_lets_in,
    a_client_without_its_certificate_is_told_so,
    a_good_authority_is_accepted,
    a_key_that_is_not_the_certificates_is_refused,
    a_plain_http_server_behind_https_is_no_tls,
    a_wrong_authority_is_refused,
    an_authority_that_is_a_server_itself_is_refused,
    an_authority_of_the_same_name_is_refused,
    an_expired_certificate_is_refused,
    an_unverified_server_is_accepted_only_where_that_is_asked_for,
    without_an_authority_the_platform_decides,
}

fn a_good_authority_is_accepted<D: Driver>() {
    let authority = Authority::new("good");
    let server = serve(&authority.server(&["localhost"]));
    let client = D::from_access(&access(&server, &authority)).unwrap();
    for _ in 0..10 {
        assert_eq!(client.fetch("/").unwrap().status(), 200);
        let_it_be_put_back();
    }
    assert!(server.connections() <= 5, "{}", server.connections());
}

fn a_wrong_authority_is_refused<D: Driver>() {
    let server = serve(&Authority::new("good").server(&["localhost"]));
    let error = refused::<D>(
        &access(&server, &Authority::new("other")),
        &TlsProblem::UnknownIssuer,
    );
    let expected = format!(
        "the certificate of {} is signed by an unknown authority; give the one that signed it as certificate authority \
         (certificate-authority, on the command line or in the kubeconfig)",
        server.tls_url()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.seen().len(), 0);
}

fn an_authority_that_is_a_server_itself_is_refused<D: Driver>() {
    let authority = Authority::new("good");
    for (pair, problem) in [
        (authority.authority(&["localhost"]), TlsProblem::Authority),
        (authority.client(), TlsProblem::NotForServers),
    ] {
        let server = serve(&pair);
        let mut access = access(&server, &authority);
        access.tls.server_name = Some("localhost".to_owned());
        refused::<D>(&access, &problem);
    }
}

fn an_authority_of_the_same_name_is_refused<D: Driver>() {
    let server = serve(&Authority::new("same").server(&["localhost"]));
    refused::<D>(
        &access(&server, &Authority::new("same")),
        &TlsProblem::UnknownIssuer,
    );
}

fn without_an_authority_the_platform_decides<D: Driver>() {
    let server = serve(&Authority::new("good").server(&["localhost"]));
    let mut access = access(&server, &Authority::new("good"));
    access.tls.ca = None;
    match D::from_access(&access) {
        Ok(client) => {
            let error = client.fetch("/").unwrap_err();
            let TransportError::Tls { problem, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(*problem, TlsProblem::UnknownIssuer);
        }
        // A machine need not have any.
        Err(error) => assert!(
            error.to_string().contains("no certificate authorities"),
            "{error}"
        ),
    }
}

fn a_certificate_for_another_name_is_refused_unless_that_name_is_asked_for<D: Driver>() {
    let authority = Authority::new("good");
    let server = serve(&authority.server(&["kubernetes", "kubernetes.default"]));
    let mut access = access(&server, &authority);
    let config = D::from_access(&access).unwrap();
    let error = config.fetch("/").unwrap_err();
    let TransportError::Tls {
        problem: TlsProblem::NameMismatch { presented },
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(presented.len(), 2);
    let text = error.to_string();
    assert!(
        text.contains("kubernetes.default") && text.contains("TLS server name"),
        "{text}"
    );
    access.tls.server_name = Some("kubernetes.default".to_owned());
    assert_eq!(
        D::from_access(&access)
            .unwrap()
            .fetch("/")
            .unwrap()
            .status(),
        200
    );
    let host = format!("localhost:{}", server.address.port());
    assert_eq!(
        server.last().header("host"),
        Some(host.as_str()),
        "the request still goes to the host"
    );
    access.tls.server_name = Some("not a name".to_owned());
    let error = D::from_access(&access).unwrap_err().to_string();
    assert!(
        error.starts_with("the TLS server name \"not a name\" is neither"),
        "{error}"
    );
}

fn an_expired_certificate_is_refused<D: Driver>() {
    let authority = Authority::new("good");
    let server = serve(&authority.expired_server(&["localhost"]));
    let error = refused::<D>(&access(&server, &authority), &TlsProblem::Expired);
    assert!(
        error
            .to_string()
            .contains("has expired; renew it, or correct the clock"),
        "{error}"
    );
}

fn an_unverified_server_is_accepted_only_where_that_is_asked_for<D: Driver>() {
    let server = serve(&Authority::new("good").expired_server(&["elsewhere"]));
    let mut access = access(&server, &Authority::new("other"));
    assert!(D::from_access(&access).unwrap().fetch("/").is_err());
    access.tls.ca = None;
    access.tls.insecure_skip_verify = true;
    assert_eq!(
        D::from_access(&access)
            .unwrap()
            .fetch("/")
            .unwrap()
            .status(),
        200
    );
}

fn a_client_certificate_lets_in<D: Driver>() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let config = servers.server(&["localhost"]).server_config(Some(&clients));
    let server = Server::start_tls(config, |_| ok());
    let mut access = access(&server, &servers);
    access.auth.client_certificate = Some(inline(&clients.client()));
    assert_eq!(
        D::from_access(&access)
            .unwrap()
            .fetch("/")
            .unwrap()
            .status(),
        200
    );
    let files = tempfile::tempdir().unwrap();
    let pair = clients.client();
    std::fs::write(files.path().join("crt"), pair.certificate).unwrap();
    std::fs::write(files.path().join("key"), pair.key).unwrap();
    access.auth.client_certificate = Some(ClientCertificate {
        certificate: Material::File(files.path().join("crt")),
        key: Material::File(files.path().join("key")),
    });
    assert_eq!(
        D::from_access(&access)
            .unwrap()
            .fetch("/")
            .unwrap()
            .status(),
        200
    );
}

fn a_client_certificate_in_files_is_followed_by_the_next<D: Driver>() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let config = servers.server(&["localhost"]).server_config(Some(&clients));
    let server = Server::start_tls(config, |_| ok());
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("crt"), files.path().join("key"));
    let (first, stranger) = (clients.client(), Authority::new("others").client());
    std::fs::write(&certificate, &first.certificate).unwrap();
    std::fs::write(&key, &first.key).unwrap();
    let mut access = access(&server, &servers);
    access.auth.client_certificate = Some(ClientCertificate {
        certificate: Material::File(certificate.clone()),
        key: Material::File(key.clone()),
    });
    let client = D::from_access(&access).unwrap();
    let is_let_in = || client.fetch("/").is_ok_and(|answer| answer.status() == 200);
    assert!(is_let_in());
    let_it_be_put_back();
    let before = server.connections();
    assert!(is_let_in());
    assert_eq!(server.connections(), before, "nothing has changed");

    // That the files are read again is seen by one that is not let in. Between two writes the old one is presented.
    std::fs::write(&certificate, &stranger.certificate).unwrap();
    assert!(is_let_in());
    std::fs::write(&key, &stranger.key).unwrap();
    assert!(!is_let_in());
    let last = clients.client();
    std::fs::write(&certificate, &last.certificate).unwrap();
    std::fs::write(&key, &last.key).unwrap();
    assert!(is_let_in());
    // Files that are away for a moment take nothing away.
    std::fs::remove_file(&certificate).unwrap();
    assert!(is_let_in());
}

fn a_client_without_its_certificate_is_told_so<D: Driver>() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let config = servers.server(&["localhost"]).server_config(Some(&clients));
    let server = Server::start_tls(config, |_| ok());
    let mut access = access(&server, &servers);
    for own in [None, Some(inline(&servers.client()))] {
        access.auth.client_certificate = own;
        let error = D::from_access(&access).unwrap().fetch("/").unwrap_err();
        if let TransportError::Tls { problem, .. } = &error {
            assert_eq!(*problem, TlsProblem::ClientCertificateRefused, "{error:?}");
            assert!(
                error.to_string().contains("refused the client certificate"),
                "{error}"
            );
        } else {
            assert!(!D::TELLS_LATE_ALERTS, "{error:?}");
            assert!(
                matches!(error, TransportError::Interrupted { .. }),
                "{error:?}"
            );
        }
    }
    assert_eq!(server.seen().len(), 0);
}

fn a_key_that_is_not_the_certificates_is_refused<D: Driver>() {
    let authority = Authority::new("a");
    let server = serve(&authority.server(&["localhost"]));
    let mut access = access(&server, &authority);
    let (one, two) = (authority.client(), authority.client());
    access.auth.client_certificate = Some(ClientCertificate {
        certificate: one.certificate.as_bytes().into(),
        key: two.key.as_bytes().into(),
    });
    let error = D::from_access(&access).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot be used together; give the pair"),
        "{error}"
    );
    let half = access.auth.client_certificate.as_mut().unwrap();
    half.key = one.certificate.as_bytes().into();
    let error = D::from_access(&access).unwrap_err();
    let expected = "the client key as given is not PEM; it must hold a block that starts with -----BEGIN PRIVATE KEY-----";
    assert_eq!(error.to_string(), expected);
}

fn a_certificate_authority_that_is_none_is_refused<D: Driver>() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("ca.crt");
    let mut access = Access::new(ServerUrl::parse("https://localhost:1").unwrap());
    access.tls.ca = Some(Material::File(path.clone()));
    let build = |content: Option<&[u8]>| -> Failure {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        D::from_access(&access).unwrap_err()
    };
    let missing = chain(&*build(None));
    let expected = format!(
        "cannot read the certificate authority in {}; the file must exist",
        path.display()
    );
    assert!(
        missing.starts_with(&expected) && missing.contains("No such file"),
        "{missing}"
    );
    let unusable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in [
        "",
        "hello",
        Authority::new("x").client().key.as_str(),
        unusable,
    ] {
        let error = build(Some(content.as_bytes())).to_string();
        let expected = format!("the certificate authority in {} is not PEM", path.display());
        assert!(
            error.starts_with(&expected) && error.contains("BEGIN CERTIFICATE"),
            "{error}"
        );
    }
}

fn a_plain_http_server_behind_https_is_no_tls<D: Driver>() {
    let server = Server::start(|_| ok());
    let error = refused::<D>(&access(&server, &Authority::new("x")), &TlsProblem::Other);
    assert!(
        error
            .to_string()
            .starts_with("no TLS connection to https://localhost:"),
        "{error}"
    );
}

fn refused<D: Driver>(access: &Access, expected: &TlsProblem) -> TransportError {
    let error = D::from_access(access).unwrap().fetch("/").unwrap_err();
    let TransportError::Tls { problem, .. } = &error else {
        panic!("{}", chain(&error))
    };
    assert_eq!(problem, expected, "{}", chain(&error));
    error
}

fn serve(pair: &Pair) -> Server {
    Server::start_tls(pair.server_config(None), |_| ok())
}

fn access(server: &Server, authority: &Authority) -> Access {
    let mut access = Access::new(ServerUrl::parse(&server.tls_url()).unwrap());
    access.tls.ca = Some(authority.pem().as_bytes().into());
    access
}

fn inline(pair: &Pair) -> ClientCertificate {
    ClientCertificate {
        certificate: pair.certificate.as_bytes().into(),
        key: pair.key.as_bytes().into(),
    }
}
