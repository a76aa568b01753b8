//! Kubeconfigs as people have them, and what is said of those that are wrong.

use std::path::Path;

use super::super::{Material, Secret};
use super::*;

mod plugins;

const GOOD: &str = "
apiVersion: v1
kind: Config
current-context: dev
preferences: {}
clusters:
- name: here
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority: pki/ca.crt
- name: inline
  cluster:
    server: https://[fd00::1]:6443/k8s/c-1
    certificate-authority-data: Zm9v
    tls-server-name: kubernetes
contexts:
- name: dev
  context: {cluster: here, user: me, namespace: team}
- name: other
  context: {cluster: inline, user: robot}
- name: nobody
  context: {cluster: here, user: \"\"}
users:
- name: me
  user:
    client-certificate: /etc/me.crt
    client-key-data: YmFy
- name: robot
  user:
    token: canary
    tokenFile: tokens/robot
";

#[test]
fn the_current_context_is_put_together() {
    let access = access(GOOD, &KubeconfigOptions::new()).unwrap();
    assert_eq!(access.server.to_string(), "https://10.0.0.1:6443");
    assert_eq!(access.namespace.as_deref(), Some("team"));
    assert_eq!(
        access.tls.ca,
        Some(Material::File("/home/u/.kube/pki/ca.crt".into()))
    );
    let certificate = access.auth.client_certificate.unwrap();
    assert_eq!(
        certificate.certificate,
        Material::File("/etc/me.crt".into())
    );
    assert_eq!(certificate.key, Material::Inline(Secret::from("bar")));
}

#[test]
fn a_named_context_goes_before_the_current_one() {
    let access = access(GOOD, &KubeconfigOptions::new().context("other")).unwrap();
    assert_eq!(access.server.to_string(), "https://[fd00::1]:6443/k8s/c-1");
    assert_eq!(access.tls.ca, Some(Material::Inline(Secret::from("foo"))));
    assert_eq!(access.tls.server_name.as_deref(), Some("kubernetes"));
    assert_eq!(access.namespace, None);
}

#[test]
fn a_token_file_goes_before_a_token_which_is_kept_for_when_it_is_away() {
    let access = access(GOOD, &KubeconfigOptions::new().context("other")).unwrap();
    assert_eq!(access.auth.spare_token, Some(Secret::from("canary")));
    assert_eq!(
        access.auth.token,
        Some(Material::File("/home/u/.kube/tokens/robot".into()))
    );
}

#[test]
fn a_context_without_a_user_has_no_credentials() {
    let access = access(GOOD, &KubeconfigOptions::new().context("nobody")).unwrap();
    assert!(access.auth.token.is_none() && access.auth.client_certificate.is_none());
}

#[test]
fn of_several_files_the_first_wins_and_paths_stay_relative_to_their_own() {
    let first = parse_at(
        "/a/config",
        "current-context: x\nclusters: [{name: here, cluster: {server: 'https://first'}}]",
    );
    let second = parse_at("/b/config", GOOD);
    let merged = first.merge(second);
    assert_eq!(merged.current_context(), Some("x"));
    let here = merged
        .access(&KubeconfigOptions::new().context("dev"))
        .unwrap();
    assert_eq!(here.server.to_string(), "https://first");
    assert_eq!(here.tls.ca, None, "the second file's entry is not mixed in");
    let other = merged
        .access(&KubeconfigOptions::new().context("other"))
        .unwrap();
    assert_eq!(
        other.auth.token,
        Some(Material::File("/b/tokens/robot".into()))
    );
    let error = merged
        .access(&KubeconfigOptions::new())
        .unwrap_err()
        .to_string();
    let expected =
        r#"/a/config, /b/config: there is no context "x"; there are "dev", "nobody", "other""#;
    assert_eq!(error, expected);
}

#[test]
fn json_and_nulls_as_kubectl_writes_them_are_read() {
    let json = r#"{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],
        "clusters":[{"name":"k","cluster":{"server":"https://h","extensions":[{"name":"x","extension":{"a":1}}]}}],
        "users":[{"name":"u","user":{"username":"n","password":"12345"}}],"preferences":null}"#;
    let found = access(json, &KubeconfigOptions::new()).unwrap();
    assert_eq!(
        found.auth.basic.unwrap().header().unwrap(),
        "Basic bjoxMjM0NQ=="
    );
    let nulls = "clusters: null\ncontexts:\nusers: null\ncurrent-context: \"\"\n";
    let error = access(nulls, &KubeconfigOptions::new())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "/home/u/.kube/config: no current-context; nor is there any context to name"
    );
    assert_eq!(
        access("", &KubeconfigOptions::new())
            .unwrap_err()
            .to_string(),
        error
    );
}

#[test]
fn without_a_current_context_those_that_there_are_are_listed() {
    let text = GOOD.replace("current-context: dev", "");
    let error = access(&text, &KubeconfigOptions::new())
        .unwrap_err()
        .to_string();
    let expected = r#"/home/u/.kube/config: no current-context; name one of the contexts "dev", "nobody", "other""#;
    assert_eq!(error, expected);
}

