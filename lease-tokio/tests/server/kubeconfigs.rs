//! Kubeconfigs mean to the client what they mean to kubectl. Without a kubectl nothing runs, as in `kubectl.rs`.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use lease_tokio::{Client, KubeconfigOptions};
use serde_json::Value;

use crate::{
    Result, Server,
    kubectl::{by_whoever_sits_in, is_there},
    text,
};

/// A server that lets in who has one of two tokens, and a folder for kubeconfigs that lead there.
struct World {
    folder: tempfile::TempDir,
    server: Server,
}

impl World {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        // kubectl sends no credentials without TLS.
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        fs::write(at("tls.crt"), made.cert.pem())?;
        fs::write(at("tls.key"), made.signing_key.serialize_pem())?;
        fs::write(at("tokens"), "inline\nfrom-file\nfrom-plugin\n")?;
        fs::write(at("token"), "from-file\n")?;
        fs::write(at("empty"), "")?;
        fs::write(at("plugin"), PLUGIN)?;
        fs::set_permissions(at("plugin"), fs::Permissions::from_mode(0o755))?;
        let server = Server::start(&[
            "--tls-cert",
            text(&at("tls.crt")),
            "--tls-key",
            text(&at("tls.key")),
            "--token-file",
            text(&at("tokens")),
        ])?;
        Ok(Self { folder, server })
    }

    fn write(&self, cluster: &str, user: &str) -> Result {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters:\n- name: k\n  cluster: {{server: '{}', certificate-authority: tls.crt{cluster}}}\n\
             users:\n- name: u\n  user: {{{user}}}\n",
            self.server.url
        );
        Ok(fs::write(self.folder.path().join("kubeconfig"), text)?)
    }

    /// Whether kubectl is let in, and what it says.
    fn kubectl(&self) -> Result<(bool, String)> {
        let mut command = by_whoever_sits_in(self.folder.path());
        let output = command
            .args(["get", "leases"])
            .stdin(Stdio::null())
            .output()?;
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }

    /// Whether we are.
    async fn ours(&self) -> Result<(bool, String)> {
        let path = self.folder.path().join("kubeconfig");
        let options = KubeconfigOptions::new().path(path).allow_exec(true);
        let listed = match Client::from_kubeconfig(&options) {
            Ok(client) => client.list().await.map(drop),
            Err(error) => Err(error),
        };
        let said = listed.as_ref().err().map(ToString::to_string);
        Ok((listed.is_ok(), said.unwrap_or_default()))
    }

    /// What a plugin was told last.
    fn told(&self) -> Result<Value> {
        let path: &Path = &self.folder.path().join("told");
        let told = serde_json::from_slice(&fs::read(path)?)?;
        fs::remove_file(path)?;
        Ok(told)
    }
}

#[tokio::test]
async fn users_are_let_in_and_refused_as_with_kubectl() -> Result {
    if !is_there()? {
        return Ok(());
    }
    let world = World::new()?;
    let exec = "exec: {command: ./plugin, apiVersion: client.authentication.k8s.io";
    for (user, is_let_in) in [
        ("token: inline", true),
        ("token: wrong", false),
        ("token: wrong, tokenFile: token", true),
        ("token: inline, tokenFile: /nowhere", true),
        ("token: inline, tokenFile: empty", true),
        ("tokenFile: /nowhere", false),
        ("token: inline, as-groups: [a]", false),
        ("token: inline, as-groups: ['']", false),
        ("token: inline, as-uid: '1'", false),
        ("token: inline, as-user-extra: {a: [b]}", false),
        (
            "token: inline, as-groups: [], as-uid: '', as-user-extra: {}",
            true,
        ),
        (&format!("{exec}/v1}}"), false),
        (&format!("{exec}/v1, interactiveMode: Perhaps}}"), false),
        (&format!("{exec}/v1, interactiveMode: Never}}"), true),
        (&format!("{exec}/v1, interactiveMode: IfAvailable}}"), true),
        (&format!("{exec}/v1beta1}}"), true),
    ] {
        world.write("", user)?;
        let (kubectl, ours) = (world.kubectl()?, world.ours().await?);
        assert_eq!(kubectl.0, is_let_in, "{user}: {}", kubectl.1);
        assert_eq!(ours.0, is_let_in, "{user}: {}", ours.1);
    }
    Ok(())
}

#[tokio::test]
async fn a_plugin_is_told_what_kubectl_tells_it() -> Result {
    if !is_there()? {
        return Ok(());
    }
    let world = World::new()?;
    let user = "exec: {command: ./plugin, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, \
                provideClusterInfo: true}";
    let for_plugins = |config: &str| {
        format!(
            ", extensions: [{{name: other, extension: {{x: 1}}}}, \
             {{name: client.authentication.k8s.io/exec, extension: {config}}}]"
        )
    };
    for cluster in [
        "",
        ", tls-server-name: 127.0.0.1",
        ", disable-compression: true",
        ", disable-compression: false, proxy-url: ''",
        // Nobody is there; the plugin is asked before that is found out.
        ", proxy-url: 'http://me:pw@127.0.0.1:1'",
        &for_plugins(
            r#"{audience: foo, count: 1, f: 1.50, z: null, s: "<&>", list: [b, {a: 1}], "12": true, date: 2020-01-01}"#,
        ),
        &for_plugins("just-a-string"),
        &for_plugins("null"),
        &for_plugins("{}"),
    ] {
        world.write(cluster, user)?;
        world.kubectl()?;
        let kubectl = world.told()?;
        world.ours().await?;
        assert_eq!(world.told()?, kubectl, "{cluster}");
    }
    Ok(())
}

const PLUGIN: &str = r#"#!/bin/sh
printf '%s' "$KUBERNETES_EXEC_INFO" > "$(dirname "$0")/told"
version=$(printf '%s' "$KUBERNETES_EXEC_INFO" | sed 's/.*"apiVersion":"\([^"]*\)".*/\1/')
printf '{"apiVersion":"%s","kind":"ExecCredential","status":{"token":"from-plugin"}}' "$version"
"#;
