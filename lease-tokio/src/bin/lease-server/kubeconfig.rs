//! A kubeconfig that leads here.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use serde_json::json;

use crate::tokens::Tokens;

/// Writes one, as JSON, which is YAML too. `authority` is a file with the certificate that the server's is checked by.
pub(crate) fn write(
    path: &Path,
    server: &str,
    authority: Option<&Path>,
    tokens: &Tokens,
) -> Result<(), String> {
    let mut cluster = json!({"server": server});
    if let Some(authority) = authority {
        let authority = std::path::absolute(authority).unwrap_or_else(|_| authority.to_owned());
        cluster["certificate-authority"] = json!(authority);
    }
    let token = tokens
        .first()
        .map(|it| String::from_utf8_lossy(it.expose()));
    let user = token.map_or_else(|| json!({}), |token| json!({"token": token}));
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lease-server", "cluster": cluster}],
        "users": [{"name": "lease-server", "user": user}],
        "contexts": [{
            "name": "lease-server",
            "context": {"cluster": "lease-server", "user": "lease-server", "namespace": "default"},
        }],
        "current-context": "lease-server",
    });
    if leads_elsewhere(path) {
        return Err(format!(
            "the kubeconfig {} leads to other servers, and is left alone: name another file, or delete it",
            path.display()
        ));
    }
    let text = format!("{config:#}\n");
    replace(path, text.as_bytes()).map_err(|error| {
        format!(
            "the kubeconfig {} cannot be written: {error}",
            path.display()
        )
    })
}

/// Whether there is a file that this server, in whatever life, has not written.
fn leads_elsewhere(path: &Path) -> bool {
    // A device may have no end.
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    let Some(text) = is_file.then(|| fs::read(path).ok()).flatten() else {
        return false;
    };
    let config: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let clusters = config["clusters"].as_array();
    let is_ours = clusters.is_some_and(|all| all.len() == 1 && all[0]["name"] == "lease-server");
    !text.is_empty() && !is_ours
}

/// Puts a file there as a whole, for this user alone: where a link leads, and in the place of nothing but a file.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let target = fs::read_link(path).map(|target| match path.parent() {
        Some(folder) => folder.join(target),
        None => target,
    });
    let path = target.as_deref().unwrap_or(path);
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let line = "what is there is no file, and is left alone";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, line));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _not_there = fs::remove_file(&beside);
    }
    written
}
