//! kubectl against it: what people type at a cluster works here as well.
//!
//! Without a kubectl nothing runs, and a line says so; `LEASE_KUBECTL_REQUIRED` makes that a failure.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use tempfile::TempDir;

use crate::{Result, SOON, Server, text};

/// A server, and somebody who sits before it with a kubeconfig and no other settings.
struct Desk {
    folder: TempDir,
    _server: Server,
}

/// What a command has left.
#[derive(Debug)]
struct Ran {
    is_success: bool,
    stdout: String,
    stderr: String,
}

impl Desk {
    /// `None` where there is no kubectl.
    fn new(more: &[&str]) -> Result<Option<Self>> {
        if !is_there()? {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let server = Server::start(&[&["--kubeconfig", text(&kubeconfig)], more].concat())?;
        let desk = Self {
            folder,
            _server: server,
        };
        desk.write("ann.yaml", &lease("nightly", "ann"))?;
        desk.write("bob.yaml", &lease("nightly", "bob"))?;
        Ok(Some(desk))
    }

    fn write(&self, name: &str, content: &str) -> Result {
        Ok(fs::write(self.folder.path().join(name), content)?)
    }

    fn kubectl(&self, arguments: &str) -> Command {
        let mut command = by_whoever_sits_in(self.folder.path());
        command
            .args(arguments.split(' '))
            .env("EDITOR", "sed -i s/bob/cid/")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &str) -> Result<Ran> {
        let output = self.kubectl(arguments).output()?;
        Ok(Ran {
            is_success: output.status.success(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// What it prints where it succeeds.
    #[track_caller]
    fn said(&self, arguments: &str) -> Result<String> {
        let ran = self.run(arguments)?;
        assert!(ran.is_success, "kubectl {arguments}: {ran:?}");
        Ok(ran.stdout)
    }

    /// The lines of a table, in words.
    fn rows(&self, arguments: &str) -> Result<Vec<Vec<String>>> {
        let said = self.said(arguments)?;
        let words = |line: &str| line.split_whitespace().map(ToOwned::to_owned).collect();
        Ok(said.lines().map(words).collect())
    }

    fn field(&self, path: &str) -> Result<String> {
        self.said(&format!("get lease nightly -o jsonpath={{{path}}}"))
    }

    fn uid(&self) -> Result<String> {
        self.field(".metadata.uid")
    }
}

/// Whether there is a kubectl. Where there is none, a line says so.
pub(crate) fn is_there() -> Result<bool> {
    let found = Command::new("kubectl")
        .arg("version")
        .arg("--client")
        .output();
    let Err(error) = found else {
        return Ok(true);
    };
    let missing = format!("kubectl was not tried: {error}");
    if std::env::var_os("LEASE_KUBECTL_REQUIRED").is_some() {
        return Err(missing.into());
    }
    // Past the harness, which keeps what is printed by tests that succeed.
    writeln!(io::stderr(), "SKIPPED: {missing}")?;
    Ok(false)
}

/// A kubectl with the file `kubeconfig` of that folder, and no other settings.
pub(crate) fn by_whoever_sits_in(folder: &Path) -> Command {
    let mut command = Command::new("kubectl");
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // What it caches of a server, another server at the same port must not be known by.
        .env("HOME", folder)
        .env("KUBECONFIG", "kubeconfig");
    command
}

fn lease(name: &str, holder: &str) -> String {
    format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{name: {name}}}\n\
         spec: {{holderIdentity: {holder}, leaseDurationSeconds: 30}}\n"
    )
}

#[test]
fn leases_are_shown_as_a_cluster_shows_them() -> Result {
    let Some(desk) = Desk::new(&[])? else {
        return Ok(());
    };
    assert_eq!(desk.run("get leases")?.stdout, "");
    let created = desk.said("create -f ann.yaml")?;
    assert_eq!(created, "lease.coordination.k8s.io/nightly created\n");
    desk.said("create -n far -f bob.yaml")?;

    let rows = desk.rows("get leases")?;
    assert_eq!(rows.first(), Some(&words("NAME HOLDER AGE")));
    assert_eq!(
        rows.get(1).and_then(|row| row.get(..2)),
        Some(&words("nightly ann")[..])
    );
    assert_eq!(rows.len(), 2);
    let rows = desk.rows("get leases -A")?;
    assert_eq!(rows.first(), Some(&words("NAMESPACE NAME HOLDER AGE")));
    let far = rows.last().and_then(|row| row.get(..3));
    assert_eq!((rows.len(), far), (3, Some(&words("far nightly bob")[..])));
    let wide = desk.rows("get lease nightly -o wide")?;
    assert_eq!(wide.first(), Some(&words("NAME HOLDER AGE")));
    assert_eq!(
        desk.said("get leases -o name")?,
        "lease.coordination.k8s.io/nightly\n"
    );
    let yaml = desk.said("get lease nightly -o yaml")?;
    for line in ["\nkind: Lease\n", "\n  holderIdentity: ann\n", "\n  uid: "] {
        assert!(yaml.contains(line), "{line:?} is not in {yaml}");
    }
    let described = desk.said("describe lease nightly")?;
    for words in ["Holder Identity:", "ann", "Lease Duration Seconds:", "30"] {
        assert!(described.contains(words), "{words:?} is not in {described}");
    }
    let resources = desk.rows("api-resources")?;
    assert!(
        resources.contains(&words("leases coordination.k8s.io/v1 true Lease")),
        "{resources:?}"
    );
    let explained = desk.said("explain lease.spec.holderIdentity")?;
    assert!(explained.contains("holderIdentity <string>"), "{explained}");
    Ok(())
}

#[test]
fn leases_are_written_in_every_way_that_kubectl_has() -> Result {
    let Some(desk) = Desk::new(&[])? else {
        return Ok(());
    };
    desk.said("apply -f ann.yaml")?;
    let uid = desk.uid()?;
    assert!(desk.said("apply -f ann.yaml")?.ends_with(" unchanged\n"));
    assert!(desk.said("apply -f bob.yaml")?.ends_with(" configured\n"));
    assert_eq!(desk.field(".spec.holderIdentity")?, "bob");
    for (patch, seconds) in [
        (r#"{"spec":{"leaseDurationSeconds":61}}"#, "61"),
        (r#"--type=merge {"spec":{"leaseDurationSeconds":62}}"#, "62"),
        (
            r#"--type=json [{"op":"replace","path":"/spec/leaseDurationSeconds","value":63}]"#,
            "63",
        ),
    ] {
        let (kind, patch) = patch
            .rsplit_once(' ')
            .unwrap_or(("--type=strategic", patch));
        desk.said(&format!("patch lease nightly {kind} -p {patch}"))?;
        assert_eq!(desk.field(".spec.leaseDurationSeconds")?, seconds);
    }
    desk.said("annotate lease nightly team=blue")?;
    assert_eq!(desk.field(".metadata.annotations.team")?, "blue");
    desk.said("annotate lease nightly team-")?;
    assert_eq!(desk.field(".metadata.annotations.team")?, "");
    desk.said("label lease nightly tier=one")?;
    assert_eq!(desk.rows("get leases -l tier=one")?.len(), 2);
    assert_eq!(desk.said("get leases -l tier=two")?, "");
    let edited = desk.said("edit lease nightly")?;
    assert!(edited.ends_with(" edited\n"), "{edited}");
    assert_eq!(desk.field(".spec.holderIdentity")?, "cid");
    assert_eq!(desk.uid()?, uid);
    desk.said("apply --server-side --force-conflicts -f ann.yaml")?;
    assert_eq!(desk.field(".spec.holderIdentity")?, "ann");
    desk.said("replace -f bob.yaml")?;
    assert_eq!(desk.field(".spec.holderIdentity")?, "bob");
    desk.said("delete lease nightly")?;
    assert_eq!(desk.said("get leases")?, "");
    desk.said("create -f ann.yaml")?;
    assert_ne!(desk.uid()?, uid);
    desk.said("delete leases --all")?;
    Ok(())
}

#[test]
fn what_is_only_tried_is_told_and_changes_nothing() -> Result {
    let Some(desk) = Desk::new(&[])? else {
        return Ok(());
    };
    for tried in ["create", "apply"] {
        let said = desk.said(&format!("{tried} --dry-run=server -f ann.yaml"))?;
        assert!(
            said.ends_with("nightly created (server dry run)\n"),
            "{said}"
        );
    }
    let differs = desk.run("diff -f ann.yaml")?;
    assert!(
        differs.stdout.contains("+  holderIdentity: ann"),
        "{differs:?}"
    );
    assert_eq!(desk.said("get leases")?, "");
    desk.said("apply -f ann.yaml")?;
    assert_eq!(desk.said("diff -f ann.yaml")?, "");
    let differs = desk.run("diff -f bob.yaml")?;
    for line in ["\n-  holderIdentity: ann\n", "\n+  holderIdentity: bob\n"] {
        assert!(
            !differs.is_success && differs.stdout.contains(line),
            "{differs:?}"
        );
    }
    for tried in [
        "apply -f bob.yaml",
        "annotate lease nightly a=b",
        "delete lease nightly",
    ] {
        let said = desk.said(&format!("{tried} --dry-run=server"))?;
        assert!(said.contains("(server dry run)"), "{said}");
    }
    let server_side =
        desk.said("apply --server-side --force-conflicts --dry-run=server -f bob.yaml")?;
    assert!(server_side.contains("dry run"), "{server_side}");
    assert_eq!(desk.field(".spec.holderIdentity")?, "ann");
    Ok(())
}

#[test]
fn refusals_are_told_as_those_of_a_cluster() -> Result {
    let Some(desk) = Desk::new(&[])? else {
        return Ok(());
    };
    desk.said("create -f ann.yaml")?;
    desk.write("bad.yaml", &lease("nightly2", "ann").replace("30", "-1"))?;
    for (arguments, line) in [
        (
            "get lease other",
            "Error from server (NotFound): leases.coordination.k8s.io \"other\" not found\n",
        ),
        (
            "delete lease other",
            "Error from server (NotFound): leases.coordination.k8s.io \"other\" not found\n",
        ),
        ("create -f ann.yaml", "Error from server (AlreadyExists): "),
        (
            "create -f bad.yaml",
            "spec.leaseDurationSeconds: Invalid value: -1: must be greater than 0\n",
        ),
        ("get pods", "doesn't have a resource type \"pods\""),
    ] {
        let ran = desk.run(arguments)?;
        assert!(
            !ran.is_success && ran.stderr.contains(line),
            "kubectl {arguments}: {ran:?}"
        );
    }
    Ok(())
}

#[test]
fn whoever_watches_sees_each_change_when_it_happens() -> Result {
    let Some(desk) = Desk::new(&[])? else {
        return Ok(());
    };
    desk.said("create -f ann.yaml")?;
    let watch =
        Watch::start(desk.kubectl("get leases -w -o=custom-columns=H:.spec.holderIdentity"))?;
    assert_eq!(watch.next()?, "H");
    assert_eq!(watch.next()?, "ann");
    desk.said("apply -f bob.yaml")?;
    assert_eq!(watch.next()?, "bob");
    desk.said("create -n far -f ann.yaml")?;
    desk.said("edit lease nightly")?;
    assert_eq!(watch.next()?, "cid");
    desk.said("delete lease nightly")?;
    assert_eq!(watch.next()?, "cid");
    desk.said("create -f ann.yaml")?;
    assert_eq!(watch.next()?, "ann");
    Ok(())
}

#[test]
fn a_directory_tls_and_a_token_make_no_difference() -> Result {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let (cert, key, tokens, data) = (at("tls.crt"), at("tls.key"), at("tokens"), at("data"));
    fs::write(&cert, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    fs::write(&tokens, "s3cret\n")?;
    let settings: [(&str, &Path); 4] = [
        ("--tls-cert", &cert),
        ("--tls-key", &key),
        ("--token-file", &tokens),
        ("--data", &data),
    ];
    let settings: Vec<&str> = settings
        .iter()
        .flat_map(|(name, path)| [*name, text(path)])
        .collect();
    let Some(desk) = Desk::new(&settings)? else {
        return Ok(());
    };
    desk.said("create -f ann.yaml")?;
    let watch =
        Watch::start(desk.kubectl("get leases -w -o=custom-columns=H:.spec.holderIdentity"))?;
    assert_eq!((watch.next()?, watch.next()?), ("H".into(), "ann".into()));
    // By another server over the same directory.
    let Some(beside) = Desk::new(&["--data", text(&data)])? else {
        return Ok(());
    };
    beside.said("apply -f bob.yaml")?;
    assert_eq!(watch.next()?, "bob");
    let stranger = desk.run("--token=other get leases")?;
    assert!(
        !stranger.is_success && stranger.stderr.contains("Unauthorized"),
        "{stranger:?}"
    );
    Ok(())
}

/// A kubectl that goes on, and its lines as they come.
struct Watch {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Watch {
    fn start(mut command: Command) -> Result<Self> {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("its output is piped")?;
        let (outbox, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(io::Result::ok) {
                if outbox.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, lines })
    }

    fn next(&self) -> Result<String> {
        Ok(self.lines.recv_timeout(SOON)?.trim().to_owned())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _over = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(ToOwned::to_owned).collect()
}
