//! Files and plugins that are named relatively, in a program that goes to another directory afterwards.

use std::env;
use std::fs;
use std::process::Command;

use lease_proto::access::{Access, KubeconfigOptions, Material, ServerUrl};

use crate::credentials::kubeconfig;
use crate::driver::{Driver, alone};
use crate::plugins::Plugin;
use crate::server::{Server, ok};

crate::scenarios! {
    what_is_named_relatively_is_found_from_elsewhere,
}

/// By another process, since a process has one directory for all of its tests.
fn what_is_named_relatively_is_found_from_elsewhere<D: Driver>() {
    let test = ("places", "what_is_named_relatively_is_found_from_elsewhere");
    let listed = |command: &mut Command| {
        command.env("KUBECONFIG", "tf.yaml");
    };
    if alone::<D>(test, CHILD, "1", listed).is_some() {
        return;
    }
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let token = files.path().join("token");
    fs::write(&token, "one").unwrap();
    let cluster = format!("server: '{}'", server.url());
    let text = kubeconfig(&cluster, "tokenFile: token");
    fs::write(files.path().join("tf.yaml"), text).unwrap();
    let plugin = Plugin::new(&files, r#"echo >> runs; answer '"token":"asked"'"#);
    let _written = plugin.kubeconfig(&server);
    let mut access = Access::new(ServerUrl::parse(&server.url()).unwrap());
    access.auth.token = Some(Material::File("token".into()));

    env::set_current_dir(files.path()).unwrap();
    let clients = [
        D::from_kubeconfig(&KubeconfigOptions::new()).unwrap(),
        D::from_kubeconfig(&KubeconfigOptions::new().path("tf.yaml")).unwrap(),
        D::from_access(&access).unwrap(),
    ];
    let named = KubeconfigOptions::new().path("config").allow_exec(true);
    let by_plugin = D::from_kubeconfig(&named).unwrap();
    env::set_current_dir("/").unwrap();

    fs::write(&token, "another").unwrap();
    for client in clients {
        client.fetch("/").unwrap();
        let sent = server.last();
        assert_eq!(sent.header("authorization"), Some("Bearer another"));
    }
    by_plugin.fetch("/").unwrap();
    let sent = server.last();
    assert_eq!(sent.header("authorization"), Some("Bearer asked"));
}

const CHILD: &str = "LEASE_TEST_PLACES";