#[test]
fn broken_yaml_is_reported_by_file_and_line_and_not_quoted() {
    for (text, place, expected) in [
        ("a: b\nusers: [canary", "/home/u/.kube/config:", "YAML"),
        ("a: 1\nb: ]canary\n", "/home/u/.kube/config:2:", "YAML"),
        (
            "users:\n- name: u\n  user: canary\n",
            "/home/u/.kube/config:3:",
            "expected ",
        ),
        (
            "users:\n- name: u\n  user:\n    token: {canary: x}\n",
            "/home/u/.kube/config:4:",
            "expected ",
        ),
        (
            "users:\n- user:\n    token: canary\n",
            "/home/u/.kube/config:2:",
            "a field name",
        ),
        (
            "users:\n- name: u\n  user: {token: canary, token: canary}\n",
            "/home/u/.kube/config:3:",
            "each key once",
        ),
        ("users: canary", "/home/u/.kube/config:1:", "expected "),
        ("canary", "/home/u/.kube/config:1:", "expected "),
        ("u: *canary", "/home/u/.kube/config:1:", "YAML"),
        (
            "clusters:\n- name: c\n  cluster: {insecure-skip-tls-verify: canary}",
            "/home/u/.kube/config:3:",
            "expected ",
        ),
    ] {
        let error =
            Kubeconfig::parse(Path::new("/home/u/.kube/config"), text.as_bytes()).unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with(place), "{text}: {shown}");
        assert!(shown.contains(expected), "{text}: {shown}");
        assert!(
            !format!("{error:?} {shown}").contains("canary"),
            "{text}: {error:?}"
        );
    }
    let error = Kubeconfig::parse(Path::new("f"), b"a: \xff\xfe").unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn each_mistake_is_named_with_what_would_be_right() {
    for (from, to, message) in [
        (
            "user: me",
            "user: you",
            r#"there is no user "you"; there are "me", "robot""#,
        ),
        (
            "cluster: here",
            "cluster: there",
            r#"there is no cluster "there"; there are "here", "inline""#,
        ),
        (
            "cluster: here, ",
            "",
            r#"context "dev": cluster is missing; it is the name of an entry of clusters"#,
        ),
        (
            "    server: https://10.0.0.1:6443",
            "    x: y",
            r#"cluster "here": server cannot be used"#,
        ),
        (
            "https://10.0.0.1",
            "http://10.0.0.1",
            r#"cluster "here": server cannot be used"#,
        ),
        (
            "    certificate-authority:",
            "    proxy-url: socks4://u:p@p\n    x:",
            r#"cluster "here": proxy-url cannot be used"#,
        ),
        (
            "    certificate-authority:",
            "    insecure-skip-tls-verify: true\n    certificate-authority:",
            "remove one",
        ),
        (
            "pki/ca.crt",
            "x\n    certificate-authority-data: ä",
            "certificate-authority-data is not base64",
        ),
        (
            "client-key-data: YmFy",
            "x: y",
            r#"user "me": client-key is missing"#,
        ),
        (
            "client-certificate: /etc/me.crt",
            "x: y",
            r#"user "me": client-certificate is missing"#,
        ),
        (
            "client-key-data: YmFy",
            "as: boss",
            "impersonation (as), which is not supported",
        ),
        (
            "client-key-data: YmFy",
            "auth-provider: {name: gcp}",
            r#"auth-provider "gcp", which is not supported"#,
        ),
        ("name: robot", "name: me", r#"user "me" stands twice"#),
    ] {
        let error = access(&GOOD.replacen(from, to, 1), &KubeconfigOptions::new()).unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with("/home/u/.kube/config: "), "{shown}");
        assert!(shown.contains(message), "{from} -> {to}: {shown}");
    }
}

/// As with kubectl, which takes what is empty for nothing.
#[test]
fn a_part_of_an_impersonation_is_refused_too() {
    let of = |user: &str| {
        let text = GOOD.replacen("client-key-data: YmFy", user, 1);
        access(&text, &KubeconfigOptions::new())
    };
    for field in [
        "as-groups: [a]",
        "as-groups: ['']",
        "as-uid: '1'",
        "as-user-extra: {a: [b]}",
    ] {
        let shown = of(field).unwrap_err().to_string();
        let name = field.split(':').next().unwrap();
        let expected = format!(
            r#"/home/u/.kube/config: user "me": {name} is for impersonation, without a user to impersonate (as), and"#
        );
        assert!(shown.starts_with(&expected), "{shown}");
        let shown = of(&format!("as: ''\n    {field}")).unwrap_err();
        assert!(matches!(shown, KubeconfigError::Field { .. }), "{shown}");
    }
    for nothing in ["as-groups: []", "as-uid: ''", "as-user-extra: {}"] {
        of(&format!("client-key-data: YmFy\n    {nothing}")).unwrap();
    }
}

#[test]
fn plain_http_is_allowed_by_its_switch() {
    let text = GOOD.replace("https://10", "http://10");
    let error = access(&text, &KubeconfigOptions::new()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("allow_plain_http"), "{source}");
    assert!(access(&text, &KubeconfigOptions::new().allow_plain_http(true)).is_ok());
}

#[test]
fn debug_shows_no_secret() {
    let config = parse_at("/f", GOOD);
    let access = config
        .access(&KubeconfigOptions::new().context("other"))
        .unwrap();
    assert!(!format!("{config:?} {access:?}").contains("canary"));
}

fn parse_at(path: &str, text: &str) -> Kubeconfig {
    Kubeconfig::parse(Path::new(path), text.as_bytes()).unwrap()
}

fn access(text: &str, options: &KubeconfigOptions) -> Result<Access, KubeconfigError> {
    Kubeconfig::parse(Path::new("/home/u/.kube/config"), text.as_bytes())?.access(options)
}
