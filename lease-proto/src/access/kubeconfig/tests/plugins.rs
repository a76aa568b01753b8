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
            exec("command: x").replace("apiVersion: v1", "a: b"),
            "exec.apiVersion is missing",
        ),
    ] {
        let error = access(&text, &allowed).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

fn exec(entry: &str) -> String {
    format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://h'}}}}]\nusers:\n- name: u\n  user:\n    exec:\n      \
         apiVersion: v1\n      {entry}\n"
    )
}
