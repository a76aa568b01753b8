//! Files and plugins that are named relatively, in a program that goes to another directory afterwards.

use std::env;
use std::fs;
use std::process::Command;

use lease_proto::access::{Access, KubeconfigOptions, Material, ServerUrl};

use crate::credentials::kubeconfig;
use crate::driver::{Driver, PATIENCE, alone, get};
use crate::plugins::Plugin;
use crate::server::{Server, ok};

crate::scenarios! {
    a_token_stands_in_for_a_token_file_that_is_away,
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

/// As kubectl has it: the file goes before the token where it can be read, and is looked for again.
fn a_token_stands_in_for_a_token_file_that_is_away<D: Driver>() {
    let (server, files) = (Server::start(|_| ok()), tempfile::tempdir().unwrap());
    let (token, path) = (files.path().join("token"), files.path().join("config"));
    let cluster = format!("server: '{}'", server.url());
    let text = kubeconfig(&cluster, "token: inline, tokenFile: token");
    fs::write(&path, text).unwrap();
    let client = D::from_kubeconfig(&KubeconfigOptions::new().path(path)).unwrap();
    let sent = |reload| {
        client.exchange(get("/"), PATIENCE, reload).unwrap();
        let sent = server.last();
        sent.header("authorization").unwrap().to_owned()
    };
    assert_eq!(sent(false), "Bearer inline");
    fs::write(&token, "one").unwrap();
    assert_eq!(sent(false), "Bearer one");
    fs::remove_file(&token).unwrap();
    assert_eq!(sent(false), "Bearer one", "what was read stays");
    assert_eq!(sent(true), "Bearer inline", "until it is refused");
}

const CHILD: &str = "LEASE_TEST_PLACES";
