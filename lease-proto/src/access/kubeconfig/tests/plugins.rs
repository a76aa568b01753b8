//! Users whose credentials come from a program.

use super::*;

#[test]
fn an_exec_user_is_refused_until_allowed() {
    let text = exec(
        "command: ./bin/plugin\n      args: [canary, b]\n      env: [{name: K, value: canary}]",
    );
    let error = access(&text, &KubeconfigOptions::new())
        .unwrap_err()
        .to_string();
    let expected = "/home/u/.kube/config: user \"u\" gets credentials by running \"./bin/plugin\", which is not allowed; \
                    allow it with allow_exec, or give a token";
    assert_eq!(error, expected);
    let allowed = access(&text, &KubeconfigOptions::new().allow_exec(true)).unwrap();
    assert!(!format!("{allowed:?}").contains("canary"), "{allowed:?}");
    let plugin = allowed.auth.exec.unwrap();
    assert_eq!(plugin.command, Path::new("/home/u/.kube/./bin/plugin"));
    assert_eq!((plugin.args.len(), plugin.env.len()), (2, 1));
    let bare = access(
        &exec("command: aws\n      env: null"),
        &KubeconfigOptions::new().allow_exec(true),
    )
    .unwrap();
    assert_eq!(bare.auth.exec.unwrap().command, Path::new("aws"));
}

/// What is expected is what kubectl 1.32 gave a plugin that the same file names.
#[test]
fn a_plugin_is_told_what_kubectl_tells_it() {
    let text = exec("command: x\n      provideClusterInfo: true");
    let told = |cluster: &str| {
        let text = text.replace("'https://h'", &format!("'https://h'{cluster}"));
        let access = access(&text, &KubeconfigOptions::new().allow_exec(true)).unwrap();
        let info = access.auth.exec.as_ref().unwrap().info(&access, None);
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        info["spec"]["cluster"].clone()
    };
    let of = |rest: serde_json::Value| {
        let mut expected = serde_json::json!({"server": "https://h", "config": null});
        let rest = rest.as_object().unwrap().clone();
        expected.as_object_mut().unwrap().extend(rest);
        expected
    };
    assert_eq!(told(""), of(serde_json::json!({})));
    assert_eq!(
        told(", disable-compression: true, proxy-url: 'http://me:pw@p:1'"),
        of(serde_json::json!({"disable-compression": true, "proxy-url": "http://me:pw@p:1"}))
    );
    assert_eq!(
        told(", disable-compression: false, proxy-url: ''"),
        of(serde_json::json!({}))
    );
    for (extension, config) in [
        (
            r#"{audience: foo, count: 1, f: 1.50, big: 12345678901234567890, z: null, s: "<&>", list: [b, a], "12": true, date: 2020-01-01}"#,
            serde_json::json!({
                "audience": "foo", "count": 1, "f": 1.5, "big": 12_345_678_901_234_567_890_u64, "z": null, "s": "<&>",
                "list": ["b", "a"], "12": true, "date": "2020-01-01",
            }),
        ),
        ("just-a-string", "just-a-string".into()),
        ("[1, {a: b}]", serde_json::json!([1, {"a": "b"}])),
        ("{}", serde_json::json!({})),
        ("null", serde_json::Value::Null),
    ] {
        let extensions = format!(
            ", extensions: [{{name: other, extension: {{x: 1}}}}, \
             {{name: client.authentication.k8s.io/exec, extension: {extension}}}]"
        );
        let expected = of(serde_json::json!({ "config": config }));
        assert_eq!(told(&extensions), expected, "{extension}");
    }
}

#[test]
fn an_exec_entry_that_cannot_work_is_refused() {
    let allowed = KubeconfigOptions::new().allow_exec(true);
    for (text, message) in [
        (exec("args: []"), "exec.command is missing"),
        (
            exec("command: x\n      interactiveMode: Always"),
            "exec.interactiveMode: Always, which is not supported",
        ),
        (
            exec("command: x").replace("apiVersion: client", "a: client"),
            "exec.apiVersion is missing",
        ),
        (
            exec("command: x\n      interactiveMode: Perhaps"),
            "exec.interactiveMode is none of Never, IfAvailable and Always",
        ),
    ] {
        let error = access(&text, &allowed).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// As for kubectl, which takes the older versions for `IfAvailable`.
#[test]
fn an_exec_entry_says_whether_it_asks_people_unless_it_is_of_an_older_version() {
    let allowed = KubeconfigOptions::new().allow_exec(true);
    for (version, mode, is_taken) in [
        ("v1", "", false),
        ("v1", "interactiveMode: ''", false),
        ("v1", "interactiveMode: Never", true),
        ("v1", "interactiveMode: IfAvailable", true),
        ("v1beta1", "", true),
        ("v1alpha1", "", true),
        ("v2", "", false),
    ] {
        let text = exec(&format!("command: x\n      {mode}"));
        let text = text.replace("k8s.io/v1beta1", &format!("k8s.io/{version}"));
        match access(&text, &allowed) {
            Ok(_) => assert!(is_taken, "{version} {mode}"),
            Err(error) => {
                let shown = error.to_string();
                let expected = r#"user "u": exec.interactiveMode is missing; it is Never"#;
                assert!(!is_taken && shown.contains(expected), "{version}: {shown}");
            }
        }
    }
}

fn exec(entry: &str) -> String {
    format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://h'}}}}]\nusers:\n- name: u\n  user:\n    exec:\n      \
         apiVersion: client.authentication.k8s.io/v1beta1\n      {entry}\n"
    )
}
